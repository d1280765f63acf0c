"""Where in Compute Engine a build machine can be: zones that offer it, and a network that takes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.offers import offers
from goldbake.clouds.gcp.resources import GLOBAL
from goldbake.clouds.gcp.session import Gcp
from goldbake.clouds.gcp.types import MachineType
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


def machine(settings: GcpSettings) -> MachineType:
    """The build machine with the GPUs that are attached to it."""
    return MachineType(settings.machine_type, settings.accelerator, settings.accelerator_count if settings.accelerator else 0)


def zones(gcp: Gcp, settings: GcpSettings) -> list[tuple[str, str]]:
    """Where a build machine of this type can be, best first, each with the reason. Raises UsageError naming where else it could be."""
    region, kind = settings.region, machine(settings)
    key = "accelerator" if kind.accelerator else "machine_type"
    why = "Compute Engine says only at the start whether the zone has room for it" if kind.is_custom else "the zone offers the type"
    with asking(f"see where {kind} is offered"):
        offering = offers(gcp, [kind])
    there = sorted(zone for zone in offering if _region(zone) == region)
    if not there:
        others = ", ".join(sorted({_region(zone) for zone in offering}))
        way = (
            f"gcp.region or gcp.{key} in images.yaml; it is offered in {others}"
            if others
            else f"gcp.{key} in images.yaml; no region offers it"
        )
        raise UsageError(f"{kind} is not offered in {region}", hint=f"name another {way}")
    if not settings.zones:
        return [(zone, why) for zone in there]
    named = [(zone, "images.yaml names the zone") for zone in settings.zones if zone in there]
    if not named:
        raise UsageError(
            f"{kind} is not offered in {', '.join(settings.zones)}",
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
        if not is_missing(error) or f"networks/{name}'" not in error.message:  # else there is no such project
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


def _region(zone: str) -> str:
    return zone.rpartition("-")[0]
