"""The rows of `doctor` about what a region of Azure offers: sizes, the restrictions of the subscription, quotas. Nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from goldbake.clouds.azure import quotas
from goldbake.clouds.azure.shortage import PAGE, REGIONAL, SPOT, Shortage
from goldbake.clouds.azure.skus import Sku, skus
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure


def examine(azure: Azure, region: str, *, launches: Sequence[str], builds: Mapping[str, bool], strict: bool) -> Iterator[Finding]:
    """Whether the sizes of launches and of builds may be used in a region, and whether their quotas suffice for one machine.

    With `strict` every size of launches must be possible, else one of them is enough. `builds`: size → whether it has to start with Trusted
    Launch. Raises Failure.
    """
    names = list(dict.fromkeys([*launches, *builds]))
    if not names:
        return
    offered = skus(azure, region, names)
    some = any(_refused(offered.get(name.lower()), False) == "" for name in launches)
    for name in names:
        sku = offered.get(name.lower())
        refused = _refused(sku, builds.get(name, False))
        where = f"zones {', '.join(sku.zones)}" if sku and sku.zones else "without zones"
        fix = (
            "another size, or another region; a restriction is lifted by a support request: https://aka.ms/azureskunotavailable"
            if refused
            else ""
        )
        yield Finding(f"size {region}", f"{name}: {refused or where}", fix, required=name in builds or strict or not some)
    yield from _quotas(azure, region, [sku for name in names if (sku := offered.get(name.lower())) is not None], launches, builds, strict)


def _refused(sku: Sku | None, trusted_launch: bool) -> str:
    """Why a size cannot be used; empty when it can."""
    if sku is None:
        return "is not offered here"
    kinds = sku.words("CpuArchitectureType", "x64")
    reasons = (
        (sku.restricted, f"this subscription may not use it here ({sku.restricted})"),
        (sku.barred and not sku.zones, f"this subscription may not use it in zones {', '.join(sku.barred)}"),
        (kinds != ["x64"], f"has a processor of another kind ({', '.join(kinds)})"),
        ("V2" not in sku.generations, "starts no images of generation 2"),
        (trusted_launch and not sku.trusted_launch, "does not start with Trusted Launch"),
    )
    return next((why for holds, why in reasons if holds), "")


def _quotas(
    azure: Azure, region: str, offered: Sequence[Sku], launches: Collection[str], builds: Collection[str], strict: bool
) -> Iterator[Finding]:
    known = quotas.quotas(azure, region)
    rows = []
    enough = False
    for quota_name, sizes in _by_quota(offered).items():
        quota = known.get(quota_name.lower())
        least = min(sizes, key=lambda sku: sku.processors)
        of_launch = any(sku.name in launches for sku in sizes)
        row, suffices = _quota(azure, region, quota_name, quota, least)
        if quota_name not in (SPOT, REGIONAL) and of_launch:
            enough = enough or suffices
        rows.append((row, quota_name, any(sku.name in builds for sku in sizes)))
    for row, quota_name, for_bake in rows:
        required = quota_name == REGIONAL or (quota_name != SPOT and (for_bake or strict or not enough))
        yield Finding(row.what, row.state, row.fix, required=required)


def _quota(azure: Azure, region: str, name: str, quota: quotas.Quota | None, least: Sku) -> tuple[Finding, bool]:
    what = f"quota {region}"
    if quota is None:
        return Finding(what, f"{name}: Azure does not list it", f"ask for it at {PAGE}", required=False), True
    state = f"{quota.title} ({quota.name}): {quota.used} of {quota.limit} vCPUs in use; {least.name} needs {least.processors}"
    if quota.free >= least.processors:
        return Finding(what, state), True
    short = Shortage(quota.name, region, quota.limit, quota.used, least.processors)
    return Finding(what, state, f"`{short.increase(azure.subscription)}`, or {PAGE}"), False


def _by_quota(offered: Iterable[Sku]) -> Mapping[str, list[Sku]]:
    """Quota → the sizes that count against it: families first, then all of them together, then spot."""
    found: dict[str, list[Sku]] = {}
    last: dict[str, list[Sku]] = {REGIONAL: [], SPOT: []}
    for sku in offered:
        found.setdefault(sku.family, []).append(sku)
        last[REGIONAL].append(sku)
        if sku.spot:
            last[SPOT].append(sku)
    return found | {name: sizes for name, sizes in last.items() if sizes}
