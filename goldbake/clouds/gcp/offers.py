"""Which zones have which machine types and GPUs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from google.cloud import compute_v1

from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.types import MachineType

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

_PAGE = 500


def region_names(gcp: Gcp) -> tuple[str, ...]:
    """All regions. Raises Failure."""
    try:
        listed = gcp.client(compute_v1.RegionsClient).list(request={"project": gcp.project, "max_results": _PAGE})
        return tuple(sorted(region.name for region in listed))
    except RAISED as error:
        raise failure(error, doing="list the regions", place="global") from error


def near(region: str, there: Collection[str]) -> str:
    """For somebody who named a region that there is not: those of its continent, or all."""
    continent = region.partition("-")[0]
    return ", ".join(sorted(one for one in there if one.partition("-")[0] == continent) or sorted(there))


def zones(gcp: Gcp) -> tuple[str, ...]:
    """All zones that work. Raises what the call raises."""
    listed = gcp.client(compute_v1.ZonesClient).list(request={"project": gcp.project, "max_results": _PAGE})
    return tuple(sorted(zone.name for zone in listed if zone.status == "UP"))


def offers(gcp: Gcp, kinds: Collection[MachineType]) -> Mapping[str, frozenset[MachineType]]:
    """Zone → which of the types it has, with the GPUs that are to be attached; of a custom type each that works. Raises what the calls raise."""
    machines = _where(gcp, compute_v1.MachineTypesClient, "machine_types", {kind.name for kind in kinds if not kind.is_custom})
    if custom := {kind.name for kind in kinds if kind.is_custom}:
        everywhere = set(zones(gcp))
        machines |= dict.fromkeys(custom, everywhere)
    accelerators = _where(gcp, compute_v1.AcceleratorTypesClient, "accelerator_types", {kind.accelerator for kind in kinds} - {""})
    found: dict[str, set[MachineType]] = {}
    for kind in kinds:
        for zone in machines.get(kind.name, ()):
            if not kind.accelerator or zone in accelerators.get(kind.accelerator, ()):
                found.setdefault(zone, set()).add(kind)
    return {zone: frozenset(types) for zone, types in found.items()}


def _where(gcp: Gcp, client: type, field: str, names: set[str]) -> dict[str, set[str]]:
    """Name → the zones in which a listing over all zones shows it."""
    found: dict[str, set[str]] = {}
    if not names:
        return found
    wanted = " OR ".join(f"(name = {name})" for name in sorted(names))
    asked: Any = gcp.client(client)
    for scope, listed in asked.aggregated_list(request={"project": gcp.project, "filter": wanted, "max_results": _PAGE}):
        for item in getattr(listed, field):
            found.setdefault(item.name, set()).add(scope.removeprefix("zones/"))
    return found
