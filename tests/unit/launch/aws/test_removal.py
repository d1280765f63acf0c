"""What is listed and removed on EC2: all of ours, in the order in which that works, and nothing of others."""

from __future__ import annotations

import time
from typing import Any

import pytest

from goldbake.clouds.aws.policy import actions
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from launch import service
from launch.aws import removal
from launch.base import Market, Resource
from tests.fakes.aws import NEWEST_NOBLE
from tests.unit.launch.aws.conftest import ABROAD, HOME, Field
from tests.unit.launch.crash import reap_killed_bake


def _tag(kind: str, **given: str) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": key.replace("_", "-"), "Value": value} for key, value in given.items()]}]


def foreign(field: Field) -> list[str]:
    """Things of others: untagged, tagged by another program, and results of a bake; returns everything that is there."""
    ec2 = field.aws.ec2(HOME)
    image = NEWEST_NOBLE.id_in(HOME)
    ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    theirs = _tag("instance", managed_by="terraform", goldbake_launch="l1", goldbake_expires="1")
    ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=theirs)
    ec2.create_security_group(GroupName="goldbake-theirs", Description="x")
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=_tag("volume", managed_by="goldbake", goldbake_image="x"))
    return field.left()


def bake_leftovers(field: Field, bake_id: str = "b1", expires: float = 0) -> None:
    """What Packer leaves when it is killed."""
    ec2 = field.aws.ec2(HOME)
    tags = {
        "managed_by": "goldbake",
        "goldbake_bake": bake_id,
        "goldbake_image": "gpu-agent",
        "goldbake_expires": f"{expires or time.time() + 9999:.0f}",
    }
    group = ec2.create_security_group(GroupName=f"packer_{bake_id}", Description="x", TagSpecifications=_tag("security-group", **tags))
    ec2.create_key_pair(KeyName=f"packer_{bake_id}", TagSpecifications=_tag("key-pair", **tags))
    made = ec2.run_instances(
        ImageId=NEWEST_NOBLE.id_in(HOME), InstanceType="c7i.xlarge", MinCount=1, MaxCount=1, SecurityGroupIds=[group["GroupId"]],
        TagSpecifications=_tag("instance", **tags) + _tag("volume", **tags),
    )  # fmt: skip
    instance = made["Instances"][0]["InstanceId"]
    ec2.create_image(InstanceId=instance, Name=f"half-{bake_id}", TagSpecifications=_tag("image", **tags) + _tag("snapshot", **tags))


@pytest.mark.slow
def test_a_slow_end_is_waited_for_and_its_group_goes_last(aws_field: Field) -> None:
    others = foreign(aws_field)
    aws_field.launch(count=2)
    aws_field.fake.book.linger = 4
    aws_field.fake.calls.clear()
    report = aws_field.destroy()
    assert aws_field.left() == others
    removals = aws_field.fake.actions()
    assert removals.count("TerminateInstances") == 1  # what is shutting down is not asked again
    assert removals[-1] == "DeleteSecurityGroup"
    assert {text.split(" i-")[0].split(" vol-")[0].split(" eni-")[0].split(" sg-")[0] for text in report.removed} == {
        "instance", "volume", "network interface", "security group",
    }  # fmt: skip
    assert len(report.agents) == 2


def test_an_instance_that_is_shutting_down_is_still_there(aws_field: Field) -> None:
    aws_field.launch()
    aws_field.fake.book.linger = 10
    launcher = aws_field.launcher()
    (instance,) = (found for found in launcher.resources("l1") if found.kind == "instance")
    launcher.delete([instance])
    (still,) = (found for found in launcher.resources("l1") if found.kind == "instance")
    assert (instance.going, still.going) == (False, True)
    assert [found.state for found in launcher.instances("l1")] == ["shutting-down"]


def test_destroy_of_a_launch_asks_only_the_regions_of_its_journal(aws_field: Field) -> None:
    aws_field.launch(options={"regions": (HOME,)})
    aws_field.fake.calls.clear()
    aws_field.destroy()
    assert {call.region for call in aws_field.fake.calls} == {HOME}


def test_a_launch_of_another_machine_is_found_in_any_region(aws_field: Field) -> None:
    aws_field.launch(options={"regions": (ABROAD,)})
    journal = service.launches(aws_field.paths) / "l1.json"
    journal.unlink()
    assert not aws_field.plan_reap()  # it is shared, and its time is not over
    aws_field.remove(aws_field.plan()).require_nothing_left()
    assert aws_field.left() == []


def test_reap_takes_what_is_past_its_time_in_any_region(aws_field: Field) -> None:
    others = foreign(aws_field)
    aws_field.launch("l1", ttl=600, count=2)
    aws_field.launch("l2", ttl=600, options={"regions": (ABROAD,)})
    aws_field.launch("l3", ttl=6000)
    now = time.time()
    assert not aws_field.plan_reap()
    plan = aws_field.plan_reap(now=lambda: now + 700)
    assert sorted(doomed.launch_id for doomed in plan.launches) == ["l1", "l2"]
    aws_field.remove(plan, cautious=True).require_nothing_left()
    assert {one.tags.get("goldbake-launch") for one in aws_field.held("instance")} == {None, "l1", "l3"}  # terraform's own says l1
    aws_field.destroy("l3")
    assert aws_field.left() == others


def test_what_a_killed_bake_left_is_reaped_at_once_here_and_after_its_time_elsewhere(aws_field: Field) -> None:
    others = foreign(aws_field)
    bake_leftovers(aws_field)
    plan = reap_killed_bake(aws_field, "b1")
    kinds = {resource.kind for resource in plan.launches[0].resources}
    assert kinds == {"instance", "volume", "security group", "key pair", "image", "snapshot"}
    assert aws_field.left() == others


def test_the_machine_of_a_bake_is_among_the_instances(aws_field: Field) -> None:
    bake_leftovers(aws_field)
    (instance,) = aws_field.launcher().instances()
    assert (instance.launch_id, instance.kind, instance.image) == ("bake-b1", "c7i.xlarge", "gpu-agent")


def test_terminating_many_skips_the_one_that_is_gone(aws_field: Field) -> None:
    aws_field.launch(count=5, wait=False)
    launcher = aws_field.launcher()
    found = [resource for resource in launcher.resources("l1") if resource.kind == "instance"]
    ghost = Resource(found[0].cloud, "instance", "i-00000000000000000", "l1", place=HOME)
    launcher.delete([*found[:2], ghost, *found[2:]])
    assert aws_field.held("instance") == []


def test_instances_end_in_batches(aws_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "BATCH", 2)
    aws_field.launch(count=5, wait=False)
    aws_field.fake.calls.clear()
    aws_field.destroy()
    assert [len(call.parameters["InstanceIds"]) for call in aws_field.fake.calls if call.action == "TerminateInstances"] == [2, 2, 1]


def test_a_group_in_use_passes_and_a_permission_does_not(aws_field: Field) -> None:
    aws_field.launch()
    launcher = aws_field.launcher()
    (group,) = (found for found in launcher.resources("l1") if found.kind == "security group")
    with pytest.raises(Failure) as caught:
        launcher.delete([group])
    assert (caught.value.scope, caught.value.code) == (Scope.RETRY, "DependencyViolation")
    aws_field.fake.refuse("UnauthorizedOperation", "TerminateInstances", times=None)
    with pytest.raises(Failure, match="TerminateInstances") as caught:
        launcher.delete(launcher.resources("l1"))
    assert caught.value.scope is Scope.ACCOUNT


def test_the_group_stays_while_a_machine_of_somebody_else_uses_it(aws_field: Field) -> None:
    aws_field.launch()
    (group,) = aws_field.held("security-group")
    aws_field.aws.ec2(HOME).run_instances(
        ImageId=NEWEST_NOBLE.id_in(HOME), InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group.id]
    )
    aws_field.destroy()
    assert [one.id for one in aws_field.held("security-group")] == [group.id]


def test_a_region_that_a_policy_forbids_is_passed_over_and_a_forbidden_account_is_not(aws_field: Field) -> None:
    aws_field.launch()
    aws_field.fake.refuse("UnauthorizedOperation", region=ABROAD, times=None)
    assert [instance.launch_id for instance in aws_field.launcher().instances()] == ["l1"]
    aws_field.fake.refuse("UnauthorizedOperation", region=HOME, times=None)
    with pytest.raises(Failure, match="UnauthorizedOperation"):
        aws_field.launcher().instances()


def test_a_region_that_cannot_be_looked_at_does_not_hide_the_others(aws_field: Field) -> None:
    aws_field.launch("l1")
    aws_field.launch("l2", count=2, ttl=600)
    aws_field.fake.refuse("PendingVerification", region=ABROAD, times=None)
    launchers = {Cloud.AWS: aws_field.launcher()}
    found, refused = service.listed(aws_field.paths, [Cloud.AWS], launchers=launchers)
    assert [(one.launch_id, one.number) for one in found] == [("l1", 1), ("l2", 1), ("l2", 2)]
    (error,) = refused
    assert ABROAD in error.message
    reaped = aws_field.plan_reap(now=lambda: time.time() + 700)
    plan = service.plan_destroy(aws_field.paths, [Cloud.AWS], None, everything=True, launchers=launchers)
    assert [doomed.launch_id for doomed in reaped.launches] == ["l2"]
    assert [doomed.launch_id for doomed in plan.launches] == ["l1", "l2"]
    for one in (reaped, plan):
        assert len(one.refused) == len(one.unseen) == 1
        assert one.unseen[0].startswith("aws was looked at in part: ")
    report = aws_field.remove(plan)
    assert report.unseen == list(plan.unseen)
    assert aws_field.held("instance") == [], "what is seen is removed"
    with pytest.raises(GoldbakeError, match=f"what launch l1 may have elsewhere: .*{ABROAD}"):
        report.require_nothing_left()
    assert [entry.launch_id for entry in service.entries(aws_field.paths)] == ["l1", "l2"], "what is not seen is not known to be gone"
    aws_field.fake.faults.clear()
    aws_field.remove(plan).require_nothing_left()
    assert service.entries(aws_field.paths) == []


def test_the_published_policy_allows_every_call_of_launch_and_removal(aws_field: Field) -> None:
    aws_field.launch("l1", count=2, options={"market": Market.SPOT_FIRST})
    aws_field.launch("l2", options={"ssh_from": "203.0.113.7/32"})
    bake_leftovers(aws_field)
    aws_field.fake.calls.clear()
    aws_field.launch("l3", count=2)
    aws_field.launch("l4", options={"ssh_from": "203.0.113.7/32"})
    aws_field.launcher().console(aws_field.launcher().instances("l4")[0])
    aws_field.remove(aws_field.plan_reap(now=lambda: time.time() + 1e6), cautious=True).require_nothing_left()
    called = {f"ec2:{call.action}" for call in aws_field.fake.calls}
    assert {"ec2:RunInstances", "ec2:CreateFleet", "ec2:TerminateInstances", "ec2:DeregisterImage", "ec2:GetConsoleOutput"} <= called
    assert called - actions() == set()
