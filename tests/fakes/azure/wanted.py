"""Is what is asked of a machine something that Azure would start? The checks of the body, in the service's words."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book
from tests.fakes.azure.catalogue import Size
from tests.fakes.azure.sources import Source

CUSTOM_DATA_MAX = 87380
"""Characters of base64: 64 KiB."""
USER_DATA_MAX = 87380
_NO_USERS = ("administrator", "admin", "user", "root", "test", "guest", "john", "david", "support_388945a0", "1", "123", "a")
_COMPUTER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")


def _wrong(text: str, target: str, code: str = "InvalidParameter") -> Refused:
    return Refused(code, text, 400, target=target)


def check_profile(properties: dict[str, Any], source: Source | None, name_of: str = "computerName") -> None:
    """The login, and the data that the machine gets. Raises Refused."""
    profile = properties.get("osProfile")
    if source is not None and source.specialized:
        if profile:
            raise _wrong("Parameter 'osProfile' is not allowed.", "osProfile")
    elif profile is None:
        raise _wrong("Required parameter 'osProfile' is missing (null).", "osProfile")
    else:
        _check_login(profile, name_of)
    _check_data(str((profile or {}).get("customData") or ""), "customData", CUSTOM_DATA_MAX, "Custom data in OSProfile")
    _check_data(str(properties.get("userData") or ""), "userData", USER_DATA_MAX, "User data")


def _check_login(profile: dict[str, Any], name_of: str) -> None:
    for name in (name_of, "adminUsername"):
        if not profile.get(name):
            raise _wrong(f"Required parameter '{name}' is missing (null).", f"osProfile.{name}")
    if name_of == "computerName" and not _COMPUTER_NAME.fullmatch(profile[name_of]):
        raise _wrong(
            f"Linux host name cannot exceed 64 characters in length or contain the following characters: {profile[name_of]}.",
            "osProfile.computerName",
        )
    if profile["adminUsername"].lower() in _NO_USERS:
        raise _wrong("The Admin Username specified is not allowed.", "adminUsername")
    linux = profile.get("linuxConfiguration") or {}
    keys = (linux.get("ssh") or {}).get("publicKeys") or []
    if not profile.get("adminPassword") and not keys:
        raise _wrong("Authentication using either SSH or by user name and password must be enabled in Linux profile.", "linuxConfiguration")
    if linux.get("disablePasswordAuthentication") and profile.get("adminPassword") and not keys:
        raise _wrong("At least one SSH key must be specified if password authentication is disabled.", "linuxConfiguration")
    for key in keys:
        if key.get("path") != f"/home/{profile['adminUsername']}/.ssh/authorized_keys":
            raise _wrong("Destination path for SSH public keys is currently limited to its default value "
                         f"/home/{profile['adminUsername']}/.ssh/authorized_keys due to a known issue in Linux provisioning agent.",
                         "linuxConfiguration.ssh.publicKeys.path")  # fmt: skip
        if not re.match(r"(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/=]{40,}", str(key.get("keyData", ""))):
            raise _wrong(
                "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.", "linuxConfiguration.ssh.publicKeys.keyData"
            )


def _check_data(text: str, target: str, most: int, title: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(f"{title} must be in Base64 encoding and with a maximum length of {most} characters.", target) from None
    if len(text) > most:
        raise _wrong(f"{title} must be in Base64 encoding and with a maximum length of {most} characters.", target)


def check_image(book: Book, properties: dict[str, Any], plan: dict[str, Any] | None, source: Source, size: Size) -> None:
    """Do image, size, disk and security fit? Raises Refused."""
    if source.architecture != size.architecture:
        raise _wrong(f"The selected VM size '{size.name}' cannot boot an image of architecture '{source.architecture}'.", "", "BadRequest")
    if source.generation not in size.generations.split(","):
        raise _wrong(
            f"The selected VM size '{size.name}' cannot boot Hypervisor Generation '{source.generation[1:]}'. If this was a Create operation please check that "
            f"the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size.", "", "BadRequest",
        )  # fmt: skip
    _check_controller(str(properties["storageProfile"].get("diskControllerType") or ""), source, size)
    security = (properties.get("securityProfile") or {}).get("securityType", "")
    if security == "TrustedLaunch":
        if not size.trusted:
            raise _wrong(
                f"The VM size '{size.name}' is not supported for creation of VMs and Virtual Machine Scale Set with 'TrustedLaunch' security type.",
                "",
                "InvalidParameter",
            )
        if not source.trusted or source.generation != "V2":
            raise _wrong("Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch Supported Gen2 OS Image. "
                         "For more information, see https://aka.ms/TrustedLaunch-FAQ.", "", "BadRequest")  # fmt: skip
    elif (properties.get("securityProfile") or {}).get("uefiSettings"):
        raise _wrong("Parameter 'securityProfile.uefiSettings' is not allowed without a security type.", "securityProfile.uefiSettings")
    asked = (properties["storageProfile"].get("osDisk") or {}).get("diskSizeGB")
    if asked is not None and asked < source.size_gb:
        raise Refused("OperationNotAllowed", f"The specified disk size {asked} GB is smaller than the size of the corresponding disk in the VM image: {source.size_gb} GB. "
                      "This is not allowed. Please choose equal or greater size or do not specify an explicit size.", 409, target="osDisk.diskSizeGB")  # fmt: skip
    _check_plan(book, plan, source)


def _check_controller(asked: str, source: Source, size: Size) -> None:
    """Without a wish Azure takes what both can."""
    both = set(size.controllers.split(",")) & set(source.controllers.split(","))
    if not both or (asked and asked not in both):
        raise _wrong(
            f"The VM size '{size.name}' cannot boot with OS image or disk. Please check that disk controller types supported by the OS image or disk is one of "
            f"the supported disk controller types for the VM size '{size.name}'. Please query sku api at https://aka.ms/azure-compute-skus to determine "
            "supported disk controller types for the VM size.", "",
        )  # fmt: skip


def _check_plan(book: Book, plan: dict[str, Any] | None, source: Source) -> None:
    if not source.plan:
        if plan:
            raise _wrong("User specified plan information for an image that does not need it.", "plan", "VMMarketplaceInvalidInput")
        return
    publisher, offer, sku = source.plan.split("/")
    if not plan:
        raise _wrong("Creating a virtual machine from Marketplace image or a custom image sourced from a Marketplace image requires Plan information in the "
                     f"request. OS disk name is ''. Plan: publisher {publisher}, product {offer}, name {sku}.", "", "VMMarketplaceInvalidInput")  # fmt: skip
    if source.plan not in book.terms:
        raise _wrong(
            f"You have not accepted the legal terms on this subscription: 'x' for this plan. Before the subscription can be used, you need to accept the legal "
            f"terms of the image. To read and accept legal terms, use the Azure CLI commands described at https://go.microsoft.com/fwlink/?linkid=2110637 . "
            f"Offer with PublisherId: '{publisher}', OfferId: '{offer}'; plan '{sku}'.", "", "MarketplacePurchaseEligibilityFailed",
        )  # fmt: skip


def check_market(properties: dict[str, Any], size: Size) -> bool:
    """Whether it is a spot machine. Raises Refused."""
    spot = properties.get("priority") == "Spot"
    if not spot and (properties.get("evictionPolicy") or properties.get("billingProfile")):
        raise _wrong("Eviction policy can be set only on Azure Spot Virtual Machines.", "evictionPolicy")
    if spot and not size.spot:
        raise _wrong(f"The VM size '{size.name}' is not supported for Azure Spot Virtual Machines.", "", "OperationNotAllowed")
    price = (properties.get("billingProfile") or {}).get("maxPrice", -1)
    if price != -1 and price <= 0:
        raise _wrong("Max price must be -1 or a value greater than 0.", "billingProfile.maxPrice")
    return spot
