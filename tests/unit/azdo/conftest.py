"""What the tests of the Azure DevOps client share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from goldbake.azdo import credentials
from goldbake.azdo.client import Client, Limits
from goldbake.azdo.pools import Pools
from goldbake.secret import Secret
from sim.azdo import SimulatedAzureDevOps
from tests.unit.azdo.raw import RawService, Say, raw_service

PAT = "a-token-of-the-tests-7f3a"
PATIENT = Limits(connect=30, read=30, attempt=120)
"""A test that is about something else than time does not end by it, however busy this machine is."""
Connect = Callable[..., Pools]
Raw = Callable[..., RawService]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine or of another test is configured."""
    for name in ("AZP_URL", "AZP_TOKEN", "AZP_TOKEN_FILE", "AZP_POOL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(credentials, "_taken", {})


@pytest.fixture
def service() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(organization="demo") as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that a client waited before it tried again."""
    return []


@pytest.fixture
def connect(pauses: list[float]) -> Iterator[Connect]:
    """Pools of a service, real or raw; the clients are closed when the test ends."""
    with ExitStack() as stack:

        def pools(server: SimulatedAzureDevOps | RawService, pat: str = "", limits: Limits | None = None, url: str = "") -> Pools:
            simulated = isinstance(server, SimulatedAzureDevOps)
            token = pat or (server.pat if simulated else PAT)
            ca = server.ca_path if simulated else server.ca
            client = Client(url or server.url, Secret(token), ca=ca, limits=limits or PATIENT, sleep=pauses.append)
            return Pools(stack.enter_context(client))

        yield pools


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Raw]:
    """A RawService that says these answers."""
    with ExitStack() as stack:

        def start(*answers: Say, **how: object) -> RawService:
            return stack.enter_context(raw_service(tmp_path, *answers, **how))

        yield start
