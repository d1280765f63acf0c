"""`goldbake-status`: the status for people, or with --json as it is."""

from __future__ import annotations

import json

from . import TYPE_CHECKING
from .settings import Settings
from .status import read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def main(arguments: Sequence[str], settings: Settings | None = None) -> int:
    """Exit 0 when the agent is online, 3 when it is not (yet), 4 when there is no status, 2 for a wrong argument."""
    settings = settings or Settings()
    if [argument for argument in arguments if argument != "--json"]:
        print("usage: goldbake-status [--json]")
        return 2
    found = read(settings)
    if "--json" in arguments:
        print(json.dumps(found))
    else:
        print("\n".join(lines(found)) if found else "no status: first boot has not run")
    if not found:
        return 4
    return 0 if found.get("phase") == "online" else 3


def lines(found: dict[str, Any]) -> list[str]:
    """A status as people read it."""
    shown = [f"phase         {found.get('phase', '?')}"]
    shown += [f"{name:13} {found[name]}" for name in ("error", "reason", "hint", "organization", "image", "source") if found.get(name)]
    agent = found.get("agent")
    if isinstance(agent, dict):
        shown += [f"{'agent ' + name:13} {agent[name]}" for name in ("name", "pool", "id", "version") if agent.get(name)]
    if found.get("attempts"):
        shown.append(f"attempts      {found['attempts']}")
    timings = found.get("timings")
    if isinstance(timings, dict):
        shown += [f"  {seconds:8.2f} s  {phase}" for phase, seconds in timings.items() if isinstance(seconds, (int, float))]
    return shown
