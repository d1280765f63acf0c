"""A launcher on Azure that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them.
"""

from __future__ import annotations

import os
import signal
import traceback
from typing import Any

import pytest

from goldbake.clouds.azure.session import Azure
from goldbake.errors import GoldbakeError
from launch import service
from launch.journal import State
from tests.fakes.azure import Call
from tests.unit.launch.azure.conftest import GROUP, HOME, KEY, MACHINE, SCHEDULE, SET, TYPE, Field
from tests.unit.launch.azure.test_launch import ADDRESS, GATEWAY, NETWORK, RULES, given_group
from tests.unit.launch.azure.test_removal import foreign

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
    for number, (title, done) in enumerate([(titles[0], False), *((title, True) for title in titles)]):
        method, _, kind = title.partition(" ")
        azure_field.fake.refuse("gone", kind, method=method, times=1, drop=True, done=done)
        cut = _from_then_on(azure_field, title)
        try:
            azure_field.launch(f"l{number}", count=count, options=options)
        except GoldbakeError:
            pass
        finally:
            azure_field.fake.before.remove(cut)
            azure_field.fake.book.faults.clear()
        _reap_leaves_only(azure_field, others)


@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(azure_field: Field, given: bool) -> None:
    options = _SSH | ({"resource_group": given_group(azure_field)} if given else {})
    others = foreign(azure_field)
    titles = [f"DELETE {kind}" for kind in ((SET, SCHEDULE, NETWORK, GATEWAY, RULES, ADDRESS) if given else (GROUP,))]
    for number, (title, done) in enumerate((title, done) for title in titles for done in (False, True)):
        azure_field.launch(f"l{number}", count=2, options=options)
        plan = azure_field.plan(f"l{number}")
        azure_field.fake.refuse("gone", title.partition(" ")[2], method="DELETE", times=1, drop=True, done=done)
        cut = _from_then_on(azure_field, title)
        azure_field.removal_s = 0.2
        report = azure_field.remove(plan)
        azure_field.removal_s = 60.0
        assert report.left, title
        azure_field.fake.before.remove(cut)
        azure_field.fake.book.faults.clear()
        assert [entry.state for entry in service.entries(azure_field.paths)] == [State.REMOVING]
        _reap_leaves_only(azure_field, others)


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
        _reap_leaves_only(azure_field, others)


def _killed_at(field: Field, launch_id: str, count: int, which: int, *, carried_out: bool) -> None:
    """A process that is ended, without a chance to clean up, with the call of this number of those that change anything."""
    seen = 0

    def kill(call: Call) -> None:
        nonlocal seen
        if call.is_reading:
            return
        if seen == which:
            os.kill(child, signal.SIGKILL)
        seen += 1

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            os.read(reading, 1)  # until the parent watches
            Field(field.fake, Azure(), field.paths, field.directory).launch(launch_id, count=count, options=_SSH)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    watchers = field.fake.after if carried_out else field.fake.before
    watchers.append(kill)
    os.close(writing)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    watchers.remove(kill)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def _from_then_on(field: Field, title: str) -> Any:
    """After the first call with this title, no call is answered."""

    def watch(call: Call) -> None:
        if call.title == title:
            field.fake.refuse("gone", method="*", drop=True, times=None)

    field.fake.before.append(watch)
    return watch


def _reap_leaves_only(field: Field, others: list[str]) -> None:
    for entry in service.entries(field.paths):
        if entry.state is State.RUNNING:  # it lost the connection when all was done
            field.destroy(entry.launch_id)
    field.remove(field.plan_reap(), cautious=True).require_nothing_left()
    assert field.left() == others
    assert service.entries(field.paths) == []
    assert not field.plan_reap()
