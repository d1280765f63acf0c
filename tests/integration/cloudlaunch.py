"""Launches in a fake cloud, from the create call to the agent that is online and to nothing left: every instance of the fake is a container that boots.

A cloud's file makes its `Field` of the one here, and a class of tests of `Launches`, which holds in every cloud; what only that cloud does is tested
beside it.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pytest

from goldbake.clouds.failure import Failure
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.base import CloudOptions
from launch.service import LaunchReport, LaunchRequest
from sim.azdo import SimulatedAzureDevOps
from tests.integration.machines import FAST, until
from tests.integration.world import Provider, World, world
from tests.integration.worldmachine import Machine


class Fake(Protocol):
    """What the fake of every cloud tells."""

    @property
    def calls(self) -> list[Any]:
        """All requests so far; a document each."""

    def held(self) -> Sequence[Any]:
        """All resources, with `tags` and `more`."""


F = TypeVar("F", bound=Fake)
FieldT = TypeVar("FieldT", bound="Field[Any]")


@dataclass(frozen=True)
class Field(ABC, Generic[F]):
    """An account, the machines in it, the service that they register with, and what `./inv launch` has on this machine."""

    cloud: ClassVar[Cloud]
    kind: ClassVar[str]
    """The type of the instances."""
    region: ClassVar[str]
    """Where a record says that its image is."""
    disk_gib: ClassVar[int] = 16
    source: ClassVar[str]
    """Where first boot says that its user-data comes from."""

    fake: F
    world: World
    azdo: SimulatedAzureDevOps
    paths: Paths
    root: Path
    said: io.StringIO

    # --- what a cloud adds

    @abstractmethod
    def make_image(self, name: str) -> str:
        """Make an image in the cloud; its id."""

    @abstractmethod
    def left(self) -> list[str]:
        """What there is besides images, as the cloud's own list calls tell it and as the fake does."""

    @abstractmethod
    def assert_one_request(self) -> None:
        """All instances since the calls were cleared were asked for at once, and what that needed is gone."""

    @abstractmethod
    def assert_sealed(self, instance_id: str) -> None:
        """Nothing on the machine or beside it can read the user-data any more; and the rest of what is promised of an instance."""

    def agent_of(self, instance_id: str) -> str:
        """The name of its agent: Google Cloud and Azure let instances have names of our own."""
        return instance_id

    def known_as(self, artifact: str) -> str:
        """The name by which the world knows an image."""
        return artifact

    def rights(self, *, launching: bool) -> AbstractContextManager[None]:
        """Within it we may do what a launch needs, or else no more than destroy needs."""
        return nullcontext()

    def shown(self) -> list[Any]:
        """What the cloud logs of calls, and shows of resources to those who may list them."""
        return [*(call.document() for call in self.fake.calls), *((one.tags, one.more) for one in self.fake.held())]

    # --- what tests do

    def image(self, name: str, *layers: Path) -> str:
        """Make and record an image that stands for the baked one with `layers` over it; its id."""
        artifact = self.make_image(name)
        self.world.stands_for(self.known_as(artifact), (*layers, self.root))
        self.record(name, self.cloud, artifact, self.region)
        return artifact

    def record(self, name: str, cloud: Cloud, artifact: str, region: str) -> None:
        record = ImageRecord(
            image=name, cloud=cloud, artifact=artifact, sha256="0" * 64, size_bytes=self.disk_gib << 30,
            fingerprint=name.encode().hex().ljust(64, "0"), agent="simulated", versions={"driver": "535.309.01"}, seconds={},
            checks=Checks(passed=1, failed=0, digest=""), created="2026-11-24T00:00:00+00:00", manifest="", region=region,
        )  # fmt: skip
        Records(self.paths.records).add(record)

    def launch(self, image: str = "plain", **changes: Any) -> LaunchReport:
        request = LaunchRequest(
            organization=self.azdo.url, pat=Secret(self.azdo.pat), cloud=self.cloud, image=image, ca=self.azdo.ca_path, labels=FAST, ttl=3600,
            timeout=300, options=CloudOptions(types=(self.kind,)),
        )  # fmt: skip
        with self.rights(launching=True):
            return service.launch(self.paths, Progress(self.said), replace(request, **changes))

    def task(self, *words: str) -> dict[str, Any]:
        """`./inv launch`, as arguments of subprocess."""
        return {
            "args": [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "launch", *words, "--ca", str(self.azdo.ca_path)],
            "cwd": PROJECT,
            "env": os.environ | {"GOLDBAKE_HOME": str(self.paths.state.parent), "AZP_TOKEN": self.azdo.pat, "AZP_URL": self.azdo.url},
        }

    def destroy(self, launch_id: str) -> None:
        with self.rights(launching=False):
            plan = service.plan_destroy(self.paths, [self.cloud], launch_id)
            report = service.destroy(self.paths, Progress(self.said), plan, Secret(self.azdo.pat), ca=self.azdo.ca_path)
        report.require_nothing_left()

    # --- what tests look at

    def agents(self) -> dict[str, str]:
        return {agent["name"]: agent["status"] for agent in self.azdo.state()["agents"]}

    def assert_no_pat(self) -> None:
        """It is in nothing that the cloud shows, that we said or keep, and on no machine."""
        pat = self.azdo.pat
        assert pat not in json.dumps(self.shown(), default=str)
        assert pat not in self.said.getvalue()
        for path in self.paths.state.rglob("*"):
            assert not path.is_file() or pat.encode() not in path.read_bytes(), path
        for machine in self.world.machines:
            if machine.is_running:
                assert pat not in machine.console
                assert machine.run(f"grep -rlF -- '{pat}' /etc /var /opt /home /root /run --exclude-dir=world 2>/dev/null; true") == ""

    def assert_nothing_is_left(self) -> None:
        assert self.left() == []
        assert self.agents() == {}
        assert service.entries(self.paths) == []


@contextmanager
def field_of(kind: type[FieldT], fake: Any, provider: Provider, root: Path, folder: Path) -> Iterator[FieldT]:
    """A field in which nothing is, not even an image. The environment leads to the fake already."""
    paths = Paths(PROJECT, folder / "cache", folder / "state")
    with SimulatedAzureDevOps(organization="demo", session_timeout=300) as azdo:
        with world(provider, folder / "world", services=[azdo.port]) as machines:
            yield kind(fake, machines, azdo, paths, root, io.StringIO())


class Launches:
    """What holds in every cloud. `field` has the image `plain`."""

    def test_an_agent_comes_online_and_its_instance_goes_without_a_trace(self, field: Field[Any]) -> None:
        report = field.launch()
        (started,) = report.started
        assert started.online
        assert started.agent == field.agent_of(started.instance.id)
        assert field.agents() == {started.agent: "online"}
        machine = field.world.machine(started.instance.id)
        assert json.loads(machine.run("cat /var/lib/goldbake/status.json"))["source"] == field.source

        field.assert_sealed(started.instance.id)
        field.assert_no_pat()

        field.destroy(report.launch_id)
        until("the container has ended", lambda: not machine.is_running and not machine.root.is_mount())

    def test_three_agents_come_online_by_one_request(self, field: Field[Any]) -> None:
        field.fake.calls.clear()
        report = field.launch(count=3)
        assert field.agents() == {one.agent: "online" for one in report.started}
        assert len(report.started) == 3
        field.assert_one_request()
        for started in report.started:
            field.assert_sealed(started.instance.id)
        field.assert_no_pat()
        field.destroy(report.launch_id)

    def test_a_first_boot_that_fails_removes_its_instance_and_keeps_the_console(self, field: Field[Any], tmp_path: Path) -> None:
        (tmp_path / "agent").mkdir()  # as on a machine of a scale set of Azure Pipelines
        field.image("refused", tmp_path)
        before = len(field.world.machines)
        with pytest.raises(Failure) as caught:
            field.launch("refused")
        (machine,) = field.world.machines[before:]
        assert f"first boot of {machine.id} failed (scale-set)" in str(caught.value)
        assert "the consoles are in" in caught.value.hint
        (folder,) = (field.paths.state / "failed-launches").iterdir()
        (console,) = folder.glob("*.log")
        assert console.name == f"{machine.id}.log"
        assert '"phase": "failed"' in console.read_text()
        assert field.azdo.pat not in console.read_text()

    def test_ctrl_c_while_machines_boot_leaves_nothing(self, field: Field[Any], tmp_path: Path) -> None:
        unit = tmp_path / "etc/systemd/system/goldbake-firstboot.service.d"
        unit.mkdir(parents=True)
        (unit / "late.conf").write_text("[Service]\nExecStartPre=/bin/sh -c 'touch /var/booting; sleep 300'\n")
        field.image("late", tmp_path)

        def booting() -> list[Machine]:
            return [one for one in field.world.machines if one.is_running and (one.root / "var/booting").exists()]

        launch = field.task("--cloud", field.cloud, "--image", "late", "--count", "2", "--instance-type", field.kind)
        task = subprocess.Popen(**launch, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        try:
            until("both machines boot", lambda: len(booting()) == 2 or task.poll() is not None)
            assert task.poll() is None, task.communicate()
            os.killpg(task.pid, signal.SIGINT)
            _, said = task.communicate(timeout=240)
        finally:
            task.kill()
        assert task.returncode == 128 + signal.SIGINT, said.decode()
        assert b"Traceback" not in said, said.decode()
        assert field.azdo.pat.encode() not in said
        until("the containers have ended", lambda: not any(one.is_running for one in field.world.machines))
