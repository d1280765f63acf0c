"""An account of the fake, an image recorded in two of its regions, and a service in which the agent of every running instance is online."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from botocore.retries import standard

from goldbake.clouds.aws.session import Aws
from goldbake.config.model import Cloud
from goldbake.paths import PROJECT, Paths
from goldbake.records import ImageRecord
from launch.aws.launcher import AwsLauncher
from launch.base import REGIONS, CloudOptions
from tests.fakes.aws import NEWEST_NOBLE, FakeAws
from tests.unit.launch import field

HOME, ABROAD = "us-east-1", "eu-west-1"
TYPE = "g5.xlarge"


class TwoRegions(Aws):
    """An account with two regions enabled: what asks all of them is shown over 17 by one test, not paid for in each."""

    def regions(self, ask: str, *, once: bool = False) -> tuple[str, ...]:
        return (ABROAD, HOME)


@dataclass
class RunningAgents(field.RunningAgents):
    """Of an account."""

    fake: FakeAws

    def running(self) -> Mapping[str, bool]:
        found = [one for one in self.fake.held(ended=True) if one.kind == "instance"] if self.online else []
        return {f"goldbake-{one.id}": one.state == "running" for one in found}


@dataclass
class Field(field.Field):
    """An account, with the image in its two regions."""

    cloud = Cloud.AWS
    artifacts: ClassVar[Mapping[str, str]] = {region: NEWEST_NOBLE.id_in(region) for region in (HOME, ABROAD)}

    fake: FakeAws
    aws: Aws

    def launcher(self, **options: Any) -> AwsLauncher:
        def regions_of(launch_id: str) -> list[str]:
            known = self.remembered(launch_id).get(REGIONS)
            return known.split(",") if known else []

        return self.hurried(AwsLauncher(CloudOptions(**{"types": (TYPE,), **options}), regions_of=regions_of, aws=self.aws))


@pytest.fixture(scope="session")
def account(running_aws: FakeAws) -> Iterator[Aws]:
    """One session for all tests: its clients take half a second to make."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_aws.environment().items():
            patch.setenv(name, value)
        yield TwoRegions()


@pytest.fixture
def aws_field(fake_aws: FakeAws, account: Aws, tmp_path: Path) -> Field:
    found = Field(fake_aws, Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), RunningAgents(fake_aws), account)
    record(found.paths)
    return found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch, short_waits: None) -> None:
    """Neither the SDK nor we wait between two attempts."""
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.0)


def record(paths: Paths, *, checked: bool = True, copies: tuple[str, ...] = (ABROAD,)) -> ImageRecord:
    """The newest public image of Ubuntu, as if it were ours."""
    also = {region: NEWEST_NOBLE.id_in(region) for region in copies}
    return field.record_artifact(paths, Cloud.AWS, NEWEST_NOBLE.id_in(HOME), 8, HOME, also, checked=checked)
