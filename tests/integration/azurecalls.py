"""Calls to Azure that tests of its fake share: bodies as short as the services take them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from tests.fakes.azure import LOCATION, SUBSCRIPTION, FakeAzure

MACHINE = "Microsoft.Compute/virtualMachines"
KEY = f"ssh-rsa {'A' * 372} test"
IMAGE = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}
SIZE = "Standard_NC4as_T4_v3"
GROUP = "work"
TAGS = {"goldbake-launch": "x"}


@dataclass
class Calls:
    """The SDK's clients, and what most tests make with them. `interval` is the wait between two polls where the answer says none."""

    interval: float = 0.01

    @cached_property
    def credential(self) -> ClientSecretCredential:
        names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
        return ClientSecretCredential(*(os.environ[name] for name in names))

    @cached_property
    def compute(self) -> ComputeManagementClient:
        return ComputeManagementClient(self.credential, SUBSCRIPTION, polling_interval=self.interval, retry_total=0)

    @cached_property
    def network(self) -> NetworkManagementClient:
        return NetworkManagementClient(self.credential, SUBSCRIPTION, polling_interval=self.interval, retry_total=0)

    @cached_property
    def resources(self) -> ResourceManagementClient:
        return ResourceManagementClient(self.credential, SUBSCRIPTION, polling_interval=self.interval, retry_total=0)

    @cached_property
    def subscriptions(self) -> SubscriptionClient:
        return SubscriptionClient(self.credential, retry_total=0)

    def group(self, name: str = GROUP, location: str = LOCATION) -> None:
        """A group with a network of one subnet."""
        self.resources.resource_groups.create_or_update(name, {"location": location, "tags": TAGS})
        body = {
            "location": location,
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "subnets": [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/22"}}],
            },
        }
        self.network.virtual_networks.begin_create_or_update(name, "net", body).result()

    def begin(self, name: str = "m", group: str = GROUP, **more: Any) -> Any:
        """The poller of a new machine."""
        return self.compute.virtual_machines.begin_create_or_update(group, name, machine(name, group, **more))

    def start(self, name: str = "m", group: str = GROUP, **more: Any) -> Any:
        """A new machine, ready."""
        return self.begin(name, group, **more).result()

    def begin_set(self, count: int, name: str = "set", group: str = GROUP, **more: Any) -> Any:
        """The poller of a new scale set."""
        return self.compute.virtual_machine_scale_sets.begin_create_or_update(group, name, scale_set(count, group, **more))


def subnet(group: str = GROUP) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/net/subnets/default"


def interfaces(group: str = GROUP, *, public: bool = True, keep: bool = False) -> dict[str, Any]:
    """A network profile that brings its interface itself."""
    option = "Detach" if keep else "Delete"
    inner: dict[str, Any] = {"subnet": {"id": subnet(group)}}
    if public:
        inner["publicIPAddressConfiguration"] = {"name": "ip", "properties": {"deleteOption": option}, "sku": {"name": "Standard"}}
    properties = {"primary": True, "deleteOption": option, "ipConfigurations": [{"name": "main", "properties": inner}]}
    return {"networkApiVersion": "2022-11-01", "networkInterfaceConfigurations": [{"name": "nic", "properties": properties}]}


def login(**name: str) -> dict[str, Any]:
    """An account with a key and no password."""
    keys = [{"path": "/home/agent/.ssh/authorized_keys", "keyData": KEY}]
    return {**name, "adminUsername": "agent", "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}}}


def disk(*, keep: bool = False, **more: Any) -> dict[str, Any]:
    return {"createOption": "FromImage", "deleteOption": "Detach" if keep else "Delete", **more}


def machine(
    name: str,
    group: str = GROUP,
    *,
    location: str = LOCATION,
    size: str = SIZE,
    zone: str = "",
    image: dict[str, Any] = IMAGE,
    profile: dict[str, Any] | None = None,
    os_disk: dict[str, Any] | None = None,
    plan: dict[str, str] | None = None,
    custom: str = "",
    **properties: Any,
) -> dict[str, Any]:
    """The body of a virtual machine."""
    account = login(computerName=name)
    body: dict[str, Any] = {
        "location": location,
        "tags": TAGS,
        "properties": {
            "hardwareProfile": {"vmSize": size},
            "storageProfile": {"imageReference": dict(image), "osDisk": os_disk or disk()},
            "osProfile": {**account, "customData": custom} if custom else account,
            "networkProfile": profile or interfaces(group),
            **properties,
        },
    }
    return body | ({"zones": [zone]} if zone else {}) | ({"plan": plan} if plan else {})


def scale_set(count: int, group: str = GROUP, *, zones: tuple[str, ...] = (), size: str = SIZE, **profile: Any) -> dict[str, Any]:
    """The body of a scale set whose machines are virtual machines of the group."""
    inner = {
        "storageProfile": {"imageReference": dict(IMAGE), "osDisk": disk()},
        "osProfile": login(computerNamePrefix="m"),
        "networkProfile": interfaces(group),
        **profile,
    }
    body: dict[str, Any] = {
        "location": LOCATION,
        "tags": TAGS,
        "sku": {"name": size, "capacity": count},
        "properties": {"orchestrationMode": "Flexible", "platformFaultDomainCount": 1, "virtualMachineProfile": inner},
    }
    return body | ({"zones": list(zones)} if zones else {})


def ready(fake: FakeAzure) -> Calls:
    """Clients of an account with one group and its network; nothing waits for a second."""
    fake.book.retry_after = None
    calls = Calls()
    calls.group()
    fake.calls.clear()
    return calls


def group_path(group: str = GROUP) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"


def refused(call: Callable[[], Any]) -> HttpResponseError:
    """How a call fails, which must."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    return caught.value


def code(call: Callable[[], Any]) -> str:
    """The code that a call fails with."""
    error = refused(call).error
    assert error is not None
    return str(error.code)


def held(fake: FakeAzure) -> list[str]:
    """What there is beside the group and its network, by the last words of the types."""
    found = [one.kind.rpartition("/")[2] for one in fake.held()]
    return sorted(kind for kind in found if kind not in ("resourceGroups", "virtualNetworks"))
