"""What a region offers: each VM size with its quota, its vCPUs, the zones in which this subscription may use it, and what it can."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_MACHINES = "virtualmachines"
_YES = "true"


@dataclass(frozen=True)
class Needs:
    """What an image wants of the size that it is to start on; without more said, what every image that goldbake bakes does."""

    generation: str = "V2"
    architecture: str = "x64"
    controllers: frozenset[str] = frozenset({"SCSI", "NVMe"})
    """How its disk can be attached; one of them must be a way of the size."""
    trusted_launch: bool = False


@dataclass(frozen=True)
class Sku:
    """A VM size in one region, for one subscription."""

    name: str
    family: str
    """The name of the quota that it counts against."""
    zones: tuple[str, ...]
    """Where this subscription may use it, as `1`; empty in a region without zones."""
    barred: tuple[str, ...]
    """Zones in which this subscription may not use it."""
    restricted: str
    """Why this subscription may not use it in this region at all, in Azure's word; empty when it may."""
    abilities: Mapping[str, str]

    @property
    def processors(self) -> int:
        """vCPUs, in which quotas count."""
        return int(self.abilities.get("vCPUsAvailable") or self.abilities.get("vCPUs") or 0)

    @property
    def spot(self) -> bool:
        """Whether there are spot machines of this size."""
        return self.able("LowPriorityCapable")

    @property
    def generations(self) -> tuple[str, ...]:
        """Generations of images that it starts, as V2."""
        return tuple(self.words("HyperVGenerations", "V1"))

    @property
    def trusted_launch(self) -> bool:
        """Whether it starts with Trusted Launch."""
        return "V2" in self.generations and not self.able("TrustedLaunchDisabled")

    def unfit(self, needs: Needs) -> str:
        """Why an image cannot start on this size, as the end of a sentence about it; empty when it can."""
        kinds, controllers = self.words("CpuArchitectureType", "x64"), self.words("DiskControllerTypes", "SCSI")
        reasons = (
            (needs.architecture.lower() not in map(str.lower, kinds), f"has a processor of another kind ({', '.join(kinds)})"),
            (needs.generation not in self.generations, f"does not take images of generation {needs.generation}"),
            (needs.trusted_launch and not self.trusted_launch, "cannot start with Trusted Launch, which the image needs"),
            (not needs.controllers & set(controllers), f"needs an image for {' or '.join(controllers)} disks"),
        )
        return next((why for holds, why in reasons if holds), "")

    def able(self, ability: str) -> bool:
        """Whether Azure says True of an ability."""
        return self.abilities.get(ability, "").lower() == _YES

    def words(self, ability: str, otherwise: str) -> list[str]:
        """The values of an ability that has several, as `SCSI, NVMe`."""
        return [word.strip() for word in self.abilities.get(ability, otherwise).split(",") if word.strip()]


def skus(azure: Azure, region: str, names: Collection[str] = ()) -> Mapping[str, Sku]:
    """Size in small letters → what the region offers of it, for these sizes or all. What is not offered is left out. Raises Failure."""
    wanted = {name.lower() for name in names}
    found = {}
    try:
        for one in azure.client(ComputeManagementClient).resource_skus.list(filter=f"location eq '{region}'"):
            name = str(one.name or "")
            if str(one.resource_type or "").lower() == _MACHINES and (not wanted or name.lower() in wanted):
                found[name.lower()] = _sku(one, region)
    except AzureError as error:
        raise failure(error, doing="list the VM sizes", place=region) from error
    return found


def _sku(one: Any, region: str) -> Sku:
    there = {zone for place in one.location_info or () if _region(place.location) == region for zone in place.zones or ()}
    barred, restricted = set[str](), ""
    for restriction in one.restrictions or ():
        info = restriction.restriction_info
        places = {_region(place) for place in [*(restriction.values_property or ()), *((info.locations if info else None) or ())]}
        if places and region not in places:
            continue
        if word(restriction.type) == "Zone":
            barred |= set((info.zones if info else None) or ())
        else:
            restricted = word(restriction.reason_code) or "restricted"
    return Sku(
        name=str(one.name),
        family=str(one.family or ""),
        zones=tuple(sorted(there - barred)),
        barred=tuple(sorted(there & barred)),
        restricted=restricted,
        abilities={str(able.name): str(able.value) for able in one.capabilities or ()},
    )


def _region(text: str | None) -> str:
    return (text or "").replace(" ", "").lower()
