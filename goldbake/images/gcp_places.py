"""Where in Compute Engine a build machine can be: zones that offer it, and a network that takes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.resources import GLOBAL, PAGE
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.gcp import GcpSettings
from goldbake.errors import MissingError, UsageError


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except RAISED as error:
        raise failure(error, doing=doing, place=GLOBAL) from error


def is_missing(error: Failure) -> bool:
    """Whether what was asked for does not exist."""
    return error.code in ("notFound", "RESOURCE_NOT_FOUND")


def zones(gcp: Gcp, settings: GcpSettings) -> list[tuple[str, str]]:
    """Where a build machine of this type can be, best first, each with the reason. Raises UsageError naming where else it could be."""
    region, key = settings.region, "machine_type"
    what = settings.machine_type
    offers = _offers(gcp, compute_v1.MachineTypesClient, "machine_types", what)
    if settings.accelerator:
        cards = _offers(gcp, compute_v1.AcceleratorTypesClient, "accelerator_types", settings.accelerator)
        most = max((one.maximum_cards_per_instance for one in cards.values()), default=0)
        if 0 < most < settings.accelerator_count:
            raise UsageError(
                f"an instance can have {most} {settings.accelerator}, not {settings.accelerator_count}",
                hint="correct gcp.accelerator_count in images.yaml",
            )
        offers = {zone: one for zone, one in offers.items() if zone in cards}
        what, key = f"{what} with {settings.accelerator}", "accelerator"
    there = sorted(zone for zone in offers if _region(zone) == region)
    if not there:
        others = ", ".join(sorted({_region(zone) for zone in offers})) or "no region"
        raise UsageError(
            f"{what} is not offered in {region}", hint=f"name another gcp.region or gcp.{key} in images.yaml; it is offered in {others}"
        )
    if not settings.zones:
        return [(zone, "the zone offers the type") for zone in there]
    named = [(zone, "images.yaml names the zone") for zone in settings.zones if zone in there]
    if not named:
        raise UsageError(
            f"{what} is not offered in {', '.join(settings.zones)}",
            hint=f"name one of {', '.join(there)} in images.yaml (gcp.zones), or another gcp.{key}",
        )
    return named


def network(gcp: Gcp, settings: GcpSettings) -> str:
    """The network in words. Raises MissingError or UsageError when no instance could be in it, as far as this account may look."""
    host, name = settings.network_project or gcp.project, settings.network or "default"
    if settings.subnet:
        return f"subnet {settings.subnet} of {host}"
    try:
        with asking(f"look at network {name}"):
            found = gcp.client(compute_v1.NetworksClient).get(project=host, network=name)
    except Failure as error:
        if error.scope is Scope.ACCOUNT:  # who may use a Shared VPC need not be allowed to look at it
            return f"network {name} of {host}"
        if not is_missing(error):
            raise
        raise MissingError(
            f"{host} has no network {name}",
            hint="name a network or subnet in images.yaml (gcp.network, gcp.subnet), or make one: "
            f"`gcloud compute networks create {name} --project {host} --subnet-mode auto`, and a firewall rule that lets SSH in",
        ) from error
    if not found.auto_create_subnetworks and not found.I_pv4_range:
        raise UsageError(
            f"network {name} of {host} makes no subnets by itself",
            hint=f"name one in images.yaml (gcp.subnet): `gcloud compute networks subnets list --project {host} --network {name}`",
        )
    return f"network {name} of {host}"


def _offers(gcp: Gcp, client: type[Any], field: str, name: str) -> dict[str, Any]:
    """Zone → what it offers of this name."""
    asked = {"project": gcp.project, "filter": f"name = {name}", "max_results": PAGE}
    with asking(f"see where {name} is offered"):
        listed = [(place, found) for place, part in gcp.client(client).aggregated_list(request=asked) for found in getattr(part, field)]
    return {place.rpartition("/")[2]: found for place, found in listed}


def _region(zone: str) -> str:
    return zone.rpartition("-")[0]
