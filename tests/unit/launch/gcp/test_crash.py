"""A launcher on Compute Engine that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them. The wait for an
operation counts as one of them here, since a launcher that dies in it does not know what came of its call.
"""

from __future__ import annotations

import os
import signal
import traceback
from typing import Any

import pytest

from goldbake.clouds.gcp.session import Gcp
from goldbake.errors import GoldbakeError
from launch import service
from launch.journal import State
from tests.fakes.gcp import Call
from tests.unit.launch.gcp.conftest import Field
from tests.unit.launch.gcp.test_removal import foreign

pytestmark = pytest.mark.slow

ALONE = ("firewalls.insert", "globalOperations.wait", "instances.insert", "zoneOperations.wait", "instances.get", "instances.setMetadata")
TOGETHER = ("regionInstances.bulkInsert", "regionOperations.wait", "instances.aggregatedList", "instances.setMetadata")
_SSH = {"ssh_from": "203.0.113.7/32"}


def test_these_are_the_calls_that_change_anything(gcp_field: Field) -> None:
    gcp_field.launch("l1", options=_SSH)
    assert set(gcp_field.changes()) <= set(ALONE)
    gcp_field.fake.calls.clear()
    gcp_field.launch("l2", count=2)
    assert set(gcp_field.changes()) <= set(TOGETHER)


@pytest.mark.parametrize(("count", "options", "methods"), [(1, _SSH, ALONE), (2, {}, TOGETHER)], ids=["alone", "together"])
def test_a_launcher_that_loses_everything_at_a_call(
    gcp_field: Field, count: int, options: dict[str, Any], methods: tuple[str, ...]
) -> None:
    """From the call on nothing is answered any more, so that no clean-up of the launcher's own helps."""
    others = foreign(gcp_field)
    gcp_field.fake.book.operation_s = 0.02  # so that operations are waited for
    for number, (method, done) in enumerate([(methods[0], False), *((method, True) for method in methods)]):
        gcp_field.fake.refuse("gone", f"compute.{method}", times=1, drop=True, done=done)
        cut = _from_then_on(gcp_field, method)
        try:
            gcp_field.launch(f"l{number}", count=count, options=options)
        except GoldbakeError:
            pass
        finally:
            gcp_field.fake.before.remove(cut)
            gcp_field.fake.faults.clear()
        assert cut.seen, f"{method} was never called"  # type: ignore[attr-defined]
        _reap_leaves_only(gcp_field, others)


@pytest.mark.parametrize("method", ["instances.delete", "firewalls.delete"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(gcp_field: Field, method: str) -> None:
    others = foreign(gcp_field)
    for launch_id, done in (("l1", False), ("l2", True)):
        gcp_field.launch(launch_id, count=2, options=_SSH)
        plan = gcp_field.plan(launch_id)
        gcp_field.fake.refuse("gone", f"compute.{method}", times=1, drop=True, done=done)
        cut = _from_then_on(gcp_field, method)
        report = gcp_field.remove(plan)
        assert report.left, done
        gcp_field.fake.before.remove(cut)
        gcp_field.fake.faults.clear()
        assert [entry.state for entry in service.entries(gcp_field.paths)] == [State.REMOVING]
        _reap_leaves_only(gcp_field, others)


@pytest.mark.parametrize(("count", "method"), [(1, "compute.instances.insert"), (2, "compute.regionInstances.bulkInsert")])
def test_a_launcher_that_is_killed_while_its_create_call_is_carried_out(gcp_field: Field, count: int, method: str) -> None:
    others = foreign(gcp_field)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            os.read(reading, 1)  # until the parent watches
            Field(gcp_field.fake, Gcp(), gcp_field.paths, gcp_field.directory).launch(count=count)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def kill(call: Call) -> None:
        if call.method == method:
            os.kill(child, signal.SIGKILL)

    gcp_field.fake.after.append(kill)
    os.close(writing)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    gcp_field.fake.after.remove(kill)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    ours = [one for one in gcp_field.held("instance") if one.tags.get("goldbake-launch") == "l1" and one.tags["managed-by"] == "goldbake"]
    assert len(ours) == count
    assert [doomed.why for doomed in gcp_field.plan_reap().launches] == ["the process that launched it is gone"]
    _reap_leaves_only(gcp_field, others)


class _from_then_on:
    """After the first call of `method`, no call is answered."""

    def __init__(self, field: Field, method: str) -> None:
        self.seen = False
        self._field = field
        self._method = f"compute.{method}"
        field.fake.before.append(self)

    def __call__(self, call: Call) -> None:
        if call.method == self._method:
            self.seen = True
            self._field.fake.refuse("gone", drop=True, times=None)


def _reap_leaves_only(field: Field, others: list[str]) -> None:
    for entry in service.entries(field.paths):
        if entry.state is State.RUNNING:  # it lost the connection when all was done
            field.destroy(entry.launch_id)
    field.remove(field.plan_reap(), cautious=True).require_nothing_left()
    assert field.left() == others
    assert service.entries(field.paths) == []
    assert not field.plan_reap()
