"""Launchers and bakes that die, and what reap has to do then."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from goldbake.exclusive import exclusive
from goldbake.log import Progress
from launch import service
from launch.journal import State
from launch.removal import RemovalPlan
from tests.unit.launch.field import Field


def moments(calls: Sequence[str]) -> list[tuple[str, bool]]:
    """A call at which everything is lost, and whether it is carried out all the same: before the first of these, and after each of them."""
    return [(calls[0], False), *((call, True) for call in calls)]


@contextmanager
def everything_lost(field: Field, matches: Callable[[Any], bool], **all_calls: Any) -> Iterator[None]:
    """From the first call that matches on, none is answered any more; there is such a call. `all_calls`: how a fault says that it is of any kind."""
    seen = False

    def watch(call: Any) -> None:
        nonlocal seen
        if matches(call):
            seen = True
            field.fake.refuse("gone", drop=True, times=None, **all_calls)

    field.fake.before.append(watch)
    try:
        yield
    finally:
        field.fake.before.remove(watch)
        field.fake.faults.clear()
    assert seen, "the call was never made"


def forked(work: Callable[[], object]) -> int:
    """Do this in a child process, and return its number. It ends with 0, or with 1 for anything that was raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def was_killed(work: Callable[[], object]) -> bool:
    """Do this in a child process; True when it was killed, False when it came to its end. Anything else fails the test."""
    _, status = os.waitpid(forked(work), 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"the child ended with {code}"
    return code == -signal.SIGKILL


def killed(watchers: list[Callable[[Any], None]], matches: Callable[[Any], bool], work: Callable[[], object]) -> None:
    """Do this in a process that is ended, without a chance to clean up, at a call that matches, when `watchers` of the fake are called with it."""
    ready, go = os.pipe()

    def begin() -> None:
        os.read(ready, 1)  # until the parent watches
        work()

    child = forked(begin)

    def kill(call: Any) -> None:
        if matches(call):
            os.kill(child, signal.SIGKILL)

    watchers.append(kill)
    os.write(go, b"\n")
    _, status = os.waitpid(child, 0)
    watchers.remove(kill)
    os.close(ready)
    os.close(go)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def remove_in_vain(field: Field, launch_id: str, lost: AbstractContextManager[None]) -> None:
    """Remove a launch, and lose everything on the way: something is left, and the journal knows that it is to go."""
    plan = field.plan(launch_id)
    with lost:
        report = field.remove(plan)
    assert report.left
    assert [entry.state for entry in service.entries(field.paths)] == [State.REMOVING]


def reap_all(field: Field) -> None:
    """Remove what dead launchers left, and the launches that came up all the same."""
    for entry in service.entries(field.paths):
        if entry.state is State.RUNNING:  # it lost the connection when all was done
            field.destroy(entry.launch_id)
    field.remove(field.plan_reap(), cautious=True).require_nothing_left()


def assert_only(field: Field, others: list[str]) -> None:
    """Nothing is there but this, and nothing is to be done."""
    assert field.left() == others
    assert service.entries(field.paths) == []
    assert not field.plan_reap()


def reap_leaves_only(field: Field, others: list[str]) -> None:
    reap_all(field)
    assert_only(field, others)


def reap_killed_bake(field: Field, bake_id: str) -> RemovalPlan:
    """Remove what a bake left: by its time elsewhere, and here as soon as nobody holds its lock. Returns the plan that was carried out."""
    launch_id = f"bake-{bake_id}"
    assert not field.plan_reap(), "another machine may be at work on it"
    later = field.plan_reap(now=lambda: time.time() + 11000)
    assert [(doomed.launch_id, doomed.why.split(" over")[0]) for doomed in later.launches] == [(launch_id, "its time was")]
    lock = field.paths.state / "bakes" / f"{bake_id}.lock"
    with exclusive(lock, f"bake {bake_id}", Progress(field.said)):
        plan = field.plan_reap()
        assert (plan.launches, plan.busy) == ((), (launch_id,))
    plan = field.plan_reap()
    assert [(doomed.launch_id, doomed.why) for doomed in plan.launches] == [(launch_id, "the bake that made it is gone")]
    field.remove(plan, cautious=True).require_nothing_left()
    assert not lock.exists()
    return plan
