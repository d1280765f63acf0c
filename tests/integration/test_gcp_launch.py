"""Launches on Compute Engine, from the create call to the agent that is online and to nothing left: every instance of the fake is a container that
boots."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure
from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.base import CloudOptions, Market
from launch.service import LaunchReport, LaunchRequest
from sim.azdo import SimulatedAzureDevOps
from tests.fakes.gcp import NEWEST_DEBIAN, FakeGcp
from tests.integration import gcpaccount
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import ComputeEngine
from tests.integration.machines import FAST, until
from tests.integration.world import World, world
from tests.integration.worldmachine import Machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    gcpaccount.only_fake,
]

USER_DATA = "http://169.254.169.254/computeMetadata/v1/instance/attributes/user-data"
STATUS = "curl -s -o /dev/null -w '%{http_code}'"
GOOGLE = "-H 'Metadata-Flavor: Google'"


@dataclass(frozen=True)
class Field:
    """A project, the machines in it, the service that they register with, and what `./inv launch` has on this machine."""

    fake: FakeGcp
    world: World
    azdo: SimulatedAzureDevOps
    paths: Paths
    root: Path
    said: io.StringIO

    def image(self, name: str, *layers: Path) -> str:
        """Make and record an image that stands for the baked one with `layers` over it."""
        gcp = Gcp(self.fake.project)
        made = compute_v1.Image(name=name, source_image=NEWEST_DEBIAN.id)
        finished(
            gcp, gcp.client(compute_v1.ImagesClient).insert_unary(project=gcp.project, image_resource=made), doing="an image", patience=60
        )
        artifact = f"projects/{gcp.project}/global/images/{name}"
        self.world.stands_for(artifact, (*layers, self.root))
        record = ImageRecord(
            image=name, cloud=Cloud.GCP, artifact=artifact, sha256="0" * 64, size_bytes=16 << 30, fingerprint=name.encode().hex().ljust(64, "0"),
            agent="simulated", versions={"driver": "535.309.01"}, seconds={}, checks=Checks(passed=1, failed=0, digest=""),
            created="2026-11-24T00:00:00+00:00", manifest="", region="global",
        )  # fmt: skip
        Records(self.paths.records).add(record)
        return artifact

    def launch(self, image: str = "plain", **changes: Any) -> LaunchReport:
        request = LaunchRequest(
            organization=self.azdo.url, pat=Secret(self.azdo.pat), cloud=Cloud.GCP, image=image, ca=self.azdo.ca_path, labels=FAST, ttl=3600,
            timeout=60, options=CloudOptions(types=("g2-standard-4",)),
        )  # fmt: skip
        with gcpaccount.least_rights(self.fake, Purpose.LAUNCH, Purpose.DESTROY):
            return service.launch(self.paths, Progress(self.said), replace(request, **changes))

    def destroy(self, launch_id: str) -> None:
        with gcpaccount.least_rights(self.fake, Purpose.DESTROY):
            plan = service.plan_destroy(self.paths, [Cloud.GCP], launch_id)
            report = service.destroy(self.paths, Progress(self.said), plan, Secret(self.azdo.pat), ca=self.azdo.ca_path)
        report.require_nothing_left()

    def agents(self) -> dict[str, str]:
        return {agent["name"]: agent["status"] for agent in self.azdo.state()["agents"]}

    def methods(self) -> list[str]:
        return [call.method for call in list(self.fake.calls)]


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("gcp-launch")
    paths = Paths(PROJECT, folder / "cache", folder / "state")
    with FakeGcp() as fake, SimulatedAzureDevOps(organization="demo", session_timeout=300) as azdo, gcpaccount.environment(fake):
        with world(ComputeEngine(fake), folder / "world", services=[azdo.port]) as machines:
            found = Field(fake, machines, azdo, paths, baked_image.root, io.StringIO())
            found.image("plain")
            yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Field) -> Iterator[None]:
    yield
    assert gcpaccount.left(field.fake.project) == []
    assert [str(one) for one in field.fake.held() if one.kind != "image"] == []
    assert field.agents() == {}
    assert service.entries(field.paths) == []


def test_an_agent_comes_online_and_its_instance_goes_without_a_trace(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    assert started.online
    assert started.agent == started.instance.id
    assert field.agents() == {started.agent: "online"}
    machine = field.world.machine(started.instance.id)
    assert json.loads(machine.run("cat /var/lib/goldbake/status.json"))["source"] == "gcp"

    _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)

    field.destroy(report.launch_id)
    until("the container has ended", lambda: not machine.is_running and not machine.root.is_mount(), 30)


def test_three_agents_come_online_by_one_bulk_insert(field: Field) -> None:
    field.fake.calls.clear()
    report = field.launch(count=3)
    assert field.agents() == {one.agent: "online" for one in report.started}
    assert field.methods().count("compute.regionInstances.bulkInsert") == 1
    assert "compute.instances.insert" not in field.methods()
    for started in report.started:
        _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)
    field.destroy(report.launch_id)


def test_a_first_boot_that_fails_removes_its_instance_and_keeps_the_console(field: Field, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()  # as on a machine of a scale set
    field.image("refused", tmp_path)
    with pytest.raises(Failure, match=r"first boot of goldbake-\S+ failed \(scale-set\)") as caught:
        field.launch("refused")
    assert "the consoles are in" in caught.value.hint
    (folder,) = (field.paths.state / "failed-launches").iterdir()
    (console,) = folder.glob("goldbake-*.log")
    assert '"phase": "failed"' in console.read_text()
    assert field.azdo.pat not in console.read_text()


def test_an_instance_that_powers_itself_off_stays_until_it_is_destroyed(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).run("systemctl --no-block poweroff")
    until("the instance is terminated", lambda: field.fake.instance(started.instance.id)["status"] == "TERMINATED", 60)
    assert [one.id for one in service.instances(field.paths, [Cloud.GCP])] == [started.instance.id]
    field.destroy(report.launch_id)


def test_a_spot_instance_that_is_taken_back_goes_with_its_disk_and_only_its_agent_is_left(field: Field) -> None:
    report = field.launch(options=CloudOptions(types=("g2-standard-4",), market=Market.SPOT_ONLY))
    (started,) = report.started
    machine = field.world.machine(started.instance.id)
    assert field.fake.instance(started.instance.id)["scheduling"]["provisioningModel"] == "SPOT"
    assert field.fake.preempt(started.instance.id) == "DELETED"
    until("the container has ended", lambda: not machine.is_running, 30)
    assert gcpaccount.left(field.fake.project) == []
    assert list(field.agents()) == [started.agent]
    field.destroy(report.launch_id)


def test_ctrl_c_while_machines_boot_leaves_nothing(field: Field, tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/goldbake-firstboot.service.d"
    unit.mkdir(parents=True)
    (unit / "late.conf").write_text("[Service]\nExecStartPre=/bin/sh -c 'touch /var/booting; sleep 300'\n")
    field.image("late", tmp_path)

    def booting() -> list[Machine]:
        return [one for one in field.world.machines if one.is_running and (one.root / "var/booting").exists()]

    env = os.environ | {"GOLDBAKE_HOME": str(field.paths.state.parent), "AZP_TOKEN": field.azdo.pat, "AZP_URL": field.azdo.url}
    words = [
        "launch",
        "--cloud",
        "gcp",
        "--image",
        "late",
        "--count",
        "2",
        "--instance-type",
        "g2-standard-4",
        "--ca",
        str(field.azdo.ca_path),
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words],
        cwd=PROJECT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        until("both machines boot", lambda: len(booting()) == 2 or child.poll() is not None, 60)
        assert child.poll() is None, child.communicate()
        os.killpg(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 128 + signal.SIGINT, said.decode()
    assert b"Traceback" not in said, said.decode()
    assert field.azdo.pat.encode() not in said
    until("the containers have ended", lambda: not any(one.is_running for one in field.world.machines), 30)


def test_the_metadata_server_of_an_instance_answers_only_who_says_google(field: Field) -> None:
    """What the fake promises of the metadata server, so that first boot is tested against the real thing's rules."""
    gcp = Gcp(field.fake.project)
    zone = "us-central1-a"
    body = compute_v1.Instance(
        name="goldbake-by-hand", machine_type=f"zones/{zone}/machineTypes/e2-medium",
        disks=[compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=compute_v1.AttachedDiskInitializeParams(
            source_image=f"projects/{gcp.project}/global/images/plain"))],
        network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
        metadata=compute_v1.Metadata(items=[compute_v1.Items(key="user-data", value="hello")]),
    )  # fmt: skip
    client = gcp.client(compute_v1.InstancesClient)
    finished(gcp, client.insert_unary(project=gcp.project, zone=zone, instance_resource=body), doing="an instance", patience=60)
    try:
        machine = field.world.machine("goldbake-by-hand")
        root = USER_DATA.partition("instance/")[0]
        assert machine.run(f"{STATUS} {USER_DATA}") == "403"
        assert machine.run(f"{STATUS} {GOOGLE} -H 'X-Forwarded-For: 10.0.0.1' {USER_DATA}") == "403"
        assert machine.run(f"curl -s {GOOGLE} {USER_DATA}") == "hello"
        assert machine.run(f"curl -s {GOOGLE} {root}instance/name") == "goldbake-by-hand"
        assert machine.run(f"curl -s {GOOGLE} {root}instance/zone").endswith(f"/zones/{zone}")
        assert machine.run(f"curl -s {GOOGLE} {root}project/project-id") == gcp.project
        now = client.get(project=gcp.project, zone=zone, instance="goldbake-by-hand").metadata
        emptied = compute_v1.Metadata(fingerprint=now.fingerprint, items=[])
        changed = client.set_metadata_unary(project=gcp.project, zone=zone, instance="goldbake-by-hand", metadata_resource=emptied)
        finished(gcp, changed, doing="its metadata", patience=60)
        assert machine.run(f"{STATUS} {GOOGLE} {USER_DATA}") == "404"
        assert machine.run(f"curl -s {GOOGLE} {root}instance/attributes/") == ""
    finally:
        gone = client.delete_unary(project=gcp.project, zone=zone, instance="goldbake-by-hand")
        finished(gcp, gone, doing="its end", patience=60)
    until("the container has ended", lambda: not machine.is_running, 30)


def _assert_sealed(field: Field, name: str) -> None:
    """Nothing on the machine or beside it can read the user-data any more, and the instance ends by itself."""
    held = field.fake.instance(name)
    assert "user-data" not in {item["key"] for item in held["metadata"].get("items", [])}
    assert held["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert int(held["scheduling"]["maxRunDuration"]["seconds"]) > 0
    assert held.get("serviceAccounts", []) == []
    assert all(disk["autoDelete"] for disk in held["disks"])
    assert field.world.machine(name).run(f"{STATUS} {GOOGLE} {USER_DATA}") == "404"


def _assert_no_pat(field: Field) -> None:
    pat = field.azdo.pat
    assert pat not in json.dumps([call.document() for call in field.fake.calls])
    assert pat not in json.dumps([(one.tags, one.more) for one in field.fake.held()], default=str)
    assert pat not in field.said.getvalue()
    for path in field.paths.state.rglob("*"):
        assert not path.is_file() or pat.encode() not in path.read_bytes(), path
    for machine in field.world.machines:
        if machine.is_running:
            assert pat not in machine.console
            assert machine.run(f"grep -rlF -- '{pat}' /etc /var /opt /home /root /run --exclude-dir=world 2>/dev/null; true") == ""
