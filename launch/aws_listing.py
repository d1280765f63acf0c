"""Everything of goldbake's that exists in one region of EC2, page by page, by its tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldbake.clouds import tags
from goldbake.config.model import Cloud
from launch.aws_network import AGENTS, SHARED
from launch.base import Instance, Resource
from launch.journal import BAKE

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
_GOING = frozenset({"shutting-down", "deleting"})


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


def resources(ec2: EC2Client, region: str, launch_id: str | None) -> Iterator[Resource]:
    """What carries our tags in a region, of one launch or bake or of all."""
    filters = _filters(launch_id)
    for kind in KINDS:
        if kind.only_bakes and launch_id is not None and not launch_id.startswith(BAKE):
            continue
        for item in items(ec2, kind, filters):
            state = _state(item)
            if state not in kind.gone:
                yield _resource(kind, item, region, going=state in _GOING)
    if launch_id is None or not launch_id.startswith(BAKE):
        yield from _shared_groups(ec2, region, launch_id)


def instances(ec2: EC2Client, region: str, launch_id: str | None) -> Iterator[Any]:
    """The instances as DescribeInstances has them, ended ones too."""
    return items(ec2, INSTANCE, _filters(launch_id))


def instance(item: Any, region: str, number: int) -> Instance:
    """An instance of ours from what RunInstances or DescribeInstances says."""
    found = tags_of(item)
    spot = item.get("InstanceLifecycle") == "spot"
    return Instance(
        cloud=Cloud.AWS,
        launch_id=launch_of(found),
        number=number,
        id=item["InstanceId"],
        image=found.get(tags.IMAGE, ""),
        place=(item.get("Placement", {}).get("AvailabilityZone") or region) + (" (spot)" if spot else ""),
        created=item["LaunchTime"].timestamp(),
        expires=_expires(found) or 0,
        address=item.get("PublicIpAddress") or item.get("PrivateIpAddress") or "",
        kind=item.get("InstanceType", ""),
        state=_state(item),
    )


def tags_of(item: Any) -> Mapping[str, str]:
    """The tags of anything that EC2 shows."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or item.get("TagSet") or []}


def launch_of(found: Mapping[str, str]) -> str:
    """The launch, or `bake-ID`."""
    return found.get(tags.LAUNCH) or (f"{BAKE}{found[tags.BAKE]}" if tags.BAKE in found else "")


def _filters(launch_id: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"Name": f"tag:{tags.MANAGED_BY}", "Values": [tags.OWNER]}]
    if launch_id is None:
        found.append({"Name": "tag-key", "Values": [tags.EXPIRES]})  # launches and bakes have it, results of bakes do not
    elif launch_id.startswith(BAKE):
        found.append({"Name": f"tag:{tags.BAKE}", "Values": [launch_id.removeprefix(BAKE)]})
    else:
        found.append({"Name": f"tag:{tags.LAUNCH}", "Values": [launch_id]})
    return found


def _shared_groups(ec2: EC2Client, region: str, launch_id: str | None) -> Iterator[Resource]:
    """The group that launches share belongs to the last one that uses it, and to whoever asks when nobody does."""
    marks = [{"Name": f"tag:{tags.MANAGED_BY}", "Values": [tags.OWNER]}, {"Name": f"tag:{SHARED}", "Values": [AGENTS]}]
    for group in items(ec2, GROUP, marks):
        users = {launch_of(tags_of(item)) for item in items(ec2, INTERFACE, [{"Name": "group-id", "Values": [group["GroupId"]]}])}
        if "" in users:
            continue  # somebody put a machine of their own into it
        if users <= {launch_id} or (launch_id is None and len(users) <= 1):
            yield Resource(Cloud.AWS, GROUP.name, group["GroupId"], launch_id or next(iter(users), ""), place=region)


def _resource(kind: Kind, item: Any, region: str, *, going: bool) -> Resource:
    found = tags_of(item)
    return Resource(Cloud.AWS, kind.name, item[kind.id], launch_of(found), _expires(found), _owner(kind, item), region, going)


def _state(item: Any) -> str:
    state = item.get("State", "")
    return str(state.get("Name", "")) if isinstance(state, dict) else str(state)


def _owner(kind: Kind, item: Any) -> str:
    """The instance to which something belongs."""
    attachments = item.get("Attachments") or [item.get("Attachment") or {}]
    return str((item if kind in (INSTANCE, SPOT) else attachments[0]).get("InstanceId") or "")


def _expires(found: Mapping[str, str]) -> int | None:
    text = found.get(tags.EXPIRES, "")
    return int(text) if text.isascii() and text.isdigit() else None
