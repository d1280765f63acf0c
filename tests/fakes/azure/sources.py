"""What a machine's image reference names: a platform image, a managed image, an image of a gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Resource

IMAGE = "Microsoft.Compute/images"
DEFINITION = "Microsoft.Compute/galleries/images"
VERSION = "Microsoft.Compute/galleries/images/versions"


@dataclass(frozen=True)
class Platform:
    """An image of the marketplace."""

    publisher: str
    offer: str
    sku: str
    versions: tuple[str, ...]
    generation: str = "V2"
    size_gb: int = 30
    plan: bool = False
    """It can only be used with a plan whose terms were accepted."""
    trusted: bool = True
    architecture: str = "x64"


PLATFORM = (
    Platform("Debian", "debian-12", "12-gen2", ("0.20260907.2221", "0.20261005.2250", "0.20261102.2277")),
    Platform("Debian", "debian-12", "12", ("0.20260907.2221", "0.20261005.2250", "0.20261102.2277"), generation="V1", trusted=False),
    Platform("Debian", "debian-12", "12-arm64", ("0.20261102.2277",), architecture="Arm64"),
    Platform("Debian", "debian-13", "13-gen2", ("0.20261005.2250", "0.20261102.2277")),
    Platform("Canonical", "ubuntu-24_04-lts", "server", ("24.04.202609040", "24.04.202610100", "24.04.202611060")),
    Platform("Canonical", "ubuntu-24_04-lts", "server-gen1", ("24.04.202610100", "24.04.202611060"), generation="V1", trusted=False),
    Platform("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", ("22.04.202610080", "22.04.202611040")),
    Platform(
        "Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", ("22.04.202610080", "22.04.202611040"), generation="V1", trusted=False
    ),
    Platform("microsoft-dsvm", "ubuntu-hpc", "2204", ("22.04.2026100101",)),
    Platform("nvidia", "ngc_azure_17_11", "ngc-base-version-24_03_1_gen2", ("24.03.1",), plan=True, trusted=False),
)
"""Invented versions of real images: what a list call answers and what a machine can start from."""


@dataclass(frozen=True)
class Source:
    """What a machine starts from."""

    reference: dict[str, Any]
    """As the machine shows it afterwards."""
    generation: str = "V2"
    size_gb: int = 30
    trusted: bool = True
    """Trusted Launch is possible."""
    specialized: bool = False
    architecture: str = "x64"
    plan: str = ""
    controllers: str = "SCSI,NVMe"
    """How its disk may be attached."""
    image: str = ""
    """The id of the exact version; for a platform image publisher:offer:sku:version."""


def platform(publisher: str, offer: str, sku: str) -> Platform | None:
    """Names are compared without capitals."""
    wanted = (publisher.lower(), offer.lower(), sku.lower())
    return next((one for one in PLATFORM if (one.publisher.lower(), one.offer.lower(), one.sku.lower()) == wanted), None)


def resolve(book: Book, reference: dict[str, Any], location: str) -> Source:
    """Raises Refused for an image that is not there, or not in this region."""
    if reference.get("id"):
        return _resource(book, reference, location)
    found = platform(str(reference.get("publisher", "")), str(reference.get("offer", "")), str(reference.get("sku", "")))
    version = str(reference.get("version", ""))
    if found is None or version not in ("latest", *found.versions):
        raise Refused(
            "PlatformImageNotFound",
            f"The platform image '{reference.get('publisher')}:{reference.get('offer')}:{reference.get('sku')}:{version}' is not available. Verify that all "
            "fields in the storage profile are correct. For more details about storage profile information, please refer to "
            "https://aka.ms/storageprofile", 404, target="imageReference",
        )  # fmt: skip
    exact = found.versions[-1] if version == "latest" else version
    urn = f"{found.publisher}:{found.offer}:{found.sku}:{exact}"
    plan = f"{found.publisher}/{found.offer}/{found.sku}" if found.plan else ""
    return Source(
        {**reference, "exactVersion": exact}, found.generation, found.size_gb, found.trusted, False, found.architecture, plan, image=urn
    )


def _resource(book: Book, reference: dict[str, Any], location: str) -> Source:
    id = str(reference["id"])
    found = book.find(id)
    if found is not None and found.type == DEFINITION:
        found = latest(book, found, location)
    if found is None or found.type not in (IMAGE, VERSION) or found.state != "Succeeded":
        code = "GalleryImageNotFound" if "/galleries/" in id.lower() else "NotFound"
        text = f"The gallery image {id} is not available in {location} region. Please contact image owner to replicate to this region, or change your requested region."
        raise Refused(
            code, text if code != "NotFound" else f"The Image '{id}' cannot be found in '{location}' region.", 404, target="imageReference"
        )
    if found.type == IMAGE:
        if found.location != location:
            raise Refused("InvalidParameter", f"The image '{id}' is not in {location}.", 400, target="imageReference")
        return Source(
            {"id": found.id},
            str(found.properties.get("hyperVGeneration", "V1")),
            found.memory.get("size_gb", 30),
            trusted=False,
            controllers="SCSI",
            image=found.id,
        )
    return _version(book, found, id, location)


def _version(book: Book, found: Resource, id: str, location: str) -> Source:
    definition = book.find(found.id.rpartition("/versions/")[0])
    assert definition is not None
    if location not in regions_of(found):
        text = f"The gallery image {id} is not available in {location} region. Please contact image owner to replicate to this region, or change your requested region."
        raise Refused("GalleryImageNotFound", text, 404, target="imageReference")
    features = {one["name"]: one["value"] for one in definition.properties.get("features") or []}
    trusted = features.get("SecurityType", "") in ("TrustedLaunch", "TrustedLaunchSupported", "TrustedLaunchAndConfidentialVmSupported")
    return Source(
        {"id": id, "exactVersion": found.name}, str(definition.properties.get("hyperVGeneration", "V1")), found.memory.get("size_gb", 30), trusted,
        definition.properties.get("osState") == "Specialized", str(definition.properties.get("architecture", "x64")),
        controllers=features.get("DiskControllerTypes", "SCSI"), image=found.id,
    )  # fmt: skip


def regions_of(version: Resource) -> list[str]:
    """The regions in which a gallery's version can be used now."""
    status = version.memory.get("replication", {})
    return [name for name, state in status.items() if state == "Completed"]


def latest(book: Book, definition: Resource, location: str) -> Resource | None:
    """What a reference to the definition means: the newest version in this region that is not left out of it."""
    found = [
        one
        for one in book.of(VERSION)
        if one.id.lower().startswith(f"{definition.id.lower()}/")
        and one.state == "Succeeded"
        and location in regions_of(one)
        and not (one.properties.get("publishingProfile") or {}).get("excludeFromLatest")
    ]
    return max(found, key=lambda one: [int(part) for part in one.name.split(".")], default=None)
