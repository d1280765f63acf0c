"""200 instances of EC2 without an account: our launch against the same calls in a bare script, and a reap over every region of an account."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3

from goldbake.bench import aws_replay, many
from goldbake.bench.many import Bench
from goldbake.clouds.aws.session import Aws
from goldbake.config import base_images
from goldbake.config.model import Cloud, Os
from goldbake.log import Progress
from goldbake.paths import Paths
from launch.base import CloudOptions

REGION = "us-east-1"
TYPE = "g5.xlarge"
MACHINES = 166
"""Instances in each region before the reap: with a volume and an interface each, a group and a template they are 500 resources."""


def measure(paths: Paths, progress: Progress, count: int = 200, rounds: int = 3, machines: int = MACHINES) -> dict[str, float]:
    """Seconds, ratios and memory: see `many.measure`."""
    bench = Bench(
        Cloud.AWS, "tests.fakes.aws", ("AWS_",), CloudOptions(types=(TYPE,)), lambda: (_ami(REGION), REGION), aws_replay.run, _fill
    )
    return many.measure(bench, paths, progress, count, rounds, machines)


def _ami(region: str) -> str:
    base = base_images.AWS[Os.DEBIAN_12]
    found = boto3.Session().client("ec2", region_name=region).describe_images(Owners=[base.owner])["Images"]
    return next(one["ImageId"] for one in found if one["Architecture"] == "x86_64")


def _fill(tags: Mapping[str, str], machines: int) -> int:
    regions = Aws().regions(REGION)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(partial(_fill_region, tags=tags, machines=machines), regions))
    return len(regions)


def _fill_region(region: str, tags: Mapping[str, str], machines: int) -> None:
    client = boto3.Session().client("ec2", region_name=region)
    ami = _ami(region)
    own = [{"Key": key, "Value": value} for key, value in tags.items()]

    def tagged(*kinds: str) -> Any:
        return [{"ResourceType": kind, "Tags": own} for kind in kinds]

    (vpc,) = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    client.create_security_group(GroupName="left", Description="left", VpcId=vpc["VpcId"], TagSpecifications=tagged("security-group"))
    client.create_launch_template(
        LaunchTemplateName="left", LaunchTemplateData={"ImageId": ami}, TagSpecifications=tagged("launch-template")
    )
    everything = tagged("instance", "volume", "network-interface")
    client.run_instances(ImageId=ami, InstanceType="t3.micro", MinCount=machines, MaxCount=machines, TagSpecifications=everything)
