"""A whole bake of an image of Compute Engine: real Packer and plugin against the fake project, the scripts in a container that stands for the build
instance."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.records import ImageRecord
from tests.fakes.gcp import NEWEST_DEBIAN, TOKEN, FakeGcp
from tests.integration import cloudshop, gcpaccount, workshop
from tests.integration.cloudshop import CloudShop
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import building
from tests.integration.machines import until
from tests.integration.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    gcpaccount.only_fake,
]

MAKING = ("compute.instances.insert", "compute.images.insert", "compute.disks.insert", "compute.firewalls.insert")


@dataclass(frozen=True)
class Field:
    """The project, its machines, and a copy of ours whose images are for Google Cloud."""

    fake: FakeGcp
    world: World
    shop: CloudShop
    patch: pytest.MonkeyPatch

    def made(self, method: str) -> list[Any]:
        """The bodies of calls of a method that were granted, oldest first."""
        return [call.body for call in list(self.fake.calls) if call.method == method and not call.code]


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("gcp-bake")
    shop = cloudshop.make(folder, baked_image, Cloud.GCP, "{region: us-central1, labels: {team: render}}")
    with building(folder / "world", baked_image.root) as made:
        yield Field(made.fake, made.world, shop, made.patch)


@pytest.fixture(scope="module")
def baked(field: Field) -> ImageRecord:
    """The first bake; whoever asks for it first pays for it."""
    with gcpaccount.least_rights(field.fake, Purpose.BAKE, Purpose.DESTROY):
        return field.shop.baked()


def test_a_bake_leaves_an_image_and_a_record_and_nothing_else(field: Field, baked: ImageRecord) -> None:
    assert gcpaccount.left(field.fake.project) == []
    (image,) = field.fake.held()
    assert (image.kind, image.state) == ("image", "READY")
    assert f"projects/{field.fake.project}/global/images/{image.id}" == baked.artifact
    assert image.tags == {
        "managed-by": "goldbake",
        "goldbake-image": field.shop.image,
        "goldbake-checks": "passed",
        "goldbake-fingerprint": baked.fingerprint[:32],
        "goldbake-manifest": baked.sha256[:32],
        "team": "render",
    }
    assert (baked.region, baked.base) == ("global", NEWEST_DEBIAN.id)
    assert baked.checks is not None
    assert (baked.checks.failed, baked.checks.passed > 50) == (0, True)
    assert [one.artifact for one in field.shop.records()] == [baked.artifact]
    manifest = json.loads(Path(baked.manifest).read_text())
    assert manifest["artifact"] == {"id": baked.artifact, "region": "global"}
    assert any(name.startswith("nvidia-kernel") for name in manifest["packages"])
    found = Gcp().client(compute_v1.ImagesClient).get_from_family(project=field.fake.project, family=field.shop.image)
    assert found.name == image.id


def test_everything_that_a_bake_made_had_its_labels_from_the_create_call_on(field: Field, baked: ImageRecord) -> None:
    made = {method: field.made(method) for method in MAKING}
    assert {method: len(bodies) for method, bodies in made.items()} == {
        "compute.instances.insert": 2,  # the build and the check
        "compute.images.insert": 1,
        "compute.disks.insert": 0,
        "compute.firewalls.insert": 0,
    }
    for body in (*made["compute.instances.insert"], *made["compute.images.insert"]):
        assert {"managed-by", "goldbake-bake", "goldbake-image", "goldbake-expires", "team"} <= set(body["labels"])
    for body in made["compute.instances.insert"]:  # a disk has none: its name says whose it is
        assert body["name"] == body["disks"][0]["initializeParams"]["diskName"]
        assert body["name"].removesuffix("-check") == f"goldbake-{body['labels']['goldbake-bake']}"


def test_nobody_finds_an_image_by_its_family_before_it_is_checked(field: Field, baked: ImageRecord) -> None:
    (body,) = field.made("compute.images.insert")
    assert "family" not in body
    assert body["labels"]["goldbake-checks"] == "pending"
    methods = [call.method for call in field.fake.calls if not call.code]
    last_check = max(index for index, method in enumerate(methods) if method == "compute.instances.delete")
    assert methods.index("compute.images.patch") > last_check


def test_machines_of_a_bake_have_no_account_of_google_and_an_end_of_their_own(field: Field, baked: ImageRecord) -> None:
    build, check = field.made("compute.instances.insert")
    for body in (build, check):
        assert not any(body["serviceAccounts"])  # Packer sends an empty one for none
        assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
        assert int(body["scheduling"]["maxRunDuration"]["seconds"]) <= 4 * 3600
    assert build["disks"][0]["initializeParams"]["sourceImage"].endswith(NEWEST_DEBIAN.id)
    assert check["disks"][0]["initializeParams"]["sourceImage"].endswith(baked.artifact)


def test_the_build_instance_was_restarted_where_images_yaml_says_so(field: Field, baked: ImageRecord) -> None:
    assert 2 in [machine.boots for machine in field.world.machines]


def test_a_second_bake_returns_the_same_record_and_starts_nothing(field: Field, baked: ImageRecord) -> None:
    field.fake.calls.clear()
    code, record, said = field.shop.bake()
    assert code == 0, said
    assert (record["reused"], record["artifact"]) == (True, baked.artifact)
    assert field.fake.actions() == []


def test_an_image_with_a_red_check_goes_and_the_family_stays_as_it_was(field: Field, baked: ImageRecord) -> None:
    field.shop.shop.script("spoil-image", "mkdir /opt/packer-was-here")
    field.shop.add_image("spoilt", "{region: us-central1, family: gcp-distro}", ["spoil-image"])
    with gcpaccount.least_rights(field.fake, Purpose.BAKE, Purpose.DESTROY):
        code, _, said = field.shop.bake("spoilt")
    assert code == 3, said
    assert "nothing_of_packer_is_left" in said
    assert gcpaccount.left(field.fake.project) == []
    assert [one.kind for one in field.fake.held()] == ["image"]
    found = Gcp().client(compute_v1.ImagesClient).get_from_family(project=field.fake.project, family=field.shop.image)
    assert baked.artifact.endswith(f"/{found.name}")
    assert [one.artifact for one in field.shop.records()] == [baked.artifact]


def test_an_image_that_is_gone_is_baked_again_and_ctrl_c_during_that_leaves_nothing(field: Field, baked: ImageRecord) -> None:
    gcp = Gcp()
    gone = gcp.client(compute_v1.ImagesClient).delete_unary(project=gcp.project, image=baked.artifact.rpartition("/")[2])
    finished(gcp, gone, doing="delete the image", patience=60)
    field.patch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", TOKEN)
    field.patch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with field.shop.shop.running("bake", "--cloud", "gcp", "--image", field.shop.image) as task:
        until("the build instance runs scripts", lambda: "configure-apt" in task.said() or task.child.poll() is not None, 240)
        assert f"{baked.artifact} is not" in task.said()
        assert {"instance", "disk"} <= {one.kind for one in field.fake.held()}
        assert [words for _, words in workshop.commands() if TOKEN in words] == []
        assert task.end(signal.SIGINT, 120) != 0, task.said()
    assert "Traceback" not in task.said()
    assert TOKEN not in task.said()
    assert gcpaccount.left(gcp.project) == []
    assert [str(one) for one in field.fake.held()] == []
    assert field.shop.locks() == []


def test_no_key_and_no_token_is_in_what_bakes_left_on_this_machine(field: Field, baked: ImageRecord) -> None:
    for path in field.shop.shop.home.rglob("*"):
        if path.is_file() and not path.is_relative_to(field.shop.shop.home / "cache" / "toolchain"):
            text = path.read_bytes()
            assert b"PRIVATE KEY" not in text, path
            assert TOKEN.encode() not in text, path
    assert list((field.shop.shop.home / "cache" / "bakes").iterdir()) == []
