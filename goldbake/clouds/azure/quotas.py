"""Quotas of Azure: which ones a VM size counts against, how large they are and how much is in use, and how to have them raised.

Machines are counted in vCPUs, for each region: those on demand against the quota of their family and against that of all families together, spot
machines of every family against one of their own (https://learn.microsoft.com/azure/virtual-machines/quotas). Families with GPUs begin at 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient

from goldbake.clouds.azure.errors import QUOTA_CODES, failure
from goldbake.clouds.azure.shortage import PAGE, REGIONAL, SPOT, THIS, Shortage
from goldbake.clouds.azure.skus import Sku, skus
from goldbake.clouds.failure import Failure, Scope

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_OF_MACHINES = frozenset({"OperationNotAllowed", "QuotaExceeded"})


@dataclass(frozen=True)
class Quota:
    """One quota in one region, in vCPUs."""

    name: str
    title: str
    """As the portal calls it."""
    limit: int
    used: int

    @property
    def free(self) -> int:
        return max(self.limit - self.used, 0)


def names_of(sku: Sku, *, spot: bool) -> tuple[str, ...]:
    """The quotas that a machine of this size counts against, the narrowest first."""
    return (SPOT,) if spot else (sku.family, REGIONAL)


def quotas(azure: Azure, region: str) -> Mapping[str, Quota]:
    """Name in small letters → each quota of Compute in a region. Raises Failure."""
    found = {}
    try:
        for one in azure.client(ComputeManagementClient).usage.list(region):
            name = str(one.name.value or "")
            found[name.lower()] = Quota(name, str(one.name.localized_value or name), int(one.limit or 0), int(one.current_value or 0))
    except AzureError as error:
        raise failure(error, doing="list quotas", place=region) from error
    return found


def explained(azure: Azure, refused: Failure, *, region: str, types: Sequence[str], spot: bool, count: int = 1) -> Failure:
    """The same failure with the quota that is short, its limit, what is in use, what is needed and the command that raises it.

    Azure's own words have that as a rule: then, and for any other failure, it comes back as it is. Where quotas may not be listed,
    the failure says so; nothing is raised. A command in its hint is for the subscription that has refused.
    """
    refused.hint = refused.hint.replace(THIS, azure.subscription)
    if refused.code not in QUOTA_CODES & _OF_MACHINES or refused.scope is not Scope.REGION or not types or " in use" in refused.message:
        return refused
    try:
        sku = skus(azure, region, types[:1]).get(types[0].lower())
        known = quotas(azure, region)
    except Failure as unknown:
        return _told(refused, f"the quotas of {region} could not be read ({unknown.code})", refused.hint)
    if sku is None:
        return refused
    need = sku.processors * count
    short = [quota for name in names_of(sku, spot=spot) if (quota := known.get(name.lower())) is not None and quota.free < need]
    if not short:  # another machine has taken it meanwhile, or gives it back just now
        return refused
    chief = Shortage(short[0].name, region, short[0].limit, short[0].used, need)
    said = "; ".join(str(Shortage(quota.name, region, quota.limit, quota.used, need)) for quota in short)
    hint = f"`{chief.increase(azure.subscription)}`, or {PAGE}; every region has its own: try another --region"
    return _told(refused, f"{said} ({count} × {types[0]})", hint)


def _told(refused: Failure, more: str, hint: str) -> Failure:
    return Failure(refused.scope, refused.code, f"{refused.message}; {more}", hint=hint, exit_code=refused.exit_code)
