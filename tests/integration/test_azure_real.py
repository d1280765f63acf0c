"""The way of a bake and a launch in a real subscription; see azureaccount.py for what it costs and needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.resources import parts
from goldbake.clouds.azure.session import Azure
from goldbake.paths import PROJECT
from tests.integration import azureaccount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600), azureaccount.only_real]

IMAGE = os.environ.get("GOLDBAKE_REAL_AZURE_IMAGE", "gpu-agent-debian")
NEEDS = ("AZURE_SUBSCRIPTION_ID", "AZP_URL")


def _inv(*words: str) -> Any:
    """Run a task; its JSON document."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words, "--json"]
    done = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=3 * 3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def calls() -> ComputeManagementClient:
    missing = [name for name in NEEDS if not os.environ.get(name)]
    assert not missing, f"set {', '.join(missing)}, and AZP_TOKEN or AZP_TOKEN_FILE"
    return Azure().client(ComputeManagementClient)


@pytest.fixture(scope="module")
def baked(calls: ComputeManagementClient) -> Iterator[dict[str, Any]]:
    """A version in the gallery that images.yaml names; one that was made here goes again."""
    record = _inv("bake", "--cloud", "azure", "--image", IMAGE)
    yield record
    if not record["reused"]:
        of = parts(record["artifact"])
        calls.gallery_image_versions.begin_delete(of.group, *of.names).result()


def test_a_bake_leaves_a_checked_version_and_nothing_else(calls: ComputeManagementClient, baked: dict[str, Any]) -> None:
    of = parts(baked["artifact"])
    version = calls.gallery_image_versions.get(of.group, *of.names)
    assert version.tags is not None
    assert (version.tags["managed-by"], version.tags["goldbake-checks"]) == ("goldbake", "passed")
    assert version.tags["goldbake-manifest"] == baked["sha256"][:32]
    assert version.properties is not None
    assert version.properties.publishing_profile is not None
    assert version.properties.publishing_profile.exclude_from_latest is False
    assert azureaccount.left(tag="goldbake-image", value=IMAGE) == []
    assert _inv("bake", "--cloud", "azure", "--image", IMAGE)["reused"]


def test_three_agents_come_online_and_go_without_a_trace(calls: ComputeManagementClient, baked: dict[str, Any]) -> None:
    ttl = f"{azureaccount.REAL_TTL_S // 60}m"
    report = _inv("launch", "--cloud", "azure", "--image", IMAGE, "--count", "3", "--ttl", ttl, "--instance-type", azureaccount.REAL_SIZE)
    try:
        assert [one["online"] for one in report["instances"]] == [True, True, True]
        for one in report["instances"]:
            machine = calls.virtual_machines.get(f"goldbake-{report['launch']}", one["id"], expand="userData")
            assert not (machine.properties and machine.properties.user_data)
    finally:
        _inv("destroy", "--launch", report["launch"], "--yes")
    assert azureaccount.left(tag="goldbake-launch", value=report["launch"]) == []
