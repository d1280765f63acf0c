"""EC2's images: which base, where a build can be, what a finished image is tagged with, and what is removed."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.config.aws import AwsCopy, AwsSettings
from goldbake.config.model import Image, Os
from goldbake.errors import Exit, MissingError, UsageError
from goldbake.images.aws import AwsImages
from tests.fakes.aws import DEBIAN, NEWEST_DEBIAN, FakeAws
from tests.unit.images.conftest import HOME
from tests.unit.test_render import CONFIG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

RESULT = {"goldbake-image": "agents", "goldbake-fingerprint": "0123456789abcdef", "goldbake-checks": "passed"}
NAME = {"Name": "agents-0123456789ab"}


def image(os: Os = Os.DEBIAN_12, disk_gib: int = 32, **aws: object) -> Image:
    return CONFIG.images["gpu-agent"].model_copy(update={"os": os, "disk_gib": disk_gib, "aws": AwsSettings.model_validate(aws)})


def tagged(*kinds: str, bake: str = "b1") -> Any:
    tags = [{"Key": "goldbake-bake", "Value": bake}, {"Key": "goldbake-expires", "Value": "1"}]
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


def baked(ec2: EC2Client, bake: str = "b1") -> str:
    """An AMI as Packer leaves it: with the tags of its bake."""
    started = ec2.run_instances(ImageId=NEWEST_DEBIAN.id_in(HOME), InstanceType="c7i.xlarge", MinCount=1, MaxCount=1)
    instance = started["Instances"][0]["InstanceId"]
    made = ec2.create_image(InstanceId=instance, Name=f"agents-{bake}", TagSpecifications=tagged("image", "snapshot", bake=bake))
    ec2.terminate_instances(InstanceIds=[instance])
    return made["ImageId"]


def tags_of(fake: FakeAws, kind: str, region: str = HOME) -> dict[str, str]:
    (found,) = [one for one in fake.held() if one.kind == kind and one.region == region]
    return dict(found.tags)


# --- the base image


def test_the_newest_image_of_the_publisher_is_the_base(side: AwsImages) -> None:
    base = side.base(image())
    assert (base.id, base.owner, base.name) == (NEWEST_DEBIAN.id_in(HOME), DEBIAN, NEWEST_DEBIAN.name)


def test_each_region_has_a_base_of_its_own(side: AwsImages) -> None:
    assert side.base(image(region="eu-west-1")).id == NEWEST_DEBIAN.id_in("eu-west-1")


def test_no_base_image_is_told_with_owner_pattern_and_the_command_to_look(side: AwsImages) -> None:
    with pytest.raises(MissingError, match=r"no base image of debian-12 in us-east-1.*boots by legacy-bios") as caught:
        side.base(image(boot_mode="legacy-bios"))
    assert f"--owners {DEBIAN}" in caught.value.hint


def test_a_disk_smaller_than_the_base_is_refused_before_the_bake(side: AwsImages) -> None:
    with pytest.raises(UsageError, match="disk_gib 4 is smaller than the base image"):
        side.base(image(disk_gib=4))


# --- where a build machine can be


def test_a_subnet_of_the_default_vpc_is_chosen_with_a_reason(side: AwsImages, ec2: EC2Client) -> None:
    found = side.attempts(image())
    assert len({attempt.place for attempt in found}) == 3
    assert all("the default VPC, the zone offers the type" in attempt.reason for attempt in found)
    known = {subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]}
    assert {attempt.variables["subnet_id"] for attempt in found} <= known


def test_a_zone_that_does_not_offer_the_type_is_passed_over(side: AwsImages, fake_aws: FakeAws) -> None:
    fake_aws.book.withheld.add(("us-east-1a", "c7i.xlarge"))
    assert "us-east-1a" not in {attempt.place for attempt in side.attempts(image())}


def test_spot_is_tried_once_and_then_demand(side: AwsImages) -> None:
    found = side.attempts(image(spot=True))
    assert [attempt.spot for attempt in found] == [True, False, False, False]
    assert found[0].place.endswith(" (spot)")


def test_a_subnet_of_images_yaml_is_taken(side: AwsImages, ec2: EC2Client) -> None:
    given = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    (attempt,) = side.attempts(image(subnet=given))
    assert attempt.variables["subnet_id"] == given


def test_a_subnet_where_the_type_is_not_offered_is_refused_with_the_zones_that_do(
    side: AwsImages, ec2: EC2Client, fake_aws: FakeAws
) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]
    zone = subnet["AvailabilityZone"]
    fake_aws.book.withheld.add((zone, "c7i.xlarge"))
    with pytest.raises(UsageError, match=f"is in {zone}, where c7i.xlarge is not offered") as caught:
        side.attempts(image(subnet=subnet["SubnetId"]))
    assert zone not in caught.value.hint


def test_a_type_that_the_region_does_not_have_is_refused(side: AwsImages) -> None:
    with pytest.raises(UsageError, match=r"q9\.huge is not offered in us-east-1") as caught:
        side.attempts(image(instance_type="q9.huge"))
    assert "describe-instance-type-offerings --region us-east-1" in caught.value.hint


def test_a_region_without_a_default_vpc_names_the_command_that_makes_one(side: AwsImages, ec2: EC2Client) -> None:
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(MissingError, match="us-east-1 has no default VPC") as caught:
        side.attempts(image())
    assert "aws ec2 create-default-vpc --region us-east-1" in caught.value.hint


def test_session_manager_needs_its_program(side: AwsImages, monkeypatch: pytest.MonkeyPatch) -> None:
    side.require_tools(image())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="session-manager-plugin is not installed"):
        side.require_tools(image(communicator="session-manager", instance_profile="builders"))


# --- what Packer says


@pytest.mark.parametrize(
    ("said", "scope", "code"),
    [
        ("RunInstances, https response error StatusCode: 400, api error VcpuLimitExceeded: limit of 0", Scope.REGION, "VcpuLimitExceeded"),
        ("api error InsufficientInstanceCapacity: none", Scope.ZONE, "InsufficientInstanceCapacity"),
        ("become ready:There is no Spot capacity available that matches your request.", Scope.ZONE, "InsufficientInstanceCapacity"),
        ("errors: Error code: UnfulfillableCapacity, Error Message: none left", Scope.ZONE, "UnfulfillableCapacity"),
        ("api error UnauthorizedOperation: You are not authorized", Scope.ACCOUNT, "UnauthorizedOperation"),
    ],
)
def test_what_packer_says_is_understood(side: AwsImages, said: str, scope: Scope, code: str) -> None:
    found = side.refusal(f"packer could not build; its last lines:\n    ==> x: {said}\n", image(), spot=False)
    assert found is not None
    assert (found.scope, found.code) == (scope, code)
    assert found.hint


@pytest.mark.parametrize(("spot", "quota"), [(False, "L-1216C47A"), (True, "L-34B43A08")])
def test_a_quota_that_packer_meets_is_named(side: AwsImages, spot: bool, quota: str) -> None:
    code = "MaxSpotInstanceCountExceeded" if spot else "VcpuLimitExceeded"
    found = side.refusal(f"packer could not build; its last lines:\n    api error {code}: too many\n", image(), spot=spot)
    assert found is not None
    assert quota in found.message + found.hint
    assert "request-service-quota-increase" in found.hint


def test_another_failure_is_no_refusal(side: AwsImages) -> None:
    assert side.refusal("packer could not build: Timeout waiting for SSH.", image(), spot=False) is None


@pytest.mark.parametrize("artifact_id", ["", "us-east-1:", "gpu-agent-1"])
def test_an_artifact_that_is_no_ami_is_noticed(side: AwsImages, artifact_id: str) -> None:
    assert side.artifact({"artifact_id": "us-east-1:ami-0123"}) == "ami-0123"
    with pytest.raises(ValueError, match=artifact_id or "^$"):
        side.artifact({"artifact_id": artifact_id})


# --- finished images


def test_finishing_takes_the_tags_of_the_bake_away_from_image_and_snapshot(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    side.finish(baked(ec2), HOME, RESULT)
    assert tags_of(fake_aws, "image") == tags_of(fake_aws, "snapshot") == RESULT | NAME


def test_a_removed_image_leaves_no_snapshot_and_is_not_found(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    artifact = baked(ec2)
    side.remove(artifact, HOME)
    side.remove(artifact, HOME)
    assert fake_aws.held() == []
    assert side.find(artifact, HOME) is None


def test_an_image_that_never_was_is_not_found(side: AwsImages) -> None:
    assert side.find("ami-0123456789abcdef0", HOME) is None


def test_everything_of_a_bake_is_removed_and_nothing_else(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for bake in ("b1", "other"):
        ec2.run_instances(
            ImageId=NEWEST_DEBIAN.id_in(HOME),
            InstanceType="c7i.xlarge",
            MinCount=1,
            MaxCount=1,
            InstanceMarketOptions={"MarketType": "spot"},
            TagSpecifications=tagged("instance", "volume", "network-interface", "spot-instances-request", bake=bake),
        )
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=tagged("volume", bake=bake))
        ec2.create_key_pair(KeyName=f"packer-{bake}", TagSpecifications=tagged("key-pair", bake=bake))
        ec2.create_security_group(
            GroupName=f"packer-{bake}", Description="x", VpcId=vpc, TagSpecifications=tagged("security-group", bake=bake)
        )
        ec2.create_launch_template(
            LaunchTemplateName=f"packer-{bake}",
            LaunchTemplateData={"InstanceType": "c7i.xlarge"},
            TagSpecifications=tagged("launch-template", bake=bake),
        )
        baked(ec2, bake)
    fake_aws.book.linger = 2
    before = [one for one in fake_aws.held() if one.tags.get("goldbake-bake") == "other"]
    assert len(side.leftovers("b1", image(), images=True)) == len(before) >= 8
    assert side.remove_leftovers("b1", image(), images=True) == []
    assert fake_aws.held() == before


def test_a_finished_image_that_still_shows_its_old_tags_is_not_removed(side: AwsImages, ec2: EC2Client) -> None:
    artifact = baked(ec2)
    assert side.leftovers("b1", image(), images=False) == []
    assert side.remove_leftovers("b1", image(), images=False) == []
    assert side.find(artifact, HOME) is not None


def test_what_cannot_be_removed_is_named(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=tagged("volume"))["VolumeId"]
    fake_aws.refuse("VolumeInUse", "DeleteVolume", times=None)
    assert side.remove_leftovers("b1", image(), images=True) == [f"volume {volume}"]


# --- copies and readers


def test_a_copy_is_tagged_from_its_own_call_and_asks_with_the_same_token(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    artifact, tags = baked(ec2), RESULT
    described = image(copies=[{"region": "eu-west-1"}], encrypt=True)
    copy = side.copy(described, "agents-1", artifact, "eu-west-1", tags)
    side.copy(described, "agents-1", artifact, "eu-west-1", tags)
    first, second = [call.parameters for call in fake_aws.calls if call.action == "CopyImage"]
    assert first == second
    assert first["Encrypted"]
    assert side.copied(copy, "eu-west-1", tags)
    held = [one for one in fake_aws.held() if one.region == "eu-west-1"]
    assert {one.kind for one in held} == {"image", "snapshot"}
    assert all(dict(one.tags) == tags | NAME for one in held)


def test_a_copy_has_the_key_of_its_region(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    artifact = baked(ec2)
    described = image(encrypt=True, copies=[AwsCopy(region="eu-west-1", kms_key="alias/there").model_dump()])
    side.copy(described, "agents-1", artifact, "eu-west-1", RESULT)
    (call,) = [call for call in fake_aws.calls if call.action == "CopyImage"]
    assert call.parameters["KmsKeyId"] == "alias/there"


def test_a_copy_that_is_gone_is_a_failure(side: AwsImages, ec2: EC2Client) -> None:
    artifact = baked(ec2)
    side.remove(artifact, HOME)
    with pytest.raises(Failure) as caught:
        side.copied(artifact, HOME, {})
    assert caught.value.exit_code is Exit.FAILED


def test_readers_are_added_and_taken_back_and_nobody_is_by_default(side: AwsImages, ec2: EC2Client) -> None:
    artifact = baked(ec2)
    assert side.publishing(image()) == ""
    side.publish(image(share_with=["111122223333", "444455556666"]), artifact, HOME)
    side.publish(image(share_with=["444455556666"]), artifact, HOME)
    told = ec2.describe_image_attribute(ImageId=artifact, Attribute="launchPermission")["LaunchPermissions"]
    assert told == [{"UserId": "444455556666"}]


def test_an_organization_and_a_unit_are_told_apart(side: AwsImages, ec2: EC2Client, fake_aws: FakeAws) -> None:
    organization = "arn:aws:organizations::111122223333:organization/o-abcdefghij"
    unit = "arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-abcd-12345678"
    side.publish(image(share_with=[organization, unit]), baked(ec2), HOME)
    (call,) = [call for call in fake_aws.calls if call.action == "ModifyImageAttribute"]
    assert call.parameters["LaunchPermission"]["Add"] == [{"OrganizationArn": organization}, {"OrganizationalUnitArn": unit}]


def test_deprecation_counts_from_the_image_s_own_day_and_can_be_taken_back(side: AwsImages, ec2: EC2Client) -> None:
    artifact = baked(ec2)
    side.publish(image(deprecate_after_days=90), artifact, HOME)
    found = ec2.describe_images(ImageIds=[artifact])["Images"][0]
    born = datetime.datetime.fromisoformat(found["CreationDate"])
    ends = datetime.datetime.fromisoformat(found["DeprecationTime"])
    assert abs(ends - born - datetime.timedelta(days=90)) < datetime.timedelta(minutes=1)
    side.publish(image(), artifact, HOME)
    assert not ec2.describe_images(ImageIds=[artifact])["Images"][0].get("DeprecationTime")
