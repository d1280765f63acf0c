"""`launch --cloud aws,gcp,azure` with the launchers and SDKs of all three, on their fakes: the first that has room, and nothing in the others."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport

from goldbake.config.model import Cloud
from goldbake.errors import CapacityError, Exit
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.secret import Secret
from launch import anywhere, flags, service
from launch.agents import AgentState, Directory
from launch.request import LaunchReport, LaunchRequest
from tests.fakes.aws import START, FakeAws
from tests.fakes.azure import FakeAzure
from tests.fakes.gcp import FakeGcp
from tests.unit.launch.aws import conftest as aws
from tests.unit.launch.azure import conftest as azure
from tests.unit.launch.gcp import conftest as gcp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]  # sessions of a launcher end with its process

THREE = (Cloud.AWS, Cloud.GCP, Cloud.AZURE)
_TYPES = f"aws:{aws.TYPE},gcp:{gcp.TYPE},azure:{azure.TYPE}"


@dataclass
class Everyone:
    """A `launch.agents.Directory` with the agents of all clouds."""

    directories: Sequence[Directory]
    simulated: bool = True

    def pool(self, name: str, *, create: bool) -> int:
        return 7

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        return {name: agent for one in self.directories for name, agent in one.agents(pool_id).items()}

    def remove(self, pool_id: int, agent_id: int) -> None:
        for one in self.directories:
            one.remove(pool_id, agent_id)


@dataclass
class World:
    """Accounts in three clouds, each with an image of ours."""

    paths: Paths
    directory: Directory
    held: Mapping[Cloud, Callable[[], list[Any]]]
    seeded: int
    said: io.StringIO = field(default_factory=io.StringIO)

    def launch(self, text: str = "aws,gcp,azure", count: int = 1) -> LaunchReport:
        request = LaunchRequest(
            organization="https://127.0.0.1:1/demo", pat=Secret("pat-of-three-clouds-0123456789"), timeout=60, count=count
        )
        requests = anywhere.each(request, flags.machines(flags.in_order(text), instance_type=_TYPES, region="azure:westeurope"))
        return anywhere.launch(self.paths, Progress(self.said), requests, directory=nullcontext(self.directory))

    def destroy(self, launch_id: str) -> None:
        plan = service.plan_destroy(self.paths, None, launch_id)
        opener = nullcontext(self.directory)
        service.destroy(self.paths, Progress(self.said), plan, None, open_directory=lambda _: opener).require_nothing_left()

    def left(self) -> dict[Cloud, int]:
        """How many things there are in each cloud."""
        found = {cloud: len(held()) for cloud, held in self.held.items()}
        found[Cloud.AZURE] -= self.seeded
        return found


@pytest.fixture
def world(fake_aws: FakeAws, fake_gcp: FakeGcp, fake_azure: FakeAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(RequestsTransport, "sleep", lambda *_: None)
    paths = Paths(PROJECT, tmp_path / "cache", tmp_path / "state")
    for one in (aws, gcp, azure):
        one.record(paths)
    azure.gallery(fake_azure)
    agents = Everyone((aws.RunningAgents(fake_aws), gcp.RunningAgents(fake_gcp), azure.RunningAgents(fake_azure)))
    held = {Cloud.AWS: fake_aws.held, Cloud.GCP: fake_gcp.held, Cloud.AZURE: fake_azure.held}
    return World(paths, agents, held, len(fake_azure.held()))


def _full(cloud: Cloud, world: World, request: pytest.FixtureRequest) -> None:
    """No room in a cloud, in its own words."""
    if cloud is Cloud.AWS:
        request.getfixturevalue("fake_aws").refuse("InsufficientInstanceCapacity", START, times=None)
    elif cloud is Cloud.GCP:
        for method in ("compute.instances.insert", "compute.regionInstances.bulkInsert"):
            request.getfixturevalue("fake_gcp").refuse("ZONE_RESOURCE_POOL_EXHAUSTED", method, where="operation", times=None)
    else:
        request.getfixturevalue("fake_azure").refuse("AllocationFailed", "start", where="operation", times=None, few=0)


@pytest.mark.parametrize(("full", "count"), [((), 1), ((Cloud.AWS,), 1), ((Cloud.AWS, Cloud.GCP), 2)], ids=["aws", "gcp", "azure"])
def test_the_first_cloud_that_has_room_starts_it(world: World, request: pytest.FixtureRequest, full: tuple[Cloud, ...], count: int) -> None:
    for cloud in full:
        _full(cloud, world, request)
    report = world.launch(count=count)
    assert report.cloud is THREE[len(full)]
    assert [(one.cloud, one.code, one.left) for one in report.tried] == [(cloud, "no-capacity", "") for cloud in full]
    assert [started.online for started in report.started] == [True] * count
    assert {cloud for cloud, number in world.left().items() if number} == {report.cloud}
    assert [entry.launch_id for entry in service.entries(world.paths)] == [report.launch_id]
    world.destroy(report.launch_id)
    assert world.left() == dict.fromkeys(THREE, 0)
    assert service.entries(world.paths) == []


def test_without_room_anywhere_nothing_is_left_anywhere(world: World, request: pytest.FixtureRequest) -> None:
    for cloud in THREE:
        _full(cloud, world, request)
    with pytest.raises(CapacityError) as caught:
        world.launch()
    assert caught.value.exit_code is Exit.CAPACITY
    for words in ("aws: no capacity", "InsufficientInstanceCapacity", "ZONE_RESOURCE_POOL_EXHAUSTED", "AllocationFailed"):
        assert words in caught.value.message
    assert world.left() == dict.fromkeys(THREE, 0)
    assert service.entries(world.paths) == []


def test_the_cheapest_is_asked_first(world: World) -> None:
    assert world.launch("aws:1.20,gcp:0.71,azure:0.53").cloud is Cloud.AZURE


def test_a_cloud_without_credentials_is_left_for_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    report = world.launch()
    assert report.cloud is Cloud.GCP
    assert report.tried[0].why == "there are no AWS credentials"
