"""Networks as Microsoft.Network has them: virtual networks and subnets, security groups, NAT gateways."""

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
    users = [{"id": configuration} for configuration in configurations_in(book, one)]
    body = {**one.properties, "privateEndpointNetworkPolicies": "Disabled", "privateLinkServiceNetworkPolicies": "Enabled"}
    return {"id": one.id, "name": one.name, "type": SUBNET, "properties": body | ({"ipConfigurations": users} if users else {})}


def _show_subnet(ask: Ask, one: Resource) -> dict[str, Any]:
    return {"properties": subnet_document(ask.book, one)["properties"]}


def configurations_in(book: Book, subnet: Resource) -> Iterator[str]:
    for nic in book.of(INTERFACE):
        for one in nic.properties.get("ipConfigurations") or []:
            if one["properties"]["subnet"]["id"].lower() == subnet.id.lower():
                yield str(one["id"])


def _subnet_may_go(book: Book, one: Resource) -> None:
    users = list(configurations_in(book, one))
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
known(Kind(NAT, make=_make_nat, may_go=_nat_may_go, gone=_nat_gone))
