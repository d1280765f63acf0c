"""Everything of goldbake's that exists in one region of EC2, page by page, by its tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from goldbake.clouds import tags
from goldbake.clouds.aws.resources import GOING, GROUP, INSTANCE, INTERFACE, KINDS, SPOT, Kind, items, state_of, tags_of
from goldbake.config.model import Cloud
from launch.aws.network import AGENTS, SHARED
from launch.base import Instance, Resource
from launch.journal import BAKE, launch_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def resources(ec2: EC2Client, region: str, launch_id: str | None) -> Iterator[Resource]:
    """What carries our tags in a region, of one launch or bake or of all."""
    filters = _filters(launch_id)
    for kind in KINDS:
        if kind.only_bakes and launch_id is not None and not launch_id.startswith(BAKE):
            continue
        for item in items(ec2, kind, filters):
            state = state_of(item)
            if state not in kind.gone:
                yield _resource(kind, item, region, going=state in GOING)
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
        expires=tags.expires_of(found) or 0,
        address=item.get("PublicIpAddress") or item.get("PrivateIpAddress") or "",
        kind=item.get("InstanceType", ""),
        state=state_of(item),
    )


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
    return Resource(Cloud.AWS, kind.name, item[kind.id], launch_of(found), tags.expires_of(found), _owner(kind, item), region, going)


def _owner(kind: Kind, item: Any) -> str:
    """The instance to which something belongs."""
    attachments = item.get("Attachments") or [item.get("Attachment") or {}]
    return str((item if kind in (INSTANCE, SPOT) else attachments[0]).get("InstanceId") or "")
