"""Everything of goldbake's that exists in one subscription of Azure, page by page, by its tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient

from goldbake.clouds import tags
from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.resources import (
    GROUP,
    MACHINE,
    PREFIX,
    SET,
    Kind,
    groups,
    id_of,
    is_going,
    is_gone,
    kind_of,
    parts,
    tagged,
    within,
)
from goldbake.config.model import Cloud
from launch.azure.watch import seen
from launch.base import Instance, Resource
from launch.journal import BAKE, launch_of

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_STATES = {"succeeded": "running"}
"""What the provisioning state of a VM says of it as long as nobody looks closer."""
_NAMED = re.compile(rf"{PREFIX}(?P<launch>[a-z0-9]+)(?:-.*)?")


def resources(azure: Azure, subscription: str, launch_id: str | None) -> Iterator[Resource]:
    """What carries our tags in a subscription, of one launch or bake or of all.

    Of what is in a group of ours only the machines are named, since agents are called after them: it goes with its group. In a group of
    somebody else what Azure makes by itself beside a machine may have no tags; it has the launch in its name.
    """
    key, value = _mark(launch_id)
    ours: dict[str, Mapping[str, str]] = {}
    for item in groups(azure, key, value, subscription):
        found = tags_of(item)
        if _is_ours(found, launch_id):
            ours[str(item.name).lower()] = found
            yield _resource(GROUP.name, item, found)
    seen, theirs = set[str](), dict[str, dict[str, Mapping[str, str]]]()
    for item in tagged(azure, key, value, subscription):
        found, kind, group = tags_of(item), kind_of(item), parts(item.id).group
        if not _is_ours(found, launch_id) or (group.lower() in ours and kind is not MACHINE):
            continue
        seen.add(item.id.lower())
        if group.lower() not in ours:
            theirs.setdefault(group, {}).setdefault(launch_of(found), found)
        yield _resource(kind.name if kind else str(item.type), item, found)
    if launch_id is not None:
        theirs |= {group: {launch_of(found): found} for group, found in ours.items()}
    for group, launches in theirs.items():
        for item in _inside(azure, group, subscription):
            kind, given = kind_of(item), launches.get(_launch_in(str(item.name)))
            if kind and given and item.id.lower() not in seen and (group not in ours or kind is MACHINE):
                yield _resource(kind.name, item, given)


def living(azure: Azure, subscription: str, launch_id: str | None, group: str) -> list[Instance]:
    """The instances of one launch or of all, oldest first. `group` is where those of one launch are; empty: anywhere. Raises what calls raise."""
    calls = azure.client(ComputeManagementClient, subscription).virtual_machines
    try:
        shown = list(calls.list(group) if group else calls.list_all())
        found = sorted((item for item in shown if (of := launch_of_machine(item)) and launch_id in (None, of)), key=age)
        if not found:
            return []
        at = addresses(azure, subscription, group)
        states = {str(item.id).lower(): seen(item).state for item in calls.list_all(status_only="true")} if launch_id is None else {}
    except AzureError as error:
        if group and is_gone(error):
            return []
        raise
    numbered, result = Counter[str](), []
    for item in found:
        of, key = launch_of_machine(item), str(item.id).lower()
        numbered[of] += 1
        result.append(instance(item, numbered[of], at.get(key, ""), states.get(key, "")))
    return result


def made(azure: Azure, group: str, name: str, kind: Kind) -> list[Any]:
    """A VM, or the VMs of a scale set, with what they say of their states; nothing when it is gone. Raises what the call raises."""
    client = azure.client(ComputeManagementClient)
    calls = client.virtual_machines
    try:
        if kind is MACHINE:
            return [calls.get(group, name, expand="instanceView")]
        of_set = f"'virtualMachineScaleSet/id' eq '{id_of(SET, azure.subscription, group, name)}'"
        return list(calls.list(group, filter=of_set, expand="instanceView"))
    except AzureError as error:
        if is_gone(error):
            return []
        raise


def addresses(azure: Azure, subscription: str, group: str) -> Mapping[str, str]:
    """Id of a VM, in small letters → its address: the public one, when it has one. Of a group, or with an empty one of the subscription."""
    network = azure.client(NetworkManagementClient, subscription)
    private, public = dict[str, str](), dict[str, str]()
    for item in network.network_interfaces.list(group) if group else network.network_interfaces.list_all():
        first = next(iter(item.ip_configurations or ()), None)
        if item.virtual_machine is None or first is None:
            continue
        owner = str(item.virtual_machine.id).lower()
        private[owner] = str(first.private_ip_address or "")
        if first.public_ip_address is not None:
            public[str(first.public_ip_address.id).lower()] = owner
    if public:
        found = network.public_ip_addresses.list(group) if group else network.public_ip_addresses.list_all()
        shown = {str(item.id).lower(): str(item.ip_address or "") for item in found}
        private |= {owner: shown[address] for address, owner in public.items() if shown.get(address)}
    return private


def instance(item: Any, number: int, address: str = "", state: str = "", given: Mapping[str, str] | None = None) -> Instance:
    """An instance of ours from what Azure says of a VM. `given` are the tags of its launch, for one that does not show them."""
    found = tags_of(item) or given or {}
    zone = next(iter(item.zones or ()), "")
    provisioned = word(item.provisioning_state).lower()
    spot = word(item.priority) == "Spot"
    return Instance(
        cloud=Cloud.AZURE,
        launch_id=launch_of_machine(item) or launch_of(found),
        number=number,
        id=str(item.name),
        image=found.get(tags.IMAGE, ""),
        place=(f"{item.location}-{zone}" if zone else str(item.location)) + (" (spot)" if spot else ""),
        created=item.time_created.timestamp() if item.time_created else 0.0,
        expires=tags.expires_of(found) or 0,
        address=address,
        kind=word(item.hardware_profile.vm_size) if item.hardware_profile else "",
        state=state or _STATES.get(provisioned, provisioned),
    )


def launch_of_machine(item: Any) -> str:
    """The launch of a VM: by its own tags, or by the name of its scale set, for one that does not show its set's."""
    found = tags_of(item)
    if found.get(tags.MANAGED_BY) == tags.OWNER:
        return launch_of(found)
    return _launch_in(parts(item.virtual_machine_scale_set.id).name) if not found and item.virtual_machine_scale_set else ""


def tags_of(item: Any) -> Mapping[str, str]:
    """The tags of anything that Azure shows."""
    return item.tags or {}


def age(item: Any) -> tuple[float, str]:
    """What puts VMs into the order in which they were made."""
    return (item.time_created.timestamp() if item.time_created else 0.0, str(item.name))


def _mark(launch_id: str | None) -> tuple[str, str]:
    """The tag to ask for."""
    if launch_id is None:
        return tags.MANAGED_BY, tags.OWNER
    if launch_id.startswith(BAKE):
        return tags.BAKE, launch_id.removeprefix(BAKE)
    return tags.LAUNCH, launch_id


def _is_ours(found: Mapping[str, str], launch_id: str | None) -> bool:
    """Launches and bakes have an end, results of bakes have not."""
    return found.get(tags.MANAGED_BY) == tags.OWNER and tags.EXPIRES in found and launch_id in (None, launch_of(found))


def _inside(azure: Azure, group: str, subscription: str) -> list[Any]:
    """What is in a group; nothing when it has gone since it was listed. Raises what the call raises."""
    try:
        return list(within(azure, group, subscription))
    except AzureError as error:
        if is_gone(error):
            return []
        raise


def _launch_in(name: str) -> str:
    found = _NAMED.fullmatch(name)
    return found["launch"] if found else ""


def _resource(kind: str, item: Any, found: Mapping[str, str]) -> Resource:
    return Resource(
        cloud=Cloud.AZURE,
        kind=kind,
        id=str(item.id),
        launch_id=launch_of(found),
        expires=tags.expires_of(found),
        instance_id=str(item.name) if kind == MACHINE.name else "",
        place=str(item.location or ""),
        going=is_going(item),
    )
