"""Where user-data comes from. The firmware's names (DMI) say which cloud this is, so no machine waits for a metadata service that is not there."""

from __future__ import annotations

import os

from . import TYPE_CHECKING
from .errors import Problem

if TYPE_CHECKING:
    from .settings import Settings

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
"""The chassis asset tag of every Azure machine; the vendor's name alone would be any Hyper-V."""


class Found:
    """User-data, which machine it is for, and what of it lies on this machine: `files` to overwrite and unlink, `device` to overwrite as a whole."""

    def __init__(self, source: str, data: bytes, instance_id: str, *, files: tuple[str, ...] = (), device: str = "") -> None:
        self.source = source
        self.data = data
        self.instance_id = instance_id
        self.files = files
        self.device = device


def find(settings: Settings) -> Found | None:
    """The user-data of this machine, or None when it was given none. Raises Problem (metadata, input)."""
    from . import nocloud

    found = nocloud.folder(settings)
    # A container sees its host's firmware: the host's metadata service is none of its business.
    if found is not None or os.path.exists(settings.container):
        return found
    kind = platform(settings)
    if kind == "":
        return nocloud.disk(settings)
    from . import clouds

    return {"aws": clouds.aws, "gcp": clouds.gcp, "azure": clouds.azure}[kind](settings)


def platform(settings: Settings) -> str:
    """`aws`, `gcp`, `azure`, or empty for any other machine."""
    vendor, product = _dmi(settings, "sys_vendor"), _dmi(settings, "product_name")
    if vendor == "Amazon EC2" or "amazon" in _dmi(settings, "bios_version").lower():
        return "aws"
    if product == "Google Compute Engine":
        return "gcp"
    if _dmi(settings, "chassis_asset_tag") == AZURE_TAG:
        return "azure"
    return ""


def _dmi(settings: Settings, name: str) -> str:
    try:
        with open(f"{settings.dmi}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def refuse_scale_set(settings: Settings) -> None:
    """Two agents must not fight over one machine. Raises Problem (scale-set)."""
    import glob

    for pattern in settings.scale_set:
        if glob.glob(pattern):
            raise Problem("scale-set", f"{pattern.removeprefix(settings.root)} is there: Azure Pipelines manages this machine")
