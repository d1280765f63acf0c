"""A whole bake of an AMI: real Packer and plugin against the fake account, the scripts in a container that stands for the build instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from goldbake.config.model import Cloud
from goldbake.records import ImageRecord
from tests.fakes.aws import NEWEST_DEBIAN, REGION, SECRET_KEY, FakeAws, Held
from tests.integration import awsaccount, cloudbake, cloudshop
from tests.integration.awsworld import Ec2
from tests.integration.cloudbake import FirstBake, NextBakes
from tests.integration.cloudworld import NEEDS, open_to_packer
from tests.integration.conftest import BakedImage
from tests.integration.world import world

pytestmark = [*NEEDS, awsaccount.only_fake]


class Field(cloudbake.Field[FakeAws]):
    """An AWS account."""

    base = NEWEST_DEBIAN.id_in(REGION)
    region = REGION
    secret = SECRET_KEY

    def left(self, *, images: bool = True) -> list[str]:
        kept = () if images else ("image", "snapshot")
        return [*awsaccount.left(images=images), *(str(one) for one in self.fake.held() if one.kind not in kept)]

    def changes(self) -> list[str]:
        return self.fake.actions()

    def assert_kept(self, baked: ImageRecord) -> None:
        image, snapshot = self._image_and_snapshot()
        assert image.id == baked.artifact
        assert image.more["snapshot"] == snapshot.id
        assert image.more["imds"] == "v2.0"
        assert image.more["shared"] == []

    def tags(self, baked: ImageRecord) -> list[Mapping[str, str]]:
        return [one.tags for one in self._image_and_snapshot()]

    def more_tags(self, baked: ImageRecord) -> Mapping[str, str]:
        """What EC2's console shows as the name."""
        return {"Name": f"{self.shop.image}-{baked.fingerprint[:12]}"}

    def remove(self, artifact: str) -> None:
        awsaccount.ec2().deregister_image(ImageId=artifact, DeleteAssociatedSnapshots=True)

    def assert_building(self) -> None:
        assert "instance" in {one.kind for one in self.fake.held()}

    def _image_and_snapshot(self) -> tuple[Held, Held]:
        image, snapshot = sorted(self.fake.held(), key=lambda one: one.kind)
        assert (image.kind, snapshot.kind) == ("image", "snapshot")
        return image, snapshot


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("aws-bake")
    shop = cloudshop.make(folder, baked_image, Cloud.AWS, "{region: us-east-1, instance_type: c7i.xlarge, ssh_from: [127.0.0.1/32]}")
    with FakeAws() as fake, awsaccount.environment(fake) as patch, world(Ec2(fake), folder / "world") as machines:
        open_to_packer(machines, patch, skip_credential_validation="true")
        machines.stands_for(NEWEST_DEBIAN.id_in(REGION), [baked_image.root])
        yield Field(fake, machines, shop)


@pytest.fixture(scope="module")
def baked(field: Field) -> ImageRecord:
    """The first bake; whoever asks for it first pays for it."""
    return field.shop.baked()


class TestFirstBake(FirstBake):
    """An AMI."""


def test_everything_that_a_bake_made_had_its_tags_from_the_create_call_on(field: Field, baked: ImageRecord) -> None:
    for call in field.fake.calls:
        if call.action not in ("RunInstances", "CreateSecurityGroup", "CreateKeyPair", "CreateImage"):
            continue
        given = {
            one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in call.parameters.get("TagSpecifications", [])
        }
        wanted = {
            "RunInstances": {"instance", "volume", "network-interface"},
            "CreateSecurityGroup": {"security-group"},
            "CreateKeyPair": {"key-pair"},
            "CreateImage": {"image", "snapshot"},
        }
        assert wanted[call.action] <= set(given), call.action
        for kind in wanted[call.action]:
            assert {"managed-by", "goldbake-bake", "goldbake-image", "goldbake-expires"} <= set(given[kind]), (call.action, kind)


def test_the_build_instance_had_version_2_of_the_metadata_service_only(field: Field, baked: ImageRecord) -> None:
    started = [call for call in field.fake.calls if call.action == "RunInstances"]
    assert len(started) >= 2  # the build and the check
    for call in started:
        assert call.parameters["MetadataOptions"]["HttpTokens"] == "required"
        assert call.parameters["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert started[0].parameters["ImageId"] == NEWEST_DEBIAN.id_in(REGION)
    assert started[-1].parameters["ImageId"] == baked.artifact


class TestNextBakes(NextBakes):
    """On EC2."""
