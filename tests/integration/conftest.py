"""One baked image and one booted machine for all tests that look at a real one: both cost minutes, so the session shares them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.bake import bake
from goldbake.check import Target
from goldbake.config.model import Cloud
from goldbake.local import disk, vm
from goldbake.local.container import Login
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.provenance import IN_IMAGE
from goldbake.records import ImageRecord

_BAKE_S = 1800
"""Longest test that may have to bake first: 12 minutes on a fresh 2-core machine, more on a busy one."""


@dataclass(frozen=True)
class BakedImage:
    """A finished image, opened for reading."""

    record: ImageRecord
    raw: Path
    """The disk, uncompressed."""
    root: Path
    """Its root file system, mounted read-only."""
    manifest: Mapping[str, Any]
    """What the bake asked of it: the manifest that lies in the image."""


@dataclass(frozen=True)
class BootedImage:
    """The finished image in a VM, with a throw-away disk."""

    target: Target
    login: Login

    def run(self, script: str) -> proc.Result:
        """Run bash text as root in the VM; what it exits with is in the result."""
        return proc.run(self.login.ssh("bash", "-eu", "-s"), input=script, check=False, timeout=240)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that asks for the image may have to wait for a whole bake."""
    for item in items:
        if "baked_image" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(_BAKE_S))


@pytest.fixture(scope="session")
def baked_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BakedImage]:
    """The default image for this machine: the one that exists for exactly this content, else it is baked now."""
    if os.geteuid() != 0:
        pytest.skip("baking and mounting an image needs root rights")
    record = bake(Paths.from_environment(), Progress(), Cloud.LOCAL, agent_wanted="simulated").record
    folder = tmp_path_factory.mktemp("baked-image")
    raw = folder / "disk.raw"
    try:
        proc.run(["qemu-img", "convert", "-O", "raw", record.artifact, raw])
        with disk.mounted(raw, folder / "root") as root:
            yield BakedImage(record, raw, root, json.loads((root / IN_IMAGE).read_text()))
    finally:
        raw.unlink(missing_ok=True)  # pytest would keep it for three sessions


@pytest.fixture(scope="session")
def booted_image(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedImage]:
    """The image, booted once. Who changes it changes it back."""
    work = tmp_path_factory.mktemp("booted-image")
    try:
        with vm.booted(Path(baked_image.record.artifact), work, Progress()) as login:
            target = Target.ssh(login.host, port=login.port, user=login.user, key=login.key, known_hosts=login.known_hosts)
            yield BootedImage(target, login)
    finally:
        (work / "vm.qcow2").unlink(missing_ok=True)
