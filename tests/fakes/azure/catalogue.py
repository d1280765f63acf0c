"""What Azure offers: regions, zones, sizes and their cores, quotas. Sizes, GPUs and quota families are those of the services' documentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import Book
from tests.fakes.azure.kinds import Ask, handles
from tests.fakes.azure.pages import paged

LOCATIONS = {
    "westeurope": ("West Europe", True), "northeurope": ("North Europe", True), "swedencentral": ("Sweden Central", True),
    "germanywestcentral": ("Germany West Central", True), "uksouth": ("UK South", True), "francecentral": ("France Central", True),
    "eastus": ("East US", True), "eastus2": ("East US 2", True), "southcentralus": ("South Central US", True), "westus2": ("West US 2", True),
    "westus3": ("West US 3", True), "westus": ("West US", False), "northcentralus": ("North Central US", False), "centralus": ("Central US", True),
    "canadacentral": ("Canada Central", True), "japaneast": ("Japan East", True), "australiaeast": ("Australia East", True),
    "southeastasia": ("Southeast Asia", True), "centralindia": ("Central India", True), "koreacentral": ("Korea Central", True),
}  # fmt: skip
"""Name → display name and whether it has zones."""


@dataclass(frozen=True)
class Size:
    """A size of virtual machines."""

    name: str
    family: str
    """The name of its quota."""
    cores: int
    memory_gb: float
    gpus: float = 0
    generations: str = "V1,V2"
    trusted: bool = True
    """Trusted Launch."""
    temporary_mb: int = 0
    spot: bool = True
    zones: tuple[str, ...] = ("1", "2", "3")
    architecture: str = "x64"
    controllers: str = "SCSI"
    """How its disks are attached."""


SIZES = {
    one.name.lower(): one
    for one in (
        Size("Standard_B2s", "standardBSFamily", 2, 4, spot=False, temporary_mb=8192),
        Size("Standard_B2ms", "standardBSFamily", 2, 8, spot=False, temporary_mb=16384),
        Size("Standard_D2s_v3", "standardDSv3Family", 2, 8, temporary_mb=16384),
        Size("Standard_D4s_v3", "standardDSv3Family", 4, 16, temporary_mb=32768),
        Size("Standard_D2s_v5", "standardDSv5Family", 2, 8),
        Size("Standard_D4s_v5", "standardDSv5Family", 4, 16),
        Size("Standard_D8s_v5", "standardDSv5Family", 8, 32),
        Size("Standard_D4s_v6", "StandardDsv6Family", 4, 16, controllers="NVMe", generations="V2"),
        Size("Standard_D4as_v5", "standardDASv5Family", 4, 16),
        Size("Standard_D8as_v5", "standardDASv5Family", 8, 32),
        Size("Standard_D2ps_v5", "standardDPSv5Family", 2, 8, architecture="Arm64", generations="V2", trusted=False),
        Size("Standard_DS2_v2", "standardDSv2Family", 2, 7, temporary_mb=14336),
        Size("Standard_F4s_v2", "standardFSv2Family", 4, 8, temporary_mb=32768),
        Size("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family", 4, 28, 1, temporary_mb=180224),
        Size("Standard_NC8as_T4_v3", "Standard NCASv3_T4 Family", 8, 56, 1, temporary_mb=360448),
        Size("Standard_NC16as_T4_v3", "Standard NCASv3_T4 Family", 16, 110, 1, temporary_mb=360448),
        Size("Standard_NC64as_T4_v3", "Standard NCASv3_T4 Family", 64, 440, 4, temporary_mb=2883584),
        Size("Standard_NV6ads_A10_v5", "StandardNVADSA10v5Family", 6, 55, 1 / 6, temporary_mb=184320),
        Size("Standard_NV12ads_A10_v5", "StandardNVADSA10v5Family", 12, 110, 1 / 3, temporary_mb=368640),
        Size("Standard_NV18ads_A10_v5", "StandardNVADSA10v5Family", 18, 220, 1 / 2, temporary_mb=737280),
        Size("Standard_NV36ads_A10_v5", "StandardNVADSA10v5Family", 36, 440, 1, temporary_mb=1474560),
        Size("Standard_NV72ads_A10_v5", "StandardNVADSA10v5Family", 72, 880, 2, temporary_mb=2949120),
        Size("Standard_NC24ads_A100_v4", "StandardNCADSA100v4Family", 24, 220, 1, generations="V2", temporary_mb=65536),
        Size("Standard_NC48ads_A100_v4", "StandardNCADSA100v4Family", 48, 440, 2, generations="V2", temporary_mb=131072),
        Size("Standard_NC96ads_A100_v4", "StandardNCADSA100v4Family", 96, 880, 4, generations="V2", temporary_mb=262144),
        Size("Standard_NC40ads_H100_v5", "StandardNCadsH100v5Family", 40, 320, 1, generations="V2"),
        Size("Standard_NC80adis_H100_v5", "StandardNCadsH100v5Family", 80, 640, 2, generations="V2"),
        Size("Standard_ND96isr_H100_v5", "standardNDSH100v5Family", 96, 1900, 8, generations="V2"),
        Size("Standard_ND96asr_v4", "Standard NDASv4_A100 Family", 96, 900, 8, generations="V2", trusted=False),
    )
}  # fmt: skip
"""In small letters → what it is."""

QUOTA = 10_000
"""Cores of a family, in every region: this subscription was given many."""
REGIONAL_QUOTA = 50_000
_OTHERS = {
    "virtualMachines": ("Virtual Machines", 25000),
    "virtualMachineScaleSets": ("Virtual Machine Scale Sets", 2500),
    "availabilitySets": ("Availability Sets", 2500),
}
NEEDED = {
    "Microsoft.Compute": ("virtualMachines", "virtualMachineScaleSets", "disks", "images", "galleries", "locations/usages"),
    "Microsoft.Network": ("virtualNetworks", "networkInterfaces", "publicIPAddresses", "networkSecurityGroups", "natGateways"),
    "Microsoft.Resources": ("deployments", "resourceGroups", "subscriptions"),
    "Microsoft.Authorization": ("permissions", "roleAssignments", "locks"),
    "Microsoft.DevTestLab": ("schedules", "labs"),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.MarketplaceOrdering": ("agreements",),
}


def require_location(text: str) -> str:
    """A region's name as it is kept: 'West Europe' is westeurope. Raises Refused."""
    name = text.replace(" ", "").lower()
    if name not in LOCATIONS:
        known = ",".join(LOCATIONS)
        raise Refused(
            "LocationNotAvailableForResourceType",
            f"The provided location '{text}' is not available for resource type. List of available regions for the resource type is '{known}'.",
            400,
        )
    return name


def size_of(name: str, location: str) -> Size:
    """Raises Refused for a size that there is not."""
    found = SIZES.get(name.lower())
    if found is None:
        raise Refused("InvalidParameter", f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: {', '.join(one.name for one in SIZES.values())}. "
                      "Find out more on the valid VM sizes in each region at https://aka.ms/azure-regionservices.", 400, target="vmSize")  # fmt: skip
    return found


def limit(book: Book, location: str, name: str) -> int:
    """The limit of a quota."""
    if name in ("cores", "lowPriorityCores"):
        return book.quotas.get((location, name), REGIONAL_QUOTA)
    other = _OTHERS.get(name, ("", QUOTA))[1]
    return book.quotas.get((location, name), other)


def used(book: Book, location: str, name: str) -> int:
    """How much of a quota is in use."""
    return sum(amount for quota, amount in _uses(book, location) if quota == name)


def _uses(book: Book, location: str) -> Iterator[tuple[str, int]]:
    for one in book.of("Microsoft.Compute/virtualMachines"):
        if one.location != location or one.power == "deallocated" or (one.state == "Failed" and not one.power):
            continue
        size = SIZES[str(one.properties["hardwareProfile"]["vmSize"]).lower()]
        yield "virtualMachines", 1
        if one.properties.get("priority") == "Spot":
            yield "lowPriorityCores", size.cores
        else:
            yield "cores", size.cores
            yield size.family, size.cores


@handles("GET", "Microsoft.Compute/locations/usages")
def usages(ask: Ask) -> Result:
    """The quotas of a region and what is used of them."""
    location = require_location(ask.target.names[0])
    names = {"cores": "Total Regional vCPUs", "lowPriorityCores": "Total Regional Low-priority vCPUs"}
    names |= {name: text for name, (text, _) in _OTHERS.items()}
    names |= {one.family: _family_title(one.family) for one in SIZES.values()}
    found = [
        {
            "unit": "Count",
            "currentValue": used(ask.book, location, name),
            "limit": limit(ask.book, location, name),
            "name": {"value": name, "localizedValue": text},
        }
        for name, text in names.items()
    ]
    return paged(ask, found)


def _family_title(family: str) -> str:
    return f"{family.removesuffix('Family').strip()} Family vCPUs"


@handles("GET", "Microsoft.Compute/skus")
def skus(ask: Ask) -> Result:
    """Sizes with zones, capabilities and restrictions: an entry for each region."""
    text = ask.query.get("$filter", "")
    wanted = text.partition("location eq ")[2].strip("' ") if text else ""
    if text and not wanted:
        raise Refused("InvalidParameter", f"The filter '{text}' is not supported.", 400)
    places = [require_location(wanted)] if wanted else list(LOCATIONS)
    return paged(ask, [_sku(ask.book, size, place) for place in places for size in SIZES.values()])


def zones_of(size: Size, location: str) -> list[str]:
    """The zones of a region that have a size."""
    return list(size.zones) if LOCATIONS[location][1] else []


def zones_of_location(location: str) -> list[str]:
    return ["1", "2", "3"] if LOCATIONS[location][1] else []


def _sku(book: Book, size: Size, location: str) -> dict[str, Any]:
    zones = zones_of(size, location)
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family,
        "locations": [location],
        "locationInfo": [{"location": location, "zones": zones, "zoneDetails": []}],
        "capabilities": [{"name": name, "value": value} for name, value in _capabilities(size).items()],
        "restrictions": list(_restrictions(book, size, location, zones)),
    }


def _capabilities(size: Size) -> dict[str, str]:
    found = {
        "vCPUs": str(size.cores), "vCPUsAvailable": str(size.cores), "MemoryGB": f"{size.memory_gb:g}", "MaxResourceVolumeMB": str(size.temporary_mb),
        "HyperVGenerations": size.generations, "CpuArchitectureType": size.architecture, "LowPriorityCapable": str(size.spot), "PremiumIO": "True",
        "AcceleratedNetworkingEnabled": "True", "EncryptionAtHostSupported": "True", "OSVhdSizeMB": "1047552", "DiskControllerTypes": size.controllers,
    }  # fmt: skip
    if size.gpus:
        found["GPUs"] = f"{size.gpus:g}" if size.gpus >= 1 else "1"
    if not size.trusted:
        found["TrustedLaunchDisabled"] = "True"
    return found


def _restrictions(book: Book, size: Size, location: str, zones: list[str]) -> Iterator[dict[str, Any]]:
    whole = book.restricted.get((location, size.name))
    if whole:
        yield {"type": "Location", "values": [location], "restrictionInfo": {"locations": [location]}, "reasonCode": whole}
    cut = [zone for zone in zones if (f"{location}-{zone}", size.name) in book.restricted] or (zones if whole else [])
    if cut:
        reason = whole or book.restricted[f"{location}-{cut[0]}", size.name]
        yield {"type": "Zone", "values": [location], "restrictionInfo": {"locations": [location], "zones": cut}, "reasonCode": reason}
