"""A subscription of the fake, an image version ready in two of its regions, and a service in which the agent of every running VM is online."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as of
from pathlib import Path
from typing import Any, ClassVar

import pytest
from azure.core.pipeline.transport import RequestsTransport

from goldbake.clouds.azure.session import SCOPE, Azure
from goldbake.config.model import Cloud
from goldbake.paths import PROJECT, Paths
from goldbake.records import ImageRecord
from launch.azure.launcher import AzureLauncher
from launch.base import CloudOptions
from launch.fleet import Fleet
from tests.fakes.azure import SUBSCRIPTION, FakeAzure, Resource
from tests.unit.launch import field

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
class RunningAgents(field.RunningAgents):
    """Of a subscription, which forgets a VM as soon as it is deleted."""

    fake: FakeAzure
    known: set[str] = of(default_factory=set)

    def running(self) -> Mapping[str, bool]:
        held = self.fake.held() if self.online else []
        up = {one.name for one in held if one.kind == MACHINE and one.more.get("power") == "running"}
        self.known |= up
        return {name: name in up for name in list(self.known)}


@dataclass
class Field(field.Field):
    """A subscription, with an image version that is ready in two of its regions."""

    cloud = Cloud.AZURE
    artifacts: ClassVar[Mapping[str, str]] = {HOME: VERSION}

    fake: FakeAzure
    azure: Azure

    def launcher(self, **options: Any) -> AzureLauncher:
        given = CloudOptions(**{"types": (TYPE,), **options})
        return self.hurried(AzureLauncher(given, remembered=self.remembered, azure=self.azure))

    def fleet(self, count: int = 1, **options: Any) -> Callable[[str], Fleet]:
        return super().fleet(count, **{"key": KEY, **options})

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
    found = Field(fake_azure, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_azure), account)
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
def no_pause(monkeypatch: pytest.MonkeyPatch, short_waits: None) -> None:
    """Neither the SDK nor we wait between two attempts."""
    monkeypatch.setattr(RequestsTransport, "sleep", lambda *_: None)


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
    return field.record_artifact(paths, Cloud.AZURE, VERSION, 32, HOME, {ABROAD: VERSION}, checked=checked)
