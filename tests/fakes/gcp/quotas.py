"""Quotas of the project and of its regions: what is in use, and what would be more than there is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tests.fakes.gcp import seeds
from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.operations import error
from tests.fakes.gcp.paths import last, region_of

_CPUS = {"n2": "N2_CPUS", "a2": "A2_CPUS"}


def used(book: Book, region: str, metric: str) -> float:
    """How much of a quota is in use; `region` is empty for the project's own."""
    if metric in ("DISKS_TOTAL_GB", "SSD_TOTAL_GB"):
        return _gigabytes(book, region, ssd=metric == "SSD_TOTAL_GB")
    if metric.lower() in ("firewalls", "networks", "subnetworks", "routers", "snapshots"):
        return float(len(book.tables[metric.lower()]))
    if metric == "IMAGES":
        return float(sum(path.startswith(f"projects/{book.project}/") for path in book.tables["images"]))
    return book.usage.get((region, metric), 0.0)


def count(book: Book, document: Mapping[str, Any], sign: int) -> None:
    """An instance begins (1) or ends (-1) to take what it takes."""
    region = region_of(last(document["zone"]))
    for metric, amount in _uses(document):
        for where in (region, ""):
            book.usage[where, metric] = book.usage.get((where, metric), 0.0) + sign * amount


def over_quota(book: Book, document: Mapping[str, Any]) -> Document | None:
    """The error of an operation that starts this instance and would take more than a quota has; None: there is enough."""
    for name, amount in _uses(document):
        region = "" if name.endswith("_ALL_REGIONS") else region_of(last(document["zone"]))
        limit = book.limit(region, name)
        if book.usage.get((region, name), 0.0) + amount <= limit:
            continue
        metric, _, family = name.partition(":")
        place = f"in region {region}" if region else "globally"
        info = {
            "metricName": f"compute.googleapis.com/{metric.lower()}",
            "limitName": metric.replace("_", "-") + ("-per-project-region" if region else "-per-project"),
            "limit": limit,
            "dimensions": ({"region": region} if region else {"global": "global"}) | ({"gpu_family": family} if family else {}),
        }
        return error("QUOTA_EXCEEDED", f"Quota '{metric}' exceeded.  Limit: {limit} {place}.", [{"quotaInfo": info}])
    return None


def _uses(document: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Quota metrics with what this instance takes of them."""
    guests = tuple((one["acceleratorType"], one["acceleratorCount"]) for one in document.get("guestAccelerators", ()))
    public = any("accessConfigs" in nic for nic in document["networkInterfaces"])
    return _uses_of(document["machineType"], document["scheduling"]["preemptible"], public, guests)


@lru_cache(maxsize=256)
def _uses_of(kind: str, spot: bool, public: bool, guests: tuple[tuple[str, int], ...]) -> tuple[tuple[str, float], ...]:
    shape = seeds.shape(last(kind))
    assert shape is not None, kind
    found = {"INSTANCES": 1.0, "CPUS_ALL_REGIONS": float(shape.cpus)}
    found["PREEMPTIBLE_CPUS" if spot else _CPUS.get(shape.family, "CPUS")] = float(shape.cpus)
    if public:
        found["IN_USE_ADDRESSES"] = 1.0
    for name, cards in guests:
        found["GPUS_ALL_REGIONS"] = found.get("GPUS_ALL_REGIONS", 0.0) + cards
        metric = seeds.ACCELERATORS[last(name)].metric
        if spot:
            metric = f"PREEMPTIBLE_{metric}" if ":" not in metric else f"PREEMPTIBLE_{metric.partition(':')[2]}_GPUS"
        found[metric] = float(cards)
    return tuple(found.items())


def _gigabytes(book: Book, region: str, *, ssd: bool) -> float:
    return sum(
        float(one["sizeGb"])
        for path, one in book.tables["disks"].items()
        if f"/zones/{region}" in path and (last(one["type"]) in ("pd-ssd", "pd-balanced")) is ssd
    )
