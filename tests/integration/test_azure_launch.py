"""Launches on Azure, from the create call to the agent that is online and to nothing left: every machine of the fake is a container that boots."""

from __future__ import annotations

import base64
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
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup
from google.cloud import compute_v1

from goldbake.clouds.azure.session import Azure
from goldbake.clouds.failure import Failure
from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud, Image
from goldbake.images import azure_gallery
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.base import CloudOptions
from launch.service import LaunchReport, LaunchRequest
from sim.azdo import SimulatedAzureDevOps
from tests.fakes import gcp as google
from tests.fakes.aws import REGION, FakeAws
from tests.fakes.azure import SUBSCRIPTION, FakeAzure, Resource
from tests.fakes.gcp import FakeGcp
from tests.integration import awsaccount, azureaccount, gcpaccount
from tests.integration.azureworld import ResourceManager
from tests.integration.conftest import BakedImage
from tests.integration.machines import FAST, until
from tests.integration.world import World, world
from tests.integration.worldmachine import Machine
from tests.unit.test_render import CONFIG

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    azureaccount.only_fake,
]

LOCATION = "eastus"
SIZE = "Standard_NC4as_T4_v3"
GROUP, GALLERY = "images", "agents"
COMPUTE = "http://169.254.169.254/metadata/instance/compute?api-version=2021-01-01"
DESCRIBED: Image = CONFIG.images["gpu-agent-debian"]


@dataclass(frozen=True)
class Field:
    """A subscription, the machines in it, the service that they register with, and what `./inv launch` has on this machine."""

    fake: FakeAzure
    world: World
    azdo: SimulatedAzureDevOps
    paths: Paths
    root: Path
    said: io.StringIO

    def image(self, name: str, *layers: Path) -> str:
        """Make and record a version in the gallery that stands for the baked image with `layers` over it."""
        calls = Azure().client(ComputeManagementClient)
        azure = DESCRIBED.azure.model_copy(update={"resource_group": GROUP, "gallery": GALLERY, "definition": name})
        azure_gallery.make_ready(calls, name, DESCRIBED.model_copy(update={"azure": azure}))
        source = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/images/{name}"
        body = {"location": LOCATION, "tags": {}, "properties": {"hyperVGeneration": "V2", "provisioningState": "Succeeded"}}
        self.fake.book.add(Resource(source, "Microsoft.Compute/images", GROUP, (name,), body, memory={"size_gb": 30}))
        properties = compute.GalleryImageVersionProperties(
            publishing_profile=compute.GalleryImageVersionPublishingProfile(target_regions=[compute.TargetRegion(name=LOCATION)]),
            storage_profile=compute.GalleryImageVersionStorageProfile(source=compute.GalleryArtifactVersionFullSource(id=source)),
        )
        version = compute.GalleryImageVersion(location=LOCATION, properties=properties)
        made = calls.gallery_image_versions.begin_create_or_update(GROUP, GALLERY, name, "1.0.0", version).result()
        self.fake.book.drop(source)
        artifact = str(made.id)
        self.world.stands_for(artifact.lower(), (*layers, self.root))
        record = ImageRecord(
            image=name, cloud=Cloud.AZURE, artifact=artifact, sha256="0" * 64, size_bytes=30 << 30, fingerprint=name.encode().hex().ljust(64, "0"),
            agent="simulated", versions={"driver": "535.309.01"}, seconds={}, checks=Checks(passed=1, failed=0, digest=""),
            created="2026-11-24T00:00:00+00:00", manifest="", region=LOCATION,
        )  # fmt: skip
        Records(self.paths.records).add(record)
        return artifact

    def launch(self, image: str = "plain", **changes: Any) -> LaunchReport:
        request = LaunchRequest(
            organization=self.azdo.url, pat=Secret(self.azdo.pat), cloud=Cloud.AZURE, image=image, ca=self.azdo.ca_path, labels=FAST, ttl=3600,
            timeout=60, options=CloudOptions(types=(SIZE,)),
        )  # fmt: skip
        return service.launch(self.paths, Progress(self.said), replace(request, **changes))

    def destroy(self, launch_id: str) -> None:
        plan = service.plan_destroy(self.paths, [Cloud.AZURE], launch_id)
        report = service.destroy(self.paths, Progress(self.said), plan, Secret(self.azdo.pat), ca=self.azdo.ca_path)
        report.require_nothing_left()

    def agents(self) -> dict[str, str]:
        return {agent["name"]: agent["status"] for agent in self.azdo.state()["agents"]}


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("azure-launch")
    paths = Paths(PROJECT, folder / "cache", folder / "state")
    with FakeAzure() as fake, SimulatedAzureDevOps(organization="demo", session_timeout=300) as azdo, azureaccount.environment(fake):
        with world(ResourceManager(fake), folder / "world", services=[azdo.port]) as machines:
            azure = Azure()
            azure.client(ResourceManagementClient).resource_groups.create_or_update(GROUP, ResourceGroup(location=LOCATION))
            galleries = azure.client(ComputeManagementClient).galleries
            galleries.begin_create_or_update(GROUP, GALLERY, compute.Gallery(location=LOCATION)).result()
            found = Field(fake, machines, azdo, paths, baked_image.root, io.StringIO())
            found.image("plain")
            yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Field) -> Iterator[None]:
    yield
    assert azureaccount.left() == []
    assert {one.group for one in field.fake.held()} == {GROUP}
    assert field.agents() == {}
    assert service.entries(field.paths) == []


def test_an_agent_comes_online_and_its_machine_goes_without_a_trace(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    assert started.online
    assert started.agent == started.instance.id
    assert field.agents() == {started.agent: "online"}
    machine = field.world.machine(started.instance.id)
    assert json.loads(machine.run("cat /var/lib/goldbake/status.json"))["source"] == "azure-customdata"

    _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)

    field.destroy(report.launch_id)
    until("the container has ended", lambda: not machine.is_running and not machine.root.is_mount(), 30)


def test_three_agents_come_online_by_one_scale_set(field: Field) -> None:
    field.fake.calls.clear()
    report = field.launch(count=3)
    assert field.agents() == {one.agent: "online" for one in report.started}
    assert field.fake.titles().count("PUT Microsoft.Compute/virtualMachineScaleSets") == 1
    assert "PUT Microsoft.Compute/virtualMachines" not in field.fake.titles()
    for started in report.started:
        _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)
    field.destroy(report.launch_id)


def test_a_given_group_stays_and_everything_of_the_launch_in_it_goes(field: Field) -> None:
    groups = Azure().client(ResourceManagementClient).resource_groups
    groups.create_or_update("mine", ResourceGroup(location=LOCATION))
    try:
        report = field.launch(options=CloudOptions(types=(SIZE,), resource_group="mine"))
        assert field.agents() == {report.started[0].agent: "online"}
        field.destroy(report.launch_id)
        assert [str(one) for one in field.fake.held() if one.group == "mine" and one.kind != "Microsoft.Resources/resourceGroups"] == []
        assert groups.check_existence("mine")
    finally:
        groups.begin_delete("mine").result()


def test_a_first_boot_that_fails_removes_its_machine_and_keeps_the_console(field: Field, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()  # as on a machine of a scale set of Azure Pipelines
    field.image("refused", tmp_path)
    with pytest.raises(Failure, match=r"first boot of goldbake-\S+ failed \(scale-set\)") as caught:
        field.launch("refused")
    assert "the consoles are in" in caught.value.hint
    (folder,) = (field.paths.state / "failed-launches").iterdir()
    (console,) = folder.glob("goldbake-*.log")
    assert '"phase": "failed"' in console.read_text()
    assert field.azdo.pat not in console.read_text()


def test_a_machine_that_powers_itself_off_stays_until_it_is_destroyed(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).run("systemctl --no-block poweroff")
    until("the machine is stopped", lambda: field.fake.machine(started.instance.id).power == "stopped", 60)
    (found,) = service.instances(field.paths, [Cloud.AZURE])
    assert (found.id, found.state) == (started.instance.id, "stopped")
    field.destroy(report.launch_id)


def test_ctrl_c_while_machines_boot_leaves_nothing(field: Field, tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/goldbake-firstboot.service.d"
    unit.mkdir(parents=True)
    (unit / "late.conf").write_text("[Service]\nExecStartPre=/bin/sh -c 'touch /var/booting; sleep 300'\n")
    field.image("late", tmp_path)

    def booting() -> list[Machine]:
        return [one for one in field.world.machines if one.is_running and (one.root / "var/booting").exists()]

    env = os.environ | {"GOLDBAKE_HOME": str(field.paths.state.parent), "AZP_TOKEN": field.azdo.pat, "AZP_URL": field.azdo.url}
    words = ["launch", "--cloud", "azure", "--image", "late", "--count", "2", "--instance-type", SIZE, "--ca", str(field.azdo.ca_path)]
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words],
        cwd=PROJECT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        until("both machines boot", lambda: len(booting()) == 2 or child.poll() is not None, 60)
        assert child.poll() is None, child.communicate()
        os.killpg(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 128 + signal.SIGINT, said.decode()
    assert b"Traceback" not in said, said.decode()
    assert field.azdo.pat.encode() not in said
    until("the containers have ended", lambda: not any(one.is_running for one in field.world.machines), 30)


def test_the_first_cloud_with_room_gets_the_launch_and_the_others_keep_nothing(field: Field) -> None:
    with FakeAws() as aws, awsaccount.environment(aws), FakeGcp() as gcp, gcpaccount.environment(gcp):
        _record(field, Cloud.AWS, _ami(), REGION)
        _record(field, Cloud.GCP, _google_image(gcp), "global")
        for zone in "abcdf":
            for spot in (False, True):
                aws.book.capacity[f"{REGION}{zone}", "g5.xlarge", spot] = 0
                gcp.capacity[f"us-central1-{zone}", "g2-standard-4", spot] = 0
        env = os.environ | {"GOLDBAKE_HOME": str(field.paths.state.parent), "AZP_TOKEN": field.azdo.pat, "AZP_URL": field.azdo.url}
        types = f"aws:g5.xlarge,gcp:g2-standard-4,azure:{SIZE}"
        words = ["launch", "--cloud", "aws,gcp,azure", "--image", "plain", "--instance-type", types, "--public-ip", "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words, "--ca", str(field.azdo.ca_path)],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        try:
            assert report["cloud"] == "azure"
            assert [one["online"] for one in report["instances"]] == [True]
            tried = {one["cloud"]: one["why"] for one in report["tried"]}
            assert list(tried) == ["aws", "gcp"]
            assert "InsufficientInstanceCapacity" in tried["aws"]
            assert "ZONE_RESOURCE_POOL_EXHAUSTED" in tried["gcp"]
            assert awsaccount.left() == []
            assert gcpaccount.left(gcp.project) == []
        finally:
            field.destroy(report["launch"])
        assert aws.crashes == []
        assert gcp.crashes == []


def _ami() -> str:
    disk: Any = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}
    made = awsaccount.ec2().register_image(
        Name="plain", RootDeviceName="/dev/xvda", Architecture="x86_64", VirtualizationType="hvm", BootMode="uefi-preferred", EnaSupport=True,
        BlockDeviceMappings=[disk],
    )  # fmt: skip
    return str(made["ImageId"])


def _google_image(fake: FakeGcp) -> str:
    gcp = Gcp(fake.project)
    image = compute_v1.Image(name="plain", source_image=google.NEWEST_DEBIAN.id)
    finished(
        gcp, gcp.client(compute_v1.ImagesClient).insert_unary(project=gcp.project, image_resource=image), doing="an image", patience=60
    )
    return f"projects/{gcp.project}/global/images/plain"


def _record(field: Field, cloud: Cloud, artifact: str, region: str) -> None:
    (like,) = [one for one in Records(field.paths.records).all() if one.cloud is Cloud.AZURE and one.image == "plain"]
    Records(field.paths.records).add(like.model_copy(update={"cloud": cloud, "artifact": artifact, "region": region}))


def _assert_sealed(field: Field, name: str) -> None:
    """No list or get call and nothing on the machine can read the custom data any more, and the machine acts as nobody."""
    machine = field.world.machine(name)
    assert machine.run(f"curl -s -o /dev/null -w '%{{http_code}}' '{COMPUTE}'") in ("400", "000")
    assert "userData" not in field.fake.machine(name).secret
    assert not field.fake.machine(name).body.get("identity")
    told = field.fake.machine(name).secret["customData"]
    assert field.azdo.pat.encode() in base64.b64decode(told)
    ovf = machine.run("cat /var/lib/waagent/ovf-env.xml")
    assert "<CustomData>" in ovf
    assert told[:40] not in ovf
    assert machine.run("cat /var/lib/cloud/instance/user-data.txt 2>/dev/null || true") == ""
    disk = field.fake.machine(name).properties["storageProfile"]["osDisk"]
    assert disk["deleteOption"] == "Delete"


def _assert_no_pat(field: Field) -> None:
    pat = field.azdo.pat
    calls = json.dumps([call.document() for call in field.fake.calls if call.method != "PUT"], default=str)
    assert pat not in calls
    assert pat not in json.dumps([(one.tags, one.more) for one in field.fake.held()], default=str)
    assert pat not in field.said.getvalue()
    for path in field.paths.state.rglob("*"):
        assert not path.is_file() or pat.encode() not in path.read_bytes(), path
    for machine in field.world.machines:
        if machine.is_running:
            assert pat not in machine.console
            found = machine.run(f"grep -rlF -- '{pat}' /etc /var /opt /home /root /run --exclude-dir=world 2>/dev/null; true")
            assert found == ""
