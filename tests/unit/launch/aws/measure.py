"""Measure a launch of many instances against the bare calls, and a listing of many regions: `python -m tests.unit.launch.aws.measure`.

The launch is `service.launch` without waiting for agents; the bare calls are those that any script needs for the same instances: find the
image and the subnets, make the group, the template and the fleet, delete the template, look at the instances. Both in one process, one
after the other, `rounds` times; the medians are compared.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import time
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends

from goldbake.clouds.aws.session import Aws
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.secret import Secret
from launch import service
from launch.aws import AwsLauncher
from launch.base import CloudOptions
from launch.request import LaunchRequest
from tests.fakes.aws import ACCOUNT, NEWEST_NOBLE, REGIONS, FakeAws
from tests.unit.launch.aws.conftest import HOME, TYPE, RunningAgents, record

_EXPIRES = "4000000000"


def measure(fake: FakeAws, folder: Path, *, count: int = 200, rounds: int = 3) -> dict[str, float]:
    """Seconds of a launch and of the bare calls, their ratio, the calls of the launch, and MiB that it took at most."""
    aws, paths = Aws(), Paths(PROJECT, folder / "cache", folder / "state")
    record(paths, copies=())
    ours, bare, calls = [], [], 0
    for number in range(-1, rounds):  # the first of each is not counted: clients are made
        fake.reset()
        bare.append(_timed(lambda: _bare(aws, count)))
        fake.reset()
        ours.append(_timed(lambda number=number: _launch(fake, aws, paths, count, f"l{number}")))
        calls = len(fake.calls)
    fake.reset()
    tracemalloc.start()  # by itself: it costs time; what the fake holds for the instances is in it
    _launch(fake, aws, paths, count, "last")
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    fake.reset()
    ratio = statistics.median(ours[1:]) / statistics.median(bare[1:])
    return {
        "launch_s": statistics.median(ours[1:]),
        "bare_s": statistics.median(bare[1:]),
        "ratio": ratio,
        "calls": calls,
        "peak_mib": peak,
    }


def measure_listing(fake: FakeAws, *, regions: int = 17, each: int = 500) -> dict[str, float]:
    """One listing of everything: `each` volumes of `each // 10` launches in every region."""
    fake.reset()
    fill(fake, regions, each)
    launcher = AwsLauncher(CloudOptions(), aws=Aws())
    began = time.monotonic()
    found = launcher.resources()
    seconds = time.monotonic() - began
    return {"resources": len(found), "seconds": seconds, "calls": len(fake.calls)}


def fill(fake: FakeAws, regions: int, each: int) -> None:
    """Put volumes into the fake without asking it: that would take longer than what is measured."""
    fake.calls.clear()
    for region in REGIONS[:regions]:
        backend = ec2_backends[ACCOUNT][region]
        for number in range(each):
            volume = backend.create_volume(size=1, zone_name=f"{region}a")
            volume.add_tags(
                {"managed-by": "goldbake", "goldbake-launch": f"l{number // 10}", "goldbake-image": "x", "goldbake-expires": _EXPIRES}
            )


def _launch(fake: FakeAws, aws: Aws, paths: Paths, count: int, launch_id: str) -> None:
    launcher = AwsLauncher(CloudOptions(types=(TYPE,), regions=(HOME,)), aws=aws)
    request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret("x" * 40), cloud=Cloud.AWS, count=count, wait=False)
    service.launch(
        paths, Progress(io.StringIO()), request, launcher=launcher, directory=nullcontext(RunningAgents(fake)), new_id=lambda: launch_id
    )


def _bare(aws: Aws, count: int) -> None:
    ec2: Any = aws.ec2(HOME)
    image = ec2.describe_images(ImageIds=[NEWEST_NOBLE.id_in(HOME)])["Images"][0]
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    group = ec2.create_security_group(GroupName="bare", Description="bare", VpcId=vpc)["GroupId"]
    tags = [{"Key": f"tag-{number}", "Value": "x"} for number in range(5)]
    kinds = ("instance", "volume", "network-interface")
    data = {
        "ImageId": image["ImageId"], "InstanceInitiatedShutdownBehavior": "terminate",
        "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": False, "DeleteOnTermination": True}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in kinds],
    }  # fmt: skip
    ec2.create_launch_template(LaunchTemplateName="bare", LaunchTemplateData=data)
    ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "bare", "Version": "1"},
                "Overrides": [{"InstanceType": TYPE, "SubnetId": subnet["SubnetId"]} for subnet in subnets],
            }
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": "on-demand"},
    )
    ec2.delete_launch_template(LaunchTemplateName="bare")
    list(ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": "tag:tag-1", "Values": ["x"]}]))


def _timed(work: Any) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    """Print the figures as one JSON document."""
    with FakeAws() as fake, tempfile.TemporaryDirectory() as folder:
        os.environ.update(fake.environment())
        print(json.dumps({"launch": measure(fake, Path(folder)), "listing": measure_listing(fake)}, indent=2))


if __name__ == "__main__":
    main()
