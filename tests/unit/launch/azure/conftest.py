"""A subscription of the fake, an image version ready in two of its regions, and a service in which the agent of every running VM is online."""

from __future__ import annotations

import gc
import io
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport

from goldbake.clouds.azure.session import SCOPE, Azure
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.azure.launcher import AzureLauncher
from launch.base import CloudOptions, LaunchSpec
from launch.fleet import Fleet
from launch.journal import Entry
from launch.registry import journal_of
from launch.removal import RemovalPlan, RemovalReport
from launch.request import LaunchReport, LaunchRequest
from tests.fakes.azure import SUBSCRIPTION, FakeAzure, Held, Resource

PAT = "pat-of-the-azure-launch-tests-0123456789"
HOME, ABROAD = "westeurope", "eastus"
TYPE = "Standard_NC4as_T4_v3"
GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/images/providers/Microsoft.Compute/galleries/goldbake"
DEFINITION = f"{GALLERY}/images/gpu-agent"
VERSION = f"{DEFINITION}/versions/1.0.0"
MACHINE, SET, GROUP = "Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Resources/resourceGroups"
SCHEDULE = "Microsoft.DevTestLab/schedules"

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop me"
"""The public half of a key pair that anybody can make: its private half is 32 zeros."""


@dataclass
class RunningAgents:
    """A `launch.agents.Directory`: a VM that runs has its agent online; the others' agents are offline until they are removed."""

    fake: FakeAzure
    simulated: bool = True
    online: bool = True
    removed: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)

    def pool(self, name: str, *, create: bool) -> int:
        return 7

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        running = {
            one.name for one in (self.fake.held() if self.online else []) if one.kind == MACHINE and one.more.get("power") == "running"
        }
        self.known |= running
        return {name: AgentState(zlib.crc32(name.encode()), name, name in running, False) for name in self.known - self.removed}

    def remove(self, pool_id: int, agent_id: int) -> None:
        self.removed |= {name for name in self.known if zlib.crc32(name.encode()) == agent_id}


@dataclass
class Field:
    """What a test needs of everything."""

    fake: FakeAzure
    azure: Azure
    paths: Paths
    directory: RunningAgents
    said: io.StringIO = field(default_factory=io.StringIO)
    seeded: frozenset[str] = frozenset()
    removal_s: float = 60.0

    def launcher(self, **options: Any) -> AzureLauncher:
        journal = journal_of(self.paths)

        def remembered(launch_id: str) -> Mapping[str, str]:
            entry = journal.read(launch_id)
            return entry.options if entry else {}

        found = AzureLauncher(CloudOptions(**{"types": (TYPE,), **options}), remembered=remembered, azure=self.azure)
        found.poll_s = 0.01
        found.removal_s = self.removal_s
        return found

    def launch(self, launch_id: str = "l1", *, options: dict[str, Any] | None = None, **changes: Any) -> LaunchReport:
        request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), cloud=Cloud.AZURE, timeout=60)
        return service.launch(
            self.paths,
            Progress(self.said),
            replace(request, **changes),
            launcher=self.launcher(**(options or {})),
            directory=nullcontext(self.directory),
            new_id=lambda: launch_id,
        )

    def spec(self, launch_id: str = "l1", count: int = 1) -> LaunchSpec:
        expires = int(time.time()) + 3600
        return LaunchSpec(
            launch_id, Cloud.AZURE, "gpu-agent", VERSION, "", "", count, "goldbake", "", expires, Secret(PAT), {HOME: VERSION}
        )

    def fleet(self, count: int = 1, **options: Any) -> Callable[[str], Fleet]:
        """A launch up to its create calls, which a test may make as often as it likes under new ids: what comes before is done once."""
        spec, launcher = self.spec("l0", count), self.launcher(**{"key": KEY, **options})
        progress, journal = Progress(self.said), journal_of(self.paths)
        launcher.prepare(spec, progress)
        noted = Entry(
            "l0", Cloud.AZURE, "gpu-agent", "", "", "", 7, "goldbake", count, 0.0, spec.expires, options=dict(launcher.remembers(spec))
        )

        def begin(launch_id: str) -> Fleet:
            journal.write(replace(noted, launch_id=launch_id))
            return Fleet(replace(spec, launch_id=launch_id), launcher, self.directory, 7, journal, progress, timeout=60)

        return begin

    def plan(self, launch_id: str = "l1") -> RemovalPlan:
        return service.plan_destroy(self.paths, [Cloud.AZURE], launch_id, launchers={Cloud.AZURE: self.launcher()})

    def destroy(self, launch_id: str = "l1") -> RemovalReport:
        """Remove a launch, and prove that nothing is left of it."""
        report = self.remove(self.plan(launch_id))
        report.require_nothing_left()
        return report

    def plan_reap(self, **more: Any) -> RemovalPlan:
        return service.plan_reap(self.paths, [Cloud.AZURE], launchers={Cloud.AZURE: self.launcher()}, **more)

    def remove(self, plan: RemovalPlan, *, cautious: bool = False) -> RemovalReport:
        return service.destroy(
            self.paths, Progress(self.said), plan, None,
            launchers={Cloud.AZURE: self.launcher()}, open_directory=lambda _: nullcontext(self.directory), cautious=cautious,
        )  # fmt: skip

    def held(self, kind: str = "") -> list[Held]:
        return [one for one in self.fake.held() if kind in ("", one.kind) and one.id not in self.seeded]

    def left(self) -> list[str]:
        """Everything that a client made and that is there."""
        return [str(one) for one in self.held()]

    def asked(self, title: str) -> list[str]:
        """The names in the calls with this title, in their order."""
        return [call.name for call in list(self.fake.calls) if call.title == title]


@pytest.fixture(scope="session")
def account(running_azure: FakeAzure) -> Iterator[Azure]:
    """One session for all tests: its clients take a moment to make, and its token serves for all."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_azure.environment().items():
            patch.setenv(name, value)
        azure = Azure()
        yield azure
        azure.close()


@pytest.fixture
def azure_field(fake_azure: FakeAzure, account: Azure, tmp_path: Path) -> Iterator[Field]:
    fake_azure.directory.tokens[account.credential.get_token(SCOPE).token] = int(time.time()) + 3600  # the reset forgot it
    found = Field(fake_azure, account, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_azure))
    fake_azure.book.unregistered.add("microsoft.devtestlab")  # as in most subscriptions; `with_schedules` registers it
    record(found.paths)
    gallery(fake_azure)
    found.seeded = frozenset(one.id for one in fake_azure.held())
    yield found
    if any(call.code == "dropped" for call in fake_azure.calls):
        with warnings.catch_warnings():  # the error of a lost connection holds its socket in a circle, and Python calls it unclosed
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def with_schedules(azure_field: Field) -> None:
    """The subscription may have schedules that deallocate machines."""
    azure_field.fake.book.unregistered.discard("microsoft.devtestlab")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the SDK nor we wait between two attempts."""
    wait: Callable[..., bool] = threading.Event.wait
    monkeypatch.setattr(RequestsTransport, "sleep", lambda *_: None)
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: wait(self, timeout if timeout is None else min(timeout, 0.01)))


def gallery(
    fake: FakeAzure, regions: Sequence[str] = (HOME, ABROAD), *, generation: str = "V2", features: Mapping[str, str] | None = None
) -> None:
    """A gallery with one version, as a bake leaves it."""
    target = [{"name": name, "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"} for name in regions]
    identity = {"publisher": "goldbake", "offer": "gpu-agent", "sku": "gpu-agent"}
    about = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": generation, "architecture": "x64", "identifier": identity}
    about["features"] = [{"name": name, "value": value} for name, value in (features or {}).items()]
    made: dict[str, Any] = {
        "storageProfile": {"osDiskImage": {"sizeInGB": 32, "hostCaching": "ReadWrite"}},
        "publishingProfile": {"targetRegions": target, "replicaCount": 1, "excludeFromLatest": False},
    }
    state = {"provisioningState": "Succeeded"}
    rows: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        (GALLERY, {"identifier": {"uniqueName": "x"}}, {}),
        (DEFINITION, about, {}),
        (VERSION, made, {"replication": dict.fromkeys(regions, "Completed"), "size_gb": 32}),
    )
    with fake.book.lock:
        for id, properties, memory in rows:
            words = id.partition("/providers/")[2].split("/")
            kind, names = "/".join([words[0], *words[1::2]]), tuple(words[2::2])
            fake.book.add(
                Resource(id, kind, "images", names, {"location": HOME, "tags": {}, "properties": properties | state}, memory=memory)
            )


def record(paths: Paths, *, checked: bool = True) -> ImageRecord:
    """The version as a bake would have recorded it."""
    found = ImageRecord(
        image="gpu-agent",
        cloud=Cloud.AZURE,
        artifact=VERSION,
        sha256="0" * 64,
        size_bytes=32 << 30,
        fingerprint="f" * 64,
        agent="simulated",
        versions={"driver": "580.159.04"},
        seconds={},
        checks=Checks(passed=1, failed=0, digest="x") if checked else None,
        created="2026-11-24T00:00:00+00:00",
        manifest="",
        region=HOME,
        copies={ABROAD: VERSION},
    )
    Records(paths.records).add(found)
    return found
