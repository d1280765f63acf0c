"""What image versions are kept in: the Compute Gallery, which a person makes, and the definition of each image, which the first bake makes."""

from __future__ import annotations

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute import models as compute

from goldbake.clouds import tags as names
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.galleries import CONTROLLERS, CORRECT, SECURITY, commands, misfit
from goldbake.clouds.azure.operations import finished
from goldbake.config.azure import AzureSettings
from goldbake.config.model import Image
from goldbake.errors import MissingError, UsageError

_PATIENCE_S = 600.0


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
        compute.GalleryImageFeature(name=CONTROLLERS, value="SCSI,NVMe"),
        compute.GalleryImageFeature(name="IsAcceleratedNetworkSupported", value="True"),
    ]
    if image.azure.security == "trusted-launch":
        features.append(compute.GalleryImageFeature(name=SECURITY, value="TrustedLaunchSupported"))
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
    wrong = misfit(found, trusted_launch=settings.security == "trusted-launch")
    if wrong:
        raise UsageError(
            f"the image definition {found.name} of gallery {settings.gallery} {wrong}",
            hint=CORRECT,
        )


def _gallery(calls: ComputeManagementClient, settings: AzureSettings) -> compute.Gallery:
    group, name, location = settings.resource_group, settings.gallery, settings.location
    try:
        return calls.galleries.get(group, name)
    except ResourceNotFoundError as error:
        raise MissingError(
            f"there is no gallery {name} in the resource group {group}",
            hint=commands(group, name, location),
        ) from error
