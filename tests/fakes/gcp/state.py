"""All that the fake holds, as a document and as a list."""

from __future__ import annotations

from typing import Any

from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.paths import last
from tests.fakes.held import Held

_KINDS = {"instances": "instance", "disks": "disk", "images": "image", "firewalls": "firewall", "networks": "network",
          "subnetworks": "subnetwork", "routers": "router", "addresses": "address", "snapshots": "snapshot"}  # fmt: skip


def held(book: Book, *, ended: bool = False) -> list[Held]:
    """Everything; with `ended` also the instances that are gone, as DELETED."""
    found = [
        _of(_KINDS[table], path, row)
        for table, rows in book.tables.items()
        for path, row in rows.items()
        if path not in book.furnished and path.startswith(f"projects/{book.project}/")
    ]
    if ended:
        found += [_of("instance", path, row) for path, row in book.gone]
    return found


def document(book: Book) -> dict[str, Any]:
    """The answer to `GET /_state`: kind → what there is."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in held(book, ended=True):
        entry = {"id": one.id, "place": one.region, "state": one.state, "labels": one.tags, **one.more}
        found.setdefault(one.kind if one.kind.endswith("s") else f"{one.kind}s", []).append(entry)
    return {"project": book.project, "resources": found}


def _of(kind: str, path: str, row: Document) -> Held:
    parts = path.split("/")
    place = "global" if parts[2] == "global" else parts[3]
    return Held(kind, row["name"], place, dict(row.get("labels", {})), str(row.get("status", "")), _more(kind, row))


def _more(kind: str, row: Document) -> dict[str, Any]:
    if kind == "instance":
        scheduling = row["scheduling"]
        return {
            "type": last(row["machineType"]), "spot": scheduling["provisioningModel"] == "SPOT", "disks": [last(one.get("source", "")) for one in row["disks"]],
            "gpus": sum(one["acceleratorCount"] for one in row.get("guestAccelerators", ())), "metadata": sorted(one["key"] for one in row["metadata"].get("items", ())),
            "public_ip": next((one.get("natIP", "") for nic in row["networkInterfaces"] for one in nic.get("accessConfigs", ())), ""),
            "network": last(row["networkInterfaces"][0]["network"]), "network_tags": row["tags"].get("items", []),
            "account": next((one["email"] for one in row.get("serviceAccounts", ())), ""),
            "seconds": int(scheduling.get("maxRunDuration", {}).get("seconds", 0)), "at_end": scheduling.get("instanceTerminationAction", ""),
        }  # fmt: skip
    if kind == "disk":
        users = [last(one) for one in row.get("users", ())]
        return {"size": int(row["sizeGb"]), "type": last(row["type"]), "image": last(row.get("sourceImage", "")), "users": users}
    if kind == "image":
        return {
            "family": row.get("family", ""), "size": int(row["diskSizeGb"]), "deprecated": row.get("deprecated", {}).get("state", ""),
            "features": [one["type"] for one in row.get("guestOsFeatures", ())],
        }  # fmt: skip
    if kind == "firewall":
        return {"description": row.get("description", ""), "ranges": row.get("sourceRanges", []), "targets": row.get("targetTags", [])}
    return {}
