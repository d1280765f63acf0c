"""The rows of `doctor` about Google Cloud: who this is, what the project has and may, quotas, GPUs, network, base images. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import google.auth.compute_engine
import google.auth.external_account
import google.auth.impersonated_credentials
import google.oauth2.credentials
import google.oauth2.service_account
from google.cloud import billing_v1, service_usage_v1

from goldbake import proc
from goldbake.clouds.examine import Look, Region, taken
from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp import networks, permissions, quotas
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.networks import newest_base
from goldbake.clouds.gcp.offers import near, offers, region_names
from goldbake.clouds.gcp.quotas import EVERYWHERE, GLOBAL, Quota, Value
from goldbake.clouds.gcp.refusals_access import BILLING, ENABLE
from goldbake.clouds.gcp.role import Purpose
from goldbake.clouds.gcp.session import NO_PROJECT, TOKEN, Gcp
from goldbake.clouds.gcp.types import MachineType, machine_type
from goldbake.config import base_images
from goldbake.config.model import Os
from goldbake.errors import MissingError
from goldbake.finding import Finding

APIS = {
    "compute.googleapis.com": "bakes and launches",
    "cloudresourcemanager.googleapis.com": "doctor's look at permissions",
    "serviceusage.googleapis.com": "doctor's look at APIs",
    "cloudbilling.googleapis.com": "doctor's look at billing",
    "iam.googleapis.com": "service accounts and roles",
}
"""API → what it is for; only the first one is needed without doctor."""
_NEEDED = "compute.googleapis.com"
_IAP = "iap.googleapis.com"
_GCLOUD = "https://cloud.google.com/sdk/docs/install"


@dataclass(frozen=True)
class Bake:
    """A bake that images.yaml describes."""

    region: str
    machine_type: str
    """With its GPUs, as `n1-standard-4+nvidia-tesla-t4`."""
    os: Os
    project: str = ""
    """Empty: that of the environment."""
    network: networks.Network = networks.PLAIN
    spot: bool = False
    service_account: bool = False


class _Region(Region[MachineType, Bake]):
    """What is looked at in one region."""

    @property
    def builds(self) -> tuple[MachineType, ...]:
        return tuple(dict.fromkeys(machine_type(bake.machine_type) for bake in self.bakes))

    @property
    def kinds(self) -> tuple[MachineType, ...]:
        return tuple(dict.fromkeys([*self.types, *self.builds]))


def examine(
    regions: Sequence[str], types: Sequence[str], *, bakes: Sequence[Bake] = (), strict: bool = False, gcp: Gcp | None = None
) -> list[Finding]:
    """Look at the projects of these credentials, in `regions` (of launches) and in those of `bakes`.

    `types` are those of launches; with `strict` each must be possible, else one of them is enough. Asks Google, changes nothing.
    """
    return list(_rows(regions, tuple(machine_type(name) for name in types), bakes, strict, gcp))


def _rows(
    regions: Sequence[str], types: tuple[MachineType, ...], bakes: Sequence[Bake], strict: bool, given: Gcp | None
) -> Iterator[Finding]:
    own, missing = _project(given)
    if own is None and not any(bake.project for bake in bakes):
        yield missing
        return
    if own is None:  # bakes name their project; a launch would not know one
        yield Finding(missing.what, missing.state, missing.fix, required=False)
    projects = [own.project] if own else []
    for name in dict.fromkeys([*projects, *(bake.project for bake in bakes if bake.project)]):
        try:
            gcp = own if own and own.project == name else Gcp(name)
        except MissingError as error:
            yield Finding("Google credentials", error.message, error.hint)
            return
        here = tuple(bake for bake in bakes if (bake.project or (own.project if own else "")) == name)
        of_launches = gcp is own
        yield from _of_project(gcp, regions if of_launches else (), types if of_launches else (), here, strict)


def _project(given: Gcp | None) -> tuple[Gcp | None, Finding]:
    if given:
        return given, Finding("", "")
    try:
        return Gcp(), Finding("", "")
    except MissingError as error:
        return None, Finding("Google project" if error.hint == NO_PROJECT else "Google credentials", error.message, error.hint)


def _of_project(
    gcp: Gcp, launches: Sequence[str], types: tuple[MachineType, ...], bakes: tuple[Bake, ...], strict: bool
) -> Iterator[Finding]:
    yield Finding("Google credentials", f"{_who(gcp)}, project {gcp.project}")
    regions = tuple(dict.fromkeys([*launches, *(bake.region for bake in bakes)]))
    with_iap = any(bake.network.iap for bake in bakes)
    if with_iap:
        found = proc.find("gcloud")
        yield Finding("gcloud", str(found)) if found else Finding("gcloud", "missing, and needed by IAP", f"install it: {_GCLOUD}")
    try:
        everywhere = quotas.values(gcp, once=True)
    except Failure as error:
        # Nothing of Compute Engine can be asked: what else there is to say explains why.
        yield Finding("Compute Engine", error.message, error.hint)
        if error.scope is not Scope.RETRY:
            yield from _apis(gcp, with_iap=with_iap)
            yield from _billing(gcp)
        return
    try:
        there = region_names(gcp)
    except Failure as error:
        yield Finding("regions", error.message, error.hint)
        there = regions
    for name in [name for name in regions if name not in there]:
        yield Finding(f"region {name}", "does not exist", f"one of {near(name, there)}")
    places = [_Region.of(name, launches, types, bakes, strict=strict) for name in regions if name in there]
    purposes = (
        *permissions.ALWAYS,
        *((Purpose.IAP,) if with_iap else ()),
        *((Purpose.SERVICE_ACCOUNT,) if any(bake.service_account for bake in bakes) else ()),
    )
    looks: list[Look] = [
        ("APIs", lambda: _apis(gcp, with_iap=with_iap)),
        ("billing", lambda: _billing(gcp)),
        ("permissions", lambda: permissions.examine(gcp, purposes)),
        ("base image", lambda: _base_images(gcp, bakes)),
        ("types", lambda: _offers(gcp, places)),
        ("quotas", lambda: _quotas(gcp, places, everywhere)),
        *((f"network {here.name}", partial(_network, gcp, here)) for here in places),
    ]
    yield from taken(looks)


def _who(gcp: Gcp) -> str:
    """Which kind of credentials these are; of a service account, whose."""
    found = gcp.credentials
    if isinstance(found, google.oauth2.service_account.Credentials | google.auth.impersonated_credentials.Credentials):
        return f"service account {found.service_account_email}"
    if isinstance(found, google.auth.compute_engine.Credentials):
        return f"the service account of this machine ({found.service_account_email})"
    if isinstance(found, google.auth.external_account.Credentials):
        return "an account of another provider (workload identity federation)"
    if isinstance(found, google.oauth2.credentials.Credentials):
        return "a person's application default credentials" if found.refresh_token else f"the token of {TOKEN}"
    return type(found).__name__


def _apis(gcp: Gcp, *, with_iap: bool) -> Iterator[Finding]:
    wanted = {**APIS, **({_IAP: "the way to the build instance"} if with_iap else {})}
    parent = f"projects/{gcp.project}"
    try:
        answer = gcp.client(service_usage_v1.ServiceUsageClient).batch_get_services(
            request={"parent": parent, "names": [f"{parent}/services/{name}" for name in wanted]}
        )
    except RAISED as error:
        found = failure(error, doing="say which APIs are enabled", place=GLOBAL)
        yield Finding("APIs", found.message, found.hint, required=False)
        return
    enabled = {service.name.rpartition("/")[2] for service in answer.services if service.state == service_usage_v1.State.ENABLED}
    for name, purpose in wanted.items():
        fix = "" if name in enabled else ENABLE.replace("{service}", name).replace("{project}", gcp.project)
        state = "enabled" if name in enabled else f"not enabled; needed for {purpose}"
        yield Finding(f"API {name}", state, fix, required=name in (_NEEDED, _IAP))


def _billing(gcp: Gcp) -> Iterator[Finding]:
    try:
        found = gcp.client(billing_v1.CloudBillingClient).get_project_billing_info(name=f"projects/{gcp.project}")
    except RAISED as error:
        refused = failure(error, doing="say who pays for the project", place=GLOBAL)
        yield Finding("billing", refused.message, refused.hint, required=False)
        return
    if found.billing_enabled:
        yield Finding("billing", found.billing_account_name or "enabled")
    else:
        yield Finding("billing", f"no open billing account pays for {gcp.project}", BILLING.replace("{project}", gcp.project))


def _base_images(gcp: Gcp, bakes: Iterable[Bake]) -> Iterator[Finding]:
    for system in sorted({bake.os for bake in bakes}):
        base = base_images.GCP[system]
        try:
            name = newest_base(gcp, system)
        except Failure as error:
            yield Finding("base image", f"{system}: {error.message}", error.hint)
            continue
        yield Finding("base image", f"{system}: {base.project}/{name}")


def _offers(gcp: Gcp, places: Sequence[_Region]) -> Iterator[Finding]:
    kinds = {kind for here in places for kind in here.kinds}
    try:
        found = offers(gcp, kinds)
    except RAISED as error:
        raise failure(error, doing="list where machine types are offered", place=GLOBAL) from error
    for here in places:
        zones = {
            kind: sorted(zone for zone in found if zone.rpartition("-")[0] == here.name and kind in found[zone]) for kind in here.kinds
        }
        some = any(zones[kind] for kind in here.types)
        for kind in here.kinds:
            lists = "accelerator-types" if kind.accelerator else "machine-types"
            fix = "" if zones[kind] else f"another type, or another region: `gcloud compute {lists} list` says where there is which"
            required = kind in here.builds or here.strict or not some
            yield Finding(f"type {here.name}", f"{kind}: {', '.join(zones[kind]) or 'in no zone'}", fix, required=required)


def _quotas(gcp: Gcp, places: Sequence[_Region], everywhere: Mapping[str, Value]) -> Iterator[Finding]:
    """GPUs and vCPUs of the whole project and of each region, GPUs on spot as well: each of them has to allow a machine."""
    kinds = {kind for here in places for kind in here.kinds}
    gpus = min((many for kind in kinds if (many := quotas.accelerator_of(kind)[1])), default=0)
    if gpus:
        needs = f"{gpus} for one machine; every GPU counts against this one and against its region's"
        yield _quota(gcp, EVERYWHERE, everywhere.get(EVERYWHERE.metric), needs, gpus)
    cpus = max((quotas.processors_of(kind) for here in places for kind in here.builds), default=0)
    if cpus:
        yield _quota(gcp, quotas.PROCESSORS_EVERYWHERE, everywhere.get(quotas.PROCESSORS_EVERYWHERE.metric), f"a bake needs {cpus}", cpus)
    for here in places:
        values = quotas.values(gcp, here.name) if here.kinds else {}
        rows = [
            (kind, spot, row) for spot in (False, True) for kind in here.kinds for row in _of_type(gcp, kind, here.name, values, spot=spot)
        ]
        enough = any(all(row.good for kind, spot, row in rows if kind == wanted and not spot) for wanted in here.types)
        for kind, spot, row in {row.state: (kind, spot, row) for kind, spot, row in rows}.values():
            on_spot = any(bake.spot for bake in here.bakes if machine_type(bake.machine_type) == kind)
            needed = (kind in here.builds and not on_spot) or (kind in here.types and (here.strict or not enough))
            yield Finding(row.what, row.state, row.fix, required=row.required and not spot and needed)


def _of_type(gcp: Gcp, kind: MachineType, region: str, values: Mapping[str, Value], *, spot: bool) -> Iterator[Finding]:
    many, quota = quotas.accelerator_of(kind)[1], quotas.quota_of(kind, region, spot=spot)
    if quota is not None:
        yield _quota(gcp, quota, values.get(quota.name), f"{kind} needs {many}", many)
    if not spot and (quota := quotas.processors_quota_of(kind, region)):
        yield _quota(gcp, quota, values.get(quota.metric), f"{kind} needs {quotas.processors_of(kind)}", quotas.processors_of(kind))


def _quota(gcp: Gcp, quota: Quota, value: Value | None, needs: str, need: int) -> Finding:
    """A quota that is large enough and used up is told, but is no fault of the project."""
    what = f"quota {quota.region}"
    page = f"{quota.page(gcp.project)} (filter by {quota.name})"
    if value is None:
        return Finding(what, f"{quota.name}: shown only by the console; {needs}", f"look at {page}", required=False)
    zero = ", which Google sets to 0 in a new project" if value.limit == 0 and quota == EVERYWHERE else ""
    state = f"{quota.name}: {value}{zero}; {needs}"
    if value.limit - value.usage >= need:
        return Finding(what, state)
    return Finding(what, state, f"{page}, or `{quota.increase(gcp.project, int(value.usage) + need)}`", required=value.limit < need)


def _network(gcp: Gcp, here: _Region) -> Iterator[Finding]:
    wanted = tuple(dict.fromkeys(bake.network for bake in here.bakes))
    for network in wanted or (networks.PLAIN,):
        yield from networks.examine(gcp, here.name, network, ssh=bool(wanted))
