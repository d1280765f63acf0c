from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import Clock, Machine, administrator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(poll_seconds=0.2) as running:
        yield running


@pytest.fixture
def admin(service: SimulatedAzureDevOps) -> Iterator[httpx.Client]:
    with administrator(service) as client:
        yield client


@pytest.fixture
def machine(service: SimulatedAzureDevOps) -> Iterator[Machine]:
    with Machine(service) as client:
        yield client
