"""The way of a bake and a launch on a real account; see awsaccount.py for what it costs and needs."""

from __future__ import annotations

import os

import pytest

from goldbake.config.model import Cloud
from tests.integration import awsaccount
from tests.integration.cloudreal import Account, Document, WholeWay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * 3600), awsaccount.only_real]


class Aws(Account):
    """An AWS account."""

    cloud = Cloud.AWS
    place = "AWS_REGION"
    ttl_s = awsaccount.REAL_TTL_S
    options = ("--instance-type", awsaccount.REAL_TYPE)

    def remove(self, record: Document) -> None:
        client = awsaccount.ec2(record["region"])
        disks = client.describe_images(ImageIds=[record["artifact"]])["Images"][0]["BlockDeviceMappings"]
        client.deregister_image(ImageId=record["artifact"])
        for disk in disks:
            if "Ebs" in disk:
                client.delete_snapshot(SnapshotId=disk["Ebs"]["SnapshotId"])

    def tags_of_finished(self, record: Document) -> dict[str, str]:
        (image,) = awsaccount.ec2(record["region"]).describe_images(ImageIds=[record["artifact"]])["Images"]
        assert (image["State"], image["Public"], image["ImdsSupport"]) == ("available", False, "v2.0")
        return {tag["Key"]: tag["Value"] for tag in image["Tags"]}

    def assert_sealed(self, launched: Document) -> None:
        client = awsaccount.ec2(os.environ[self.place])
        found = client.describe_instances(InstanceIds=[one["id"] for one in launched["instances"]])
        for instance in [one for reservation in found["Reservations"] for one in reservation["Instances"]]:
            assert instance["MetadataOptions"]["HttpEndpoint"] == "disabled"

    def left(self, name: str, value: str, region: str = "") -> list[str]:
        return awsaccount.left(region or os.environ[self.place], tag=name, value=value)


@pytest.fixture(scope="module")
def account() -> Account:
    return Aws()


class TestWholeWay(WholeWay):
    """On EC2."""
