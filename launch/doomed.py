"""What is to be removed, and what came of it: values of `launch.removal`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from launch.base import Resource
from launch.journal import Entry


@dataclass(frozen=True)
class Doomed:
    """One launch that is to go: why, and what of it there is."""

    launch_id: str
    cloud: Cloud
    why: str
    resources: tuple[Resource, ...]
    entry: Entry | None = None

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(self.entry.instances.values()) if self.entry else ()

    def document(self) -> dict[str, Any]:
        return {
            "launch": self.launch_id,
            "cloud": self.cloud.value,
            "why": self.why,
            "resources": [str(resource) for resource in self.resources],
            "agents": list(self.agents),
        }


@dataclass(frozen=True)
class RemovalPlan:
    """What would be removed, and which launches are left alone because a process is at work on them."""

    launches: tuple[Doomed, ...]
    busy: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    """Clouds, or what of them, that could not be looked at, each with the reason."""
    refused: tuple[GoldbakeError, ...] = ()
    """Why of a cloud that was asked for something is among `unseen`."""

    def __bool__(self) -> bool:
        return bool(self.launches)

    def document(self) -> dict[str, Any]:
        return {"launches": [doomed.document() for doomed in self.launches], "busy": list(self.busy), "unseen": list(self.unseen)}


@dataclass
class RemovalReport:
    """What was removed and what was not; `agents_left` says why for each agent."""

    removed: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    agents_left: dict[str, str] = field(default_factory=dict)
    launches: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Those of `launches` of which something is left."""
    hints: list[str] = field(default_factory=list)
    """What lets things be removed that a cloud would not remove."""
    unseen: list[str] = field(default_factory=list)
    """What could not be looked at, so that nobody knows of it."""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        return {
            "launches": self.launches,
            "removed": self.removed,
            "agents": self.agents,
            "left": self.left,
            "agents_left": self.agents_left,
            "unseen": self.unseen,
            "seconds": round(self.seconds, 3),
        }

    def require_nothing_left(self) -> None:
        """Raise GoldbakeError that names what is left and how to go on, unless nothing is."""
        again = "run the same command again: " + " and ".join(f"`./inv destroy --launch {launch} --yes`" for launch in self.unfinished[:3])
        if self.left:
            steps = "; ".join([*dict.fromkeys(self.hints), again])
            things = "1 thing" if len(self.left) == 1 else f"{len(self.left)} things"
            raise GoldbakeError(f"{things} could not be removed: {'; '.join(self.left)}", hint=steps)
        if self.agents_left:
            named = "; ".join(f"{name} ({why})" for name, why in self.agents_left.items())
            raise GoldbakeError(f"the machines are gone, and these agents are still registered: {named}", hint=f"set AZP_TOKEN and {again}")
