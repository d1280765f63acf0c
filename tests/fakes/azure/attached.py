"""What a machine has attached: interfaces that it brings itself or is given, public addresses, disks; and how they end with it."""

from __future__ import annotations

import secrets
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.calls import Call
from tests.fakes.azure.interfaces import give_address
from tests.fakes.azure.kinds import KINDS, Ask
from tests.fakes.azure.network import ADDRESS, INTERFACE
from tests.fakes.azure.paths import Target, identifier


def given(ask: Ask, machine: Resource, profile: dict[str, Any]) -> list[dict[str, Any]]:
    """References to the interfaces that the machine is given. Raises Refused."""
    found = []
    for one in profile.get("networkInterfaces") or []:
        nic = ask.book.find(str(one["id"]))
        if nic is None or nic.type != INTERFACE:
            raise Refused("NotFound", f"Resource {one['id']} not found.", 404, target="networkProfile")
        if nic.location != machine.location:
            raise Refused(
                "InvalidParameter", f"The network interface {one['id']} is not in {machine.location}.", 400, target="networkProfile"
            )
        user = (nic.properties.get("virtualMachine") or {}).get("id", machine.id)
        if user.lower() != machine.id.lower():
            raise Refused("NicInUse", f"Network Interface {nic.id} is used by existing resource {user}.", 400)
        found.append({"id": nic.id, "properties": {"primary": True, "deleteOption": "Detach", **(one.get("properties") or {})}})
    return found


def brought(ask: Ask, machine: Resource, profile: dict[str, Any], extra_tags: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Make the interfaces that a machine describes itself. Raises Refused."""
    wanted = profile.get("networkInterfaceConfigurations") or []
    if wanted and not profile.get("networkApiVersion"):
        raise Refused(
            "InvalidParameter", "Required parameter 'networkProfile.networkApiVersion' is missing (null).", 400, target="networkApiVersion"
        )
    found = []
    for one in wanted:
        inner = one["properties"]
        name = f"{one['name']}-{secrets.token_hex(4)}"
        configurations = []
        for each in inner["ipConfigurations"]:
            plan = dict(each["properties"])
            address = plan.pop("publicIPAddressConfiguration", None)
            properties = {key: plan[key] for key in ("subnet", "primary", "privateIPAddressVersion") if key in plan}
            if address:
                properties["publicIPAddress"] = {"id": _address(ask, machine, address).id}
            configurations.append({"name": each["name"], "properties": properties})
        body: dict[str, Any] = {
            "location": machine.location,
            "tags": dict(one.get("tags") or extra_tags or {}),
            "properties": {"ipConfigurations": configurations},
        }
        for key in ("networkSecurityGroup", "enableAcceleratedNetworking", "enableIPForwarding"):
            if key in inner:
                body["properties"][key] = inner[key]
        nic = _make(ask, machine, INTERFACE, name, body)
        nic.memory["brought"] = True
        found.append(
            {"id": nic.id, "properties": {"primary": inner.get("primary", True), "deleteOption": inner.get("deleteOption", "Detach")}}
        )
    return found


def _address(ask: Ask, machine: Resource, plan: dict[str, Any]) -> Resource:
    inner = plan.get("properties") or {}
    body = {
        "location": machine.location,
        "tags": dict(plan.get("tags") or {}),
        "sku": {"name": "Standard", "tier": "Regional", **(plan.get("sku") or {})},
        "properties": {
            "publicIPAllocationMethod": inner.get("publicIPAllocationMethod", "Static"),
            "idleTimeoutInMinutes": inner.get("idleTimeoutInMinutes", 4),
            "deleteOption": inner.get("deleteOption", "Detach"),
        },
    }
    if machine.body.get("zones"):
        body["zones"] = list(machine.body["zones"])
    return _make(ask, machine, ADDRESS, f"{plan['name']}-{secrets.token_hex(4)}", body)


def _make(ask: Ask, machine: Resource, type: str, name: str, body: dict[str, Any]) -> Resource:
    """As a PUT of the machine's own would."""
    id = identifier(ask.target.subscription, machine.group, type, name)
    inner = Ask(
        ask.book,
        Target(ask.target.subscription, machine.group, type, (name,), path=id),
        "PUT",
        {},
        body,
        Call(0, "PUT", "", id),
        ask.version,
    )
    made = Resource(id, type, machine.group, (name,), body)
    made.state = "Succeeded"
    KINDS[type.lower()].make(inner, made, None)
    ask.book.add(made)
    return made


def attach(book: Book, machine: Resource) -> None:
    """Let the interfaces know their machine, and the public addresses have their numbers."""
    for reference in machine.properties["networkProfile"]["networkInterfaces"]:
        nic = book.find(reference["id"])
        if nic is None:
            continue
        nic.properties["virtualMachine"] = {"id": machine.id}
        for one in nic.properties["ipConfigurations"]:
            address = book.find(str((one["properties"].get("publicIPAddress") or {}).get("id", "")))
            if address is not None:
                give_address(book, address, machine.name)


def addresses(book: Book, machine: Resource) -> tuple[str, str]:
    """Private and public address of a machine; empty: none."""
    for reference in machine.properties["networkProfile"]["networkInterfaces"]:
        nic = book.find(reference["id"])
        if nic is not None:
            inner = nic.properties["ipConfigurations"][0]["properties"]
            address = book.find(str((inner.get("publicIPAddress") or {}).get("id", "")))
            return str(inner["privateIPAddress"]), str(address.properties.get("ipAddress", "")) if address else ""
    return "", ""


def let_go(book: Book, machine: Resource) -> None:
    """The machine ends: what is to end with it does, the rest is free."""
    for reference in machine.properties["networkProfile"]["networkInterfaces"]:
        nic = book.find(reference["id"])
        if nic is None:
            continue
        nic.properties.pop("virtualMachine", None)
        if reference["properties"].get("deleteOption") == "Delete":
            KINDS[INTERFACE.lower()].gone(book, nic)
            book.drop(nic.id)
    storage = machine.properties["storageProfile"]
    for one in [storage["osDisk"], *(storage.get("dataDisks") or [])]:
        disk = book.find(str((one.get("managedDisk") or {}).get("id", "")))
        if disk is None:
            continue
        if one.get("deleteOption") == "Delete":
            book.drop(disk.id)
        else:
            disk.body.pop("managedBy", None)
            disk.properties["diskState"] = "Unattached"
