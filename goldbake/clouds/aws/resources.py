"""What a launch or a bake can have in EC2: how each kind is listed, page by page, and deleted, and when it is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import code_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Kind:
    """One kind of resource: the call that lists it, and where its answer has what."""

    name: str
    operation: str
    field: str
    id: str
    page: int = 1000
    """The most that one page may hold; 0: the call has no pages."""
    gone: frozenset[str] = frozenset()
    """States of what does not exist any more."""
    only_bakes: bool = False
    mine: bool = False
    """Whether the call shows other accounts' as well, unless it is told not to."""


INSTANCE = Kind("instance", "describe_instances", "Reservations", "InstanceId", gone=frozenset({"terminated"}))
VOLUME = Kind("volume", "describe_volumes", "Volumes", "VolumeId", gone=frozenset({"deleted"}))
INTERFACE = Kind("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId")
GROUP = Kind("security group", "describe_security_groups", "SecurityGroups", "GroupId")
TEMPLATE = Kind("launch template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", page=200)
SPOT = Kind(
    "spot request", "describe_spot_instance_requests", "SpotInstanceRequests", "SpotInstanceRequestId",
    gone=frozenset({"closed", "cancelled", "failed"}),
)  # fmt: skip
KEY = Kind("key pair", "describe_key_pairs", "KeyPairs", "KeyPairId", page=0, only_bakes=True)
IMAGE = Kind("image", "describe_images", "Images", "ImageId", gone=frozenset({"deregistered"}), only_bakes=True, mine=True)
SNAPSHOT = Kind("snapshot", "describe_snapshots", "Snapshots", "SnapshotId", only_bakes=True, mine=True)

KINDS = (INSTANCE, SPOT, TEMPLATE, KEY, IMAGE, SNAPSHOT, VOLUME, INTERFACE, GROUP)
GOING = frozenset({"shutting-down", "deleting"})
"""States of what EC2 is about to remove."""

ONE_BY_ONE: dict[str, tuple[str, str]] = {
    TEMPLATE.name: ("delete_launch_template", "LaunchTemplateId"),
    KEY.name: ("delete_key_pair", "KeyPairId"),
    IMAGE.name: ("deregister_image", "ImageId"),
    SNAPSHOT.name: ("delete_snapshot", "SnapshotId"),
    VOLUME.name: ("delete_volume", "VolumeId"),
    INTERFACE.name: ("delete_network_interface", "NetworkInterfaceId"),
    GROUP.name: ("delete_security_group", "GroupId"),
}
"""Kind → the call that deletes one of it, and its parameter; instances and spot requests end by many."""
IN_USE = frozenset(
    {"DependencyViolation", "VolumeInUse", "InvalidNetworkInterface.InUse", "InvalidSnapshot.InUse", "InvalidGroup.InUse", "IncorrectState"}
)
"""Codes that pass as soon as something else is gone."""


def items(ec2: EC2Client, kind: Kind, filters: list[dict[str, Any]]) -> Iterator[Any]:
    """What a listing call shows, one page in memory at a time. Raises what the call raises."""
    more: dict[str, Any] = {"Filters": filters}
    if kind.mine:
        more["Owners" if kind is IMAGE else "OwnerIds"] = ["self"]
    client: Any = ec2
    if kind.page:
        pages = client.get_paginator(kind.operation).paginate(PaginationConfig={"PageSize": kind.page}, **more)
    else:
        pages = iter((getattr(client, kind.operation)(**more),))
    for page in pages:
        for item in page[kind.field]:
            yield from item["Instances"] if kind is INSTANCE else (item,)


def tag_list(given: Mapping[str, str]) -> list[Any]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in given.items()]


def tags_of(item: Any) -> Mapping[str, str]:
    """The tags of anything that EC2 shows."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or item.get("TagSet") or []}


def state_of(item: Any) -> str:
    """The state of anything that EC2 shows; empty for what has none."""
    state = item.get("State", "")
    return str(state.get("Name", "")) if isinstance(state, dict) else str(state)


def is_gone(error: BotoCoreError | ClientError) -> bool:
    """Whether the thing that a call was about does not exist any more."""
    code = code_of(error)
    return code.endswith(("NotFound", ".NotFoundException")) or code == "InvalidAMIID.Unavailable"
