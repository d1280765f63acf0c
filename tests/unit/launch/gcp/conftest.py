"""A project of the fake, an image recorded in it, and a service in which the agent of every running instance is online."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from google.api_core import retry

from goldbake.clouds.gcp import session
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.paths import PROJECT, Paths
from goldbake.records import ImageRecord
from launch.base import ACCOUNT, CloudOptions
from launch.gcp.launcher import GcpLauncher
from launch.registry import journal_of
from tests.fakes.gcp import NEWEST_NOBLE, Call, FakeGcp
from tests.unit.launch import field

HOME, ABROAD = "us-central1", "europe-west4"
TYPE = "g2-standard-4"
READING = (".get", ".list", ".aggregatedList", ".wait", ".getSerialPortOutput")
ZONES = ("us-central1-a", "us-central1-b")


@dataclass
class RunningAgents(field.RunningAgents):
    """Of a project."""

    fake: FakeGcp

    def running(self) -> Mapping[str, bool]:
        found = [one for one in self.fake.held(ended=True) if one.kind == "instance"] if self.online else []
        up = {one.id for one in found if one.state == "RUNNING"}  # another zone may have one of the same name
        return {one.id: one.id in up for one in found}


@dataclass
class Field(field.Field):
    """A project, with an image that is there for all of its regions."""

    cloud = Cloud.GCP
    artifacts: ClassVar[Mapping[str, str]] = {"global": NEWEST_NOBLE.id}

    fake: FakeGcp
    gcp: Gcp
    _: KW_ONLY
    now: Callable[[], float] = time.time

    def launcher(self, *, clock: Callable[[], float] = time.monotonic, **options: Any) -> GcpLauncher:
        def accounts() -> list[str]:
            return [entry.options[ACCOUNT] for entry in journal_of(self.paths).all()]

        given = CloudOptions(**{"types": (TYPE,), "regions": (HOME,), **options})
        return self.hurried(GcpLauncher(given, remembered=self.remembered, accounts=accounts, gcp=self.gcp, clock=clock, now=self.now))

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
    found = Field(fake_gcp, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_gcp), account)
    record(found.paths)
    return found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch, short_waits: None) -> None:
    """Neither the SDK nor we wait between two attempts."""
    monkeypatch.setattr(session, "_AGAIN", retry.Retry(predicate=session._may_pass, initial=0.001, maximum=0.001, timeout=2.0))


def record(paths: Paths, *, checked: bool = True) -> ImageRecord:
    """The newest public image of Ubuntu, as if it were ours."""
    return field.record_artifact(paths, Cloud.GCP, NEWEST_NOBLE.id, 10, "global", checked=checked)
