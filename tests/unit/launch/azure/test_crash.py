"""A launcher on Azure that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace

import pytest

from goldbake.clouds.azure.session import Azure
from goldbake.errors import GoldbakeError
from tests.fakes.azure import Call
from tests.unit.launch.azure.conftest import GROUP, HOME, KEY, MACHINE, SCHEDULE, SET, TYPE, Field
from tests.unit.launch.azure.test_launch import ADDRESS, GATEWAY, NETWORK, RULES, given_group
from tests.unit.launch.azure.test_removal import foreign
from tests.unit.launch.crash import everything_lost, killed, moments, reap_leaves_only, remove_in_vain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("with_schedules"),
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),  # of connections that a test cuts
]

_SSH = {"ssh_from": "203.0.113.7/32", "key": KEY, "regions": (HOME,)}
AROUND = tuple(f"PUT {kind}" for kind in (GROUP, RULES, ADDRESS, GATEWAY, NETWORK))
ALONE = (*AROUND, f"PUT {MACHINE}", f"PUT {SCHEDULE}")
TOGETHER = (*AROUND, f"PUT {SET}", f"PUT {SCHEDULE}")
FAILED = (*AROUND, f"PUT {MACHINE}", f"DELETE {MACHINE}", f"PUT {MACHINE}", f"PUT {SCHEDULE}")


def test_these_are_the_calls_that_change_anything(azure_field: Field) -> None:
    azure_field.launch("l1", options=_SSH)
    assert tuple(azure_field.fake.titles()) == ALONE
    azure_field.fake.calls.clear()
    azure_field.launch("l2", count=2, options=_SSH)
    assert tuple(dict.fromkeys(azure_field.fake.titles())) == TOGETHER
    azure_field.fake.calls.clear()
    azure_field.fake.capacity[(f"{HOME}-1", TYPE, False)] = 0
    azure_field.launch("l3", options=_SSH)
    assert tuple(azure_field.fake.titles()) == FAILED


@pytest.mark.parametrize(("count", "titles"), [(1, ALONE), (2, TOGETHER)], ids=["alone", "together"])
@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
def test_a_launcher_that_loses_everything_at_a_call(azure_field: Field, count: int, titles: tuple[str, ...], given: bool) -> None:
    """From the call on nothing is answered any more, so that no clean-up of the launcher's own helps."""
    options = _SSH | ({"resource_group": given_group(azure_field)} if given else {})
    titles = titles[1:] if given else titles
    others = foreign(azure_field)
    for number, (title, done) in enumerate(moments(titles)):
        with _lost_at(azure_field, title, done=done), suppress(GoldbakeError):
            azure_field.launch(f"l{number}", count=count, options=options)
        reap_leaves_only(azure_field, others)


@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(azure_field: Field, given: bool) -> None:
    options = _SSH | ({"resource_group": given_group(azure_field)} if given else {})
    others = foreign(azure_field)
    titles = [f"DELETE {kind}" for kind in ((SET, SCHEDULE, NETWORK, GATEWAY, RULES, ADDRESS) if given else (GROUP,))]
    for number, (title, done) in enumerate((title, done) for title in titles for done in (False, True)):
        azure_field.launch(f"l{number}", count=2, options=options)
        remove_in_vain(azure_field, f"l{number}", _lost_at(azure_field, title, done=done))
        reap_leaves_only(azure_field, others)


@pytest.mark.parametrize(("count", "titles"), [(1, FAILED), (2, TOGETHER)], ids=["alone", "together"])
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_a_launcher_that_is_killed_at_a_call(azure_field: Field, count: int, titles: tuple[str, ...], carried_out: bool) -> None:
    others = foreign(azure_field)
    if count == 1:
        azure_field.fake.capacity[(f"{HOME}-1", TYPE, False)] = 0
    for number in range(len(titles)):
        _killed_at(azure_field, f"l{number}", count, number, carried_out=carried_out)
        azure_field.fake.settle()  # what Azure was asked for comes, whether or not anybody waits for it
        doomed = azure_field.plan_reap().launches
        assert [one.why for one in doomed] == ["the process that launched it is gone"], titles[number]
        reap_leaves_only(azure_field, others)


def _killed_at(field: Field, launch_id: str, count: int, which: int, *, carried_out: bool) -> None:
    """A launcher is killed at the call of this number of those that change anything."""
    changing: list[Call] = []

    def matches(call: Call) -> bool:
        if call.is_reading:
            return False
        changing.append(call)  # several threads serve, and two calls may come at once
        return changing[which : which + 1] == [call]

    of_the_child = replace(field, azure=Azure())
    watchers = field.fake.after if carried_out else field.fake.before
    killed(watchers, matches, lambda: of_the_child.launch(launch_id, count=count, options=_SSH))


def _lost_at(field: Field, title: str, *, done: bool) -> AbstractContextManager[None]:
    """Everything is lost at the first call with this title."""
    method, _, kind = title.partition(" ")
    field.fake.refuse("gone", kind, method=method, times=1, drop=True, done=done)
    return everything_lost(field, lambda call: call.title == title, method="*")
