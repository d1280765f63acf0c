"""What the tests of launches need of every cloud: an account of its fake, an image of ours there, and agents that come up with their instances."""

from __future__ import annotations

import io
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.base import Launcher, LaunchSpec
from launch.fleet import Fleet
from launch.journal import Entry
from launch.registry import journal_of
from launch.removal import RemovalPlan, RemovalReport
from launch.request import LaunchReport, LaunchRequest
from tests.fakes.fake import Fake

L = TypeVar("L", bound=Launcher)

PAT = "pat-of-the-launch-tests-0123456789"
POOL_ID = 7


class Clock:
    """Goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class RunningAgents(ABC):
    """A `launch.agents.Directory`: an instance that runs has its agent online; the others' agents are offline until they are removed."""

    fake: Fake[Any, Any]
    simulated: bool = True
    online: bool = True
    removed: set[str] = field(default_factory=set)

    @abstractmethod
    def running(self) -> Mapping[str, bool]:
        """The name of each agent that ever came up, and whether its instance runs."""

    def pool(self, name: str, *, create: bool) -> int:
        return POOL_ID

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        named = {name: on for name, on in self.running().items() if name not in self.removed}
        return {name: AgentState(zlib.crc32(name.encode()), name, on, False) for name, on in named.items()}

    def remove(self, pool_id: int, agent_id: int) -> None:
        self.removed |= {name for name, agent in self.agents(pool_id).items() if agent.id == agent_id}


@dataclass
class Field(ABC):
    """Everything that a test of a launch needs. A cloud adds its `launcher`."""

    cloud: ClassVar[Cloud]
    artifacts: ClassVar[Mapping[str, str]]
    """Region → the image there; the first is the one that is recorded."""

    fake: Any
    paths: Paths
    directory: RunningAgents
    said: io.StringIO = field(default_factory=io.StringIO, kw_only=True)
    seeded: frozenset[str] = field(default=frozenset(), kw_only=True)
    """What the account has before anything is launched."""
    removal_s: float = field(default=60.0, kw_only=True)

    @abstractmethod
    def launcher(self, **options: Any) -> Launcher:
        """A launcher of this account, with these options."""

    def hurried(self, launcher: L) -> L:
        """The same launcher: it looks often, and does not wait for long."""
        launcher.poll_s = 0.01
        launcher.removal_s = self.removal_s
        return launcher

    def remembered(self, launch_id: str) -> Mapping[str, str]:
        """What the journal says of a launch."""
        entry = journal_of(self.paths).read(launch_id)
        return entry.options if entry else {}

    def launch(self, launch_id: str = "l1", *, options: dict[str, Any] | None = None, **changes: Any) -> LaunchReport:
        request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), cloud=self.cloud, timeout=60)
        return service.launch(
            self.paths,
            Progress(self.said),
            replace(request, **changes),
            launcher=self.launcher(**(options or {})),
            directory=nullcontext(self.directory),
            new_id=lambda: launch_id,
        )

    def spec(self, launch_id: str = "l1", count: int = 1) -> LaunchSpec:
        artifact, expires = next(iter(self.artifacts.values())), int(time.time()) + 3600
        return LaunchSpec(launch_id, self.cloud, "gpu-agent", artifact, "", "", count, "goldbake", "", expires, Secret(PAT), self.artifacts)

    def fleet(self, count: int = 1, **options: Any) -> Callable[[str], Fleet]:
        """A launch up to its create calls, which a test may make as often as it likes under new ids: what comes before is done once."""
        spec, launcher = self.spec("l0", count), self.launcher(**options)
        progress, journal = Progress(self.said), journal_of(self.paths)
        launcher.prepare(spec, progress)
        remembers = dict(launcher.remembers(spec))
        noted = Entry("l0", self.cloud, "gpu-agent", "", "", "", POOL_ID, "goldbake", count, 0.0, spec.expires, options=remembers)

        def begin(launch_id: str) -> Fleet:
            journal.write(replace(noted, launch_id=launch_id))
            return Fleet(replace(spec, launch_id=launch_id), launcher, self.directory, POOL_ID, journal, progress, timeout=60)

        return begin

    def plan(self, launch_id: str = "l1") -> RemovalPlan:
        return service.plan_destroy(self.paths, [self.cloud], launch_id, launchers={self.cloud: self.launcher()})

    def destroy(self, launch_id: str = "l1") -> RemovalReport:
        """Remove a launch, and prove that nothing is left of it."""
        report = self.remove(self.plan(launch_id))
        report.require_nothing_left()
        return report

    def plan_reap(self, **more: Any) -> RemovalPlan:
        return service.plan_reap(self.paths, [self.cloud], launchers={self.cloud: self.launcher()}, **more)

    def remove(self, plan: RemovalPlan, *, cautious: bool = False) -> RemovalReport:
        return service.destroy(
            self.paths, Progress(self.said), plan, None,
            launchers={self.cloud: self.launcher()}, open_directory=lambda _: nullcontext(self.directory), cautious=cautious,
        )  # fmt: skip

    def held(self, kind: str = "") -> list[Any]:
        """What is there, as the fake says it; of one kind, if it is said."""
        return [one for one in self.fake.held() if kind in ("", one.kind) and one.id not in self.seeded]

    def left(self) -> list[str]:
        """Everything that a client made and that is there."""
        return [str(one) for one in self.held()]


def record_artifact(
    paths: Paths, cloud: Cloud, artifact: str, size_gib: int, region: str, copies: Mapping[str, str] | None = None, *, checked: bool
) -> ImageRecord:
    """Record an artifact of a cloud as ours, as a bake would have."""
    found = ImageRecord(
        image="gpu-agent",
        cloud=cloud,
        artifact=artifact,
        sha256="0" * 64,
        size_bytes=size_gib << 30,
        fingerprint="f" * 64,
        agent="simulated",
        versions={"driver": "580.159.04"},
        seconds={},
        checks=Checks(passed=1, failed=0, digest="x") if checked else None,
        created="2026-11-24T00:00:00+00:00",
        manifest="",
        region=region,
        copies=dict(copies or {}),
    )
    Records(paths.records).add(found)
    return found
