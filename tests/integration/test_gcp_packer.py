"""What the real Packer and its plugin make of refusals of Compute Engine, and what a bake makes of that. The image is one trivial script."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from goldbake.config.model import Cloud
from goldbake.errors import Exit
from tests.fakes.gcp import NUMBER, Call, FakeGcp
from tests.integration import cloudshop, gcpaccount
from tests.integration.cloudshop import CloudShop
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import building
from tests.integration.workshop import Ended

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    gcpaccount.only_fake,
]


SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
INSIDE = (
    "{spot: true, machine_type: n1-standard-4, accelerator: nvidia-tesla-t4, accelerator_count: 2, address: private, subnet: default, "
    f"network_tags: [builds], service_account: {NUMBER}-compute@developer.gserviceaccount.com, scopes: ['{SCOPE}'], storage_location: us-central1, "
    "guest_os_features: [IDPF], labels: {team: render}, share_with: ['domain:example.org']}"
)
"""What a build machine can have at once."""


@dataclass(frozen=True)
class Field:
    """The project, and a copy of ours with the image `small`."""

    fake: FakeGcp
    shop: CloudShop

    def bake(self, image: str = "small") -> Ended:
        return self.shop.shop.bake("--cloud", "gcp", "--image", image, "--force")

    def held(self) -> list[str]:
        """What is in the project besides finished images."""
        return [str(one) for one in self.fake.held() if one.kind != "image" or "goldbake-bake" in one.tags]


@pytest.fixture(scope="module")
def running(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("gcp-packer")
    shop = cloudshop.make(folder, baked_image, Cloud.GCP, "{}")
    shop.shop.script("touch-image", "touch /opt/small")
    shop.add_image("small", "{zones: [us-central1-a, us-central1-b]}", ["touch-image"])
    shop.add_image("inside", INSIDE, ["touch-image"])
    with building(folder / "world", baked_image.root) as made:
        yield Field(made.fake, shop)


@pytest.fixture
def field(running: Field) -> Iterator[Field]:
    """Nothing is refused before the test, and nothing of it is left after it."""
    running.fake.calls.clear()
    running.fake.faults.clear()
    running.fake.capacity.clear()
    yield running
    running.fake.after.clear()
    assert running.held() == []
    assert running.shop.locks() == []
    assert running.fake.crashes == []


def test_an_image_is_made_of_one_script(field: Field) -> None:
    ended = field.bake()
    assert ended.code == 0, ended.stderr
    assert ended.document()["artifact"].startswith(f"projects/{field.fake.project}/global/images/small-")


def test_packer_asks_for_what_images_yaml_says(field: Field) -> None:
    ended = field.bake("inside")
    assert ended.code == 0, ended.stderr
    (instance,) = [call.body for call in field.fake.calls if call.method == "compute.instances.insert"]
    (image,) = [call.body for call in field.fake.calls if call.method == "compute.images.insert"]
    assert instance["scheduling"]["preemptible"] is True
    assert instance["scheduling"]["onHostMaintenance"] == "TERMINATE"
    (cards,) = instance["guestAccelerators"]
    assert cards["acceleratorType"].endswith("/zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4")
    assert cards["acceleratorCount"] == 2
    (interface,) = instance["networkInterfaces"]
    assert not any(interface.get("accessConfigs", ()))
    assert interface["subnetwork"].endswith("/regions/us-central1/subnetworks/default")
    assert instance["tags"]["items"] == ["builds"]
    assert instance["serviceAccounts"] == [{"email": f"{NUMBER}-compute@developer.gserviceaccount.com", "scopes": [SCOPE]}]
    assert instance["labels"]["team"] == image["labels"]["team"] == "render"
    assert image["storageLocations"] == ["us-central1"]
    assert {"IDPF", "GVNIC", "UEFI_COMPATIBLE"} <= {one["type"] for one in image["guestOsFeatures"]}
    artifact = ended.document()["artifact"]
    assert field.fake.book.iam[artifact]["bindings"] == [{"role": "roles/compute.imageUser", "members": ["domain:example.org"]}]


def test_the_plugin_that_breaks_down_over_a_deprecation_leaves_no_image(field: Field) -> None:
    field.fake.refuse("backendError", "compute.images.deprecate")
    ended = field.bake()
    assert ended.code == Exit.FAILED
    assert "removing what bake" in ended.stderr
    assert "image small-" in ended.stderr


def test_packer_that_does_not_find_its_image_ends_well_and_the_bake_does_not(field: Field) -> None:
    def forget(call: Call) -> None:
        if call.method == "compute.images.insert":
            field.fake.refuse("notFound", "compute.images.get")

    field.fake.after.append(forget)
    ended = field.bake()
    assert ended.code == Exit.FAILED
    assert "Packer does not say what it made" in ended.stderr


def test_packer_that_cannot_delete_its_machine_ends_well_and_the_bake_does_not(field: Field) -> None:
    field.fake.refuse("backendError", "compute.instances.delete", times=2)
    ended = field.bake()
    assert ended.code == Exit.FAILED
    assert "Packer ended well but made nothing" in ended.stderr
    assert "instance goldbake-" in ended.stderr


def test_a_disk_that_packer_cannot_delete_is_removed_and_does_no_harm(field: Field) -> None:
    field.fake.refuse("backendError", "compute.disks.delete")
    ended = field.bake()
    assert ended.code == 0, ended.stderr
    assert "removing what bake" in ended.stderr


def test_a_zone_without_machines_is_followed_by_the_next(field: Field) -> None:
    field.fake.capacity[("us-central1-a", "n2-standard-4", False)] = 0
    ended = field.bake()
    assert ended.code == 0, ended.stderr
    assert "us-central1-a: Google would not start a build instance" in ended.stderr
    zones = [call.zone for call in field.fake.calls if call.method == "compute.instances.insert"]
    assert zones == ["us-central1-a", "us-central1-b"]


def test_machines_nowhere_are_told_by_the_exit_code(field: Field) -> None:
    for zone in ("us-central1-a", "us-central1-b"):
        field.fake.capacity[(zone, "n2-standard-4", False)] = 0
    ended = field.bake()
    assert ended.code == Exit.CAPACITY
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in ended.stderr


@pytest.mark.parametrize("where", ["insert", "operation"])
def test_a_quota_is_named_wherever_it_is_met(field: Field, where: str) -> None:
    field.fake.refuse(
        "QUOTA_EXCEEDED" if where == "operation" else "quotaExceeded",
        "compute.instances.insert",
        where=where,
        message="Quota 'N2_CPUS' exceeded.  Limit: 2.0 in region us-central1.",
    )
    ended = field.bake()
    assert ended.code == Exit.CAPACITY
    assert "N2_CPUS" in ended.stderr
    assert "hint: ask for more of N2_CPUS" in ended.stderr
    assert len([call for call in field.fake.calls if call.method == "compute.instances.insert"]) == 1


def test_a_permission_that_lacks_is_named(field: Field) -> None:
    field.fake.forbid("compute.instances.create")
    try:
        ended = field.bake()
    finally:
        field.fake.allow()
    assert ended.code == Exit.MISSING
    assert "compute.instances.create" in ended.stderr
