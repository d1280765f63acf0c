"""Results as people read them: plain text, aligned, no colour."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldbake.bake import Preview
    from goldbake.check import CheckReport
    from goldbake.demo import Demonstration
    from goldbake.finding import Finding
    from goldbake.records import ImageRecord
    from goldbake.templates import Validation
    from launch.base import Instance
    from launch.removal import RemovalPlan, RemovalReport
    from launch.service import LaunchReport


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns with a head line."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def record(found: ImageRecord, *, reused: bool) -> str:
    """One artifact in a few lines."""
    how = "nothing changed: the image exists" if reused else "baked"
    checks = "not checked" if found.checks is None else f"{found.checks.passed} passed, {found.checks.failed} failed"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in found.seconds.items())
    places = [("region", found.region), ("base", found.base)] if found.region else []
    rows = (
        ("image", f"{found.image} ({found.cloud}), {how}"),
        ("artifact", found.artifact),
        *places,
        *(("copy", f"{artifact} in {region}") for region, artifact in found.copies.items()),
        ("size", f"{found.size_bytes / 1e6:.0f} MB"),
        ("sha256", found.sha256),
        ("versions", versions),
        ("agent", found.agent),
        ("checks", checks),
        ("seconds", stages),
        ("created", found.created),
    )
    return "\n".join(f"{name:<9} {value}" for name, value in rows)


def images(records: Sequence[ImageRecord]) -> str:
    """The table of all artifacts."""
    if not records:
        return "no image has been baked yet (./inv bake)"
    now = datetime.datetime.now(datetime.UTC)
    copied = any(found.copies for found in records)
    return table(
        ("IMAGE", "CLOUD", "AGE", "SIZE", "KERNEL", "DRIVER", "AGENT", "CHECKS", "ARTIFACT", *(["COPIES"] if copied else [])),
        (
            (
                found.image,
                found.cloud.value,
                _age(now - datetime.datetime.fromisoformat(found.created)),
                f"{found.size_bytes / 1e6:.0f} MB",
                found.versions.get("kernel", ""),
                found.versions.get("driver", ""),
                f"{found.versions.get('agent', '')} ({found.agent})",
                "unchecked" if found.checks is None else f"{found.checks.passed} passed",
                found.artifact + (f" ({found.region})" if found.region else ""),
                *([", ".join(found.copies)] if copied else []),
            )
            for found in records
        ),
    )


def checks(result: CheckReport) -> str:
    """Each check that is red with its message, then the counts."""
    lines = [f"FAILED {failed.name}: {failed.message}" for failed in result.failed]
    return "\n".join([*lines, f"{len(result.passed)} passed, {len(result.failed)} failed, {len(result.skipped)} skipped"])


def preview(layers: Preview) -> str:
    """What a bake would do."""
    rows = [(name, "kept" if kept else "to make") for name, kept in layers.layers.items()]
    what = "the image exists" if layers.exists else "would bake"
    lines = [f"{layers.image} ({layers.cloud}): {what}"]
    if layers.base:
        lines.append(f"base image {layers.base['id']} ({layers.base['name']}, {layers.base['created'][:10]})")
    return "\n".join([*lines, *(f"on {place}" for place in layers.places), table(("LAYER", "STATE"), rows)])


def validation(results: Sequence[Validation]) -> str:
    """One line per template."""
    return table(("IMAGE", "CLOUD", "RESULT"), ((item.image, item.cloud.value, item.skipped or "valid") for item in results))


def changes(found: Mapping[str, str]) -> str:
    """What `pin` changed."""
    return "\n".join(f"{name}: {what}" for name, what in found.items()) or "nothing to change"


def doctor(rows: Sequence[Finding]) -> str:
    """The table of findings."""
    return table(("WHAT", "STATE", "FIX"), ((row.what, row.state, row.fix) for row in rows))


def launched(found: LaunchReport) -> str:
    """What runs now, when it was where, and where to go next."""
    rows = [
        (one.agent, one.instance.kind, one.instance.place, " → ".join(f"{name} {seconds:.1f}" for name, seconds in one.marks.items()))
        for one in found.started
    ]
    online = sum(one.online for one in found.started)
    lines = [
        table(("AGENT", "KIND", "PLACE", "SECONDS"), rows),
        *(f"tried     {one.cloud} for {one.seconds:.1f} s: {one.code}" for one in found.tried),
        f"launch    {found.launch_id} of {found.image}: {online} of {len(found.started)} online after {found.seconds:.1f} s",
        f"pool      {found.pool}: {found.pool_page}",
        *(f"shell     {one.instance.reach}" for one in found.started if one.instance.reach),
        f"ends      {_time(found.expires)}, or now: ./inv destroy --launch {found.launch_id}",
    ]
    return "\n".join(lines)


def instances(found: Sequence[Instance], *, whole: bool = True) -> str:
    """The table of all instances; `whole`: everything could be looked at."""
    if not found:
        return "nothing is launched (./inv launch)" if whole else "nothing is launched where it could be looked at"
    head = ("LAUNCH", "INSTANCE", "CLOUD", "KIND", "IMAGE", "PLACE", "STATE", "SINCE", "ENDS")
    rows = (
        (one.launch_id, one.id, one.cloud.value, one.kind, one.image, one.place, one.state, _time(one.created), _time(one.expires))
        for one in found
    )
    return table(head, rows)


def removal_plan(plan: RemovalPlan) -> str:
    """What would be removed."""
    lines = [f"launch {busy} is left alone: a process is at work on it" for busy in plan.busy]
    lines += plan.unseen
    if not plan:
        return "\n".join([*lines, "there is nothing to remove"])
    for doomed in plan.launches:
        lines.append(f"launch {doomed.launch_id} ({doomed.cloud})" + (f": {doomed.why}" if doomed.why else ""))
        lines += [f"    {resource}" for resource in doomed.resources]
        lines += [f"    agent {name}" for name in doomed.agents]
    return "\n".join(lines)


def removed(found: RemovalReport) -> str:
    """What was removed, and that a second listing was empty."""
    lines = [f"removed   {name}" for name in [*found.removed, *(f"agent {agent}" for agent in found.agents)]]
    left = [*found.left, *(f"agent {name}: {why}" for name, why in found.agents_left.items())]
    lines += [f"LEFT      {name}" for name in left]
    lines += [f"unseen    {what}" for what in found.unseen]
    return "\n".join(
        [*lines, f"nothing is left of {', '.join(found.launches)} ({found.seconds:.1f} s)" if not left else f"{len(left)} left"]
    )


def demonstration(found: Demonstration) -> str:
    """The timeline of a demo, and what was looked at afterwards."""
    lines = [f"{seconds:7.1f} s  {what}" for what, seconds in found.timeline]
    return "\n".join([*lines, "", *(f"nothing left: {where}" for where in found.looked_at)])


def boot_figures(found: Mapping[str, Any]) -> str:
    """The comparison of `bench.boot`, and where the golden machine's time goes."""
    rows = [(engine, name, f"{value:.3f}") for engine in ("container", "vm") for name, value in found[engine].items()]
    parts = [(engine, name, f"{seconds:.2f} s") for engine, spans in found["where"].items() for name, seconds in spans.items()]
    return table(("ENGINE", "FIGURE", "VALUE"), rows) + "\n\n" + table(("ENGINE", "GOLDEN, FROM … TO", "TIME"), parts)


def figures(found: Mapping[str, float]) -> str:
    """Name and number, one a line."""
    return "\n".join(f"{name:<18} {value:.3f}" for name, value in found.items())


def _time(seconds: float) -> str:
    """Local time of a moment in seconds since 1970."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _age(delta: datetime.timedelta) -> str:
    minutes = int(delta.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
