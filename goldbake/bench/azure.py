"""200 instances of Azure without an account: our launch by one scale set against the same calls in a bare script, and a reap over every region."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from goldbake.bench import azure_replay, many
from goldbake.bench.many import Bench
from goldbake.clouds.azure.session import Azure
from goldbake.config import base_images
from goldbake.config.model import Cloud, Os
from goldbake.log import Progress
from goldbake.paths import Paths
from launch.base import CloudOptions

REGION = "westeurope"
TYPE = "Standard_NC4as_T4_v3"
MACHINES = 166
"""Instances in each region before the reap: with a disk and an interface each, a network and a scale set they are 500 resources."""
_GROUP = "bench"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop bench"
"""The public half of a key pair whose private half is 32 zeros."""


def measure(paths: Paths, progress: Progress, count: int = 200, rounds: int = 3, machines: int = MACHINES) -> dict[str, float]:
    """Seconds, ratios and memory: see `many.measure`."""
    return many.measure(bench(), paths, progress, count, rounds, machines)


def bench() -> Bench:
    """What is Azure's own."""
    environment = ("AZURE_", "ARM_", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    options = CloudOptions(types=(TYPE,), regions=(REGION,))
    return Bench(Cloud.AZURE, "tests.fakes.azure", environment, options, lambda: (_version(), REGION), azure_replay.run, _fill)


def _version() -> str:
    """A gallery's version of a machine that was started from a public image."""
    azure = Azure()
    compute = azure.client(ComputeManagementClient)
    _network(azure, REGION, {})
    profile = {**_profile(azure, REGION, {}), "hardwareProfile": {"vmSize": "Standard_D2s_v5"}}
    profile["osProfile"] = {"computerName": "source", **_login()}
    body: Any = {"location": REGION, "properties": profile}
    machine = compute.virtual_machines.begin_create_or_update(_GROUP, "source", body).result()
    compute.virtual_machines.begin_deallocate(_GROUP, "source").result()
    compute.virtual_machines.generalize(_GROUP, "source")
    gallery: Any = {"location": REGION}
    compute.galleries.begin_create_or_update(_GROUP, "bench", gallery).result()
    identifier = {"publisher": "goldbake", "offer": "bench", "sku": "bench"}
    about = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "architecture": "x64", "identifier": identifier}
    definition: Any = {"location": REGION, "properties": about}
    compute.gallery_images.begin_create_or_update(_GROUP, "bench", "bench", definition).result()
    source = {"source": {"virtualMachineId": machine.id}}
    version: Any = {"location": REGION, "properties": {"storageProfile": source}}
    made = compute.gallery_image_versions.begin_create_or_update(_GROUP, "bench", "bench", "1.0.0", version).result()
    compute.virtual_machines.begin_delete(_GROUP, "source").result()
    return str(made.id)


def _fill(tags: Mapping[str, str], machines: int) -> int:
    azure = Azure()
    found = azure.client(SubscriptionClient).subscriptions.list_locations(azure.subscription)
    regions = [str(one.name) for one in found]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(partial(_fill_region, azure, dict(tags), machines), regions))
    return len(regions)


def _fill_region(azure: Azure, tags: dict[str, str], machines: int, region: str) -> None:
    """A network and a scale set in a group that is not ours, so that everything goes by itself."""
    if region != REGION:
        _network(azure, region, tags)
    else:
        tagged: Any = {"tags": tags}
        azure.client(NetworkManagementClient).virtual_networks.update_tags(_GROUP, f"net-{region}", tagged)
    profile = {**_profile(azure, region, tags), "osProfile": {"computerNamePrefix": "left", **_login()}}
    body: Any = {
        "location": region,
        "tags": tags,
        "sku": {"name": "Standard_B2s", "capacity": machines},
        "properties": {"orchestrationMode": "Flexible", "platformFaultDomainCount": 1, "virtualMachineProfile": profile},
    }
    azure.client(ComputeManagementClient).virtual_machine_scale_sets.begin_create_or_update(_GROUP, f"left-{region}", body).result()


def _network(azure: Azure, region: str, tags: dict[str, str]) -> None:
    group: Any = {"location": REGION}
    azure.client(ResourceManagementClient).resource_groups.create_or_update(_GROUP, group)
    subnets = [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/16"}}]
    body: Any = {
        "location": region,
        "tags": tags,
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets},
    }
    azure.client(NetworkManagementClient).virtual_networks.begin_create_or_update(_GROUP, f"net-{region}", body).result()


def _profile(azure: Azure, region: str, tags: dict[str, str]) -> dict[str, Any]:
    base = base_images.AZURE[Os.DEBIAN_12]
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{_GROUP}"
    subnet = f"{group}/providers/Microsoft.Network/virtualNetworks/net-{region}/subnets/default"
    interface = {
        "primary": True,
        "deleteOption": "Delete",
        "ipConfigurations": [{"name": "main", "properties": {"subnet": {"id": subnet}}}],
    }
    return {
        "storageProfile": {
            "imageReference": {"publisher": base.publisher, "offer": base.offer, "sku": base.sku, "version": "latest"},
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
        },
        "networkProfile": {
            "networkApiVersion": "2022-11-01",
            "networkInterfaceConfigurations": [{"name": "nic", "tags": tags, "properties": interface}],
        },
    }


def _login() -> dict[str, Any]:
    keys = [{"path": "/home/bench/.ssh/authorized_keys", "keyData": _KEY}]
    return {"adminUsername": "bench", "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}}}
