"""A whole bake of an image of Compute Engine: real Packer and plugin against the fake project, the scripts in a container that stands for the build
instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.records import ImageRecord
from tests.fakes.gcp import NEWEST_DEBIAN, TOKEN, FakeGcp
from tests.integration import cloudbake, cloudshop, gcpaccount
from tests.integration.cloudbake import FirstBake, NextBakes
from tests.integration.cloudworld import NEEDS
from tests.integration.conftest import BakedImage
from tests.integration.gcpworld import building

pytestmark = [*NEEDS, gcpaccount.only_fake]

MAKING = ("compute.instances.insert", "compute.images.insert", "compute.disks.insert", "compute.firewalls.insert")


@dataclass(frozen=True)
class Field(cloudbake.Field[FakeGcp]):
    """A project of Google Cloud."""

    base = NEWEST_DEBIAN.id
    region = "global"
    secret = TOKEN

    patch: pytest.MonkeyPatch

    def left(self, *, images: bool = True) -> list[str]:
        kept = () if images else ("image",)
        return [*gcpaccount.left(self.fake.project, images=images), *(str(one) for one in self.fake.held() if one.kind not in kept)]

    def changes(self) -> list[str]:
        return self.fake.actions()

    def assert_kept(self, baked: ImageRecord) -> None:
        (image,) = self.fake.held()
        assert (image.kind, image.state) == ("image", "READY")
        assert f"projects/{self.fake.project}/global/images/{image.id}" == baked.artifact
        assert self.newest() == image.id

    def tags(self, baked: ImageRecord) -> list[Mapping[str, str]]:
        return [one.tags for one in self.fake.held()]

    def more_tags(self, baked: ImageRecord) -> Mapping[str, str]:
        return {"team": "render"}

    def remove(self, artifact: str) -> None:
        """And a token takes the place of the key."""
        gcp = Gcp()
        gone = gcp.client(compute_v1.ImagesClient).delete_unary(project=gcp.project, image=artifact.rpartition("/")[2])
        finished(gcp, gone, doing="delete the image", patience=60)
        self.patch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", TOKEN)
        self.patch.delenv("GOOGLE_APPLICATION_CREDENTIALS")

    def assert_building(self) -> None:
        assert {"instance", "disk"} <= {one.kind for one in self.fake.held()}

    def made(self, method: str) -> list[Any]:
        """The bodies of calls of a method that were granted, oldest first."""
        return [call.body for call in list(self.fake.calls) if call.method == method and not call.code]

    def newest(self) -> str:
        """The image that the family stands for."""
        return Gcp().client(compute_v1.ImagesClient).get_from_family(project=self.fake.project, family=self.shop.image).name


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


class TestFirstBake(FirstBake):
    """An image of Compute Engine."""


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


def test_an_image_with_a_red_check_goes_and_the_family_stays_as_it_was(field: Field, baked: ImageRecord) -> None:
    with gcpaccount.least_rights(field.fake, Purpose.BAKE, Purpose.DESTROY):
        field.bake_spoilt("{region: us-central1, family: gcp-distro}")
    assert field.left(images=False) == []
    assert [one.kind for one in field.fake.held()] == ["image"]
    assert baked.artifact.endswith(f"/{field.newest()}")
    assert [one.artifact for one in field.shop.records()] == [baked.artifact]


class TestNextBakes(NextBakes):
    """On Compute Engine."""


def test_no_key_and_no_token_is_in_what_bakes_left_on_this_machine(field: Field, baked: ImageRecord) -> None:
    for path in field.shop.shop.home.rglob("*"):
        if path.is_file() and not path.is_relative_to(field.shop.shop.home / "cache" / "toolchain"):
            text = path.read_bytes()
            assert b"PRIVATE KEY" not in text, path
            assert TOKEN.encode() not in text, path
    assert list((field.shop.shop.home / "cache" / "bakes").iterdir()) == []
