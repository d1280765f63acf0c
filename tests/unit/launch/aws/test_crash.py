"""A launcher on EC2 that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

import pytest

from goldbake.errors import GoldbakeError
from tests.unit.launch.aws.conftest import Field, TwoRegions
from tests.unit.launch.aws.test_removal import foreign
from tests.unit.launch.crash import assert_only, everything_lost, killed, moments, reap_all, remove_in_vain

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
    for number, (action, done) in enumerate(moments(actions)):
        with _lost_at(aws_field, action, done=done), suppress(GoldbakeError):
            aws_field.launch(f"l{number}", count=count, options=options)
        _reap_leaves_only(aws_field, others)


@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteSecurityGroup"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(aws_field: Field, action: str) -> None:
    others = foreign(aws_field)
    for launch_id, done in (("l1", False), ("l2", True)):
        aws_field.launch(launch_id, count=2)
        remove_in_vain(aws_field, launch_id, _lost_at(aws_field, action, done=done))
        _reap_leaves_only(aws_field, others)


@pytest.mark.parametrize(("count", "action"), [(1, "RunInstances"), (2, "CreateFleet")])
def test_a_launcher_that_is_killed_while_its_create_call_is_carried_out(aws_field: Field, count: int, action: str) -> None:
    others = foreign(aws_field)
    of_the_child = replace(aws_field, aws=TwoRegions())
    killed(aws_field.fake.after, lambda call: call.action == action, lambda: of_the_child.launch(count=count))
    assert len([one for one in aws_field.held("instance") if one.tags.get("managed-by") == "goldbake"]) == count
    assert [doomed.why for doomed in aws_field.plan_reap().launches] == ["the process that launched it is gone"]
    _reap_leaves_only(aws_field, others)


def _lost_at(field: Field, action: str, *, done: bool) -> AbstractContextManager[None]:
    """Everything is lost at the first call of this action."""
    field.fake.refuse("gone", action, times=1, drop=True, done=done)
    return everything_lost(field, lambda call: call.action == action)


def _reap_leaves_only(field: Field, others: list[str]) -> None:
    reap_all(field)
    ours = [text for text in field.left() if text not in others]
    assert [text for text in ours if "security-group" not in text] == []
    if ours:  # the shared group, which no launch holds any more
        field.launch("last")
        field.destroy("last")
    assert_only(field, others)
