"""Rows of tables become failures, whatever cloud they are of."""

from __future__ import annotations

from goldbake.clouds.failure import Failure, Refusal, Scope, death, filled, refusal, worst
from goldbake.errors import Exit

ROW = Refusal("Full", Scope.ZONE, "All of {zone} is full.", "try another than {zone}, not {region}", "here")
FOUND = Failure(Scope.REGION, "Inner", "could not", hint="go elsewhere")


def test_a_text_has_its_values_and_shows_what_has_none() -> None:
    assert filled("{zone} of {region}, not {Zone}", {"zone": "a {region}"}) == "a {region} of REGION, not {Zone}"


def test_a_row_tells_what_was_refused_what_it_means_and_what_the_cloud_said() -> None:
    found = refusal(ROW, "Full", "no room", what="could not start", values={"zone": "a"}, page="PAGE")
    assert (found.scope, found.code, found.exit_code) == (Scope.ZONE, "Full", Exit.CAPACITY)
    assert (found.message, found.hint) == ("could not start: All of a is full (Full: no room)", "try another than a, not REGION")
    assert refusal(ROW, "Full", "", what="x", values={}, page="").message == "x: All of ZONE is full (Full)"


def test_a_code_without_a_row_is_told_and_tried_nowhere_else() -> None:
    found = refusal(None, "New", "no room", what="could not start", values={"zone": "a"}, page="PAGE")
    assert (found.scope, found.code, found.exit_code) == (Scope.REQUEST, "New", Exit.FAILED)
    assert (found.message, found.hint) == ("could not start: no room (New)", "goldbake does not know this code; see PAGE")


def test_an_end_says_what_its_row_means_and_reaches_as_far_as_what_was_found() -> None:
    found = death(ROW, "Full", "Full: no\n room", what="i-1 is gone", cloud="EC2", found=FOUND)
    assert (found.scope, found.code, found.exit_code, found.hint) == (Scope.REGION, "Inner", Exit.CAPACITY, "go elsewhere")
    assert found.message == "i-1 is gone: All of ZONE is full (Full: no room)"


def test_an_end_without_a_row_is_told_in_the_clouds_words_as_far_as_there_are_any() -> None:
    ends = [death(None, code, said, what="i-1 is gone", cloud="EC2", found=FOUND) for code in ("", "New") for said in ("", "no room")]
    assert [found.message.removeprefix("i-1 is gone: ") for found in ends] == ["EC2 does not say why", "no room", "New", "New: no room"]
    assert [found.code for found in ends] == ["ended", "ended", "New", "New"]
    assert {(found.scope, found.exit_code, found.hint) for found in ends} == {
        (Scope.REQUEST, Exit.FAILED, "its console may tell more"),
    }  # fmt: skip


def test_of_several_failures_the_one_that_does_not_pass_counts() -> None:
    passing = Failure(Scope.RETRY, "Busy", "busy")
    found = worst([passing, FOUND, passing])
    assert (found.scope, found.code, found.hint, found.message) == (Scope.REGION, "Inner", "go elsewhere", "busy; could not")
    assert worst([passing]).scope is Scope.RETRY
