"""What a launch or a bake can have in Azure: how it is listed over a subscription, page by page, by its tags, and how each kind is deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import code_of

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

PREFIX = "goldbake-"
"""How the name of everything begins that a launch or a bake makes."""


@dataclass(frozen=True)
class Kind:
    """One kind of resource: its type for Azure, and the client and the group of calls that delete it."""

    name: str
    provided: str
    """Azure's own word for it, as Microsoft.Compute/disks."""
    client: type[Any]
    calls: str
    phase: int
    """What has a higher one is held by something with a lower one, and goes after it."""
    forced: bool = False
    """Whether its end can be had without an orderly shutdown of the machine, which takes minutes less."""


GROUP = Kind("resource group", "Microsoft.Resources/resourceGroups", ResourceManagementClient, "resource_groups", 0)
SET = Kind("scale set", "Microsoft.Compute/virtualMachineScaleSets", ComputeManagementClient, "virtual_machine_scale_sets", 0, forced=True)
MACHINE = Kind("virtual machine", "Microsoft.Compute/virtualMachines", ComputeManagementClient, "virtual_machines", 0, forced=True)
VERSION = Kind("image version", "Microsoft.Compute/galleries/images/versions", ComputeManagementClient, "gallery_image_versions", 0)
IMAGE = Kind("image", "Microsoft.Compute/images", ComputeManagementClient, "images", 0)
SCHEDULE = Kind("shutdown schedule", "Microsoft.DevTestLab/schedules", ResourceManagementClient, "resources", 0)
INTERFACE = Kind("network interface", "Microsoft.Network/networkInterfaces", NetworkManagementClient, "network_interfaces", 1)
DISK = Kind("disk", "Microsoft.Compute/disks", ComputeManagementClient, "disks", 1)
SNAPSHOT = Kind("snapshot", "Microsoft.Compute/snapshots", ComputeManagementClient, "snapshots", 1)
NETWORK = Kind("virtual network", "Microsoft.Network/virtualNetworks", NetworkManagementClient, "virtual_networks", 2)
GATEWAY = Kind("NAT gateway", "Microsoft.Network/natGateways", NetworkManagementClient, "nat_gateways", 3)
RULES = Kind("network security group", "Microsoft.Network/networkSecurityGroups", NetworkManagementClient, "network_security_groups", 3)
ADDRESS = Kind("public address", "Microsoft.Network/publicIPAddresses", NetworkManagementClient, "public_ip_addresses", 4)

KINDS = (GROUP, SET, MACHINE, VERSION, IMAGE, SCHEDULE, INTERFACE, DISK, SNAPSHOT, NETWORK, GATEWAY, RULES, ADDRESS)
"""In the order in which they can be deleted."""
OF_TYPE: Mapping[str, Kind] = {kind.provided.lower(): kind for kind in KINDS}
NAMED: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
FORCED_TYPES = ",".join(kind.provided for kind in KINDS if kind.forced)
"""What the deletion of a whole group may end without an orderly shutdown."""

SCHEDULES_API = "2018-09-15"
"""The version of the interface of schedules, for which no SDK of ours has calls of its own."""
GOING = "deleting"
"""The provisioning state, in small letters, of what Azure is about to remove."""
_NOT_THERE = 404
_ID = re.compile(r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?(?:/providers/(?P<path>.+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Parts:
    """What a resource's id is made of."""

    subscription: str
    group: str
    names: tuple[str, ...]
    """The resource's own name last, before it those of what it is within: the gallery and the image of a version."""

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else self.group


def parts(resource_id: str) -> Parts:
    """Take an id apart. Raises ValueError for what is none."""
    found = _ID.fullmatch(resource_id)
    if found is None:
        raise ValueError(f"{resource_id!r} is no id of a resource of Azure")
    words = (found["path"] or "").split("/")
    return Parts(found["subscription"], found["group"] or "", tuple(words[2::2]))


def subscription_in(resource_id: str) -> str:
    """The subscription that an id names; empty for what is no id."""
    found = _ID.fullmatch(resource_id)
    return found["subscription"] if found else ""


def id_of(kind: Kind, subscription: str, group: str, name: str) -> str:
    """The id of what is in a resource group."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind.provided}/{name}"


def groups(azure: Azure, key: str, value: str, subscription: str = "") -> Iterator[Any]:
    """The resource groups with a tag. Raises what the call raises."""
    return iter(azure.client(ResourceManagementClient, subscription).resource_groups.list(filter=_with_tag(key, value)))


def tagged(azure: Azure, key: str, value: str, subscription: str = "") -> Iterator[Any]:
    """Everything with a tag, whatever its kind, one page in memory at a time. Raises what the call raises."""
    calls = azure.client(ResourceManagementClient, subscription).resources
    return iter(calls.list(filter=_with_tag(key, value), expand="createdTime,provisioningState"))


def within(azure: Azure, group: str, subscription: str = "") -> Iterator[Any]:
    """Everything in a group. Raises what the call raises."""
    calls = azure.client(ResourceManagementClient, subscription).resources
    return iter(calls.list_by_resource_group(group, expand="createdTime,provisioningState"))


def delete(azure: Azure, kind: Kind, resource_id: str) -> Any:
    """Ask for the end of one; returns the operation, which nobody has waited for. Raises what the call raises."""
    of = parts(resource_id)
    calls = getattr(azure.client(kind.client, of.subscription), kind.calls)
    if kind is GROUP:
        return calls.begin_delete(of.group, force_deletion_types=FORCED_TYPES)
    if kind is SCHEDULE:
        return calls.begin_delete_by_id(resource_id, api_version=SCHEDULES_API)
    more = {"force_deletion": True} if kind.forced else {}
    return calls.begin_delete(of.group, *of.names, **more)


def kind_of(item: Any) -> Kind | None:
    """The kind of what a listing shows; None for one that goldbake never makes."""
    return OF_TYPE.get(str(item.type or "").lower())


def is_going(item: Any) -> bool:
    """Whether Azure is about to remove what a listing shows."""
    state = getattr(item, "provisioning_state", None) or getattr(getattr(item, "properties", None), "provisioning_state", None)
    return word(state).lower() == GOING


def is_gone(error: AzureError) -> bool:
    """Whether the thing that a call was about does not exist any more, or its group."""
    return isinstance(error, HttpResponseError) and (error.status_code == _NOT_THERE or code_of(error).endswith("NotFound"))


def _with_tag(key: str, value: str) -> str:
    return f"tagName eq '{key}' and tagValue eq '{value}'"
