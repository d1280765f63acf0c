"""Launches on Compute Engine, from the create call to the agent that is online and to nothing left: every instance of the fake is a container that
boots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from launch import service
from launch.base import CloudOptions, Market
from tests.fakes.gcp import FakeGcp
from tests.integration import gcpaccount
from tests.integration.cloudlaunch import Field, Launches, field_of
from tests.integration.cloudworld import NEEDS
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import ComputeEngine, image
from tests.integration.machines import until

pytestmark = [*NEEDS, gcpaccount.only_fake]

USER_DATA = "http://169.254.169.254/computeMetadata/v1/instance/attributes/user-data"
STATUS = "curl -s -o /dev/null -w '%{http_code}'"
GOOGLE = "-H 'Metadata-Flavor: Google'"


class Project(Field[FakeGcp]):
    """A project of Google Cloud, in which we may do what our role allows."""

    cloud = Cloud.GCP
    kind = "g2-standard-4"
    region = "global"
    source = "gcp"

    def make_image(self, name: str) -> str:
        return image(name)

    def left(self) -> list[str]:
        return [*gcpaccount.left(self.fake.project), *(str(one) for one in self.fake.held() if one.kind != "image")]

    def assert_one_request(self) -> None:
        methods = [call.method for call in list(self.fake.calls)]
        assert methods.count("compute.regionInstances.bulkInsert") == 1
        assert "compute.instances.insert" not in methods

    def assert_sealed(self, instance_id: str) -> None:
        """And the instance ends by itself."""
        held = self.fake.instance(instance_id)
        assert "user-data" not in {item["key"] for item in held["metadata"].get("items", [])}
        assert held["scheduling"]["instanceTerminationAction"] == "DELETE"
        assert int(held["scheduling"]["maxRunDuration"]["seconds"]) > 0
        assert held.get("serviceAccounts", []) == []
        assert all(disk["autoDelete"] for disk in held["disks"])
        assert self.world.machine(instance_id).run(f"{STATUS} {GOOGLE} {USER_DATA}") == "404"

    def rights(self, *, launching: bool) -> AbstractContextManager[None]:
        return gcpaccount.least_rights(self.fake, *([Purpose.LAUNCH] if launching else []), Purpose.DESTROY)


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("gcp-launch")
    with FakeGcp() as fake, gcpaccount.environment(fake), field_of(Project, fake, ComputeEngine(fake), baked_image.root, folder) as found:
        found.image("plain")
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Project) -> Iterator[None]:
    yield
    field.assert_nothing_is_left()


class TestLaunches(Launches):
    """With bulkInsert."""


def test_an_instance_that_powers_itself_off_stays_until_it_is_destroyed(field: Project) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).power_off()
    until("the instance is terminated", lambda: field.fake.instance(started.instance.id)["status"] == "TERMINATED")
    assert [one.id for one in service.instances(field.paths, [Cloud.GCP])] == [started.instance.id]
    field.destroy(report.launch_id)


def test_a_spot_instance_that_is_taken_back_goes_with_its_disk_and_only_its_agent_is_left(field: Project) -> None:
    report = field.launch(options=CloudOptions(types=(field.kind,), market=Market.SPOT_ONLY))
    (started,) = report.started
    machine = field.world.machine(started.instance.id)
    assert field.fake.instance(started.instance.id)["scheduling"]["provisioningModel"] == "SPOT"
    assert field.fake.preempt(started.instance.id) == "DELETED"
    until("the container has ended", lambda: not machine.is_running)
    assert gcpaccount.left(field.fake.project) == []
    assert list(field.agents()) == [started.agent]
    field.destroy(report.launch_id)


def test_the_metadata_server_of_an_instance_answers_only_who_says_google(field: Project) -> None:
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
    until("the container has ended", lambda: not machine.is_running)
