"""The network side of a launch on Azure: a subnet of its own in each region that it uses, with a way out, and who may open SSH."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.models import NatGateway, NetworkSecurityGroup, PublicIPAddress, VirtualNetwork

from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.operations import finished
from goldbake.clouds.azure.resources import ADDRESS, GATEWAY, NETWORK, RULES, Kind, delete, id_of, is_gone, parts
from goldbake.clouds.failure import Failure
from goldbake.errors import UsageError
from launch.azure.request import Site, group_name
from launch.azure.survey import region_of
from launch.base import CloudOptions, LaunchSpec

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_SPACE = "10.64.0.0/20"
"""4,091 addresses, which are nobody's but the launch's: its network is connected to no other."""
_PATIENCE_S = 300.0
_SUBNET_PARTS = 2
_Where = tuple[str, str]
"""A launch and a region."""


def subnet_region(azure: Azure, options: CloudOptions) -> str:
    """The region of the subnet that was named; empty when none was. Raises UsageError for what is no subnet, and Failure."""
    if not options.subnet:
        return ""
    hint = "its whole id, as `az network vnet subnet show --query id` has it"
    try:
        of = parts(options.subnet)
    except ValueError as error:
        raise UsageError(f"--subnet {options.subnet} is no subnet of Azure", hint=hint) from error
    if len(of.names) != _SUBNET_PARTS:
        raise UsageError(f"--subnet {options.subnet} is no subnet of Azure", hint=hint)
    network, subnet = of.names
    client = azure.client(NetworkManagementClient, of.subscription)
    try:
        found = client.virtual_networks.get(of.group, network)
        client.subnets.get(of.group, network, subnet)
    except AzureError as error:
        if is_gone(error):
            raise UsageError(f"--subnet {options.subnet} is not there", hint=hint) from error
        raise failure(error, doing="look at the subnet", place=network) from error
    return region_of(str(found.location or ""))


class Networks:
    """The networks of launches, one per region: made by whoever needs one first, removed when its launch has no use for it."""

    def __init__(self, azure: Azure, options: CloudOptions) -> None:
        self._azure = azure
        self._options = options
        self._known: dict[_Where, Site] = {}
        self._made: dict[_Where, list[tuple[Kind, str]]] = {}
        self._users: Counter[_Where] = Counter()
        self._needed: set[_Where] = set()
        self._mutex = threading.RLock()

    @contextmanager
    def used(self, spec: LaunchSpec, region: str) -> Iterator[None]:
        """While this lasts, the launch's network in the region stays."""
        where = (spec.launch_id, region)
        with self._mutex:
            self._users[where] += 1
        try:
            yield
        finally:
            with self._mutex:
                self._users[where] -= 1

    def site(self, spec: LaunchSpec, group: str, region: str) -> Site:
        """The subnet for machines of this launch in a region, and the rules for them. Raises Failure."""
        where = (spec.launch_id, region)
        with self._mutex:
            if where not in self._known:
                try:
                    rules = self._rules(spec, group, region) if self._options.ssh_from else ""
                    self._known[where] = Site(self._options.subnet or self._subnet(spec, group, region), rules)
                except AzureError as error:
                    raise failure(error, doing="make the network of the agents", place=region) from error
            return self._known[where]

    def settle(self, spec: LaunchSpec, region: str) -> list[Failure]:
        """Machines of the launch run in this region: remove its networks where none were free. Returns why one could not be removed."""
        with self._mutex:
            self._needed.add((spec.launch_id, region))
            problems = []
            unused = [where for where in self._made if where[0] == spec.launch_id and where not in self._needed and not self._users[where]]
            for where in unused:
                self._known.pop(where, None)
                for kind, name in reversed(self._made.pop(where)):
                    try:
                        finished(delete(self._azure, kind, name), doing=f"delete the {kind.name}", place=where[1], patience=_PATIENCE_S)
                    except AzureError as error:
                        problems.append(failure(error, doing=f"delete the {kind.name} {name}", place=where[1]))
                    except Failure as error:
                        problems.append(error)
            return problems

    def _subnet(self, spec: LaunchSpec, group: str, region: str) -> str:
        """A network with one subnet. Azure gives a new one no way out: a NAT gateway is one, addresses of the machines' own another."""
        subnet: dict[str, Any] = {"addressPrefix": _SPACE, "defaultOutboundAccess": False}
        if not self._options.public_address:
            subnet["natGateway"] = {"id": self._gateway(spec, group, region)}
        body = {
            "location": region,
            "tags": spec.tags(),
            "properties": {"addressSpace": {"addressPrefixes": [_SPACE]}, "subnets": [{"name": "agents", "properties": subnet}]},
        }
        calls = self._azure.client(NetworkManagementClient).virtual_networks
        name = _named(spec, region)
        return f"{self._id(NETWORK, spec, group, name, region, calls.begin_create_or_update(group, name, VirtualNetwork(body)))}/subnets/agents"

    def _gateway(self, spec: LaunchSpec, group: str, region: str) -> str:
        network = self._azure.client(NetworkManagementClient)
        common = {"location": region, "tags": spec.tags(), "sku": {"name": "Standard"}}
        address = common | {"properties": {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}}
        name = _named(spec, region, "nat-ip")
        poller: Any = network.public_ip_addresses.begin_create_or_update(group, name, PublicIPAddress(address))
        gateway = common | {"properties": {"publicIpAddresses": [{"id": self._id(ADDRESS, spec, group, name, region, poller)}]}}
        name = _named(spec, region, "nat")
        poller = network.nat_gateways.begin_create_or_update(group, name, NatGateway(gateway))
        return self._id(GATEWAY, spec, group, name, region, poller)

    def _rules(self, spec: LaunchSpec, group: str, region: str) -> str:
        """Rules of this launch alone, which let SSH in; what they do not name stays closed."""
        rule = {
            "name": "ssh",
            "properties": {
                "priority": 100,
                "direction": "Inbound",
                "access": "Allow",
                "protocol": "Tcp",
                "sourceAddressPrefix": self._options.ssh_from,
                "sourcePortRange": "*",
                "destinationAddressPrefix": "*",
                "destinationPortRange": "22",
            },
        }
        body = {"location": region, "tags": spec.tags(), "properties": {"securityRules": [rule]}}
        calls = self._azure.client(NetworkManagementClient).network_security_groups
        name = _named(spec, region, "ssh")
        return self._id(RULES, spec, group, name, region, calls.begin_create_or_update(group, name, NetworkSecurityGroup(body)))

    def _id(self, kind: Kind, spec: LaunchSpec, group: str, name: str, region: str, poller: Any) -> str:
        """The id of what is being made, which is remembered for the case that this region is left."""
        found = id_of(kind, self._azure.subscription, group, name)
        self._made.setdefault((spec.launch_id, region), []).append((kind, found))
        finished(poller, doing=f"make the {kind.name} of the agents", place=region, patience=_PATIENCE_S)
        return found


def _named(spec: LaunchSpec, region: str, what: str = "") -> str:
    return "-".join(filter(None, (group_name(spec.launch_id), region, what)))
