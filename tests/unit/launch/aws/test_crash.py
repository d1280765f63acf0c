"""A launcher on EC2 that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them.
"""

from __future__ import annotations

import os
import signal
import traceback
from typing import Any

import pytest

from goldbake.errors import GoldbakeError
from launch import service
from launch.journal import State
from tests.fakes.aws import Call
from tests.unit.launch.aws.conftest import Field, TwoRegions
from tests.unit.launch.aws.test_removal import foreign

pytestmark = pytest.mark.slow

ALONE = ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "ModifyInstanceMetadataOptions")
TOGETHER = ("CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet", "DeleteLaunchTemplate", "ModifyInstanceMetadataOptions")
_SSH = {"ssh_from": "203.0.113.7/32"}


def test_these_are_the_calls_that_change_anything(aws_field: Field) -> None:
    aws_field.launch("l1", options=_SSH)
    assert tuple(aws_field.fake.actions()) == ALONE
    aws_field.fake.calls.clear()
    aws_field.launch("l2", count=2)
    assert tuple(dict.fromkeys(aws_field.fake.actions())) == TOGETHER


@pytest.mark.parametrize(("count", "options", "actions"), [(1, _SSH, ALONE), (2, {}, TOGETHER)], ids=["alone", "together"])
def test_a_launcher_that_loses_everything_at_a_call(
    aws_field: Field, count: int, options: dict[str, Any], actions: tuple[str, ...]
) -> None:
    """From the call on nothing is answered any more, so that no clean-up of the launcher's own helps."""
    others = foreign(aws_field)
    for number, (action, done) in enumerate([(actions[0], False), *((action, True) for action in actions)]):
        aws_field.fake.refuse("gone", action, times=1, drop=True, done=done)
        cut = _from_then_on(aws_field, action)
        try:
            aws_field.launch(f"l{number}", count=count, options=options)
        except GoldbakeError:
            pass
        finally:
            aws_field.fake.before.remove(cut)
            aws_field.fake.faults.clear()
        _reap_leaves_only(aws_field, others)


@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteSecurityGroup"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(aws_field: Field, action: str) -> None:
    others = foreign(aws_field)
    for launch_id, done in (("l1", False), ("l2", True)):
        aws_field.launch(launch_id, count=2)
        plan = aws_field.plan(launch_id)
        aws_field.fake.refuse("gone", action, times=1, drop=True, done=done)
        cut = _from_then_on(aws_field, action)
        report = aws_field.remove(plan)
        assert report.left, done
        aws_field.fake.before.remove(cut)
        aws_field.fake.faults.clear()
        assert [entry.state for entry in service.entries(aws_field.paths)] == [State.REMOVING]
        _reap_leaves_only(aws_field, others)


@pytest.mark.parametrize(("count", "action"), [(1, "RunInstances"), (2, "CreateFleet")])
def test_a_launcher_that_is_killed_while_its_create_call_is_carried_out(aws_field: Field, count: int, action: str) -> None:
    others = foreign(aws_field)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            os.read(reading, 1)  # until the parent watches
            Field(aws_field.fake, TwoRegions(), aws_field.paths, aws_field.directory).launch(count=count)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def kill(call: Call) -> None:
        if call.action == action:
            os.kill(child, signal.SIGKILL)

    aws_field.fake.after.append(kill)
    os.close(writing)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    aws_field.fake.after.remove(kill)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert len([one for one in aws_field.held("instance") if one.tags.get("managed-by") == "goldbake"]) == count
    assert [doomed.why for doomed in aws_field.plan_reap().launches] == ["the process that launched it is gone"]
    _reap_leaves_only(aws_field, others)


def _from_then_on(field: Field, action: str) -> Any:
    """After the first call of `action`, no call is answered."""

    def watch(call: Call) -> None:
        if call.action == action:
            field.fake.refuse("gone", drop=True, times=None, after=0)

    field.fake.before.append(watch)
    return watch


def _reap_leaves_only(field: Field, others: list[str]) -> None:
    for entry in service.entries(field.paths):
        if entry.state is State.RUNNING:  # it lost the connection when all was done
            field.destroy(entry.launch_id)
    field.remove(field.plan_reap(), cautious=True).require_nothing_left()
    ours = [text for text in field.left() if text not in others]
    assert [text for text in ours if "security-group" not in text] == []
    if ours:  # the shared group, which no launch holds any more
        field.launch("last")
        field.destroy("last")
    assert field.left() == others
    assert service.entries(field.paths) == []
    assert not field.plan_reap()
