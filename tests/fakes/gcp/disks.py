"""The methods of compute.disks."""

from __future__ import annotations

from tests.fakes.gcp import listing, operations
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.labels import set_labels
from tests.fakes.gcp.paths import path_of
from tests.fakes.gcp.refused import Refused
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.gcp.storage import new_disk
from tests.fakes.gcp.understood import DISK, refuse_others


def insert(request: Request) -> Document:
    path = f"{request.scope}/disks/{request.body['name']}"
    refuse_others(request.body, DISK)
    if path in request.book.tables["disks"]:
        raise Refused("alreadyExists", f"The resource '{path}' already exists")
    row = new_disk(request, path, request.body, "resource")
    return operations.begin(request, "insert", path, lambda: request.book.tables["disks"].update({path: row}), target_id=row["id"])


def get(request: Request) -> Document:
    return request.find(request.path["disk"])[1]


def list_(request: Request) -> Document:
    rows = {path: row for path, row in request.book.tables["disks"].items() if path.startswith(f"{request.scope}/")}
    return listing.page(request, rows, "compute#diskList", "Disk")


def aggregated(request: Request) -> Document:
    rows = {path: row for path, row in request.book.tables["disks"].items() if path.startswith(f"projects/{request.project}/")}
    return listing.aggregated(request, rows, "compute#diskAggregatedList", "Disk")


def delete(request: Request) -> Document:
    """Raises Refused while an instance has it."""
    path, row = request.find(request.path["disk"])
    if row.get("users"):
        user = path_of(row["users"][0], request.project)
        raise Refused("resourceInUseByAnotherResource", f"The disk resource '{path}' is already being used by '{user}'")
    return operations.begin(request, "delete", path, lambda: request.book.tables["disks"].pop(path, None) and None, target_id=row["id"])


METHODS: Methods = {
    "compute.disks.insert": insert,
    "compute.disks.get": get,
    "compute.disks.list": list_,
    "compute.disks.aggregatedList": aggregated,
    "compute.disks.delete": delete,
    "compute.disks.setLabels": set_labels,
}
