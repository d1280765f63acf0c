"""What image versions are kept in: the Compute Gallery, which a person makes, and the definition of each image, which the first bake makes."""

from __future__ import annotations

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute

from goldbake.clouds import tags as names
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.operations import finished
from goldbake.config.azure import AzureSettings
from goldbake.config.model import Image
from goldbake.errors import MissingError, UsageError

_PATIENCE_S = 600.0
_SECURITY = "SecurityType"
_NO_STANDARD = ("TrustedLaunch", "ConfidentialVM", "ConfidentialVmSupported")
"""Security types of definitions whose VMs cannot be plain ones
(https://learn.microsoft.com/azure/virtual-machines/trusted-launch)."""


def make_ready(calls: ComputeManagementClient, name: str, image: Image) -> None:
    """Find the definition, or make it. Raises MissingError without the gallery, UsageError for a definition that does not fit, Failure."""
    settings = image.azure
    wanted = settings.definition_of(name)
    doing = f"look at the gallery {settings.gallery}"
    try:
        gallery = _gallery(calls, settings)
        doing = f"look at the image definition {wanted}"
        try:
            _require_fit(calls.gallery_images.get(settings.resource_group, settings.gallery, wanted), settings)
            return
        except ResourceNotFoundError:
            doing = f"make the image definition {wanted}"
        made = definition(wanted, image, gallery.location)
        poller = calls.gallery_images.begin_create_or_update(settings.resource_group, settings.gallery, wanted, made)
    except AzureError as error:
        raise failure(error, doing=doing, place=settings.location) from error
    finished(poller, doing=doing, place=settings.location, patience=_PATIENCE_S)


def definition(name: str, image: Image, location: str) -> compute.GalleryImage:
    """Generation 2, as every base image of ours; sizes of version 6 have their disks behind NVMe only."""
    features = [
        compute.GalleryImageFeature(name="DiskControllerTypes", value="SCSI,NVMe"),
        compute.GalleryImageFeature(name="IsAcceleratedNetworkSupported", value="True"),
    ]
    if image.azure.security == "trusted-launch":
        features.append(compute.GalleryImageFeature(name=_SECURITY, value="TrustedLaunchSupported"))
    return compute.GalleryImage(
        location=location,
        tags={names.MANAGED_BY: names.OWNER, names.IMAGE: name.lower()},
        properties=compute.GalleryImageProperties(
            description=image.description,
            os_type="Linux",
            os_state="Generalized",
            hyper_v_generation="V2",
            architecture="x64",
            identifier=compute.GalleryImageIdentifier(publisher="goldbake", offer=name, sku=image.os.value),
            features=features,
        ),
    )


def _require_fit(found: compute.GalleryImage, settings: AzureSettings) -> None:
    properties = found.properties
    security = next((one.value for one in (properties.features if properties else None) or () if one.name == _SECURITY), "Standard")
    wrong = ""
    if properties is None or properties.hyper_v_generation != "V2" or properties.os_type != "Linux":
        wrong = "is not for Linux machines of generation 2"
    elif properties.os_state != "Generalized":
        wrong = "is for specialized images"
    elif settings.security == "trusted-launch" and not str(security).startswith("TrustedLaunch"):
        wrong = f"has security type {security}, and images.yaml says trusted-launch"
    elif settings.security == "standard" and security in _NO_STANDARD:
        wrong = f"has security type {security}, and images.yaml says standard"
    if wrong:
        raise UsageError(
            f"the image definition {found.name} of gallery {settings.gallery} {wrong}",
            hint="Azure cannot change that: name another definition in images.yaml (azure.definition)",
        )


def _gallery(calls: ComputeManagementClient, settings: AzureSettings) -> compute.Gallery:
    group, name, location = settings.resource_group, settings.gallery, settings.location
    try:
        return calls.galleries.get(group, name)
    except ResourceNotFoundError as error:
        raise MissingError(
            f"there is no gallery {name} in the resource group {group}",
            hint=f"`az group create --name {group} --location {location}`, then"
            f" `az sig create --resource-group {group} --gallery-name {name} --location {location}`",
        ) from error
