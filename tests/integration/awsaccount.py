"""The account that the tests of AWS use: the fake, or a real one with `GOLDBAKE_REAL_AWS=1`.

A real run needs credentials of the default chain, `AWS_REGION`, an organization in `AZP_URL` with `AZP_TOKEN`, and costs money: one build instance for
at most an hour and three GPU instances of the cheapest type (`GOLDBAKE_REAL_AWS_TYPE`, by default g4dn.xlarge) for at most 30 minutes, below 3 US
dollars in all at the prices of 2026, and one snapshot for the minutes until the test removes it. Every resource carries the tags and the end that
`./inv reap --cloud aws` goes by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.fakes.aws import REGION, FakeAws

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

IS_REAL = os.environ.get("GOLDBAKE_REAL_AWS") == "1"
REAL_TTL_S = 1800
REAL_TYPE = os.environ.get("GOLDBAKE_REAL_AWS_TYPE", "g4dn.xlarge")

only_real = pytest.mark.skipif(not IS_REAL, reason="costs money: set GOLDBAKE_REAL_AWS=1, see tests/integration/awsaccount.py")
only_fake = pytest.mark.skipif(IS_REAL, reason="needs what only the fake can do")

_MINE = [{"Name": "tag:managed-by", "Values": ["goldbake"]}]


def ec2(region: str = REGION) -> EC2Client:
    """EC2 of whatever account the environment leads to."""
    return _made(region, os.environ.get("AWS_ENDPOINT_URL", ""))


@lru_cache
def _made(region: str, url: str) -> EC2Client:
    """Making a client takes half a second."""
    return boto3.Session().client("ec2", region_name=region)


def left(region: str = REGION, *, images: bool = False, tag: str = "", value: str = "") -> list[str]:
    """What the describe calls of EC2 show of ours: instances, volumes, interfaces, groups, key pairs, launch templates, spot requests; with
    `images` also AMIs and snapshots. With `tag` only what has it.
    """
    client: Any = ec2(region)
    filters = [*_MINE, *([{"Name": f"tag:{tag}", "Values": [value]}] if tag else [])]

    def every(call: str, key: str, **more: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            answer = getattr(client, call)(Filters=filters, **more, **token)
            yield from answer[key]
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    machines = [one for reservation in every("describe_instances", "Reservations") for one in reservation["Instances"]]
    found = [f"instance {one['InstanceId']}" for one in machines if one["State"]["Name"] != "terminated"]
    found += [f"volume {one['VolumeId']}" for one in every("describe_volumes", "Volumes")]
    found += [f"interface {one['NetworkInterfaceId']}" for one in every("describe_network_interfaces", "NetworkInterfaces")]
    found += [f"group {one['GroupId']}" for one in every("describe_security_groups", "SecurityGroups")]
    found += [f"key {one['KeyName']}" for one in every("describe_key_pairs", "KeyPairs")]
    found += [f"template {one['LaunchTemplateId']}" for one in every("describe_launch_templates", "LaunchTemplates")]
    spot = every("describe_spot_instance_requests", "SpotInstanceRequests")
    found += [f"spot request {one['SpotInstanceRequestId']}" for one in spot if one["State"] in ("open", "active")]
    if images:
        found += [f"image {one['ImageId']}" for one in every("describe_images", "Images", Owners=["self"])]
        found += [f"snapshot {one['SnapshotId']}" for one in every("describe_snapshots", "Snapshots", OwnerIds=["self"])]
    return found


@contextmanager
def environment(fake: FakeAws, region: str = REGION) -> Iterator[pytest.MonkeyPatch]:
    """This process and its children ask the fake, and nothing of this machine's own configuration counts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in fake.environment(region).items():
            patch.setenv(name, value)
        yield patch
