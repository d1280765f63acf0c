"""`./inv test` runs every test once."""

from __future__ import annotations

from goldbake.paths import PROJECT
from tests import runs


def test_every_folder_of_tests_is_run() -> None:
    folders = {str(path.relative_to(PROJECT)) for path in (PROJECT / "tests").iterdir() if any(path.rglob("test_*.py"))}
    assert folders - {"tests/testinfra"} == {*runs.UNIT, *runs.REAL}  # testinfra's are checks of an image: bakes run them


def test_slow_and_fast_unit_tests_together_are_all_unit_tests() -> None:
    fast, slow, real = runs.plan(fast=False, expression="")
    assert fast[: len(runs.UNIT)] == slow[: len(runs.UNIT)] == runs.UNIT
    assert (fast[fast.index("-m") + 1], slow[slow.index("-m") + 1]) == ("not slow", "slow")
    assert "-m" not in real


def test_the_fast_runs_are_everything_that_is_not_slow() -> None:
    assert [arguments[: arguments.index("-m")] for arguments in runs.plan(fast=True, expression="")] == [runs.UNIT, runs.REAL]


def test_coverage_is_judged_once_after_the_last_run() -> None:
    plan = runs.plan(fast=False, expression="")
    assert ["--cov-fail-under=0" in arguments for arguments in plan] == [True, True, False]
    assert ["--cov-append" in arguments for arguments in plan] == [False, True, True]


def test_files_that_come_first_are_there_and_come_in_their_order() -> None:
    named = [PROJECT / "tests" / name for name in runs.FIRST]
    assert [path for path in named if not path.is_file()] == []
    others = [path for path in (PROJECT / "tests").glob("*/test_*.py") if path not in named]
    assert sorted([*others, *named], key=runs.turn)[: len(named)] == named


def test_an_expression_is_looked_for_everywhere() -> None:
    assert runs.plan(fast=False, expression="sabotage") == [("-k", "sabotage")]
