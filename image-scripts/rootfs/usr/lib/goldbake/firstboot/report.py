"""The status after first boot: online again after a reboot, stopped for good, or a GPU that broke."""

from __future__ import annotations

from . import TYPE_CHECKING, gpu, status
from .errors import Problem
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str], settings: Settings | None = None) -> int:
    """`online`, `stopped`, or `gpu` (the gate itself, on boots after the first)."""
    settings = settings or Settings()
    if arguments == ["gpu"]:
        return _gate(settings)
    current = _continued(settings)
    if arguments == ["online"]:
        current.fine()
        current.phase("online")
        return 0
    if arguments == ["stopped"]:
        current.failed(Problem("agent", "the agent's service has stopped for good"))
        return 0
    print("usage: goldbake-report online|stopped|gpu")
    return 2


def _gate(settings: Settings) -> int:
    try:
        gpu.check(settings)
    except Problem as problem:
        _continued(settings).failed(problem)
        return problem.code
    return 0


def _continued(settings: Settings) -> status.Status:
    """The last status, with this boot's own times."""
    before = status.read(settings)
    current = status.Status(settings)
    for name in ("agent", "organization", "source"):
        if name in before:
            current.fields[name] = before[name]
    if before.get("boot") == current.fields["boot"] and isinstance(before.get("timings"), dict):
        current.timings = before["timings"]
    return current
