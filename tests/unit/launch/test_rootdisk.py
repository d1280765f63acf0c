"""The cache of unpacked disks keeps what a launch has asked for, and not what nobody needs."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.local import leftovers
from goldbake.log import Progress
from goldbake.paths import Paths
from launch.rootdisk import RootDisks


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RootDisks:
    """Disks that are unpacked to nothing, and used by nobody."""

    def convert(argv: list[Any], **_: object) -> proc.Result:
        Path(argv[-1]).touch()
        return proc.Result(0, "", "")

    monkeypatch.setattr(proc, "run", convert)
    monkeypatch.setattr(leftovers, "loop_devices_of", lambda *_, **__: [])
    return RootDisks(Paths(tmp_path, tmp_path / "cache", tmp_path / "state"), tmp_path / "instances")


def _unpack(disks: RootDisks, sha256: str) -> None:
    disks.unpack(Path("image.qcow2"), sha256, Progress(io.StringIO()))


def _cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "disks").glob("*.raw*"))


def test_a_disk_that_nobody_uses_goes_when_another_is_unpacked(disks: RootDisks, tmp_path: Path) -> None:
    _unpack(disks, "a" * 64)
    old = tmp_path / "cache" / "disks" / f"{'a' * 16}.raw"
    os.utime(old, (0, time.time() - 3600))
    _unpack(disks, "b" * 64)
    assert _cached(tmp_path) == [f"{'b' * 16}.raw"]


def test_a_disk_stays_for_the_launch_that_has_asked_for_it_and_not_mounted_it_yet(disks: RootDisks, tmp_path: Path) -> None:
    _unpack(disks, "a" * 64)
    old = tmp_path / "cache" / "disks" / f"{'a' * 16}.raw"
    os.utime(old, (0, time.time() - 3600))
    _unpack(disks, "a" * 64)  # a second launch of it
    _unpack(disks, "b" * 64)
    assert _cached(tmp_path) == [f"{'a' * 16}.raw", f"{'b' * 16}.raw"]
