"""What is wanted of a Compute Gallery: how one is made, which image definitions fit, and what these need of a size. Doctor, bakes and launches ask the
same.
"""

from __future__ import annotations

from azure.mgmt.compute.models import GalleryImage

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.skus import Needs

SECURITY = "SecurityType"
"""The feature of a definition that says with which security machines can be made of it."""
TRUSTED = "TrustedLaunch"
CONTROLLERS = "DiskControllerTypes"
"""The feature that says how a disk of the image can be attached."""
NO_PLAIN = (TRUSTED, "ConfidentialVM")
"""Security types of which no plain machine can be made; those that end in Supported allow one
(https://learn.microsoft.com/azure/virtual-machines/trusted-launch)."""

CORRECT = "Azure cannot change that: name another definition in images.yaml (azure.definition), or correct azure.security"
"""What to do about a misfit."""


def commands(group: str, name: str, location: str) -> str:
    """How to make a gallery and its resource group."""
    return (
        f"`az group create --name {group} --location {location}`, then"
        f" `az sig create --resource-group {group} --gallery-name {name} --location {location}`"
    )


def security_of(found: GalleryImage) -> str:
    """The security type of a definition."""
    return _feature(found, SECURITY, "Standard")


def needs_of(found: GalleryImage | None, *, trusted_launch: bool) -> Needs:
    """What machines of a definition need of their size. None: of the one that a first bake will make. `trusted_launch`: whether images.yaml wants it."""
    if found is None or found.properties is None:
        return Needs(trusted_launch=trusted_launch)
    about, security = found.properties, security_of(found)
    return Needs(
        generation=word(about.hyper_v_generation) or "V1",
        architecture=word(about.architecture) or "x64",
        controllers=frozenset(filter(None, (name.strip() for name in _feature(found, CONTROLLERS, "SCSI").split(",")))),
        trusted_launch=security == TRUSTED or (trusted_launch and security.startswith(TRUSTED)),
    )


def misfit(found: GalleryImage, *, trusted_launch: bool) -> str:
    """Why a definition cannot take our images, as the end of a sentence about it; empty when it can. Azure cannot change any of it."""
    about, security = found.properties, security_of(found)
    if about is None or word(about.hyper_v_generation) != "V2" or word(about.os_type) != "Linux":
        return "is not for Linux machines of generation 2"
    if word(about.os_state) != "Generalized":
        return "is for specialized images"
    if trusted_launch and not security.startswith(TRUSTED):
        return f"has security type {security}, and images.yaml says trusted-launch"
    if not trusted_launch and security in NO_PLAIN:
        return f"has security type {security}, and images.yaml says standard"
    return ""


def _feature(found: GalleryImage, name: str, otherwise: str) -> str:
    features = found.properties.features if found.properties else None
    return next((str(one.value) for one in features or () if one.name == name), otherwise)
