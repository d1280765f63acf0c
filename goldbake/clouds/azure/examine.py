"""The rows of `doctor` about Azure: who this is, the subscription, providers, permissions, quotas, sizes, galleries, base images. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from goldbake.clouds.azure import galleries, offers, permissions
from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.resources import is_gone, parts
from goldbake.clouds.azure.role import PROVIDERS, SCHEDULES
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.azure.skus import Needs
from goldbake.clouds.examine import Look, Region, clock, refused, taken
from goldbake.clouds.failure import Failure
from goldbake.config import base_images
from goldbake.config.model import Os
from goldbake.errors import Exit, MissingError
from goldbake.finding import Finding

_GOOD = ("enabled", "warned", "pastdue")
"""States of a subscription in which things can be made; the last two only for some time."""
_BILLING = "https://portal.azure.com/#view/Microsoft_Azure_Billing/SubscriptionsBladeV2"


@dataclass(frozen=True)
class Bake:
    """A bake that images.yaml describes."""

    region: str
    vm_size: str
    os: Os
    group: str
    """The gallery's resource group."""
    gallery: str
    definition: str
    subnet: str = ""
    """By its whole id; empty: the bake makes a network of its own."""
    trusted_launch: bool = False
    identity: bool = False
    """Whether the build VM is to have a managed identity."""


_Region = Region[str, Bake]


def examine(
    regions: Sequence[str],
    types: Sequence[str],
    *,
    bakes: Sequence[Bake] = (),
    strict: bool = False,
    subscription: str = "",
    azure: Azure | None = None,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    """Look at the subscription of these credentials in `regions` (of launches) and in those of `bakes`.

    `types` are those of launches; with `strict` each must be possible, else one of them is enough. `subscription` is that of images.yaml. Asks Azure,
    changes nothing.
    """
    return list(_rows(regions, types, bakes, strict, subscription, azure, now))


def _rows(
    regions: Sequence[str],
    types: Sequence[str],
    bakes: Sequence[Bake],
    strict: bool,
    subscription: str,
    given: Azure | None,
    now: Callable[[], float],
) -> Iterator[Finding]:
    try:
        azure = given or Azure(subscription)
        yield _identity(azure)
    except (MissingError, Failure) as error:
        yield refused("Azure", error)
        return
    rows, known = _subscription(azure, now)
    yield from rows
    if not known:
        return
    images = _images(azure, bakes)
    groups = sorted({bake.group for bake in bakes})
    identity = any(bake.identity for bake in bakes)
    looks: list[Look] = [
        ("providers", lambda: _providers(azure)),
        ("permissions", lambda: permissions.examine(azure, gallery_groups=groups, identity=identity)),
    ]
    for name in dict.fromkeys([*regions, *(bake.region for bake in bakes)]):
        if name not in known:
            close = ", ".join(region for region in known if region[:4] == name[:4]) or ", ".join(known)
            fix = f"one of {close}; `az account list-locations --output table` has all"
            yield Finding("Azure region", f"{name} does not exist, or not for this subscription", fix)
            continue
        looks += _looks(azure, _Region.of(name, regions, types, bakes, strict=strict), images)
    yield from taken(looks)


def _images(azure: Azure, bakes: Sequence[Bake]) -> Mapping[str, Needs]:
    """Image definition → what it needs of a size. One that cannot be looked at has a row of its own, which says why."""
    calls, found = azure.client(ComputeManagementClient).gallery_images, {}
    for bake in bakes:
        try:
            definition = calls.get(bake.group, bake.gallery, bake.definition)
        except AzureError:
            definition = None
        found[bake.definition] = galleries.needs_of(definition, trusted_launch=bake.trusted_launch)
    return found


def _looks(azure: Azure, here: _Region, images: Mapping[str, Needs]) -> Iterator[Look]:
    """What is looked at in a region. `images`: what can be launched there."""
    builds = {bake.vm_size: Needs() for bake in here.bakes}
    builds |= {bake.vm_size: Needs(trusted_launch=True) for bake in here.bakes if bake.trusted_launch}
    yield f"gallery {here.name}", lambda: _galleries(azure, here)
    yield f"subnet {here.name}", lambda: _subnets(azure, here)
    yield f"base image {here.name}", lambda: _base_images(azure, here)
    yield (
        f"sizes {here.name}",
        lambda: offers.examine(azure, here.name, launches=here.types, images=images, builds=builds, strict=here.strict),
    )


def _identity(azure: Azure) -> Finding:
    """Who the token says that this is. Raises Failure when there is none."""
    claims = azure.claims()
    tenant = f" in the directory {claims['tid']}" if claims.get("tid") else ""
    person = claims.get("upn") or claims.get("unique_name")
    if person:
        who = f"user {person}"
    elif claims.get("xms_mirid"):
        who = f"managed identity {str(claims['xms_mirid']).rpartition('/')[2]}"
    elif claims.get("appid"):
        who = f"service principal {claims['appid']}"
    else:
        return Finding("Azure credentials", "accepted")
    own = f" (object {claims['oid']})" if claims.get("oid") else ""
    return Finding("Azure credentials", f"{who}{own}{tenant}")


def _subscription(azure: Azure, now: Callable[[], float]) -> tuple[list[Finding], tuple[str, ...]]:
    """Rows about the subscription and the clock, and its regions; none when it cannot be asked further."""
    dates: list[str] = []

    def noted(answer: Any) -> None:
        dates.append(str(answer.http_response.headers.get("Date", "")))

    calls = azure.client(SubscriptionClient).subscriptions
    try:
        found = calls.get(azure.subscription, raw_response_hook=noted)
        state = word(found.state)
        good = state.lower() in _GOOD
        name = f"{found.display_name} ({azure.subscription})"
        fix = "" if good else f"an administrator can enable it again at {_BILLING}, or set AZURE_SUBSCRIPTION_ID to another"
        rows = [Finding("Azure subscription", f"{name}: {state}", fix), *clock("Azure", dates[0] if dates else "", now())]
        places = calls.list_locations(azure.subscription)
        known = tuple(sorted(str(place.name) for place in places if _is_physical(place)))
        return rows, known if good else ()
    except AzureError as error:
        told = failure(error, doing="look at the subscription", place="Azure")
        what = (
            "Azure credentials"
            if told.exit_code is Exit.MISSING and told.code.startswith(("AADSTS", "Credential", "Client"))
            else "Azure subscription"
        )
        return [Finding(what, told.message, told.hint)], ()


def _is_physical(place: Any) -> bool:
    return (word(getattr(place.metadata, "region_type", None)) or "Physical") == "Physical"


def _providers(azure: Azure) -> Iterator[Finding]:
    for name in (*PROVIDERS, SCHEDULES):
        try:
            state = str(azure.client(ResourceManagementClient).providers.get(name).registration_state or "")
        except AzureError as error:
            raise failure(error, doing=f"look at the provider {name}", place="the subscription") from error
        fix = "" if state == "Registered" else f"`az provider register --namespace {name} --wait`, by somebody who may"
        yield Finding(f"provider {name}", state, fix, required=name in PROVIDERS)


def _galleries(azure: Azure, here: _Region) -> Iterator[Finding]:
    compute = azure.client(ComputeManagementClient)
    for group, gallery in dict.fromkeys((bake.group, bake.gallery) for bake in here.bakes):
        what = f"gallery {gallery}"
        try:
            found = compute.galleries.get(group, gallery)
        except AzureError as error:
            if not is_gone(error):
                raise failure(error, doing=f"look at the gallery {gallery}", place=here.name) from error
            yield Finding(what, f"none in the resource group {group}", galleries.commands(group, gallery, here.name))
            continue
        yield Finding(what, f"in the resource group {group}, {found.location}")
        for definition in dict.fromkeys(bake.definition for bake in here.bakes if (bake.group, bake.gallery) == (group, gallery)):
            yield _definition(compute, group, gallery, definition, here)


def _definition(compute: ComputeManagementClient, group: str, gallery: str, definition: str, here: _Region) -> Finding:
    what = f"image definition {definition}"
    try:
        found = compute.gallery_images.get(group, gallery, definition)
    except AzureError as error:
        if not is_gone(error):
            raise failure(error, doing=f"look at the image definition {definition}", place=here.name) from error
        return Finding(what, "none yet: the first bake makes it")
    generation, security = word(found.hyper_v_generation) or "V1", galleries.security_of(found)
    wanted = any(bake.trusted_launch for bake in here.bakes if bake.definition == definition)
    wrong = galleries.misfit(found, trusted_launch=wanted)
    fix = f"it {wrong}; {galleries.CORRECT}" if wrong else ""
    return Finding(what, f"generation {generation}, security {security}", fix)


def _subnets(azure: Azure, here: _Region) -> Iterator[Finding]:
    for subnet in dict.fromkeys(bake.subnet for bake in here.bakes if bake.subnet):
        of = parts(subnet)
        try:
            found = azure.client(NetworkManagementClient, of.subscription).subnets.get(of.group, *of.names)
        except AzureError as error:
            if not is_gone(error):
                raise failure(error, doing=f"look at the subnet {of.name}", place=here.name) from error
            yield Finding(f"subnet {of.name}", "none", "correct azure.subnet in images.yaml: `az network vnet subnet list` has its id")
            continue
        yield Finding(
            f"subnet {of.name}",
            f"{found.address_prefix or ', '.join(found.address_prefixes or [])}, {'with' if found.nat_gateway else 'without'} a NAT gateway",
        )


def _base_images(azure: Azure, here: _Region) -> Iterator[Finding]:
    calls = azure.client(ComputeManagementClient).virtual_machine_images
    for system in sorted({bake.os for bake in here.bakes}):
        base = base_images.AZURE[system]
        try:
            found = calls.list(here.name, base.publisher, base.offer, base.sku, top=1, orderby="name desc")
        except AzureError as error:
            if not is_gone(error):
                raise failure(error, doing="list base images", place=here.name) from error
            found = []
        name = ":".join((base.publisher, base.offer, base.sku))
        fix = f"another region, or another os in images.yaml: `az vm image list-skus --location {here.name} --publisher {base.publisher} --offer {base.offer}`"
        yield Finding(
            f"base image {here.name}", f"{system}: {name}:{found[0].name}" if found else f"{system}: no {name}", "" if found else fix
        )
