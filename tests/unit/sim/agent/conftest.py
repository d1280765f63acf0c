"""A simulated agent, and the service that it speaks with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sim import agent
from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.agent.installed import Installed, unpacked

VERSION = "4.275.0"


@pytest.fixture
def service() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(poll_seconds=2) as running:
        yield running


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agent") / "agent.tar.gz"
    path.write_bytes(agent.pack(VERSION))
    return path


@pytest.fixture
def installed(archive: Path, service: SimulatedAzureDevOps) -> Iterator[Installed]:
    with unpacked(archive, service) as found:
        yield found
