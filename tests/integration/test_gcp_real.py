"""The way of a bake and a launch in a real project; see gcpaccount.py for what it costs and needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.session import Gcp
from goldbake.paths import PROJECT
from tests.integration import gcpaccount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * 3600), gcpaccount.only_real]

IMAGE = os.environ.get("GOLDBAKE_REAL_GCP_IMAGE", "gpu-agent-debian")
NEEDS = ("GOOGLE_CLOUD_PROJECT", "AZP_URL")
WAY_OUT = ["--subnet", subnet] if (subnet := os.environ.get("GOLDBAKE_REAL_GCP_SUBNET")) else ["--public-ip"]
"""The default network has no other way to the service than a public address."""


def _inv(*words: str) -> Any:
    """Run a task; its JSON document."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words, "--json"]
    done = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=2 * 3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def project() -> str:
    missing = [name for name in NEEDS if not os.environ.get(name)]
    assert not missing, f"set {', '.join(missing)}, and AZP_TOKEN or AZP_TOKEN_FILE"
    return os.environ["GOOGLE_CLOUD_PROJECT"]


@pytest.fixture(scope="module")
def baked(project: str) -> Iterator[dict[str, Any]]:
    """An image in the project; one that was made here goes again."""
    record = _inv("bake", "--cloud", "gcp", "--image", IMAGE)
    yield record
    if not record["reused"]:
        _images(project).delete_unary(project=project, image=record["artifact"].rpartition("/")[2])


def test_a_bake_leaves_a_checked_image_and_nothing_else(project: str, baked: dict[str, Any]) -> None:
    image = _images(project).get(project=project, image=baked["artifact"].rpartition("/")[2])
    assert (image.status, image.family) == ("READY", IMAGE)
    assert (image.labels["managed-by"], image.labels["goldbake-checks"]) == ("goldbake", "passed")
    assert image.labels["goldbake-manifest"] == baked["sha256"][:32]
    assert gcpaccount.left(project, label="goldbake-image", value=IMAGE) == []
    assert _inv("bake", "--cloud", "gcp", "--image", IMAGE)["reused"]


def test_three_agents_come_online_and_go_without_a_trace(project: str, baked: dict[str, Any]) -> None:
    ttl = f"{gcpaccount.REAL_TTL_S // 60}m"
    machine = ["--instance-type", gcpaccount.REAL_TYPE, *WAY_OUT]
    report = _inv("launch", "--cloud", "gcp", "--image", IMAGE, "--count", "3", "--ttl", ttl, *machine)
    try:
        assert [one["online"] for one in report["instances"]] == [True, True, True]
        for one in report["instances"]:
            zone = one["place"].partition(" ")[0]
            instance = Gcp(project).client(compute_v1.InstancesClient).get(project=project, zone=zone, instance=one["id"])
            assert "user-data" not in {item.key for item in instance.metadata.items}
    finally:
        _inv("destroy", "--launch", report["launch"], "--yes")
    assert gcpaccount.left(project, label="goldbake-launch", value=report["launch"]) == []


def _images(project: str) -> compute_v1.ImagesClient:
    return Gcp(project).client(compute_v1.ImagesClient)
