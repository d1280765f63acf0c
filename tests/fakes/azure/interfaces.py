"""Public addresses and interfaces, as Microsoft.Network has them."""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.network import ADDRESS, GUARD, INTERFACE, SUBNET, configurations_in, place, reference

PLAIN_BASIC = ("2017-", "2018-")
"""Versions of the service in which a public address without a SKU was Basic and still could be made."""


# --- public addresses


def _make_address(ask: Ask, new: Resource, old: Resource | None) -> None:
    place(ask, new)
    sku = new.body.setdefault("sku", {"name": "Basic", "tier": "Regional"})
    sku.setdefault("tier", "Regional")
    if sku.get("name") == "Basic" and not ask.version.startswith(PLAIN_BASIC):
        raise Refused(
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.",
            400,
        )
    method = new.properties.setdefault("publicIPAllocationMethod", "Static" if sku["name"] != "Basic" else "Dynamic")
    if sku["name"] != "Basic" and method == "Dynamic":
        raise Refused("PublicIPSkuDoesNotSupportDynamic", f"Standard sku publicIp {new.id} must have AllocationMethod set to Static.", 400)
    new.properties.setdefault("publicIPAddressVersion", "IPv4")
    new.properties.setdefault("idleTimeoutInMinutes", 4)
    if old is not None:
        new.properties |= {name: old.properties[name] for name in ("ipAddress", "ipConfiguration") if name in old.properties}


def _address_made(book: Book, one: Resource, error: Refused | None) -> None:
    if error is None and one.properties["publicIPAllocationMethod"] == "Static":
        give_address(book, one)


def give_address(book: Book, one: Resource, machine: str = "") -> None:
    """Let a public address have its number."""
    given = book.address_of(machine) if machine else None
    if given or "ipAddress" not in one.properties:
        number = book.next()
        one.properties["ipAddress"] = given or f"203.0.113.{number % 254 + 1}"


def _address_may_go(book: Book, one: Resource) -> None:
    user = (one.properties.get("ipConfiguration") or {}).get("id")
    if user:
        raise Refused("PublicIPAddressCannotBeDeleted", f"Public IP address {one.id} can not be deleted since it is still allocated to resource {user}. "
                      "In order to delete the public IP, disassociate/detach the Public IP address from the resource. To learn how to do this, see "
                      "aka.ms/deletepublicip.", 400)  # fmt: skip


# --- interfaces


def _make_interface(ask: Ask, new: Resource, old: Resource | None) -> None:
    place(ask, new)
    if old is not None and "virtualMachine" in old.properties:
        new.properties["virtualMachine"] = old.properties["virtualMachine"]
    wanted = new.properties.get("ipConfigurations") or []
    if not wanted:
        raise Refused(
            "NetworkInterfaceMustHaveAtLeastOneIpConfiguration", f"Network interface {new.id} must have one or more IP configurations.", 400
        )
    if new.properties.get("networkSecurityGroup"):
        reference(ask, new.properties["networkSecurityGroup"], GUARD, new.location)
    _free(ask.book, old)
    for one in wanted:
        inner = one.setdefault("properties", {})
        one["id"] = f"{new.id}/ipConfigurations/{one['name']}"
        one["type"] = f"{INTERFACE}/ipConfigurations"
        subnet = reference(ask, inner.get("subnet"), SUBNET, new.location)
        inner["subnet"] = {"id": subnet.id}
        inner.setdefault("privateIPAddress", _private(ask.book, subnet))
        inner.setdefault("privateIPAllocationMethod", "Dynamic")
        inner.setdefault("privateIPAddressVersion", "IPv4")
        inner.update(primary=inner.get("primary", one is wanted[0]), provisioningState="Succeeded")
        if inner.get("publicIPAddress"):
            address = reference(ask, inner["publicIPAddress"], ADDRESS, new.location)
            user = (address.properties.get("ipConfiguration") or {}).get("id", one["id"])
            if user.lower() != one["id"].lower():
                raise Refused(
                    "PublicIPAddressInUse",
                    f"Resource {one['id']} is referencing public IP address {address.id} that is already allocated to resource {user}.",
                    400,
                )
            # How it ends with the interface is said in the reference and kept there.
            keep = (inner["publicIPAddress"].get("properties") or {}).get("deleteOption") or address.properties.get("deleteOption")
            if keep:
                address.properties["deleteOption"] = keep
            address.properties["ipConfiguration"] = {"id": one["id"]}
            inner["publicIPAddress"] = {"id": address.id}
    new.properties |= {"macAddress": "00-0D-3A-00-00-01", "primary": True, "vnetEncryptionSupported": False, "nicType": "Standard"}
    new.properties.setdefault("enableAcceleratedNetworking", False)
    new.properties.setdefault("enableIPForwarding", False)


def _private(book: Book, subnet: Resource) -> str:
    """The next address of a subnet that is free; Azure keeps five of them."""
    network = ipaddress.ip_network(subnet.properties["addressPrefix"])
    number, room = subnet.memory.get("taken", 0), network.num_addresses - 5
    subnet.memory["taken"] = number + 1
    if number >= room:  # all were given once: which of them are free again?
        used = set(configurations_in(book, subnet))
        found = {
            str(one["properties"]["privateIPAddress"])
            for nic in book.of(INTERFACE)
            for one in nic.properties["ipConfigurations"]
            if one["id"] in used
        }
        free = (str(network.network_address + 4 + each) for each in range(room))
        address = next((each for each in free if each not in found), "")
        if not address:
            text = f"Subnet {subnet.name} with address prefix {network} does not have enough capacity for 1 IP addresses."
            raise Refused("SubnetIsFull", text, 400)
        return address
    return str(network.network_address + 4 + number)


def _show_interface(ask: Ask, one: Resource) -> dict[str, Any]:
    """What is said of a public address when an interface is read is its id and how it ends, no more."""
    shown = []
    for each in one.properties["ipConfigurations"]:
        inner = dict(each["properties"])
        address = ask.book.find(str((inner.get("publicIPAddress") or {}).get("id", "")))
        if address is not None and address.properties.get("deleteOption"):
            inner["publicIPAddress"] = {"id": address.id, "properties": {"deleteOption": address.properties["deleteOption"]}}
        shown.append({**each, "properties": inner})
    return {**one.body, "properties": {**one.properties, "ipConfigurations": shown}}


def _interface_may_go(book: Book, one: Resource) -> None:
    user = (one.properties.get("virtualMachine") or {}).get("id")
    if user:
        raise Refused("NicInUse", f"Network Interface {one.id} is used by existing resource {user}. In order to delete the network interface, it must be "
                      "dissociated from the resource. To learn more, see aka.ms/deletenic.", 400)  # fmt: skip


def _free(book: Book, nic: Resource | None) -> None:
    for one in (nic.properties.get("ipConfigurations") or []) if nic is not None else []:
        address = book.find(str((one["properties"].get("publicIPAddress") or {}).get("id", "")))
        if address is not None:
            address.properties.pop("ipConfiguration", None)


def _interface_gone(book: Book, one: Resource) -> None:
    addresses = [str((each["properties"].get("publicIPAddress") or {}).get("id", "")) for each in one.properties["ipConfigurations"]]
    _free(book, one)
    for id in addresses:
        address = book.find(id)
        if address is not None and address.properties.get("deleteOption") == "Delete":
            book.drop(id)


known(Kind(ADDRESS, make=_make_address, made=_address_made, may_go=_address_may_go))
known(
    Kind(INTERFACE, make=_make_interface, show=_show_interface, may_go=_interface_may_go, gone=_interface_gone, instant=frozenset({"PUT"}))
)
