"""A whole bake of an AMI: real Packer and plugin against the fake account, the scripts in a container that stands for the build instance."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from goldbake.records import ImageRecord
from tests.fakes.aws import NEWEST_DEBIAN, REGION, FakeAws
from tests.integration import awsaccount, cloudshop
from tests.integration.awsworld import Ec2
from tests.integration.cloudshop import CloudShop
from tests.integration.conftest import BakedImage
from tests.integration.machines import until
from tests.integration.world import World, world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    awsaccount.only_fake,
]


@dataclass(frozen=True)
class Field:
    """The account, its machines, and a project whose only image is for AWS."""

    fake: FakeAws
    world: World
    shop: CloudShop


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("aws-bake")
    shop = cloudshop.make(folder, baked_image, Cloud.AWS, "{region: us-east-1, instance_type: c7i.xlarge, ssh_from: [127.0.0.1/32]}")
    with FakeAws() as fake, awsaccount.environment(fake) as patch, world(Ec2(fake), folder / "world") as machines:
        host, port = machines.open_ssh()
        told = {"skip_credential_validation": "true", "ssh_host": host, "ssh_port": str(port), "reboot_pause": "1s"}
        for name, value in told.items():
            patch.setenv(f"PKR_VAR_{name}", value)
        machines.stands_for(NEWEST_DEBIAN.id_in(REGION), [baked_image.root])
        yield Field(fake, machines, shop)


@pytest.fixture(scope="module")
def baked(field: Field) -> ImageRecord:
    """The first bake; whoever asks for it first pays for it."""
    return field.shop.baked()


def test_a_bake_leaves_an_image_a_snapshot_and_a_record_and_nothing_else(field: Field, baked: ImageRecord) -> None:
    assert awsaccount.left() == []
    held = {one.kind: one for one in field.fake.held()}
    assert sorted(one.kind for one in field.fake.held()) == ["image", "snapshot"]
    image, snapshot = held["image"], held["snapshot"]
    assert image.id == baked.artifact
    assert image.more["snapshot"] == snapshot.id
    assert image.more["imds"] == "v2.0"
    assert image.more["shared"] == []
    for one in (image, snapshot):
        assert one.tags["managed-by"] == "goldbake"
        assert one.tags["goldbake-image"] == field.shop.image
        assert one.tags["goldbake-checks"] == "passed"
        assert one.tags["goldbake-fingerprint"] == baked.fingerprint[:32]
        assert one.tags["goldbake-manifest"] == baked.sha256[:32]
        assert not {"goldbake-bake", "goldbake-expires"} & set(one.tags)
    assert (baked.region, baked.base) == (REGION, NEWEST_DEBIAN.id_in(REGION))
    assert baked.checks is not None
    assert (baked.checks.failed, baked.checks.passed > 50) == (0, True)
    assert [one.artifact for one in field.shop.records()] == [baked.artifact]
    manifest = json.loads(Path(baked.manifest).read_text())
    assert manifest["artifact"] == {"id": baked.artifact, "region": REGION}
    assert any(name.startswith("nvidia-kernel") for name in manifest["packages"])


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


def test_the_build_instance_was_restarted_where_images_yaml_says_so(field: Field, baked: ImageRecord) -> None:
    boots = [machine.boots for machine in field.world.machines]
    assert 2 in boots


def test_a_second_bake_returns_the_same_record_and_starts_nothing(field: Field, baked: ImageRecord) -> None:
    field.fake.calls.clear()
    code, record, said = field.shop.bake()
    assert code == 0, said
    assert (record["reused"], record["artifact"]) == (True, baked.artifact)
    assert field.fake.actions() == []


def test_a_deregistered_image_is_baked_again_and_ctrl_c_during_that_leaves_nothing(field: Field, baked: ImageRecord) -> None:
    awsaccount.ec2().deregister_image(ImageId=baked.artifact, DeleteAssociatedSnapshots=True)
    with field.shop.shop.running("bake", "--cloud", "aws") as task:
        until("the build instance runs scripts", lambda: "configure-apt" in task.said() or task.child.poll() is not None, 240)
        assert "is not in us-east-1 any more" in task.said()
        assert "instance" in {one.kind for one in field.fake.held()}
        assert task.end(signal.SIGINT, 120) != 0, task.said()
    assert "Traceback" not in task.said()
    assert awsaccount.left() == []
    assert [str(one) for one in field.fake.held()] == []
    assert field.shop.locks() == []
