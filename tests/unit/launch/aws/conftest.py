"""An account of the fake, an image recorded in two of its regions, and a service in which the agent of every running instance is online."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.retries import standard

from goldbake.clouds.aws.session import Aws
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.aws.launcher import AwsLauncher
from launch.base import REGIONS, CloudOptions, LaunchSpec
from launch.fleet import Fleet
from launch.journal import Entry
from launch.registry import journal_of
from launch.removal import RemovalPlan, RemovalReport
from launch.request import LaunchReport, LaunchRequest
from tests.fakes.aws import NEWEST_NOBLE, FakeAws, Held

PAT = "pat-of-the-aws-launch-tests-0123456789"
HOME, ABROAD = "us-east-1", "eu-west-1"
TYPE = "g5.xlarge"


class TwoRegions(Aws):
    """An account with two regions enabled: what asks all of them is shown over 17 by one test, not paid for in each."""

    def regions(self, ask: str) -> tuple[str, ...]:
        return (ABROAD, HOME)


@dataclass
class RunningAgents:
    """A `launch.agents.Directory`: an instance that runs has its agent online; the others' agents are offline until they are removed."""

    fake: FakeAws
    simulated: bool = True
    online: bool = True
    removed: set[str] = field(default_factory=set)

    def pool(self, name: str, *, create: bool) -> int:
        return 7

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        found = [one for one in self.fake.held(ended=True) if one.kind == "instance"] if self.online else []
        named = {f"goldbake-{one.id}": one.state == "running" for one in found}
        return {name: AgentState(int(name[-8:], 16), name, on, False) for name, on in named.items() if name not in self.removed}

    def remove(self, pool_id: int, agent_id: int) -> None:
        self.removed |= {name for name, agent in self.agents(pool_id).items() if agent.id == agent_id}


@dataclass
class Field:
    """What a test needs of everything."""

    fake: FakeAws
    aws: Aws
    paths: Paths
    directory: RunningAgents
    said: io.StringIO = field(default_factory=io.StringIO)

    def launcher(self, **options: Any) -> AwsLauncher:
        def regions_of(launch_id: str) -> list[str]:
            entry = journal_of(self.paths).read(launch_id)
            return entry.options.get(REGIONS, "").split(",") if entry else []

        found = AwsLauncher(CloudOptions(**{"types": (TYPE,), **options}), regions_of=regions_of, aws=self.aws)
        found.poll_s = 0.01
        found.removal_s = 30.0
        return found

    def launch(self, launch_id: str = "l1", *, options: dict[str, Any] | None = None, **changes: Any) -> LaunchReport:
        request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), cloud=Cloud.AWS, timeout=60)
        return service.launch(
            self.paths,
            Progress(self.said),
            replace(request, **changes),
            launcher=self.launcher(**(options or {})),
            directory=nullcontext(self.directory),
            new_id=lambda: launch_id,
        )

    def fleet(self, count: int = 1, **options: Any) -> Callable[[str], Fleet]:
        """A launch up to its create calls, which a test may make as often as it likes under new ids: what comes before is done once."""
        artifacts = {region: NEWEST_NOBLE.id_in(region) for region in (HOME, ABROAD)}
        spec = LaunchSpec(
            "l0", Cloud.AWS, "gpu-agent", artifacts[HOME], "", "", count, "goldbake", "", 4_000_000_000, Secret(PAT), artifacts
        )
        launcher, progress, journal = self.launcher(**options), Progress(self.said), journal_of(self.paths)
        launcher.prepare(spec, progress)
        noted = Entry(
            "l0", Cloud.AWS, "gpu-agent", "", "", "", 7, "goldbake", count, 0.0, spec.expires, options=dict(launcher.remembers(spec))
        )

        def begin(launch_id: str) -> Fleet:
            journal.write(replace(noted, launch_id=launch_id))
            return Fleet(replace(spec, launch_id=launch_id), launcher, self.directory, 7, journal, progress, timeout=60)

        return begin

    def plan(self, launch_id: str = "l1") -> RemovalPlan:
        return service.plan_destroy(self.paths, [Cloud.AWS], launch_id, launchers={Cloud.AWS: self.launcher()})

    def destroy(self, launch_id: str = "l1") -> RemovalReport:
        """Remove a launch, and prove that nothing is left of it."""
        report = self.remove(self.plan(launch_id))
        report.require_nothing_left()
        return report

    def plan_reap(self, **more: Any) -> RemovalPlan:
        return service.plan_reap(self.paths, [Cloud.AWS], launchers={Cloud.AWS: self.launcher()}, **more)

    def remove(self, plan: RemovalPlan, *, cautious: bool = False) -> RemovalReport:
        return service.destroy(
            self.paths, Progress(self.said), plan, None,
            launchers={Cloud.AWS: self.launcher()}, open_directory=lambda _: nullcontext(self.directory), cautious=cautious,
        )  # fmt: skip

    def held(self, kind: str = "") -> list[Held]:
        return [one for one in self.fake.held() if kind in ("", one.kind)]

    def left(self) -> list[str]:
        """Everything that a client made and that is there."""
        return [str(one) for one in self.held()]


@pytest.fixture(scope="session")
def account(running_aws: FakeAws) -> Iterator[Aws]:
    """One session for all tests: its clients take half a second to make."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_aws.environment().items():
            patch.setenv(name, value)
        yield TwoRegions()


@pytest.fixture
def aws_field(fake_aws: FakeAws, account: Aws, tmp_path: Path) -> Field:
    found = Field(fake_aws, account, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_aws))
    record(found.paths)
    return found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the SDK nor we wait between two attempts."""
    wait: Callable[..., bool] = threading.Event.wait
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: wait(self, timeout if timeout is None else min(timeout, 0.01)))


def record(paths: Paths, *, checked: bool = True, copies: tuple[str, ...] = (ABROAD,)) -> ImageRecord:
    """The newest public image of Ubuntu, as if it were ours."""
    found = ImageRecord(
        image="gpu-agent",
        cloud=Cloud.AWS,
        artifact=NEWEST_NOBLE.id_in(HOME),
        sha256="0" * 64,
        size_bytes=8 << 30,
        fingerprint="f" * 64,
        agent="simulated",
        versions={"driver": "580.159.04"},
        seconds={},
        checks=Checks(passed=1, failed=0, digest="x") if checked else None,
        created="2026-11-24T00:00:00+00:00",
        manifest="",
        region=HOME,
        copies={region: NEWEST_NOBLE.id_in(region) for region in copies},
    )
    Records(paths.records).add(found)
    return found
