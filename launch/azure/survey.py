"""What the regions of a launch have for it: the image, the VM sizes and the zones. Nothing here makes anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.galleries import CONTROLLERS, needs_of, security_of
from goldbake.clouds.azure.resources import is_gone, parts
from goldbake.clouds.azure.skus import Sku, skus
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import NoImageError, UsageError
from launch.azure.request import Ground, ImageVersion, Size
from launch.base import CloudOptions, LaunchSpec

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_VERSION_PARTS = 3
"""Gallery, definition and version: the names in an image version's id."""


def region_of(text: str) -> str:
    """The name of a region as it stands in ids, whether it was written so or as people read it: East US is eastus."""
    return text.replace(" ", "").lower()


def image_version(azure: Azure, spec: LaunchSpec) -> ImageVersion:
    """What the gallery says of the artifact. Raises GoldbakeError when it is not there or not ready."""
    again = f"bake it again: ./inv bake --cloud azure --image {spec.image}"
    try:
        of = parts(spec.artifact)
    except ValueError as error:
        raise UsageError(f"{spec.artifact} is no image version of a gallery", hint=again) from error
    if len(of.names) != _VERSION_PARTS:
        raise UsageError(f"{spec.artifact} is no image version of a gallery", hint=again)
    gallery, definition, version = of.names
    compute = azure.client(ComputeManagementClient, of.subscription)
    try:
        kind = compute.gallery_images.get(of.group, gallery, definition)
        found = compute.gallery_image_versions.get(of.group, gallery, definition, version, expand="ReplicationStatus")
    except AzureError as error:
        if is_gone(error):
            raise NoImageError(f"{spec.artifact} is not there any more", hint=again) from error
        raise failure(error, doing="look at the image", place=gallery) from error
    if (state := word(found.provisioning_state)) != "Succeeded":
        raise NoImageError(f"{spec.artifact} is {state}", hint=again)
    disk = found.storage_profile.os_disk_image if found.storage_profile else None
    plan = kind.purchase_plan
    wanted = spec.described is not None and spec.described.azure.security == "trusted-launch"
    return ImageVersion(
        id=spec.artifact,
        regions=tuple(_ready(found)),
        needs=needs_of(kind, trusted_launch=wanted),
        security=security_of(kind),
        size_gib=int((disk.size_in_gb if disk else 0) or 0),
        plan={"name": plan.name or "", "publisher": plan.publisher or "", "product": plan.product or ""} if plan and plan.name else {},
    )


def regions(spec: LaunchSpec, options: CloudOptions, image: ImageVersion, of_subnet: str) -> tuple[str, ...]:
    """The regions that a launch may use, best first: those that were named, or those that have the image. Raises UsageError.

    `of_subnet` is the region of the subnet that was named, or empty.
    """
    home = [region for region in map(region_of, spec.artifacts) if region in image.regions]
    wanted = tuple(map(region_of, options.regions)) or tuple(dict.fromkeys([*home, *image.regions]))
    if of_subnet:
        if set(options.regions) and set(wanted) != {of_subnet}:
            raise UsageError(f"--subnet {options.subnet} is in {of_subnet}", hint="name that one with --region, or leave --subnet out")
        wanted = (of_subnet,)
    for region in wanted:
        if region not in image.regions:
            raise UsageError(
                f"{spec.image} has no image version in {region}",
                hint=f"it has in {', '.join(image.regions) or 'none'}; `azure:` in images.yaml names the regions",
            )
    if not wanted:
        raise NoImageError(
            f"{spec.artifact} is ready in no region", hint="wait for its replication, or bake it again: ./inv bake --cloud azure"
        )
    return wanted


def survey(azure: Azure, region: str, options: CloudOptions, image: ImageVersion, types: Sequence[str]) -> Ground:
    """What one region has for this launch. Raises GoldbakeError when that is not enough."""
    offered, fit, unfit = skus(azure, region, types), list[Size](), list[str]()
    for name in types:
        sku = offered.get(name.lower())
        why = _unfit(sku, region, image)
        if sku is None or why:
            unfit.append(f"{name} {why}")
            continue
        chosen = tuple(zone for zone in (named.removeprefix(f"{region}-") for named in options.zones) if zone in sku.zones)
        if options.zones and not chosen:
            unfit.append(_elsewhere(sku, region, options.zones))
            continue
        fit.append(_size(sku, chosen or sku.zones, image))
    if not fit:
        raise Failure(
            Scope.REGION,
            "SkuNotAvailable",
            f"{region} has no VM size for this launch: {'; '.join(unfit)}",
            hint="name another size, zone or region: --instance-type A,B,C, --zone Z, --region R; "
            f"`az vm list-skus --location {region} --resource-type virtualMachines --all` shows why",
        )
    return Ground(region, image, tuple(fit))


def _ready(version: Any) -> Iterator[str]:
    """The regions of an image version whose replica is complete, in the order in which they were asked for."""
    status = version.replication_status
    done = {region_of(one.region or ""): word(one.state) for one in (status.summary if status else None) or ()}
    profile = version.publishing_profile
    for target in (profile.target_regions if profile else None) or ():
        region = region_of(target.name or "")
        if done.get(region, "") == "Completed":
            yield region


def _unfit(sku: Sku | None, region: str, image: ImageVersion) -> str:
    """Why a size cannot be used; empty when it can."""
    if sku is None:
        return f"is not offered in {region}"
    return f"may not be used in {region} by this subscription ({sku.restricted})" if sku.restricted else sku.unfit(image.needs)


def _elsewhere(sku: Sku, region: str, wanted: Sequence[str]) -> str:
    """Why a size is in none of the wanted zones."""
    barred = [zone for zone in wanted if zone.removeprefix(f"{region}-") in sku.barred]
    if barred:
        return f"this subscription may not use {sku.name} in {', '.join(barred)}"
    there = ", ".join(f"{region}-{zone}" for zone in sku.zones) or "no zone"
    return f"{sku.name} is in {there}, not in {', '.join(wanted)}"


def _size(sku: Sku, zones: tuple[str, ...], image: ImageVersion) -> Size:
    usual = "SCSI" in sku.words(CONTROLLERS, "SCSI") and "SCSI" in image.needs.controllers
    return Size(
        name=sku.name,
        zones=zones,
        accelerated=sku.able("AcceleratedNetworkingEnabled"),
        premium=sku.able("PremiumIO"),
        spot=sku.spot,
        controller="" if usual else "NVMe",
    )
