"""The image side of EC2: base images, where a build can be, AMIs with their snapshots, copies and permissions."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from goldbake import proc
from goldbake.clouds import tags as names
from goldbake.clouds.aws.errors import failure, refused
from goldbake.clouds.aws.quotas import explained
from goldbake.clouds.aws.resources import tag_list
from goldbake.clouds.aws.session import Aws
from goldbake.clouds.failure import Failure, Scope
from goldbake.config import base_images
from goldbake.config.aws import AwsSettings
from goldbake.config.model import Cloud, Image
from goldbake.errors import Exit, MissingError, UsageError
from goldbake.images import aws_leftovers
from goldbake.images.base import Attempt, Base
from goldbake.packer import Value

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef, SubnetTypeDef

_ZONES = 3
"""In how many zones a build is tried; more would only make a shortage of the whole region take longer."""
_GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
_API_ERROR = re.compile(r"api error (?P<code>[A-Za-z.]+): (?P<said>.*)")
_FLEET_ERROR = re.compile(r"Error code: (?P<code>[A-Za-z.]+), Error Message: (?P<said>.*)")
_NO_SPOT = re.compile(r"There is no Spot capacity available[^\n]*|[^\n]*InsufficientInstanceCapacity[^\n]*")
"""Of a fleet without instances the plugin prints the message only, and after some retries the code only."""
_STARTING = "start a build instance"
_COPY_TRIES = 5
_LOOKS, _LOOK_S = 6, 5.0
_SOON = datetime.timedelta(minutes=10)
"""EC2 takes no time in the past for a deprecation."""


class AwsImages:
    """AMIs of the account of the default credential chain. `pause` waits a number of seconds, `patience` is how long removals are waited for."""

    cloud = Cloud.AWS

    def __init__(
        self, aws: Aws | None = None, *, pause: Callable[[float], None] = time.sleep, patience: float = aws_leftovers.PATIENCE_S
    ) -> None:
        self._aws = aws or Aws()
        self._pause = pause
        self._patience = patience

    def region(self, image: Image) -> str:
        return image.aws.region

    def home(self, image: Image) -> str:
        """No account stands in an AMI's id, and none shows another's AMIs that are not shared."""
        return ""

    def has_gpu(self, image: Image) -> bool:
        return image.aws.has_gpu

    def base(self, image: Image) -> Base:
        """The newest AMI by creation date. Raises MissingError when none fits what images.yaml asks for."""
        wanted, region = base_images.AWS[image.os], image.aws.region
        filters: list[FilterTypeDef] = [
            {"Name": "name", "Values": [wanted.name]},
            {"Name": "architecture", "Values": ["x86_64"]},
            {"Name": "virtualization-type", "Values": ["hvm"]},
            {"Name": "state", "Values": ["available"]},
        ]
        with _asking(f"look for base images of {image.os}", region):
            found = self._ec2(region).describe_images(Owners=[wanted.owner], Filters=filters)["Images"]
        fitting = [one for one in found if one.get("RootDeviceType") == "ebs" and one.get("EnaSupport", True) and _boots(one, image.aws)]
        if not fitting:
            how = "" if image.aws.boot_mode == "any" else f" that boots by {image.aws.boot_mode}"
            raise MissingError(
                f"there is no base image of {image.os} in {region}: no x86_64 AMI {wanted.name} of account {wanted.owner}{how}",
                hint=f"compare with `aws ec2 describe-images --region {region} --owners {wanted.owner} --filters 'Name=name,Values={wanted.name}'`,"
                " or name another region in images.yaml (aws.region)",
            )
        newest = max(fitting, key=lambda one: (one["CreationDate"], one["ImageId"]))
        if (least := max(_volume_sizes(newest), default=0)) > image.disk_gib:
            raise UsageError(
                f"disk_gib {image.disk_gib} is smaller than the base image {newest['ImageId']}, which has {least} GiB",
                hint=f"write disk_gib: {least} or more into images.yaml",
            )
        return Base(newest["ImageId"], newest["Name"], newest.get("OwnerId", wanted.owner), newest["CreationDate"])

    def attempts(self, image: Image) -> Sequence[Attempt]:
        """On spot first if images.yaml says so; then on demand in each zone that has a subnet and offers the type."""
        settings, region = image.aws, image.aws.region
        subnets = self._subnets(settings)
        kind = settings.instance_type
        found: list[Attempt] = []
        for spot in (True, False) if settings.spot else (False,):
            for subnet, why in subnets[: 1 if spot else _ZONES]:
                place = f"{subnet.get('AvailabilityZone', region)}{' (spot)' if spot else ''}"
                reason = f"{kind} in subnet {subnet['SubnetId']} of {subnet['VpcId']}: {why}"
                found.append(Attempt(place, reason, {"subnet_id": subnet["SubnetId"], "spot": spot}, spot))
        return found

    def require_tools(self, image: Image) -> None:
        """Session Manager's own program opens the tunnel."""
        if image.aws.communicator == "session-manager" and proc.find("session-manager-plugin") is None:
            raise MissingError(
                "session-manager-plugin is not installed, and images.yaml asks for communicator: session-manager",
                hint="https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
            )

    def make_ready(self, name: str, image: Image) -> None:
        """AMIs are kept in nothing that has to be made."""

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def source(self, image_id: str) -> dict[str, Value]:
        return {"source_ami": image_id}

    def artifact(self, build: Mapping[str, Any]) -> str:
        """`us-east-1:ami-0123` → `ami-0123`."""
        image_id: str = build["artifact_id"].rpartition(":")[2]
        if not image_id.startswith("ami-"):
            raise ValueError(build["artifact_id"])
        return image_id

    def refusal(self, said: str, image: Image, *, spot: bool) -> Failure | None:
        region = self.region(image)
        found = _refusal(said, region)
        return found and explained(self._aws, found, region=region, types=[image.aws.instance_type], spot=spot)

    def find(self, artifact: str, region: str) -> Mapping[str, Any] | None:
        try:
            with _asking(f"look for {artifact}", region):
                found = self._ec2(region).describe_images(ImageIds=[artifact])["Images"]
        except Failure as error:
            if error.code in _GONE:
                return None
            raise
        alive = [one for one in found if one.get("State") not in ("deregistered", "invalid", "failed", "error")]
        return alive[0] if alive else None

    def disk_bytes(self, found: Mapping[str, Any]) -> int:
        return sum(_volume_sizes(found)) * 2**30

    def finish(self, artifact: str, region: str, tags: Mapping[str, str]) -> None:
        resources = self._with_snapshots(artifact, region)
        ec2 = self._ec2(region)
        with _asking(f"tag {artifact}", region):
            ec2.create_tags(Resources=resources, Tags=tag_list(_with_name(tags)))
            ec2.delete_tags(Resources=resources, Tags=[{"Key": names.BAKE}, {"Key": names.EXPIRES}])

    def remove(self, artifact: str, region: str) -> None:
        if (found := self.find(artifact, region)) is not None:
            with _asking(f"remove {artifact}", region):
                aws_leftovers.remove_image(self._ec2(region), cast("ImageTypeDef", found))

    def leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        region = image.aws.region
        with _asking(f"list what bake {bake_id} has made", region):
            return [str(one) for one in aws_leftovers.existing(self._ec2(region), bake_id, images=images)]

    def remove_leftovers(self, bake_id: str, image: Image, *, images: bool) -> list[str]:
        region = image.aws.region
        with _asking(f"remove what bake {bake_id} has made", region):
            left = aws_leftovers.remove(self._ec2(region), bake_id, self._pause, images=images, patience=self._patience)
            return [str(one) for one in left]

    def copies(self, image: Image) -> tuple[str, ...]:
        return tuple(copy.region for copy in image.aws.copies)

    def copy(self, image: Image, name: str, artifact: str, region: str, tags: Mapping[str, str]) -> str:
        """The token is made of artifact and region: a copy that a killed run has asked for is found again, one that was deleted is not."""
        home = image.aws.region
        key = next((copy.kms_key for copy in image.aws.copies if copy.region == region), "")
        encryption: dict[str, Any] = {"Encrypted": True} if image.aws.encrypt else {}
        encryption |= {"KmsKeyId": key} if key else {}
        listed: list[Any] = [{"ResourceType": kind, "Tags": tag_list(_with_name(tags))} for kind in ("image", "snapshot")]
        for number in range(_COPY_TRIES):
            with _asking(f"copy {artifact} from {home}", region):
                copied = self._ec2(region).copy_image(
                    SourceImageId=artifact,
                    SourceRegion=home,
                    Name=name,
                    ClientToken=hashlib.sha256(f"{home}/{artifact}/{region}/{number}".encode()).hexdigest(),
                    TagSpecifications=listed,
                    **encryption,
                )["ImageId"]
            if self._appears(copied, region):
                return copied
        raise Failure(
            Scope.REGION, "CopyIsGone", f"copies of {artifact} in {region} were deleted {_COPY_TRIES} times", exit_code=Exit.FAILED
        )

    def _appears(self, artifact: str, region: str) -> bool:
        """Whether an image that was just asked for can be seen: EC2 may take some seconds to show it."""
        for _ in range(_LOOKS):
            if self.find(artifact, region) is not None:
                return True
            self._pause(_LOOK_S)
        return False

    def copied(self, artifact: str, region: str, tags: Mapping[str, str]) -> bool:
        with _asking(f"look at the copy {artifact}", region):
            found = self._ec2(region).describe_images(ImageIds=[artifact])["Images"]
        state = found[0]["State"] if found else "gone"
        if state == "pending":
            return False
        if state != "available":
            said = found[0].get("StateReason", {}).get("Message", "") if found else ""
            raise Failure(
                Scope.REGION,
                "CopyFailed",
                f"the copy {artifact} in {region} is {state}{f': {said}' if said else ''}",
                hint="if it is encrypted: does the key's policy let this account use it there?",
                exit_code=Exit.FAILED,
            )
        self.finish(artifact, region, tags)
        if found[0].get("ImdsSupport") != "v2.0":
            with _asking(f"require IMDSv2 of {artifact}", region):
                self._ec2(region).modify_image_attribute(ImageId=artifact, ImdsSupport={"Value": "v2.0"})
        return True

    def publishing(self, image: Image) -> str:
        settings = image.aws
        if not settings.share_with and not settings.deprecate_after_days:
            return ""
        return hashlib.sha256(json.dumps([sorted(settings.share_with), settings.deprecate_after_days]).encode()).hexdigest()[:16]

    def publish(self, image: Image, artifact: str, region: str) -> None:
        ec2, settings = self._ec2(region), image.aws
        wanted = {_reader(who) for who in settings.share_with}
        with _asking(f"share {artifact}", region):
            told = ec2.describe_image_attribute(ImageId=artifact, Attribute="launchPermission")["LaunchPermissions"]
            present = {(kind, str(value)) for one in told for kind, value in one.items()}
            change = {
                how: [{kind: value} for kind, value in sorted(readers)]
                for how, readers in (("Add", wanted - present), ("Remove", present - wanted))
                if readers
            }
            if change:
                ec2.modify_image_attribute(ImageId=artifact, LaunchPermission=change)  # type: ignore[arg-type]
        with _asking(f"set the deprecation of {artifact}", region):
            if settings.deprecate_after_days:
                found = ec2.describe_images(ImageIds=[artifact])["Images"][0]
                born = datetime.datetime.fromisoformat(found["CreationDate"])
                ends = born + datetime.timedelta(days=settings.deprecate_after_days)
                ec2.enable_image_deprecation(ImageId=artifact, DeprecateAt=max(ends, datetime.datetime.now(datetime.UTC) + _SOON))
            elif ec2.describe_images(ImageIds=[artifact])["Images"][0].get("DeprecationTime"):
                ec2.disable_image_deprecation(ImageId=artifact)

    def _ec2(self, region: str) -> EC2Client:
        return self._aws.ec2(region)

    def _with_snapshots(self, artifact: str, region: str) -> list[str]:
        found = self.find(artifact, region)
        if found is None:
            raise Failure(Scope.REQUEST, "InvalidAMIID.NotFound", f"{artifact} is not in {region} any more", exit_code=Exit.FAILED)
        return [artifact, *aws_leftovers.snapshots_of(cast("ImageTypeDef", found))]

    def _subnets(self, settings: AwsSettings) -> list[tuple[SubnetTypeDef, str]]:
        """Where a build machine of this type can be, best first, each with the reason."""
        region, kind = settings.region, settings.instance_type
        ec2 = self._ec2(region)
        with _asking(f"see where {kind} is offered", region):
            offers = ec2.describe_instance_type_offerings(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [kind]}]
            )["InstanceTypeOfferings"]
        zones = {offer.get("Location", "") for offer in offers}
        if not zones:
            raise UsageError(
                f"{kind} is not offered in {region}",
                hint="name another aws.instance_type or aws.region in images.yaml; "
                f"`aws ec2 describe-instance-type-offerings --region {region}` lists what there is",
            )
        if settings.subnet:
            with _asking(f"find subnet {settings.subnet}", region):
                (given,) = ec2.describe_subnets(SubnetIds=[settings.subnet])["Subnets"]
            if given.get("AvailabilityZone") not in zones:
                raise UsageError(
                    f"subnet {settings.subnet} is in {given.get('AvailabilityZone')}, where {kind} is not offered",
                    hint=f"name a subnet in one of {', '.join(sorted(zones))} in images.yaml (aws.subnet), or another aws.instance_type",
                )
            return [(given, "images.yaml names it")]
        vpc = settings.vpc or self._default_vpc(region)
        with _asking(f"list the subnets of {vpc}", region):
            listed = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "state", "Values": ["available"]}])[
                "Subnets"
            ]
        fitting = [subnet for subnet in listed if subnet.get("AvailabilityZone") in zones]
        if not fitting:
            there = ", ".join(sorted({subnet.get("AvailabilityZone", "") for subnet in listed})) or "no zone"
            raise UsageError(
                f"{vpc} has subnets in {there}, and {kind} is offered in {', '.join(sorted(zones))}",
                hint="name a subnet in images.yaml (aws.subnet), or another aws.instance_type",
            )
        public = settings.address == "public"
        fitting.sort(
            key=lambda one: (one.get("MapPublicIpOnLaunch", False) is not public, -one.get("AvailableIpAddressCount", 0), one["SubnetId"])
        )
        whose = "named in images.yaml" if settings.vpc else "the default VPC"
        best: dict[str, tuple[SubnetTypeDef, str]] = {}
        for one in fitting:
            why = f"{whose}, the zone offers the type, {one.get('AvailableIpAddressCount', 0)} addresses are free"
            best.setdefault(one.get("AvailabilityZone", ""), (one, why))
        return list(best.values())

    def _default_vpc(self, region: str) -> str:
        with _asking("find the default VPC", region):
            found = self._ec2(region).describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not found:
            raise MissingError(
                f"{region} has no default VPC",
                hint=f"name a VPC or subnet in images.yaml (aws.vpc, aws.subnet), or make one: `aws ec2 create-default-vpc --region {region}`",
            )
        return found[0]["VpcId"]


@contextmanager
def _asking(doing: str, region: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise failure(error, doing=doing, region=region) from error


def _with_name(tags: Mapping[str, str]) -> dict[str, str]:
    """The tag that EC2's console shows as the name, beside the tags of a finished image."""
    return {"Name": f"{tags[names.IMAGE]}-{tags[names.FINGERPRINT][:12]}"} | dict(tags)


def _boots(found: ImageTypeDef, settings: AwsSettings) -> bool:
    return settings.boot_mode in ("any", found.get("BootMode", "legacy-bios"))


def _volume_sizes(found: Mapping[str, Any]) -> list[int]:
    return [device["Ebs"].get("VolumeSize", 0) for device in found.get("BlockDeviceMappings", ()) if "Ebs" in device]


def _reader(who: str) -> tuple[str, str]:
    """As EC2 calls it: an account, an organization or an organizational unit."""
    if who.isdigit():
        return "UserId", who
    return ("OrganizationArn" if ":organization/" in who else "OrganizationalUnitArn"), who


def _refusal(said: str, region: str) -> Failure | None:
    for pattern in (_API_ERROR, _FLEET_ERROR):
        if found := list(pattern.finditer(said)):
            return refused(found[-1]["code"], found[-1]["said"].strip(), doing=_STARTING, region=region)
    if found := list(_NO_SPOT.finditer(said)):
        return refused("InsufficientInstanceCapacity", found[-1][0].strip(), doing=_STARTING, region=region)
    return None
