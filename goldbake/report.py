"""Results as people read them: plain text, aligned, no colour."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldbake.bake import Preview
    from goldbake.check import CheckReport
    from goldbake.host import Finding
    from goldbake.records import ImageRecord
    from goldbake.templates import Validation


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
    rows = (
        ("image", f"{found.image} ({found.cloud}), {how}"),
        ("artifact", found.artifact),
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
    return table(
        ("IMAGE", "CLOUD", "AGE", "SIZE", "KERNEL", "DRIVER", "AGENT", "CHECKS", "ARTIFACT"),
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
                found.artifact,
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
    return f"{layers.image} ({layers.cloud}): {what}\n" + table(("LAYER", "STATE"), rows)


def validation(results: Sequence[Validation]) -> str:
    """One line per template."""
    return table(("IMAGE", "CLOUD", "RESULT"), ((item.image, item.cloud.value, item.skipped or "valid") for item in results))


def changes(found: Mapping[str, str]) -> str:
    """What `pin` changed."""
    return "\n".join(f"{name}: {what}" for name, what in found.items()) or "nothing to change"


def doctor(rows: Sequence[Finding]) -> str:
    """The table of findings."""
    return table(("WHAT", "STATE", "FIX"), ((row.what, row.state, row.fix) for row in rows))


def figures(found: Mapping[str, float]) -> str:
    """Name and number, one a line."""
    return "\n".join(f"{name:<18} {value:.3f}" for name, value in found.items())


def _age(delta: datetime.timedelta) -> str:
    minutes = int(delta.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
