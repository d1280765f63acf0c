"""The rows of `doctor` about what a region of Azure offers: sizes, the restrictions of the subscription, quotas. Nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from goldbake.clouds.azure import quotas
from goldbake.clouds.azure.shortage import PAGE, REGIONAL, SPOT, Shortage
from goldbake.clouds.azure.skus import Needs, Sku, skus
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure


def examine(
    azure: Azure, region: str, *, launches: Sequence[str], images: Mapping[str, Needs], builds: Mapping[str, Needs], strict: bool
) -> Iterator[Finding]:
    """Whether the sizes of launches and of builds may be used in a region, and whether their quotas suffice for one machine.

    With `strict` every size of launches must be possible, else one of them is enough. `images`: what those that may be launched need of a size, of which
    one must fit; `builds`: size → what is built on it. Raises Failure.
    """
    names = list(dict.fromkeys([*launches, *builds]))
    if not names:
        return
    offered, images = skus(azure, region, names), images or {"": Needs()}
    some = any(_refused(offered.get(name.lower()), images) == "" for name in launches)
    for name in names:
        sku, wanted = offered.get(name.lower()), images if name in launches else {}
        refused = _refused(sku, {"": builds[name]} if name in builds else {}) or _refused(sku, wanted)
        required = name in builds or strict or not some
        yield Finding(
            f"size {region}", f"{name}: {refused or _where(sku, wanted)}", _fix(sku, name, region) if refused else "", required=required
        )
    yield from _quotas(azure, region, [sku for name in names if (sku := offered.get(name.lower())) is not None], launches, builds, strict)


def _refused(sku: Sku | None, images: Mapping[str, Needs]) -> str:
    """Why Azure gives no machine of a size, or none of these images starts on it; empty when one does."""
    if sku is None:
        return "is not offered here"
    if sku.restricted:
        return f"this subscription may not use it here ({sku.restricted})"
    return "; ".join(_unfit(sku, images)) if all(sku.unfit(needs) for needs in images.values()) else ""


def _unfit(sku: Sku, images: Mapping[str, Needs]) -> Sequence[str]:
    """Why images do not start on a size, each reason once with those that it is about."""
    found: dict[str, list[str]] = {}
    for name, needs in images.items():
        if why := sku.unfit(needs):
            found.setdefault(why, []).append(name)
    return [f"{why} ({', '.join(names)})" if any(names) else why for why, names in found.items()]


def _where(sku: Sku | None, images: Mapping[str, Needs]) -> str:
    """Where a size can be had, and which images do not start on it."""
    if sku is None:
        return ""
    where = f"zones {', '.join(sku.zones)}" if sku.zones else "without zones"
    if sku.barred and not sku.zones:  # then a launch names none, and a bake never does
        where = f"{where}: this subscription may not use it in zones {', '.join(sku.barred)}"
    return "; ".join([where, *_unfit(sku, images)])


def _fix(sku: Sku | None, name: str, region: str) -> str:
    if sku is not None and sku.restricted:
        return "another size, or another region; a restriction is lifted by a support request: https://aka.ms/azureskunotavailable"
    return f"another size, or another region: `az vm list-skus --location {region} --size {name} --all --output table` shows what Azure says of it"


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
