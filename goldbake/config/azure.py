"""What images.yaml says for Azure only: `images.NAME.azure`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from goldbake.config.frozen import Frozen

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GROUP = r"[A-Za-z0-9_.()-]{0,89}[A-Za-z0-9_()-]"
_CIDR = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/([1-9]|[12][0-9]|3[0-2])$"
_SUBNET = (
    f"/subscriptions/{_UUID}/resourceGroups/{_GROUP}/providers/Microsoft.Network/virtualNetworks/[A-Za-z0-9_.-]{{2,64}}"
    r"/subnets/[A-Za-z0-9_.-]{1,80}"
)
_IDENTITY = (
    f"/subscriptions/{_UUID}/resourceGroups/{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[A-Za-z0-9_-]{{3,128}}"
)
_OTHER_GPU = re.compile(r"Standard_N(G|V\d+as_v4|V\d+.*V710)")
"""Sizes with GPUs of AMD: NGads_V620, NVv4 (MI25) and NVads_V710_v5 (https://learn.microsoft.com/azure/virtual-machines/sizes/overview)."""

AzureLocation = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]+$")]


class AzureCopy(Frozen):
    """Another region in which the image version has replicas."""

    region: AzureLocation
    """The region of the replicas."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """How many: one for every 20 VMs that are to start from it at a time."""


class AzureSettings(Frozen):
    """What only Azure needs."""

    subscription: Annotated[str, StringConstraints(pattern=f"^({_UUID})?$")] = ""
    """The subscription in which the image is baked and kept; empty: that of AZURE_SUBSCRIPTION_ID, ARM_SUBSCRIPTION_ID or the Azure CLI."""
    location: AzureLocation = "eastus"
    """The region in which the image is baked and stored."""
    vm_size: Annotated[str, StringConstraints(pattern=r"^Standard_[A-Za-z0-9_]+$")] = "Standard_D4s_v5"
    """The build VM; no GPU is needed to bake. One with an NVIDIA GPU has the image checked on that GPU as well."""
    spot: bool = False
    """Bake on spare capacity, which costs less and may be taken back; where there is none, on demand."""
    resource_group: Annotated[str, StringConstraints(pattern=f"^{_GROUP}$")] = "goldbake-images"
    """The resource group of the gallery; it must exist."""
    gallery: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]{0,78}[A-Za-z0-9]$")] = "goldbake"
    """The Compute Gallery that receives the image version; it must exist."""
    definition: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,78}[A-Za-z0-9])?$")] = ""
    """The image definition of which the image is a version; the first bake makes it. Empty: one with the image's name."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """Replicas of the version in `location`: one for every 20 VMs that are to start from it at a time."""
    storage: Literal["Standard_LRS", "Standard_ZRS", "Premium_LRS"] = "Standard_LRS"
    """Where the replicas lie: on hard disks, on hard disks of several zones, or on SSDs, from which a VM starts faster."""
    copies: tuple[AzureCopy, ...] = ()
    """Regions that get replicas as well, once the image is checked."""
    security: Literal["standard", "trusted-launch"] = "standard"
    """`trusted-launch`: build VM and agents have a virtual TPM. Secure Boot stays off: the driver's modules are signed by nobody it trusts."""
    subnet: Annotated[str, StringConstraints(pattern=f"^({_SUBNET})?$")] = ""
    """The subnet of the build VM, by its whole id; empty: a network of the bake's own."""
    address: Literal["public", "private"] = "public"
    """Whether the build VM gets a public address. `private`: this machine reaches `subnet` by itself, and the VM goes out by its NAT gateway."""
    ssh_from: tuple[Annotated[str, StringConstraints(pattern=_CIDR)], ...] = ()
    """Who may open SSH on the build VM, as CIDR blocks. Empty: every address; who knocks needs the key, or the random password of 32 characters, that
    Packer makes for this VM. In `subnet` its own rules count."""
    identities: tuple[Annotated[str, StringConstraints(pattern=f"^{_IDENTITY}$")], ...] = ()
    """Managed identities that the build VM acts as, by their whole ids; empty: none."""
    deprecate_after_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Days after which the gallery shows the version as past its end of life; it stays usable. 0: never."""

    @property
    def has_gpu(self) -> bool:
        """Whether the build VM has an NVIDIA GPU: families NC, ND and NV, but none of AMD's."""
        return re.match(r"Standard_N[CDV]\d", self.vm_size) is not None and _OTHER_GPU.match(self.vm_size) is None

    def definition_of(self, image: str) -> str:
        """The definition of the image of this name."""
        return self.definition or image
