"""A launch that the service would not take creates nothing: one line, one hint, the right exit code. The service is the simulated one, over TLS."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from goldbake.azdo.client import Client
from goldbake.errors import Exit, GoldbakeError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.secret import Secret
from launch import agents, service
from launch.agents import AzureDevOps, Directory
from launch.service import LaunchRequest
from sim.azdo import SimulatedAzureDevOps
from tests.servers import closed_port
from tests.unit.launch.foldercloud import FolderCloud


@pytest.fixture(scope="module")
def azdo() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(organization="demo") as running:
        yield running


@pytest.fixture
def asked(azdo: SimulatedAzureDevOps) -> LaunchRequest:
    return LaunchRequest(organization=azdo.url, pat=Secret(azdo.pat), ca=azdo.ca_path, count=1, timeout=60)


def _launch(
    paths: Paths, cloud: FolderCloud, request: LaunchRequest, directory: AbstractContextManager[Directory] | None = None
) -> service.LaunchReport:
    return service.launch(paths, Progress(io.StringIO()), request, launcher=cloud, directory=directory)


def _refused(paths: Paths, cloud: FolderCloud, request: LaunchRequest, message: str, code: Exit) -> GoldbakeError:
    with pytest.raises(GoldbakeError, match=message) as caught:
        _launch(paths, cloud, request)
    assert caught.value.exit_code is code
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert cloud.calls == []
    assert service.entries(paths) == []
    return caught.value


def test_a_wrong_pat(paths: Paths, cloud: FolderCloud, asked: LaunchRequest) -> None:
    error = _refused(paths, cloud, replace(asked, pat=Secret("wrong-wrong-wrong-wrong")), "does not accept the PAT", Exit.MISSING)
    assert "wrong-wrong" not in error.message + error.hint


def test_an_expired_pat(paths: Paths, cloud: FolderCloud, asked: LaunchRequest, azdo: SimulatedAzureDevOps) -> None:
    _refused(paths, cloud, replace(asked, pat=Secret(azdo.add_pat(expired=True))), "PAT", Exit.MISSING)


def test_a_pat_that_may_only_read(paths: Paths, cloud: FolderCloud, asked: LaunchRequest, azdo: SimulatedAzureDevOps) -> None:
    _refused(paths, cloud, replace(asked, pat=Secret(azdo.add_pat(scopes=("vso.agentpools",)))), "may not do this", Exit.MISSING)


def test_an_organization_that_is_not_there(paths: Paths, cloud: FolderCloud, asked: LaunchRequest, azdo: SimulatedAzureDevOps) -> None:
    _refused(paths, cloud, replace(asked, organization=azdo.url + "x"), "no organization at", Exit.USAGE)


def test_a_pool_that_is_not_there(paths: Paths, cloud: FolderCloud, asked: LaunchRequest) -> None:
    error = _refused(paths, cloud, replace(asked, pool="Defualt"), "no pool 'Defualt'.*did you mean 'Default'", Exit.USAGE)
    assert "--create-pool" in error.hint


def test_a_certificate_that_is_not_trusted(paths: Paths, cloud: FolderCloud, asked: LaunchRequest) -> None:
    _refused(paths, cloud, replace(asked, ca=None), "is not trusted", Exit.FAILED)


def test_no_network(paths: Paths, cloud: FolderCloud, asked: LaunchRequest) -> None:
    client = Client(closed_port().replace("http:", "https:") + "/demo", asked.pat, sleep=lambda _: None)

    @contextmanager
    def impatient() -> Iterator[Directory]:
        with client:
            yield AzureDevOps(client)

    with pytest.raises(GoldbakeError, match="refuses the connection") as caught:
        _launch(paths, cloud, asked, impatient())
    assert caught.value.exit_code is Exit.FAILED
    assert cloud.calls == []


def test_a_missing_pool_is_made_when_asked_for(paths: Paths, cloud: FolderCloud, asked: LaunchRequest, azdo: SimulatedAzureDevOps) -> None:
    cloud.online = False
    report = _launch(paths, cloud, replace(asked, pool="made here", create_pool=True, wait=False))
    assert "made here" in [pool["name"] for pool in azdo.state()["pools"]]
    assert report.pool == "made here"


def test_agents_of_the_service_are_seen_and_removed(asked: LaunchRequest, azdo: SimulatedAzureDevOps) -> None:
    with agents.azure_devops(azdo.url, asked.pat, ca=asked.ca) as directory:
        assert directory.simulated
        pool = directory.pool("Default", create=False)
        assert directory.agents(pool) == {}
        directory.remove(pool, 4711)
