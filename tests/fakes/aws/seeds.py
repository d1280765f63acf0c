"""The public images that exist in every region of the fake, as Debian and Canonical publish them: several ages, and some that must not be taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DEBIAN = "136693071363"
CANONICAL = "099720109477"
STRANGER = "666666666666"


@dataclass(frozen=True)
class Seed:
    """One public image."""

    owner: str
    name: str
    created: str
    """UTC, ISO 8601."""
    root_device: str = "/dev/xvda"
    architecture: str = "x86_64"
    size_gib: int = 8
    deprecated: str = ""

    def id_in(self, region: str) -> str:
        """Every region has an id of its own, always the same."""
        return f"ami-{hashlib.sha256(f'{region} {self.owner} {self.name} {self.created}'.encode()).hexdigest()[:17]}"


_NOBLE = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04"
NEWEST_DEBIAN = Seed(DEBIAN, "debian-12-amd64-20261110-2291", "2026-11-10T12:00:00.000Z")
NEWEST_NOBLE = Seed(CANONICAL, f"{_NOBLE}-amd64-server-20261115", "2026-11-15T12:00:00.000Z", "/dev/sda1")

SEEDS: tuple[Seed, ...] = (
    Seed(DEBIAN, "debian-12-amd64-20260210-2382", "2026-02-10T12:00:00.000Z", deprecated="2026-08-10T00:00:00.000Z"),
    NEWEST_DEBIAN,
    Seed(DEBIAN, "debian-12-amd64-20260701-2160", "2026-07-01T12:00:00.000Z"),
    Seed(DEBIAN, "debian-12-arm64-20261110-2291", "2026-11-10T12:00:00.000Z", architecture="arm64"),
    Seed(DEBIAN, "debian-12-backports-amd64-20261111-2292", "2026-11-11T12:00:00.000Z"),
    Seed(DEBIAN, "debian-13-amd64-20261109-2290", "2026-11-09T12:00:00.000Z"),
    Seed(CANONICAL, f"{_NOBLE}-amd64-server-20260801", "2026-08-01T12:00:00.000Z", "/dev/sda1"),
    NEWEST_NOBLE,
    Seed(CANONICAL, f"{_NOBLE}-arm64-server-20261115", "2026-11-15T12:00:00.000Z", "/dev/sda1", "arm64"),
    Seed(CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261101", "2026-11-01T12:00:00.000Z", "/dev/sda1"),
    Seed(STRANGER, "debian-12-amd64-20261120-9999", "2026-11-20T12:00:00.000Z"),
    Seed(STRANGER, f"{_NOBLE}-amd64-server-20261120", "2026-11-20T12:00:00.000Z", "/dev/sda1"),
)
