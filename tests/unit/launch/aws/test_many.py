"""Two hundred instances and seventeen regions take a number of calls that does not grow with the instances, but only with the pages."""

from __future__ import annotations

import pytest
from moto.ec2.models import ec2_backends

from goldbake.clouds.aws.session import Aws
from launch.aws.launcher import AwsLauncher
from launch.base import CloudOptions
from tests.fakes.aws import ACCOUNT, REGIONS, FakeAws
from tests.unit.launch.aws.conftest import HOME, Field

pytestmark = pytest.mark.slow

LOOKS = [
    "DescribeImages", "DescribeInstanceTypeOfferings", "DescribeVpcs", "DescribeSubnets", "DescribeRouteTables", "DescribeSecurityGroups",
]  # fmt: skip


def test_two_hundred_instances_take_as_many_calls_as_two(aws_field: Field) -> None:
    report = aws_field.launch(count=200, wait=False, options={"regions": (HOME,)})
    assert len({started.agent for started in report.started}) == 200
    assert all(started.instance.address for started in report.started)
    calls = [call.action for call in aws_field.fake.calls]
    assert calls == [
        *LOOKS, "CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet", "DeleteLaunchTemplate", "DescribeInstances",
    ]  # fmt: skip
    aws_field.fake.calls.clear()
    aws_field.destroy()
    assert aws_field.fake.actions() == ["TerminateInstances", "TerminateInstances", "DeleteSecurityGroup"]
    assert aws_field.left() == []


def test_every_page_of_every_region_is_read(aws_field: Field) -> None:
    _fill(aws_field.fake, 25)
    aws_field.fake.book.page = 10
    launcher = AwsLauncher(CloudOptions(), aws=Aws())
    found = launcher.resources()
    assert len(found) == 25 * len(REGIONS)
    assert {resource.place for resource in found} == set(REGIONS)
    assert {resource.launch_id for resource in found} == {"l0", "l1", "l2"}
    pages = [call for call in aws_field.fake.calls if call.action == "DescribeVolumes"]
    assert len(pages) == 3 * len(REGIONS)


def _fill(fake: FakeAws, each: int) -> None:
    """Put volumes of ten a launch into every region, without asking the fake for each."""
    fake.calls.clear()
    for region in REGIONS:
        backend = ec2_backends[ACCOUNT][region]
        for number in range(each):
            tags = {
                "managed-by": "goldbake",
                "goldbake-launch": f"l{number // 10}",
                "goldbake-image": "x",
                "goldbake-expires": "4000000000",
            }
            backend.create_volume(size=1, zone_name=f"{region}a").add_tags(tags)
