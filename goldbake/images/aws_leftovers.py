"""What a bake left in EC2: found by its tag, deleted in the order in which that works, and listed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from goldbake.clouds import tags
from goldbake.clouds.aws.errors import code_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import ImageTypeDef

_POLL_S = 5.0
PATIENCE_S = 300.0
"""An instance with a GPU may take two minutes to end, and its group goes only after it."""
_BUSY = ("DependencyViolation", "VolumeInUse", "InvalidNetworkInterface.InUse", "InvalidSnapshot.InUse", "IncorrectState")
"""Not yet: something that is on its way out still uses it."""


class Left(NamedTuple):
    """Something that exists. `kind` in the order of deletion."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def existing(ec2: EC2Client, bake_id: str, *, images: bool) -> list[Left]:
    """Everything of a bake that exists now; `images`: also AMIs and snapshots, which have the bake's tag until they are finished."""
    found = [Left(kind, one) for kind, found in _listings(ec2, bake_id) for one in found]
    return found if images else [one for one in found if one.kind not in ("image", "snapshot")]


def remove(ec2: EC2Client, bake_id: str, pause: Callable[[float], None], *, images: bool, patience: float = PATIENCE_S) -> list[Left]:
    """Delete everything of a bake, again and again until nothing is left; returns what there still is after `patience` seconds."""
    left = existing(ec2, bake_id, images=images)
    for _ in range(int(patience / _POLL_S)):
        if not left:
            break
        for one in left:
            _delete(ec2, one)
        left = existing(ec2, bake_id, images=images)
        if left:
            pause(_POLL_S)
    return left


def remove_image(ec2: EC2Client, image: ImageTypeDef) -> None:
    """Deregister an AMI and delete its snapshots."""
    _delete(ec2, Left("image", image["ImageId"]))
    for snapshot in snapshots_of(image):
        _delete(ec2, Left("snapshot", snapshot))


def snapshots_of(image: ImageTypeDef) -> list[str]:
    """The snapshots that an AMI is made of."""
    return [device["Ebs"]["SnapshotId"] for device in image.get("BlockDeviceMappings", []) if "SnapshotId" in device.get("Ebs", {})]


def _listings(ec2: EC2Client, bake_id: str) -> Iterator[tuple[str, list[str]]]:
    ours: list[Any] = [{"Name": f"tag:{tags.BAKE}", "Values": [bake_id]}]

    def pages(operation: Any, key: str, **more: Any) -> list[Any]:
        return [item for page in ec2.get_paginator(operation).paginate(Filters=ours, **more) for item in page.get(key, [])]

    instances = [one for reservation in pages("describe_instances", "Reservations") for one in reservation["Instances"]]
    yield "instance", [one["InstanceId"] for one in instances if one["State"]["Name"] != "terminated"]
    requests = pages("describe_spot_instance_requests", "SpotInstanceRequests")
    yield "spot request", [one["SpotInstanceRequestId"] for one in requests if one["State"] in ("open", "active")]
    yield "launch template", [one["LaunchTemplateId"] for one in pages("describe_launch_templates", "LaunchTemplates")]
    yield "key pair", [one["KeyPairId"] for one in ec2.describe_key_pairs(Filters=ours)["KeyPairs"]]
    yield "volume", [one["VolumeId"] for one in pages("describe_volumes", "Volumes") if one["State"] not in ("deleting", "deleted")]
    yield "network interface", [one["NetworkInterfaceId"] for one in pages("describe_network_interfaces", "NetworkInterfaces")]
    yield "security group", [one["GroupId"] for one in pages("describe_security_groups", "SecurityGroups")]
    yield (
        "image",
        [one["ImageId"] for one in ec2.describe_images(Owners=["self"], Filters=ours)["Images"] if one["State"] != "deregistered"],
    )
    yield "snapshot", [one["SnapshotId"] for one in pages("describe_snapshots", "Snapshots", OwnerIds=["self"])]


def _delete(ec2: EC2Client, left: Left) -> None:
    """Ask for the end of one thing. What is gone is fine, what is still used comes again in the next round."""
    calls: dict[str, Callable[[], object]] = {
        "instance": lambda: ec2.terminate_instances(InstanceIds=[left.id]),
        "spot request": lambda: ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[left.id]),
        "launch template": lambda: ec2.delete_launch_template(LaunchTemplateId=left.id),
        "key pair": lambda: ec2.delete_key_pair(KeyPairId=left.id),
        "volume": lambda: ec2.delete_volume(VolumeId=left.id),
        "network interface": lambda: ec2.delete_network_interface(NetworkInterfaceId=left.id),
        "security group": lambda: ec2.delete_security_group(GroupId=left.id),
        "image": lambda: ec2.deregister_image(ImageId=left.id),
        "snapshot": lambda: ec2.delete_snapshot(SnapshotId=left.id),
    }
    try:
        calls[left.kind]()
    except ClientError as error:
        code = code_of(error)
        if code not in _BUSY and "NotFound" not in code and code not in ("InvalidAMIID.Unavailable",):
            raise
