"""What a person asks for, and what runs afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from goldbake.config.model import Cloud
from goldbake.secret import Secret
from launch.base import CloudOptions
from launch.fleet import Started
from launch.local import LocalOptions


@dataclass(frozen=True)
class LaunchRequest:
    """What a person asks for."""

    organization: str
    pat: Secret = field(repr=False)
    pool: str = "Default"
    cloud: Cloud = Cloud.LOCAL
    image: str | None = None
    artifact: str | None = None
    """Exactly this one: an AMI, an image or a file."""
    count: int = 1
    prefix: str = "goldbake"
    labels: Mapping[str, str] = field(default_factory=dict)
    work: str = ""
    proxy: str = ""
    ca: Path | None = None
    """Certificates to trust besides the system's, here and in the instances."""
    ephemeral: bool = False
    ttl: int = 4 * 3600
    """Seconds."""
    wait: bool = True
    timeout: float = 900.0
    """Longest wait for an agent, in seconds."""
    create_pool: bool = False
    unchecked: bool = False
    """Take an image whose checks were left out as well."""
    local: LocalOptions = field(default_factory=LocalOptions)
    options: CloudOptions = field(default_factory=CloudOptions)


@dataclass(frozen=True)
class Tried:
    """A cloud that was tried before another one had room, and why it was left."""

    cloud: Cloud
    code: str
    """The cloud's own word, or no-capacity, missing, no-image."""
    why: str
    seconds: float
    left: str = ""
    """The launch of which something could not be removed there; empty: nothing is left."""

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"cloud": self.cloud.value, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class LaunchReport:
    """What runs now."""

    launch_id: str
    cloud: Cloud
    image: str
    artifact: str
    pool: str
    pool_page: str
    expires: int
    seconds: float
    started: tuple[Started, ...]
    notes: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    """The clouds that had nothing, in the order in which they were asked."""

    def document(self) -> dict[str, Any]:
        """The JSON document of the outer contract."""
        return {
            "launch": self.launch_id,
            "cloud": self.cloud.value,
            "image": self.image,
            "artifact": self.artifact,
            "pool": self.pool,
            "pool_page": self.pool_page,
            "expires": self.expires,
            "seconds": round(self.seconds, 3),
            "instances": [found.document() for found in self.started],
            "notes": list(self.notes),
            "tried": [one.document() for one in self.tried],
        }
