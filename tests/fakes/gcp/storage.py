"""The disks of an instance, and disks by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.gcp import seeds
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.images import image_of
from tests.fakes.gcp.labels import refuse_labels
from tests.fakes.gcp.paths import NAME, last, path_of, url, zone_in
from tests.fakes.gcp.refused import Refused, invalid, missing
from tests.fakes.gcp.request import Request


def disks_of(
    request: Request, zone: str, name: str, given: Sequence[Mapping[str, Any]], shape: seeds.Shape
) -> tuple[dict[str, Document], list[Document]]:
    """The new disks by path, and all disks as the instance shows them. Raises Refused."""
    book, project = request.book, request.project
    if not given or not given[0].get("boot"):
        raise invalid("resource.disks", "", "At least one disk is required, and the first of them is the boot disk.")
    made: dict[str, Document] = {}
    shown: list[Document] = []
    for number, one in enumerate(given):
        device = one.get("deviceName") or f"persistent-disk-{number}"
        attached: Document = {
            "kind": "compute#attachedDisk", "type": one.get("type", "PERSISTENT"), "mode": one.get("mode", "READ_WRITE"), "deviceName": device,
            "index": number, "boot": bool(one.get("boot", False)), "autoDelete": bool(one.get("autoDelete", False)),
            "interface": one.get("interface", "SCSI"),
        }  # fmt: skip
        if one.get("type") == "SCRATCH":
            if not one.get("autoDelete"):
                raise invalid(f"resource.disks[{number}].autoDelete", "false", "A scratch disk is deleted with its instance.")
            shown.append({**attached, "diskSizeGb": "375"})
            continue
        if "source" in one:
            path = path_of(one["source"], project)
            if path not in book.tables["disks"]:
                raise missing(path)
            disk = book.tables["disks"][path]
            if disk.get("users") and attached["mode"] == "READ_WRITE":
                raise Refused("resourceInUseByAnotherResource", f"The disk resource '{path}' is already being used by '{disk['users'][0]}'")
        else:
            asked = one.get("initializeParams", {})
            default = name if attached["boot"] else f"{name}-{number}"
            path = f"projects/{project}/zones/{zone}/disks/{asked.get('diskName') or default}"
            if path in book.tables["disks"] or path in made:
                raise Refused("alreadyExists", f"The resource '{path}' already exists")
            disk = made[path] = new_disk(request, path, asked, f"resource.disks[{number}].initializeParams", shape.architecture)
        if attached["boot"] and not seeds.boots_from(shape, last(disk["type"])):
            raise Refused("badRequest", f"[{last(disk['type'])}, {shape.name}] features are not compatible for creating instance.")
        signed = book.tables["images"].get(path_of(disk.get("sourceImage", ""), project), {}).get("shieldedInstanceInitialState")
        shown.append(
            {**attached, **({"shieldedInstanceInitialState": signed} if signed else {}), "source": url(path), "diskSizeGb": disk["sizeGb"], "licenses": disk.get("licenses", []),
             "guestOsFeatures": disk.get("guestOsFeatures", []), "architecture": disk.get("architecture", "X86_64")}
        )  # fmt: skip
    return made, shown


def new_disk(request: Request, path: str, asked: Mapping[str, Any], where: str, architecture: str = "") -> Document:
    """A disk of these parameters, from its image if it has one. Raises Refused."""
    book, project = request.book, request.project
    zone = zone_in(path)
    kind = last(str(asked.get("diskType") or asked.get("type") or "pd-standard"))
    if not NAME.fullmatch(last(path)):
        raise invalid(f"{where}.diskName", last(path), "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    if kind not in seeds.DISK_TYPES:
        raise missing(f"projects/{project}/zones/{zone}/diskTypes/{kind}")
    refuse_labels(asked.get("labels", {}))
    labels = dict(asked.get("labels", {}))
    disk: Document = {
        "kind": "compute#disk", "id": book.new_id(), "creationTimestamp": book.stamp(), "name": last(path), "status": "READY",
        "zone": url(f"projects/{project}/zones/{zone}"), "selfLink": url(path), "type": url(f"projects/{project}/zones/{zone}/diskTypes/{kind}"),
        "labelFingerprint": book.fingerprint(labels), "physicalBlockSizeBytes": "4096", "enableConfidentialCompute": False, "satisfiesPzi": True,
    }  # fmt: skip
    if labels:
        disk["labels"] = labels
    size = int(asked.get("diskSizeGb") or asked.get("sizeGb") or 0)
    if asked.get("sourceImage"):
        source = image_of(request, str(asked["sourceImage"]))
        image = book.tables["images"][source]
        if architecture and image.get("architecture", "X86_64") != architecture:
            text = f"The image's architecture {image['architecture']} is not that of the machine type ({architecture})."
            raise invalid(f"{where}.sourceImage", str(asked["sourceImage"]), text)
        if size and size < int(image["diskSizeGb"]):
            text = f"Requested disk size cannot be smaller than the image size ({image['diskSizeGb']} GB)"
            raise invalid(f"{where}.diskSizeGb", str(size), text)
        size = size or int(image["diskSizeGb"])
        disk |= {"sourceImage": url(source), "sourceImageId": image["id"], "architecture": image.get("architecture", "X86_64")}
        disk |= {key: image[key] for key in ("licenses", "licenseCodes", "guestOsFeatures") if key in image}
    disk["sizeGb"] = str(size or 500)
    return disk
