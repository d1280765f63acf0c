"""Launches on Azure, from the create call to the agent that is online and to nothing left: every machine of the fake is a container that boots."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator

import pytest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup

from goldbake.clouds.azure.session import Azure
from goldbake.config.model import Cloud, Image
from goldbake.images import azure_gallery
from launch import service
from launch.base import CloudOptions
from tests.fakes.aws import REGION, FakeAws
from tests.fakes.azure import SUBSCRIPTION, FakeAzure, Resource
from tests.fakes.gcp import FakeGcp
from tests.integration import awsaccount, azureaccount, gcpaccount
from tests.integration.awsworld import ami
from tests.integration.azureworld import ResourceManager, make_gallery
from tests.integration.cloudlaunch import Field, Launches, field_of
from tests.integration.cloudworld import NEEDS
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import image
from tests.integration.machines import until
from tests.unit.test_render import CONFIG

pytestmark = [*NEEDS, azureaccount.only_fake]

LOCATION = "eastus"
SIZE = "Standard_NC4as_T4_v3"
GROUP, GALLERY = "images", "agents"
COMPUTE = "http://169.254.169.254/metadata/instance/compute?api-version=2021-01-01"
DESCRIBED: Image = CONFIG.images["gpu-agent-debian"]


class Subscription(Field[FakeAzure]):
    """A subscription of Azure with a gallery."""

    cloud = Cloud.AZURE
    kind = SIZE
    region = LOCATION
    disk_gib = 30
    source = "azure-customdata"

    def make_image(self, name: str) -> str:
        """A version of a definition of its own."""
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
        return str(made.id)

    def left(self) -> list[str]:
        return [*azureaccount.left(), *(str(one) for one in self.fake.held() if one.group != GROUP)]

    def assert_one_request(self) -> None:
        assert self.fake.titles().count("PUT Microsoft.Compute/virtualMachineScaleSets") == 1
        assert "PUT Microsoft.Compute/virtualMachines" not in self.fake.titles()

    def assert_sealed(self, instance_id: str) -> None:
        """No list or get call and nothing on the machine can read the custom data any more, and the machine acts as nobody."""
        machine = self.world.machine(instance_id)
        assert machine.run(f"curl -s -o /dev/null -w '%{{http_code}}' '{COMPUTE}'") in ("400", "000")
        assert "userData" not in self.fake.machine(instance_id).secret
        assert not self.fake.machine(instance_id).body.get("identity")
        told = self.fake.machine(instance_id).secret["customData"]
        assert self.azdo.pat.encode() in base64.b64decode(told)
        ovf = machine.run("cat /var/lib/waagent/ovf-env.xml")
        assert "<CustomData>" in ovf
        assert told[:40] not in ovf
        assert machine.run("cat /var/lib/cloud/instance/user-data.txt 2>/dev/null || true") == ""
        disk = self.fake.machine(instance_id).properties["storageProfile"]["osDisk"]
        assert disk["deleteOption"] == "Delete"

    def known_as(self, artifact: str) -> str:
        return artifact.lower()


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subscription]:
    folder = tmp_path_factory.mktemp("azure-launch")
    with FakeAzure() as fake, azureaccount.environment(fake):
        with field_of(Subscription, fake, ResourceManager(fake), baked_image.root, folder) as found:
            make_gallery(GROUP, GALLERY, LOCATION)
            found.image("plain")
            yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Subscription) -> Iterator[None]:
    yield
    field.assert_nothing_is_left()


class TestLaunches(Launches):
    """With scale sets."""


def test_a_given_group_stays_and_everything_of_the_launch_in_it_goes(field: Subscription) -> None:
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


def test_a_machine_that_powers_itself_off_stays_until_it_is_destroyed(field: Subscription) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).power_off()
    until("the machine is stopped", lambda: field.fake.machine(started.instance.id).power == "stopped")
    (found,) = service.instances(field.paths, [Cloud.AZURE])
    assert (found.id, found.state) == (started.instance.id, "stopped")
    field.destroy(report.launch_id)


def test_the_first_cloud_with_room_gets_the_launch_and_the_others_keep_nothing(field: Subscription) -> None:
    with FakeAws() as aws, awsaccount.environment(aws), FakeGcp() as gcp, gcpaccount.environment(gcp):
        field.record("plain", Cloud.AWS, ami("plain"), REGION)
        field.record("plain", Cloud.GCP, image("plain"), "global")
        for zone in "abcdf":
            for spot in (False, True):
                aws.book.capacity[f"{REGION}{zone}", "g5.xlarge", spot] = 0
                gcp.capacity[f"us-central1-{zone}", "g2-standard-4", spot] = 0
        types = f"aws:g5.xlarge,gcp:g2-standard-4,azure:{SIZE}"
        task = field.task("--cloud", "aws,gcp,azure", "--image", "plain", "--instance-type", types, "--public-ip", "--json")
        done = subprocess.run(**task, capture_output=True, text=True, check=False, timeout=240)
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
