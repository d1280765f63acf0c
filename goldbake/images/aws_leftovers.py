"""What a bake left in EC2: found by its tag, deleted in the order in which that works, and listed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from goldbake.clouds import tags
from goldbake.clouds.aws.errors import code_of
from goldbake.clouds.aws.resources import IMAGE, IN_USE, INSTANCE, KINDS, ONE_BY_ONE, SNAPSHOT, SPOT, is_gone, items, state_of
from goldbake.images.leftovers import until_gone

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import ImageTypeDef

PATIENCE_S = 300.0
"""An instance with a GPU may take two minutes to end, and its group goes only after it."""


class Left(NamedTuple):
    """Something that exists."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def existing(ec2: EC2Client, bake_id: str, *, images: bool) -> list[Left]:
    """Everything of a bake that exists now; `images`: also AMIs and snapshots, which have the bake's tag until they are finished."""
    ours = [{"Name": f"tag:{tags.BAKE}", "Values": [bake_id]}]
    return [
        Left(kind.name, item[kind.id])
        for kind in KINDS
        if images or kind not in (IMAGE, SNAPSHOT)
        for item in items(ec2, kind, ours)
        if state_of(item) not in kind.gone | {"deleting"}
    ]


def remove(ec2: EC2Client, bake_id: str, pause: Callable[[float], None], *, images: bool, patience: float = PATIENCE_S) -> list[Left]:
    """Delete everything of a bake, again and again until nothing is left; returns what there still is after `patience` seconds."""
    return until_gone(lambda: existing(ec2, bake_id, images=images), lambda left: _delete(ec2, left), pause, patience)


def remove_image(ec2: EC2Client, image: ImageTypeDef) -> None:
    """Deregister an AMI and delete its snapshots."""
    _delete(ec2, Left(IMAGE.name, image["ImageId"]))
    for snapshot in snapshots_of(image):
        _delete(ec2, Left(SNAPSHOT.name, snapshot))


def snapshots_of(image: ImageTypeDef) -> list[str]:
    """The snapshots that an AMI is made of."""
    return [device["Ebs"]["SnapshotId"] for device in image.get("BlockDeviceMappings", []) if "SnapshotId" in device.get("Ebs", {})]


def _delete(ec2: EC2Client, left: Left) -> None:
    """Ask for the end of one thing. What is gone is fine, what is still used comes again in the next round."""
    try:
        if left.kind == INSTANCE.name:
            ec2.terminate_instances(InstanceIds=[left.id])
        elif left.kind == SPOT.name:
            ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[left.id])
        else:
            operation, parameter = ONE_BY_ONE[left.kind]
            getattr(ec2, operation)(**{parameter: left.id})
    except ClientError as error:
        if code_of(error) not in IN_USE and not is_gone(error):
            raise
