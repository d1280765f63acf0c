"""A machine in a folder that its unprivileged user can reach, and the simulated service."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.firstboot.box import Box


def _box() -> Iterator[Box]:
    # Not tmp_path: its parents are closed to other users, and config.sh does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="goldbake-firstboot-"))
    folder.chmod(0o755)
    ours = os.umask(0o022)  # a machine's, whatever this session's is
    yield Box(folder)
    os.umask(ours)
    shutil.rmtree(folder)


box = pytest.fixture(_box, name="box")
another_box = pytest.fixture(_box, name="another_box")


@pytest.fixture
def service() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps() as running:
        yield running


@pytest.fixture
def given(service: SimulatedAzureDevOps) -> dict[str, Any]:
    """User-data for the simulated service."""
    return {"organization": service.url, "pat": service.pat, "ca": service.ca_pem}


@pytest.fixture
def online(box: Box, given: dict[str, Any]) -> Box:
    """A machine whose agent is online."""
    box.write("proc/sys/kernel/random/boot_id", "first\n")
    box.seed(given)
    assert box.boot() == 0
    return box
