"""Networks as Microsoft.Network has them: virtual networks and subnets, security groups, public addresses, interfaces, NAT gateways."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, Kind, known

NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
GUARD = "Microsoft.Network/networkSecurityGroups"
RULE = "Microsoft.Network/networkSecurityGroups/securityRules"
ADDRESS = "Microsoft.Network/publicIPAddresses"
INTERFACE = "Microsoft.Network/networkInterfaces"
NAT = "Microsoft.Network/natGateways"
PLAIN_BASIC = ("2017-", "2018-")
"""Versions of the service in which a public address without a SKU was Basic and still could be made."""


def place(ask: Ask, new: Resource) -> None:
    """What every resource with a location needs. Raises Refused."""
    new.body["location"] = require_location(str(new.body.get("location", "")))
    new.body["tags"] = dict(new.body.get("tags") or {})
    new.properties["resourceGuid"] = str(uuid.uuid4())


def reference(ask: Ask, what: Any, kind: str, location: str) -> Resource:
    """The resource that a reference in a body names. Raises Refused."""
    id = str((what or {}).get("id", ""))
    found = ask.book.find(id)
    if found is None or found.type.lower() != kind.lower():
        raise Refused("InvalidResourceReference", f"Resource {id} referenced by resource {ask.target.path} was not found. Please make sure that "
                      "the referenced resource exists, and that both resources are in the same region.", 400)  # fmt: skip
    place_of = found if "location" in found.body else ask.book.find(id.rpartition("/subnets/")[0])
    if place_of is not None and place_of.location != location:
        raise Refused("InvalidResourceReference", f"Resource {id} referenced by resource {ask.target.path} is in another region.", 400)
    return found


# --- virtual networks


def _make_network(ask: Ask, new: Resource, old: Resource | None) -> None:
    place(ask, new)
    for one in (new.properties.get("addressSpace") or {}).get("addressPrefixes") or []:
        _network(one)
    inline = new.properties.pop("subnets", None)
    if inline is None:
        return
    kept = {str(one["name"]).lower() for one in inline}
    for subnet in list(ask.book.of(SUBNET, new.group)):
        if subnet.id.lower().startswith(f"{new.id.lower()}/") and subnet.name.lower() not in kept:
            _subnet_may_go(ask.book, subnet)
            ask.book.drop(subnet.id)
    for one in inline:
        id = f"{new.id}/subnets/{one['name']}"
        made = Resource(id, SUBNET, new.group, (new.name, str(one["name"])), {"properties": dict(one.get("properties") or {})})
        made.state = "Succeeded"
        _check_subnet(ask, made, new)
        ask.book.add(made)


def _network(text: str) -> Any:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Refused("InvalidAddressPrefixFormat", f"Address prefix {text} has an invalid format.", 400) from None


def _show_network(ask: Ask, one: Resource) -> dict[str, Any]:
    inside = [
        subnet_document(ask.book, subnet) for subnet in ask.book.of(SUBNET, one.group) if subnet.id.lower().startswith(f"{one.id.lower()}/")
    ]
    return {**one.body, "properties": {**one.properties, "subnets": inside}}


def _network_may_go(book: Book, one: Resource) -> None:
    for subnet in list(book.of(SUBNET, one.group)):
        if subnet.id.lower().startswith(f"{one.id.lower()}/"):
            _subnet_may_go(book, subnet)


def _make_subnet(ask: Ask, new: Resource, old: Resource | None) -> None:
    above = ask.book.find(new.id.rpartition("/subnets/")[0])
    assert above is not None
    _check_subnet(ask, new, above)


def _check_subnet(ask: Ask, new: Resource, network: Resource) -> None:
    prefixes = [one for one in [new.properties.get("addressPrefix"), *(new.properties.get("addressPrefixes") or [])] if one]
    spaces = [_network(one) for one in (network.properties.get("addressSpace") or {}).get("addressPrefixes") or []]
    if not prefixes or not all(any(_network(one).subnet_of(space) for space in spaces) for one in prefixes):
        raise Refused("NetcfgInvalidSubnet", f"Subnet '{new.name}' is not valid in virtual network '{network.name}'.", 400)
    for other in ask.book.of(SUBNET, new.group):
        beside = other.id.lower().startswith(f"{network.id.lower()}/") and other.name.lower() != new.name.lower()
        if beside and _network(str(other.properties["addressPrefix"])).overlaps(_network(prefixes[0])):
            raise Refused(
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{new.name}' is not valid because its IP address range overlaps with that of an existing subnet.",
                400,
            )
    new.properties["addressPrefix"] = prefixes[0]
    new.properties.pop("addressPrefixes", None)
    for name, kind in (("networkSecurityGroup", GUARD), ("natGateway", NAT)):
        if new.properties.get(name):
            reference(ask, new.properties[name], kind, network.location)


def subnet_document(book: Book, one: Resource) -> dict[str, Any]:
    """A subnet as its network shows it, too."""
    users = [{"id": configuration} for configuration in _configurations_in(book, one)]
    body = {**one.properties, "privateEndpointNetworkPolicies": "Disabled", "privateLinkServiceNetworkPolicies": "Enabled"}
    return {"id": one.id, "name": one.name, "type": SUBNET, "properties": body | ({"ipConfigurations": users} if users else {})}


def _show_subnet(ask: Ask, one: Resource) -> dict[str, Any]:
    return {"properties": subnet_document(ask.book, one)["properties"]}


def _configurations_in(book: Book, subnet: Resource) -> Iterator[str]:
    for nic in book.of(INTERFACE):
        for one in nic.properties.get("ipConfigurations") or []:
            if one["properties"]["subnet"]["id"].lower() == subnet.id.lower():
                yield str(one["id"])


def _subnet_may_go(book: Book, one: Resource) -> None:
    users = list(_configurations_in(book, one))
    if users:
        raise Refused("InUseSubnetCannotBeDeleted", f"Subnet {one.name} is in use by {users[0]} and cannot be deleted. In order to delete the subnet, "
                      "delete all the resources within the subnet. See aka.ms/deletesubnet.", 400)  # fmt: skip


# --- security groups


def _make_guard(ask: Ask, new: Resource, old: Resource | None) -> None:
    place(ask, new)
    inline = new.properties.pop("securityRules", None) or []
    for one in list(ask.book.of(RULE, new.group)):
        if one.id.lower().startswith(f"{new.id.lower()}/"):
            ask.book.drop(one.id)
    for one in inline:
        made = Resource(
            f"{new.id}/securityRules/{one['name']}", RULE, new.group, (new.name, str(one["name"])), {"properties": dict(one["properties"])}
        )
        made.state = "Succeeded"
        _check_rule(ask, made)
        ask.book.add(made)


def _make_rule(ask: Ask, new: Resource, old: Resource | None) -> None:
    _check_rule(ask, new)


def _check_rule(ask: Ask, new: Resource) -> None:
    wanted = new.properties
    if not 100 <= int(wanted["priority"]) <= 4096:
        raise Refused(
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {wanted['priority']} Allowed range 100-4096.",
            400,
        )
    for one in ask.book.of(RULE, new.group):
        beside = one.id.lower().rpartition("/")[0] == new.id.lower().rpartition("/")[0] and one.id.lower() != new.id.lower()
        if beside and (one.properties["priority"], one.properties["direction"]) == (wanted["priority"], wanted["direction"]):
            raise Refused(
                "SecurityRuleConflict",
                f"Security rule {new.name} conflicts with rule {one.name}. Rules cannot have the same Priority and Direction.",
                400,
            )
    if not (wanted.get("destinationPortRange") or wanted.get("destinationPortRanges")):
        raise Refused(
            "SecurityRuleParameterDestinationPortRangeMissing",
            f"Required security rule parameters are missing for security rule with Id: {new.id}.",
            400,
        )


def _show_guard(ask: Ask, one: Resource) -> dict[str, Any]:
    rules = [
        {"id": rule.id, "name": rule.name, "type": RULE, **rule.body}
        for rule in ask.book.of(RULE, one.group)
        if rule.id.lower().startswith(f"{one.id.lower()}/")
    ]
    nics = [{"id": nic.id} for nic in _interfaces_with(ask.book, one)]
    return {**one.body, "properties": {**one.properties, "securityRules": rules} | ({"networkInterfaces": nics} if nics else {})}


def _interfaces_with(book: Book, guard: Resource) -> Iterator[Resource]:
    for nic in book.of(INTERFACE):
        if str((nic.properties.get("networkSecurityGroup") or {}).get("id", "")).lower() == guard.id.lower():
            yield nic


def _guard_may_go(book: Book, one: Resource) -> None:
    users = [nic.id for nic in _interfaces_with(book, one)]
    users += [
        net.id for net in book.of(SUBNET) if str((net.properties.get("networkSecurityGroup") or {}).get("id", "")).lower() == one.id.lower()
    ]
    if users:
        raise Refused("InUseNetworkSecurityGroupCannotBeDeleted", f"Network security group {one.id} cannot be deleted because it is in use by the following "
                      f"resources: {', '.join(users)}. In order to delete the Network security group, remove the association with the resource(s). "
                      "To learn how to do this, see aka.ms/deletensg.", 400)  # fmt: skip


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
        used = set(_configurations_in(book, subnet))
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


# --- NAT gateways


def _make_nat(ask: Ask, new: Resource, old: Resource | None) -> None:
    place(ask, new)
    for one in new.properties.get("publicIpAddresses") or []:
        address = reference(ask, one, ADDRESS, new.location)
        address.properties["natGateway"] = {"id": new.id}
    new.properties.setdefault("idleTimeoutInMinutes", 4)


def _nat_may_go(book: Book, one: Resource) -> None:
    users = [net.id for net in book.of(SUBNET) if str((net.properties.get("natGateway") or {}).get("id", "")).lower() == one.id.lower()]
    if users:
        raise Refused("NatGatewayInUseBySubnet", f"NatGateway {one.id} cannot be deleted because it is in use by subnet {users[0]}.", 400)


def _nat_gone(book: Book, one: Resource) -> None:
    for each in one.properties.get("publicIpAddresses") or []:
        address = book.find(each["id"])
        if address is not None:
            address.properties.pop("natGateway", None)


known(Kind(NETWORK, make=_make_network, show=_show_network, may_go=_network_may_go))
known(Kind(SUBNET, make=_make_subnet, show=_show_subnet, may_go=_subnet_may_go, is_tracked=False, parent=True))
known(Kind(GUARD, make=_make_guard, show=_show_guard, may_go=_guard_may_go))
known(Kind(RULE, make=_make_rule, is_tracked=False, parent=True))
known(Kind(ADDRESS, make=_make_address, made=_address_made, may_go=_address_may_go))
known(
    Kind(INTERFACE, make=_make_interface, show=_show_interface, may_go=_interface_may_go, gone=_interface_gone, instant=frozenset({"PUT"}))
)
known(Kind(NAT, make=_make_nat, may_go=_nat_may_go, gone=_nat_gone))
