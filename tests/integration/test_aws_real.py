"""The way of a bake and a launch on a real account; see awsaccount.py for what it costs and needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from goldbake.paths import PROJECT
from tests.integration import awsaccount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * 3600), awsaccount.only_real]

IMAGE = os.environ.get("GOLDBAKE_REAL_AWS_IMAGE", "gpu-agent-debian")
NEEDS = ("AWS_REGION", "AZP_URL")


def _inv(*words: str) -> Any:
    """Run a task; its JSON document."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words, "--json"]
    done = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=2 * 3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def region() -> str:
    missing = [name for name in NEEDS if not os.environ.get(name)]
    assert not missing, f"set {', '.join(missing)}, and AZP_TOKEN or AZP_TOKEN_FILE"
    return os.environ["AWS_REGION"]


@pytest.fixture(scope="module")
def baked(region: str) -> Iterator[dict[str, Any]]:
    """An image in the account; one that was made here goes again."""
    record = _inv("bake", "--cloud", "aws", "--image", IMAGE)
    yield record
    if not record["reused"]:
        client = awsaccount.ec2(record["region"])
        snapshots = [disk["Ebs"]["SnapshotId"] for disk in client.describe_images(ImageIds=[record["artifact"]])["Images"][0]["BlockDeviceMappings"]
                     if "Ebs" in disk]  # fmt: skip
        client.deregister_image(ImageId=record["artifact"])
        for snapshot in snapshots:
            client.delete_snapshot(SnapshotId=snapshot)


def test_a_bake_leaves_a_checked_image_and_nothing_else(region: str, baked: dict[str, Any]) -> None:
    (image,) = awsaccount.ec2(baked["region"]).describe_images(ImageIds=[baked["artifact"]])["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert (image["State"], image["Public"], image["ImdsSupport"]) == ("available", False, "v2.0")
    assert (tags["managed-by"], tags["goldbake-checks"], tags["goldbake-manifest"]) == ("goldbake", "passed", baked["sha256"][:32])
    assert awsaccount.left(baked["region"], tag="goldbake-image", value=IMAGE) == []
    assert _inv("bake", "--cloud", "aws", "--image", IMAGE)["reused"]


def test_three_agents_come_online_and_go_without_a_trace(region: str, baked: dict[str, Any]) -> None:
    ttl = f"{awsaccount.REAL_TTL_S // 60}m"
    report = _inv("launch", "--cloud", "aws", "--image", IMAGE, "--count", "3", "--ttl", ttl, "--instance-type", awsaccount.REAL_TYPE)
    try:
        assert [one["online"] for one in report["instances"]] == [True, True, True]
        client = awsaccount.ec2(region)
        found = client.describe_instances(InstanceIds=[one["id"] for one in report["instances"]])
        for instance in [one for reservation in found["Reservations"] for one in reservation["Instances"]]:
            assert instance["MetadataOptions"]["HttpEndpoint"] == "disabled"
    finally:
        _inv("destroy", "--launch", report["launch"], "--yes")
    assert awsaccount.left(region, tag="goldbake-launch", value=report["launch"]) == []
