"""Managed disks."""

from __future__ import annotations

import uuid

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.times import now

DISK = "Microsoft.Compute/disks"


def _make(ask: Ask, new: Resource, old: Resource | None) -> None:
    new.body["location"] = require_location(str(new.body.get("location", "")))
    new.body["tags"] = dict(new.body.get("tags") or {})
    new.body["sku"] = {
        "name": (new.body.get("sku") or {}).get("name", "Standard_LRS"),
        "tier": "Premium" if "Premium" in str(new.body.get("sku")) else "Standard",
    }
    if new.properties.get("creationData", {}).get("createOption") == "Empty" and "diskSizeGB" not in new.properties:
        raise Refused("InvalidParameter", "Required parameter 'diskSizeGB' is missing (null).", 400, target="diskSizeGB")
    new.properties |= {"timeCreated": now(), "uniqueId": str(uuid.uuid4()), "diskState": "Unattached"}


def _may_go(book: Book, one: Resource) -> None:
    if one.body.get("managedBy"):
        machine = str(one.body["managedBy"])
        raise Refused("OperationNotAllowed", f"Disk {one.name} is attached to VM {machine}.", 409)


def for_machine(book: Book, machine: Resource, name: str, size_gb: int, sku: str, source: str, tags: dict[str, str]) -> Resource:
    """The disk that a machine starts from."""
    id = f"{machine.id.rpartition('/providers/')[0]}/providers/{DISK}/{name}"
    body = {
        "location": machine.location,
        "tags": tags,
        "sku": {"name": sku, "tier": "Premium" if sku.startswith("Premium") else "Standard"},
        "managedBy": machine.id,
        "properties": {
            "osType": "Linux", "creationData": {"createOption": "FromImage", "imageReference": {"id": source}}, "diskSizeGB": size_gb,
            "timeCreated": now(), "provisioningState": "Succeeded", "diskState": "Attached", "uniqueId": str(uuid.uuid4()),
        },
    }  # fmt: skip
    if machine.body.get("zones"):
        body["zones"] = list(machine.body["zones"])
    made = Resource(id, DISK, machine.group, (name,), body)
    book.add(made)
    return made


known(Kind(DISK, make=_make, may_go=_may_go))
