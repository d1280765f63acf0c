"""Regions, zones, machine types, accelerators and disk types: what is there, and what of it a test withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zlib import crc32

from tests.fakes.gcp import listing, seeds
from tests.fakes.gcp.book import DEFAULT_QUOTAS, Document
from tests.fakes.gcp.paths import region_of, url
from tests.fakes.gcp.quotas import used
from tests.fakes.gcp.refused import missing
from tests.fakes.gcp.request import Handler, Methods, Request
from tests.fakes.gcp.start import offered

OLD = "1969-12-31T16:00:00.000-08:00"
_REGIONAL = (
    "CPUS", "N2_CPUS", "A2_CPUS", "PREEMPTIBLE_CPUS", "INSTANCES", "IN_USE_ADDRESSES", "STATIC_ADDRESSES", "DISKS_TOTAL_GB", "SSD_TOTAL_GB",
    "LOCAL_SSD_TOTAL_GB",
    *(f"{prefix}{metric}" for prefix in ("", "PREEMPTIBLE_") for metric in dict.fromkeys(one.metric for one in seeds.ACCELERATORS.values()) if ":" not in metric),
    "PREEMPTIBLE_NVIDIA_H100_GPUS",
)  # fmt: skip
_GLOBAL = ("SNAPSHOTS", "NETWORKS", "FIREWALLS", "IMAGES", "STATIC_ADDRESSES", "ROUTERS", "SUBNETWORKS", "INSTANCE_TEMPLATES", "CPUS_ALL_REGIONS",
           "GPUS_ALL_REGIONS")  # fmt: skip


def quotas_of(request: Request, region: str) -> list[Document]:
    """The quotas of a region, or (empty) of the project, with what is used."""
    book = request.book
    metrics = _REGIONAL if region else _GLOBAL
    extra = [metric for where, metric in book.quotas if where == region and metric not in metrics and metric in DEFAULT_QUOTAS]
    return [{"metric": one, "limit": book.limit(region, one), "usage": used(book, region, one)} for one in (*metrics, *extra)]


def region(request: Request, name: str, *, quotas: bool = True) -> Document:
    path = f"projects/{request.project}/regions/{name}"
    if name not in seeds.REGIONS:
        raise missing(path)
    found: Document = {
        "kind": "compute#region", "id": _id(path), "creationTimestamp": OLD, "name": name, "description": name, "status": "UP",
        "selfLink": url(path), "zones": [url(f"projects/{request.project}/zones/{zone}") for zone in seeds.zones(name)], "supportsPzs": False,
    }  # fmt: skip
    if quotas:
        found["quotas"] = quotas_of(request, name)
    return found


def zone(request: Request, name: str) -> Document:
    path = f"projects/{request.project}/zones/{name}"
    if name not in seeds.zones():
        raise missing(path)
    return {
        "kind": "compute#zone", "id": _id(path), "creationTimestamp": OLD, "name": name, "description": name, "status": "UP",
        "region": url(f"projects/{request.project}/regions/{region_of(name)}"), "selfLink": url(path), "supportsPzs": False,
        "availableCpuPlatforms": ["Intel Broadwell", "Intel Cascade Lake", "Intel Skylake"],
    }  # fmt: skip


def machine_type(request: Request, place: str, name: str) -> Document:
    path = f"projects/{request.project}/zones/{place}/machineTypes/{name}"
    shape = seeds.shape(name)
    if shape is None or not offered(request.book, place, name):
        raise missing(path)
    found: Document = {
        "kind": "compute#machineType", "id": _id(path), "creationTimestamp": OLD, "name": name, "zone": place, "selfLink": url(path),
        "description": f"{shape.cpus} vCPUs {shape.memory_gb:g} GB RAM", "guestCpus": shape.cpus, "memoryMb": int(shape.memory_gb * 1024),
        "imageSpaceGb": 0, "maximumPersistentDisks": 128, "maximumPersistentDisksSizeGb": "263168", "architecture": shape.architecture,
        "isSharedCpu": shape.name in ("e2-micro", "e2-small", "e2-medium"),
    }  # fmt: skip
    if shape.accelerator:
        found["accelerators"] = [{"guestAcceleratorType": shape.accelerator, "guestAcceleratorCount": shape.cards}]
    if shape.local_ssds:
        found["bundledLocalSsds"] = {"defaultInterface": "NVME", "partitionCount": shape.local_ssds}
    return found


def accelerator_type(request: Request, place: str, name: str) -> Document:
    path = f"projects/{request.project}/zones/{place}/acceleratorTypes/{name}"
    if name not in seeds.ACCELERATORS or place not in seeds.zones_with(name) or (place, name) in request.book.withheld:
        raise missing(path)
    one = seeds.ACCELERATORS[name]
    return {
        "kind": "compute#acceleratorType", "id": _id(path), "creationTimestamp": OLD, "name": name, "description": one.description,
        "maximumCardsPerInstance": one.cards, "zone": url(f"projects/{request.project}/zones/{place}"), "selfLink": url(path),
    }  # fmt: skip


def disk_type(request: Request, place: str, name: str) -> Document:
    path = f"projects/{request.project}/zones/{place}/diskTypes/{name}"
    if name not in seeds.DISK_TYPES:
        raise missing(path)
    return {
        "kind": "compute#diskType", "id": _id(path), "creationTimestamp": OLD, "name": name, "description": name, "selfLink": url(path),
        "validDiskSize": "10GB-65536GB", "zone": url(f"projects/{request.project}/zones/{place}"), "defaultDiskSizeGb": "500",
    }  # fmt: skip


def _known_zone(request: Request) -> str:
    place = request.path["zone"]
    if place not in seeds.zones():
        raise missing(f"projects/{request.project}/zones/{place}")
    return place


def _zonal(
    names: Mapping[str, object] | tuple[str, ...], one: Callable[[Request, str, str], Document], kind: str, schema: str
) -> dict[str, Handler]:
    """get, list and aggregatedList of something that zones have."""

    def rows(request: Request, place: str, table: str) -> dict[str, Document]:
        found = {}
        for name in names:
            if table == "diskTypes" or _there(request, place, name):
                found[f"projects/{request.project}/zones/{place}/{table}/{name}"] = one(request, place, name)
        return found

    def listed(request: Request) -> Document:
        return listing.page(request, rows(request, _known_zone(request), request.table), f"compute#{kind}List", schema)

    def aggregated(request: Request) -> Document:
        found: dict[str, Document] = {}
        for place in seeds.zones():
            found |= rows(request, place, request.table)
        return listing.aggregated(request, found, f"compute#{kind}AggregatedList", schema)

    return {
        f"compute.{kind}s.get": lambda request: one(request, _known_zone(request), request.path[kind]),
        f"compute.{kind}s.list": listed,
        f"compute.{kind}s.aggregatedList": aggregated,
    }


def _there(request: Request, place: str, name: str) -> bool:
    if name in seeds.SHAPES:
        return offered(request.book, place, name)
    return place in seeds.zones_with(name) and (place, name) not in request.book.withheld


def _regions(request: Request) -> Document:
    rows = {f"projects/{request.project}/regions/{name}": region(request, name) for name in seeds.REGIONS}
    return listing.page(request, rows, "compute#regionList", "Region")


def _zones(request: Request) -> Document:
    rows = {f"projects/{request.project}/zones/{name}": zone(request, name) for name in seeds.zones()}
    return listing.page(request, rows, "compute#zoneList", "Zone")


def _id(path: str) -> str:
    return str(2000 + crc32(path.encode()))


METHODS: Methods = {
    "compute.regions.get": lambda request: region(request, request.path["region"]),
    "compute.regions.list": _regions,
    "compute.zones.get": lambda request: zone(request, request.path["zone"]),
    "compute.zones.list": _zones,
    **_zonal(seeds.SHAPES, machine_type, "machineType", "MachineType"),
    **_zonal(seeds.ACCELERATORS, accelerator_type, "acceleratorType", "AcceleratorType"),
    **_zonal(seeds.DISK_TYPES, disk_type, "diskType", "DiskType"),
}
