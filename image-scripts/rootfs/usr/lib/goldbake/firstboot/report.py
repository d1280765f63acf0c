"""The status after first boot: online again after a reboot, stopped for good, or a GPU that broke."""

from __future__ import annotations

from . import TYPE_CHECKING, gpu, status
from .errors import Problem
from .register import is_registered
from .run import run
from .settings import Settings
from .wipe import wipe_again

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str], settings: Settings | None = None) -> int:
    """`online`, `stopped` (the agent), `crashed` (first boot), or `gpu` (the gate itself, on boots after the first)."""
    settings = settings or Settings()
    if arguments == ["gpu"]:
        return _gate(settings)
    current = _continued(settings)
    if arguments == ["online"]:
        current.fine()
        current.phase("online")
        for line in wipe_again(settings):
            print(f"not wiped: {line}", flush=True)
        return 0
    if arguments == ["stopped"]:
        return _stopped(settings, current)
    if arguments == ["crashed"]:
        return _crashed(settings, current)
    print("usage: goldbake-report online|stopped|crashed|gpu")
    return 2


def _crashed(settings: Settings, current: status.Status) -> int:
    """First boot's unit has failed. Unless it said why itself, a signal or a time-out ended it."""
    before = status.read(settings)
    if before.get("boot") == current.fields["boot"] and before.get("phase") == "failed":
        return 0
    current.failed(Problem("internal", f"first boot was ended in the phase {before.get('phase', 'started')}"))
    return 0


def _stopped(settings: Settings, current: status.Status) -> int:
    """The agent's unit, or one that it needs, has failed. First boot and the gate of the GPUs say themselves why; theirs is the better reason."""
    before = status.read(settings)
    if not is_registered(settings) or (before.get("phase") == "failed" and before.get("boot") == current.fields["boot"]):
        return 0
    if run([*settings.systemctl, "is-failed", "--quiet", "goldbake-metadata-guard.service"], 30.0).code == 0:
        current.failed(Problem("guard", "the rule that blocks the metadata service for jobs cannot be loaded"))
    else:
        current.failed(Problem("agent", "the agent's service has stopped for good"))
    return 0


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
