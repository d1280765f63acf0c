"""Managed images and galleries: what a machine's disk becomes, and where its versions are."""

from __future__ import annotations

import re
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Event, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.machines import MACHINE
from tests.fakes.azure.sources import DEFINITION, IMAGE, VERSION
from tests.fakes.azure.times import now

GALLERY = "Microsoft.Compute/galleries"
_VERSION_NAME = re.compile(r"\d{1,10}\.\d{1,10}\.\d{1,10}")
_GALLERY_NAME = re.compile(r"[A-Za-z0-9][\w.]{0,79}")


def _place(ask: Ask, new: Resource) -> None:
    new.body["location"] = require_location(str(new.body["location"]))
    new.body["tags"] = dict(new.body.get("tags") or {})


# --- managed images


def _make_image(ask: Ask, new: Resource, old: Resource | None) -> None:
    _place(ask, new)
    source = (new.properties.get("sourceVirtualMachine") or {}).get("id", "")
    machine = ask.book.find(str(source))
    if machine is None or machine.type != MACHINE:
        raise Refused(
            "InvalidParameter", f"The entity '{source}' referenced by the image was not found.", 400, target="sourceVirtualMachine"
        )
    if not machine.memory.get("generalized"):
        raise Refused("OperationNotAllowed", f"The source VM '{machine.name}' has not been generalized.", 409)
    if (machine.properties.get("securityProfile") or {}).get("securityType") == "TrustedLaunch":
        raise Refused(
            "OperationNotAllowed", "Managed images of machines with Trusted Launch are not supported. Use a Compute Gallery.", 409
        )
    disk = machine.properties["storageProfile"]["osDisk"]
    new.properties.setdefault("hyperVGeneration", machine.memory.get("generation", "V1"))
    new.properties["storageProfile"] = {
        "osDisk": {"osType": "Linux", "osState": "Generalized", "diskSizeGB": disk["diskSizeGB"], "managedDisk": {"id": disk["managedDisk"]["id"]},
                   "caching": "ReadWrite", "storageAccountType": "Standard_LRS"},
        "dataDisks": [], "zoneResilient": bool((new.properties.get("storageProfile") or {}).get("zoneResilient")),
    }  # fmt: skip
    new.memory |= {"size_gb": disk["diskSizeGB"], "machine": machine.name}


def _image_begun(book: Book, one: Resource, error: Refused | None) -> None:
    if error is None and "machine" in one.memory:
        book.tell(Event("imaged", one.group, one.memory["machine"], one.id))


# --- galleries


def _make_gallery(ask: Ask, new: Resource, old: Resource | None) -> None:
    _place(ask, new)
    if not _GALLERY_NAME.fullmatch(new.name):
        raise Refused(
            "InvalidParameter", f"The entity name 'gallery.name' is invalid according to its validation rule: {_GALLERY_NAME.pattern}.", 400
        )
    new.properties["identifier"] = {"uniqueName": f"{ask.target.subscription}-{new.name.upper()}"}


def _below(book: Book, one: Resource, kind: str) -> list[Resource]:
    return [each for each in book.of(kind) if each.id.lower().startswith(f"{one.id.lower()}/")]


def _gallery_may_go(book: Book, one: Resource) -> None:
    if _below(book, one, DEFINITION):
        raise Refused("CannotDeleteResource", "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: "
                      f"'{_below(book, one, DEFINITION)[0].id}'. Please delete all nested resources before deleting this resource.", 409)  # fmt: skip


def _definition_may_go(book: Book, one: Resource) -> None:
    if _below(book, one, VERSION):
        raise Refused("CannotDeleteResource", "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: "
                      f"'{_below(book, one, VERSION)[0].id}'. Please delete all nested resources before deleting this resource.", 409)  # fmt: skip


def _make_definition(ask: Ask, new: Resource, old: Resource | None) -> None:
    _place(ask, new)
    new.properties.setdefault("hyperVGeneration", "V1")
    new.properties.setdefault("architecture", "x64")
    identity = new.properties["identifier"]
    for other in ask.book.of(DEFINITION):
        same = other.properties["identifier"] == identity and other.id.lower() != new.id.lower()
        if same and other.id.lower().rpartition("/")[0] == new.id.lower().rpartition("/")[0]:
            raise Refused("Conflict", f"Gallery image already exists with the same publisher, offer and sku: {other.id}.", 409)
    if old is not None and (old.properties["osState"], old.properties["hyperVGeneration"]) != (
        new.properties["osState"],
        new.properties["hyperVGeneration"],
    ):
        raise Refused(
            "PropertyChangeNotAllowed", "Changing property 'galleryImage.properties' is not allowed.", 409, target="galleryImage.properties"
        )


def _make_version(ask: Ask, new: Resource, old: Resource | None) -> None:
    _place(ask, new)
    if not _VERSION_NAME.fullmatch(new.name):
        raise Refused(
            "InvalidParameter",
            "The entity name 'galleryImageVersion.name' is invalid according to its validation rule: ^[0-9]+\\.[0-9]+\\.[0-9]+$.",
            400,
        )
    source = new.properties["storageProfile"].get("source") or {}
    if old is None:
        _fill(ask, new, str(source.get("virtualMachineId") or source.get("id") or ""))
    else:
        new.memory = old.memory
        new.properties["storageProfile"] = old.properties["storageProfile"]
    profile = new.properties.setdefault("publishingProfile", {})
    targets = profile.get("targetRegions") or [{"name": new.location}]
    for one in targets:
        one["name"] = require_location(str(one["name"]))
        one.setdefault("regionalReplicaCount", profile.get("replicaCount", 1))
        one.setdefault("storageAccountType", profile.get("storageAccountType", "Standard_LRS"))
    if new.location not in [one["name"] for one in targets]:
        raise Refused(
            "InvalidParameter",
            f"The publishing profile target regions must contain the location of the image version: {new.location}.",
            400,
            target="publishingProfile",
        )
    new.properties["publishingProfile"] = {
        "targetRegions": targets, "replicaCount": profile.get("replicaCount", 1), "excludeFromLatest": bool(profile.get("excludeFromLatest")),
        "publishedDate": now(), "storageAccountType": profile.get("storageAccountType", "Standard_LRS"), "replicationMode": profile.get("replicationMode", "Full"),
        **({"endOfLifeDate": profile["endOfLifeDate"]} if "endOfLifeDate" in profile else {}),
    }  # fmt: skip
    new.properties.setdefault("safetyProfile", {"allowDeletionOfReplicatedLocations": True})
    before = new.memory.get("replication", {})
    new.memory["replication"] = {one["name"]: before.get(one["name"], "Replicating") for one in targets}


def _fill(ask: Ask, new: Resource, source_id: str) -> None:
    """The disk of the version: of a generalized machine or of a managed image."""
    source = ask.book.find(source_id)
    if source is None or source.type not in (MACHINE, IMAGE, VERSION):
        raise Refused(
            "InvalidParameter", f"The resource '{source_id}' that the image version is made from was not found.", 404, target="source"
        )
    if source.location != new.location:
        raise Refused(
            "InvalidParameter",
            f"The source '{source_id}' is in {source.location}, and the image version in {new.location}.",
            400,
            target="source",
        )
    definition = ask.book.find(new.id.rpartition("/versions/")[0])
    assert definition is not None
    if source.type == MACHINE and definition.properties["osState"] == "Generalized" and not source.memory.get("generalized"):
        raise Refused("OperationNotAllowed", f"The source VM '{source.name}' has not been generalized.", 409)
    generation = str(source.properties.get("hyperVGeneration", definition.properties["hyperVGeneration"]))
    if source.type == IMAGE and generation != definition.properties["hyperVGeneration"]:
        raise Refused("InvalidParameter", f"The hyperVGeneration of the source, {generation}, is not that of the gallery image, "
                      f"{definition.properties['hyperVGeneration']}.", 400)  # fmt: skip
    size = source.memory.get("size_gb") or source.properties["storageProfile"]["osDisk"]["diskSizeGB"]
    new.properties["storageProfile"] = {
        "source": {"id": source.id},
        "osDiskImage": {"sizeInGB": size, "hostCaching": "ReadWrite", "source": {}},
    }
    new.memory |= {
        "size_gb": size,
        "source": source.id,
        "machine": source.name if source.type == MACHINE else source.memory.get("machine", ""),
    }


def _version_begun(book: Book, one: Resource, error: Refused | None) -> None:
    if error is None and one.memory.get("machine") and not one.memory.get("told"):
        one.memory["told"] = True
        book.tell(Event("imaged", one.group, one.memory["machine"], one.id))


def _version_made(book: Book, one: Resource, error: Refused | None) -> None:
    state = "Failed" if error is not None else "Completed"
    one.memory["replication"] = {name: book.replication.get(name, state) for name in one.memory["replication"]}


def _show_version(ask: Ask, one: Resource) -> dict[str, Any]:
    """With the state of each region, if it is asked for."""
    if "replicationstatus" not in ask.query.get("$expand", "").lower():
        return one.body
    states = one.memory["replication"]
    aggregated = "Completed" if set(states.values()) == {"Completed"} else "Failed" if "Failed" in states.values() else "InProgress"
    progress = {"Completed": 100, "Replicating": 50}
    summary = [{"region": name, "state": state, "details": "", "progress": progress.get(state, 0)} for name, state in states.items()]
    return {**one.body, "properties": {**one.properties, "replicationStatus": {"aggregatedState": aggregated, "summary": summary}}}


def _change_version(ask: Ask, one: Resource) -> None:
    profile = ((ask.body or {}).get("properties") or {}).get("publishingProfile") or {}
    if "excludeFromLatest" in profile:
        one.properties["publishingProfile"]["excludeFromLatest"] = bool(profile["excludeFromLatest"])
    if "endOfLifeDate" in profile:
        one.properties["publishingProfile"]["endOfLifeDate"] = profile["endOfLifeDate"]
    if "targetRegions" in profile:
        targets = [
            {"regionalReplicaCount": 1, "storageAccountType": "Standard_LRS", **each, "name": require_location(each["name"])}
            for each in profile["targetRegions"]
        ]
        one.properties["publishingProfile"]["targetRegions"] = targets
        one.memory["replication"] = {each["name"]: one.memory["replication"].get(each["name"], "Completed") for each in targets}


known(Kind(IMAGE, make=_make_image, begun=_image_begun))
known(Kind(GALLERY, make=_make_gallery, may_go=_gallery_may_go))
known(Kind(DEFINITION, make=_make_definition, may_go=_definition_may_go, parent=True))
known(Kind(VERSION, make=_make_version, begun=_version_begun, made=_version_made, show=_show_version, change=_change_version, parent=True))
