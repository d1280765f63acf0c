"""A recorded image, a cloud in a folder, and a request for it."""

from __future__ import annotations

import datetime
import io
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records, Stat, sha256_of
from goldbake.secret import Secret
from launch import service
from launch.service import LaunchReport, LaunchRequest
from tests.unit.launch.field import PAT
from tests.unit.launch.foldercloud import FolderCloud, FolderDirectory


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path / "project", tmp_path / "cache", tmp_path / "state")
    record_image(found)
    return found


@pytest.fixture
def cloud(tmp_path: Path) -> FolderCloud:
    return FolderCloud(tmp_path / "cloud")


@pytest.fixture
def progress() -> Progress:
    return Progress(io.StringIO())


@pytest.fixture
def request_() -> LaunchRequest:
    return LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), count=2, timeout=60)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause that can be cut short takes longer than a moment."""
    wait: Callable[..., bool] = threading.Event.wait
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: wait(self, timeout if timeout is None else min(timeout, 0.01)))


def record_image(paths: Paths, *, name: str = "gpu-agent", agent: str = "simulated", checked: bool = True) -> ImageRecord:
    """A record with a small real artifact."""
    paths.artifacts.mkdir(parents=True, exist_ok=True)
    artifact = paths.artifacts / f"{name}.qcow2"
    artifact.write_bytes(b"disk of " + name.encode())
    record = ImageRecord(
        image=name,
        cloud=Cloud.LOCAL,
        artifact=str(artifact),
        sha256=sha256_of(artifact),
        size_bytes=artifact.stat().st_size,
        fingerprint=name.encode().hex() * 4,
        agent=agent,
        versions={"driver": "535.309.01"},
        seconds={},
        checks=Checks(passed=1, failed=0, digest="x") if checked else None,
        created=datetime.datetime.now(datetime.UTC).isoformat(),
        manifest="",
        stat=Stat.of(artifact),
    )
    Records(paths.records).add(record)
    return record


def run_launch(
    paths: Paths,
    cloud: FolderCloud,
    request: LaunchRequest,
    *,
    directory: FolderDirectory | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> LaunchReport:
    """One launch called `l1` on the folder cloud."""
    return service.launch(
        paths,
        progress or Progress(io.StringIO()),
        replace(request, **changes),
        launcher=cloud,
        directory=nullcontext(directory or FolderDirectory(cloud)),
        new_id=lambda: "l1",
    )


def remove(
    paths: Paths, cloud: FolderCloud, plan: service.RemovalPlan, *, cautious: bool = False, progress: Progress | None = None
) -> service.RemovalReport:
    """Carry out a plan on the folder cloud, with its directory."""
    return service.destroy(
        paths,
        progress or Progress(io.StringIO()),
        plan,
        None,
        launchers={Cloud.LOCAL: cloud},
        open_directory=lambda _: nullcontext(FolderDirectory(cloud)),
        cautious=cautious,
    )


def reap_plan(paths: Paths, cloud: FolderCloud, now: Callable[[], float] | None = None) -> service.RemovalPlan:
    """What reap would remove."""
    more = {"now": now} if now else {}
    return service.plan_reap(paths, [Cloud.LOCAL], launchers={Cloud.LOCAL: cloud}, **more)
