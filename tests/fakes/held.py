"""What AWS's fake and Google's say of a thing that is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Held:
    """Something that a client made and that still is there: not what every account has, as public images and the default network."""

    kind: str
    """What the cloud calls it, in the singular: instance, volume or disk, image, …"""
    id: str
    """On Google Cloud its name."""
    region: str
    """On Google Cloud its zone or region, or `global`."""
    tags: dict[str, str] = field(default_factory=dict)
    """On Google Cloud its labels."""
    state: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.id} in {self.region}" + (f" ({self.state})" if self.state else "")
