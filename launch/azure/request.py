"""What the create calls of Azure say: the same machine as a VM and as a scale set of many. Nothing here calls anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from goldbake.clouds.azure.resources import PREFIX
from goldbake.clouds.azure.skus import Needs
from goldbake.errors import UsageError
from launch.base import CloudOptions, LaunchSpec, Place

USER = "goldbake"
"""The administrator that Azure insists on; nobody can sign in as it without --ssh-key."""
TRUSTED = "TrustedLaunch"
"""The security type of machines with a virtual TPM; an image's definition says `TrustedLaunch` (it must be) or `TrustedLaunchSupported`."""
SYSTEM = "system"
"""The word of --identity for an identity that Azure makes for each machine."""

_NETWORK_API = "2022-11-01"
"""The version of the network's interface that makes what is described within a machine; the compute API wants one named."""
_KEY_BITS = 2048


@dataclass(frozen=True)
class ImageVersion:
    """What a gallery says of an image version and of its definition."""

    id: str
    regions: tuple[str, ...]
    """Where it is ready, the first one first."""
    needs: Needs
    """What it wants of a size; Trusted Launch, where the definition knows no others, or allows it and images.yaml wants it."""
    security: str
    """The definition's SecurityType."""
    size_gib: int
    plan: Mapping[str, str]
    """What was bought in the marketplace with the base image; empty: nothing."""


@dataclass(frozen=True)
class Size:
    """A VM size in one region."""

    name: str
    zones: tuple[str, ...]
    """Those that this subscription may use, as numbers; empty where the region or the size has no zones."""
    accelerated: bool
    """Whether it takes a network interface without the hypervisor between."""
    premium: bool
    spot: bool
    """Whether there is spare capacity of it at all."""
    controller: str
    """The disk controller to ask for; empty: the size's usual one."""


@dataclass(frozen=True)
class Ground:
    """What a launch finds in one region."""

    region: str
    image: ImageVersion
    sizes: tuple[Size, ...]
    """Best first."""

    def size(self, name: str) -> Size:
        return next(size for size in self.sizes if size.name == name)


@dataclass(frozen=True)
class Site:
    """What the network of a region has for a machine: ids of the subnet and of the rules that let SSH in, if any."""

    subnet: str
    rules: str = ""


@dataclass(frozen=True)
class Wanted:
    """A machine that is to be: a VM of its own, or each of a scale set."""

    spec: LaunchSpec
    options: CloudOptions
    image: ImageVersion
    size: Size
    site: Site
    place: Place
    name: str
    """Of the VM or of the scale set."""
    public_key: str


def group_name(launch_id: str) -> str:
    """The resource group that a launch makes for itself."""
    return f"{PREFIX}{launch_id}"


def name(spec: LaunchSpec, numbers: Sequence[int], place: Place) -> str:
    """The name of the VM or the scale set of a create call: Azure answers a second call with the same one by what the first made."""
    said = f"{spec.launch_id} {','.join(map(str, numbers))} {place.region} {place.zone} {place.kind} {place.spot}"
    return f"{group_name(spec.launch_id)}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def throw_away_key() -> str:
    """A public key whose private half nobody has: a Linux machine is not made without one."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS).public_key()
    text = made.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{text.decode()} nobody"


def require_sense(options: CloudOptions, image: ImageVersion) -> None:
    """Raise UsageError for what no region would take."""
    if options.warm_up_mib_s:
        raise UsageError("--warm-up means nothing on Azure", hint="leave it out: a disk of a gallery image is whole from its start")
    if options.disk_gib and options.disk_gib < image.size_gib:
        raise UsageError(
            f"--disk {options.disk_gib} is smaller than the image's {image.size_gib} GiB", hint=f"--disk {image.size_gib} or more"
        )
    if options.identity and options.identity != SYSTEM and not options.identity.startswith("/subscriptions/"):
        raise UsageError(
            f"--identity {options.identity} is no managed identity",
            hint=f"its whole id, as `az identity show --query id` has it, or {SYSTEM} for one that each machine gets",
        )
    if image.security == "ConfidentialVM":
        raise UsageError(
            f"{image.id} is for confidential VMs only, which have no GPU that goldbake knows",
            hint="bake it again: ./inv bake --cloud azure",
        )


def machine(wanted: Wanted) -> dict[str, Any]:
    """One VM. What is made with it, the disk, the interface and the address, carries the tags and goes with it."""
    profile = _profile(wanted)
    profile["hardwareProfile"] = {"vmSize": wanted.size.name}
    profile["storageProfile"]["osDisk"]["name"] = f"{wanted.name}-os"
    profile["osProfile"]["computerName"] = wanted.name
    return _resource(wanted, profile)


def scale_set(wanted: Wanted, count: int) -> dict[str, Any]:
    """Many of the same VM, which is a VM like any other: that is what Flexible means."""
    profile = _profile(wanted)
    profile["osProfile"]["computerNamePrefix"] = USER
    properties = {
        "orchestrationMode": "Flexible",
        "platformFaultDomainCount": 1,  # spread as far as it goes
        "singlePlacementGroup": False,
        "virtualMachineProfile": profile,
    }
    return _resource(wanted, properties) | {"sku": {"name": wanted.size.name, "tier": "Standard", "capacity": count}}


def _resource(wanted: Wanted, properties: dict[str, Any]) -> dict[str, Any]:
    place, identity = wanted.place, wanted.options.identity
    body: dict[str, Any] = {"location": place.region, "tags": wanted.spec.tags(), "properties": properties}
    if place.zone:
        body["zones"] = [place.zone.removeprefix(f"{place.region}-")]
    if wanted.image.plan:
        body["plan"] = dict(wanted.image.plan)
    if identity == SYSTEM:
        body["identity"] = {"type": "SystemAssigned"}
    elif identity:
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    return body


def _profile(wanted: Wanted) -> dict[str, Any]:
    """What both ways have in common."""
    size, image = wanted.size, wanted.image
    disk: dict[str, Any] = {
        "createOption": "FromImage",
        "deleteOption": "Delete",
        "managedDisk": {"storageAccountType": "Premium_LRS" if size.premium else "StandardSSD_LRS"},
    }
    if wanted.options.disk_gib:
        disk["diskSizeGB"] = wanted.options.disk_gib
    storage: dict[str, Any] = {"imageReference": {"id": image.id}, "osDisk": disk}
    if size.controller:
        storage["diskControllerType"] = size.controller
    found: dict[str, Any] = {
        "storageProfile": storage,
        "osProfile": {
            "adminUsername": USER,
            # Never userData: any process on the machine and whoever may read the VM would read the PAT (docs/adr/0011).
            "customData": base64.b64encode(wanted.spec.user_data.reveal().encode()).decode(),
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": f"/home/{USER}/.ssh/authorized_keys", "keyData": wanted.public_key}]},
            },
        },
        "networkProfile": {
            "networkApiVersion": _NETWORK_API,
            "networkInterfaceConfigurations": [_interface(wanted)],
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},  # in storage of Azure's own: it is the serial console
    }
    if image.needs.trusted_launch:  # without Secure Boot: Azure's firmware trusts no key of ours
        found["securityProfile"] = {"securityType": TRUSTED, "uefiSettings": {"secureBootEnabled": False, "vTpmEnabled": True}}
    if wanted.place.spot:
        # What is taken back is deleted, not kept at the price of its disk; and it may cost as much as on demand, never more.
        found |= {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": -1.0}}
    return found


def _interface(wanted: Wanted) -> dict[str, Any]:
    address: dict[str, Any] = {"primary": True, "subnet": {"id": wanted.site.subnet}}
    if wanted.options.public_address:
        address["publicIPAddressConfiguration"] = {
            "name": f"{wanted.name}-ip",
            "tags": wanted.spec.tags(),
            "sku": {"name": "Standard", "tier": "Regional"},
            "properties": {"deleteOption": "Delete"},
        }
    said: dict[str, Any] = {
        "primary": True,
        "deleteOption": "Delete",
        "enableAcceleratedNetworking": wanted.size.accelerated,
        "ipConfigurations": [{"name": "agent", "properties": address}],
    }
    if wanted.site.rules:
        said["networkSecurityGroup"] = {"id": wanted.site.rules}
    return {"name": f"{wanted.name}-nic", "tags": wanted.spec.tags(), "properties": said}
