"""A project of the fake, an image recorded in it, and a service in which the agent of every running instance is online."""

from __future__ import annotations

import io
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from google.api_core import retry

from goldbake.clouds.gcp import session
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.base import ACCOUNT, CloudOptions, LaunchSpec
from launch.fleet import Fleet
from launch.gcp.launcher import GcpLauncher
from launch.journal import Entry
from launch.registry import journal_of
from launch.removal import RemovalPlan, RemovalReport
from launch.request import LaunchReport, LaunchRequest
from tests.fakes.gcp import NEWEST_NOBLE, Call, FakeGcp, Held

PAT = "pat-of-the-gcp-launch-tests-0123456789"
HOME, ABROAD = "us-central1", "europe-west4"
TYPE = "g2-standard-4"
READING = (".get", ".list", ".aggregatedList", ".wait", ".getSerialPortOutput")
ZONES = ("us-central1-a", "us-central1-b")


@dataclass
class RunningAgents:
    """A `launch.agents.Directory`: an instance that runs has its agent online; the others' agents are offline until they are removed."""

    fake: FakeGcp
    simulated: bool = True
    online: bool = True
    removed: set[str] = field(default_factory=set)

    def pool(self, name: str, *, create: bool) -> int:
        return 7

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        found = [one for one in self.fake.held(ended=True) if one.kind == "instance"] if self.online else []
        named = {one.id: False for one in found}
        named |= {one.id: True for one in found if one.state == "RUNNING"}  # another zone may have one of the same name
        return {name: AgentState(zlib.crc32(name.encode()), name, on, False) for name, on in named.items() if name not in self.removed}

    def remove(self, pool_id: int, agent_id: int) -> None:
        self.removed |= {name for name, agent in self.agents(pool_id).items() if agent.id == agent_id}


@dataclass
class Field:
    """What a test needs of everything."""

    fake: FakeGcp
    gcp: Gcp
    paths: Paths
    directory: RunningAgents
    said: io.StringIO = field(default_factory=io.StringIO)
    now: Callable[[], float] = time.time

    def launcher(self, *, clock: Callable[[], float] = time.monotonic, **options: Any) -> GcpLauncher:
        def remembered(launch_id: str) -> Mapping[str, str]:
            entry = journal_of(self.paths).read(launch_id)
            return entry.options if entry else {}

        def accounts() -> list[str]:
            return [entry.options[ACCOUNT] for entry in journal_of(self.paths).all()]

        found = GcpLauncher(
            CloudOptions(**{"types": (TYPE,), "regions": (HOME,), **options}),
            remembered=remembered,
            accounts=accounts,
            gcp=self.gcp,
            clock=clock,
            now=self.now,
        )
        found.poll_s = 0.01
        found.removal_s = 30.0
        return found

    def launch(self, launch_id: str = "l1", *, options: dict[str, Any] | None = None, **changes: Any) -> LaunchReport:
        request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), cloud=Cloud.GCP, timeout=60)
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
        spec = LaunchSpec(
            "l0", Cloud.GCP, "gpu-agent", NEWEST_NOBLE.id, "", "", count, "goldbake", "", int(time.time()) + 3600, Secret(PAT),
            {"global": NEWEST_NOBLE.id},
        )  # fmt: skip
        launcher, progress, journal = self.launcher(**options), Progress(self.said), journal_of(self.paths)
        launcher.prepare(spec, progress)
        noted = Entry(
            "l0", Cloud.GCP, "gpu-agent", "", "", "", 7, "goldbake", count, 0.0, spec.expires, options=dict(launcher.remembers(spec))
        )

        def begin(launch_id: str) -> Fleet:
            journal.write(replace(noted, launch_id=launch_id))
            return Fleet(replace(spec, launch_id=launch_id), launcher, self.directory, 7, journal, progress, timeout=60)

        return begin

    def plan(self, launch_id: str = "l1") -> RemovalPlan:
        return service.plan_destroy(self.paths, [Cloud.GCP], launch_id, launchers={Cloud.GCP: self.launcher()})

    def destroy(self, launch_id: str = "l1") -> RemovalReport:
        """Remove a launch, and prove that nothing is left of it."""
        report = self.remove(self.plan(launch_id))
        report.require_nothing_left()
        return report

    def plan_reap(self, **more: Any) -> RemovalPlan:
        return service.plan_reap(self.paths, [Cloud.GCP], launchers={Cloud.GCP: self.launcher()}, **more)

    def remove(self, plan: RemovalPlan, *, cautious: bool = False, removal_s: float = 30.0) -> RemovalReport:
        launcher = self.launcher()
        launcher.removal_s = removal_s
        return service.destroy(
            self.paths, Progress(self.said), plan, None,
            launchers={Cloud.GCP: launcher}, open_directory=lambda _: nullcontext(self.directory), cautious=cautious,
        )  # fmt: skip

    def held(self, kind: str = "") -> list[Held]:
        return [one for one in self.fake.held() if kind in ("", one.kind)]

    def left(self) -> list[str]:
        """Everything that a client made and that is there."""
        return [str(one) for one in self.held()]

    def asked(self, method: str) -> list[Call]:
        """The calls of a method, as `instances.insert`."""
        return [call for call in self.fake.calls if call.method == f"compute.{method}"]

    def changes(self) -> list[str]:
        """The methods that change anything, without `compute.`, in the order in which they were called."""
        return [call.method.removeprefix("compute.") for call in self.fake.calls if not call.method.endswith(READING)]


@pytest.fixture(scope="session")
def account(running_gcp: FakeGcp) -> Iterator[Gcp]:
    """One session for all tests: its key is read, its clients are made and its connections opened once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CLOUDSDK_AUTH_ACCESS_TOKEN", raising=False)
        for name, value in running_gcp.environment().items():
            patch.setenv(name, value)
        yield Gcp()


@pytest.fixture
def gcp_field(fake_gcp: FakeGcp, account: Gcp, tmp_path: Path) -> Field:
    if account.credentials.token:
        fake_gcp.access.tokens[account.credentials.token] = float("inf")  # the reset forgot it
    found = Field(fake_gcp, account, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_gcp))
    record(found.paths)
    return found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the SDK nor we wait between two attempts."""
    wait: Callable[..., bool] = threading.Event.wait
    monkeypatch.setattr(session, "_AGAIN", retry.Retry(predicate=session._may_pass, initial=0.001, maximum=0.001, timeout=0.05))
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: wait(self, timeout if timeout is None else min(timeout, 0.01)))


def record(paths: Paths, *, checked: bool = True) -> ImageRecord:
    """The newest public image of Ubuntu, as if it were ours."""
    found = ImageRecord(
        image="gpu-agent",
        cloud=Cloud.GCP,
        artifact=NEWEST_NOBLE.id,
        sha256="0" * 64,
        size_bytes=10 << 30,
        fingerprint="f" * 64,
        agent="simulated",
        versions={"driver": "580.159.04"},
        seconds={},
        checks=Checks(passed=1, failed=0, digest="x") if checked else None,
        created="2026-11-24T00:00:00+00:00",
        manifest="",
        region="global",
    )
    Records(paths.records).add(found)
    return found
