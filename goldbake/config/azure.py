"""What images.yaml says for Azure only: `images.NAME.azure`."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from goldbake.config.frozen import Frozen


class AzureSettings(Frozen):
    """What only Azure needs."""

    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]+$")] = "eastus"
    """The region in which the image is baked and stored."""
    vm_size: Annotated[str, StringConstraints(pattern=r"^Standard_[A-Za-z0-9_]+$")] = "Standard_D4s_v5"
    """The build VM; no GPU is needed to bake."""
    resource_group: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.()-]{1,89}[A-Za-z0-9_()-]$")] = "goldbake-images"
    """The resource group of the gallery; it must exist."""
    gallery: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]{0,78}[A-Za-z0-9]$")] = "goldbake"
    """The Compute Gallery that receives the image version."""
