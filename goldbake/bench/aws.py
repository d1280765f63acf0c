"""200 instances of EC2 without an account: our launch against the same calls in a bare script, and a reap over every region of an account.

Both ask one fake of AWS on loopback, in a process of its own, where an instance is an entry in a table: what differs is what is done besides the calls.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from goldbake import proc
from goldbake.bench import aws_replay
from goldbake.clouds import tags
from goldbake.clouds.aws.session import Aws
from goldbake.config import base_images
from goldbake.config.model import Cloud, Os
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.aws.launcher import AwsLauncher
from launch.base import CloudOptions
from launch.service import LaunchRequest

REGION = "us-east-1"
TYPE = "g5.xlarge"
IMAGE = "bench"
MACHINES = 166
"""Instances in each region before the reap: with a volume and an interface each, a group and a template they are 500 resources."""


def measure(paths: Paths, progress: Progress, count: int = 200, rounds: int = 3, machines: int = MACHINES) -> dict[str, float]:
    """Seconds, ratios and memory. Our launch and the bare calls take turns; each figure is the median of `rounds`. Each region gets `machines`
    instances before the reap.
    """
    home = Path(tempfile.mkdtemp(prefix="bench-aws-"))
    trial = Paths(paths.project, home / "cache", home / "state")
    try:
        with _fake(paths.project) as url, progress.stage("bench"):
            _record(trial)
            _ours(trial, progress, 1)
            one_mib = _peak_mib()
            ours, bare, calls = [], [], []
            for _ in range(rounds):
                _asked(url, "DELETE")
                ours.append(_seconds(lambda: _ours(trial, progress, count)))
                calls = _asked(url)
                bare.append(_seconds(partial(aws_replay.run, calls)))
            many_mib = _peak_mib()
            found = {
                "instances": float(count),
                "calls": float(len(calls)),
                "launch_s": statistics.median(ours),
                "bare_calls_s": statistics.median(bare),
                "ratio": statistics.median(ours) / statistics.median(bare),
                "peak_mib": many_mib,
                "peak_mib_above_one_instance": many_mib - one_mib,
            }
            return found | _reap(trial, progress, machines)
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _NoAgents:
    """A `launch.agents.Directory` in which nothing ever comes online: nobody waits for it."""

    simulated = True

    def pool(self, name: str, *, create: bool) -> int:
        return 1

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        return {}

    def remove(self, pool_id: int, agent_id: int) -> None:
        raise AssertionError("there are no agents")


@contextmanager
def _fake(project: Path) -> Iterator[str]:
    """The URL of the fake of AWS; while the block runs, the SDK finds it in the environment and nothing else."""
    command = [sys.executable, "-m", "tests.fakes.aws"]
    with proc.started(command, cwd=project, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())["environment"]
        before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        try:
            for name in before:
                del os.environ[name]
            os.environ.update(told)
            yield str(told["AWS_ENDPOINT_URL"])
        finally:
            for name in told:
                os.environ.pop(name, None)
            os.environ.update(before)


def _record(trial: Paths) -> None:
    """Record a public image as if it had been baked."""
    base = base_images.AWS[Os.DEBIAN_12]
    found = boto3.Session().client("ec2", region_name=REGION).describe_images(Owners=[base.owner])["Images"]
    ami = next(one["ImageId"] for one in found if one["Architecture"] == "x86_64")
    record = ImageRecord(
        image=IMAGE, cloud=Cloud.AWS, artifact=ami, sha256="0" * 64, size_bytes=8 << 30, fingerprint="0" * 64, agent="simulated",
        versions={}, seconds={}, checks=Checks(passed=1, failed=0, digest=""), created="2026-01-01T00:00:00+00:00", manifest="", region=REGION,
    )  # fmt: skip
    Records(trial.records).add(record)


def _ours(trial: Paths, progress: Progress, count: int) -> None:
    """Create, list and destroy as the tasks do it."""
    request = LaunchRequest(
        organization="https://127.0.0.1:1/demo", pat=Secret("pat-of-the-bench"), cloud=Cloud.AWS, image=IMAGE, count=count, wait=False,
        options=CloudOptions(types=(TYPE,)),
    )  # fmt: skip
    report = service.launch(trial, progress, request, directory=nullcontext(_NoAgents()))
    assert len(service.instances(trial, [Cloud.AWS], launchers={Cloud.AWS: _launcher()})) == count
    plan = service.plan_destroy(trial, [Cloud.AWS], report.launch_id)
    service.destroy(trial, progress, plan, None, open_directory=lambda _: nullcontext(_NoAgents())).require_nothing_left()


def _reap(trial: Paths, progress: Progress, machines: int) -> dict[str, float]:
    """Fill every region with what one launch elsewhere left long ago, and reap all of it."""
    regions = Aws().regions(REGION)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(partial(_fill, machines=machines), regions))
    launchers = {Cloud.AWS: _launcher()}
    began = time.monotonic()
    plan = service.plan_reap(trial, [Cloud.AWS], launchers=launchers)
    planned = time.monotonic()
    resources = sum(len(doomed.resources) for doomed in plan.launches)
    service.reap(trial, progress, plan, None, launchers=launchers).require_nothing_left()
    done = time.monotonic()
    assert not service.plan_reap(trial, [Cloud.AWS], launchers=launchers)
    return {
        "reap_regions": float(len(regions)),
        "reap_resources": float(resources),
        "reap_plan_s": planned - began,
        "reap_s": done - planned,
        "reap_peak_mib": _peak_mib(),
    }


def _fill(region: str, machines: int) -> None:
    client = boto3.Session().client("ec2", region_name=region)
    base = base_images.AWS[Os.DEBIAN_12]
    found = client.describe_images(Owners=[base.owner])["Images"]
    ami = next(one["ImageId"] for one in found if one["Architecture"] == "x86_64")
    own = [{"Key": key, "Value": value} for key, value in tags.of_launch("left-long-ago", IMAGE, 1).items()]

    def tagged(*kinds: str) -> Any:
        return [{"ResourceType": kind, "Tags": own} for kind in kinds]

    (vpc,) = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    client.create_security_group(GroupName="left", Description="left", VpcId=vpc["VpcId"], TagSpecifications=tagged("security-group"))
    client.create_launch_template(
        LaunchTemplateName="left", LaunchTemplateData={"ImageId": ami}, TagSpecifications=tagged("launch-template")
    )
    everything = tagged("instance", "volume", "network-interface")
    client.run_instances(ImageId=ami, InstanceType="t3.micro", MinCount=machines, MaxCount=machines, TagSpecifications=everything)


def _asked(url: str, method: str = "GET") -> Any:
    """The log of the fake's calls; with DELETE it begins anew."""
    request = urllib.request.Request(f"{url}/_calls", method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.loads(answer.read())


def _launcher() -> AwsLauncher:
    return AwsLauncher(CloudOptions())


def _seconds(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
