"""What the extensions remember besides moto's own objects, and what a test may set. One fake exists per process: moto's state is the process's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes import book
from tests.fakes.aws.calls import Faults
from tests.fakes.aws.seeds import SEEDS, Seed

ACCOUNT = "123456789012"
REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1",
    "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""The regions that every account has enabled: those of `opt-in-not-required`."""


@dataclass(frozen=True)
class Doom:
    """Instances that start and then die, as EC2 reports a shortage that it noticed too late."""

    code: str
    """A StateReason code, as Server.InsufficientInstanceCapacity."""
    message: str = ""
    region: str = ""
    zone: str = ""
    type: str = ""

    def fits(self, region: str, zone: str, type: str) -> bool:
        return self.region in ("", region) and self.zone in ("", zone) and self.type in ("", type)


@dataclass(frozen=True)
class Event:
    """What happened to an instance: `started`, `stopped`, `rebooted`, `terminated`, `imaged` (then `image` is the new AMI), `metadata`."""

    what: str
    region: str
    instance: str
    image: str = ""


@dataclass
class Book(book.Book[Event]):
    """Settings and memory of the fake."""

    faults: Faults = field(default_factory=Faults)
    seeds: tuple[Seed, ...] = SEEDS
    page: int = 1000
    """Items in one answer of a listing, where the caller does not ask for fewer."""
    lag: int = 0
    """DescribeInstances does not know a new instance for so many calls."""
    linger: int = 0
    """A terminated instance is shutting down for so many DescribeInstances, its volumes and interfaces still there."""
    capacity: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    """(zone, type, spot) → instances that can still be started there; what is not in it has no end."""
    withheld: set[tuple[str, str]] = field(default_factory=set)
    """(zone, type) that are not offered."""
    dooms: list[Doom] = field(default_factory=list)
    """Each is for one instance."""
    quotas: dict[tuple[str, str], float] = field(default_factory=dict)

    tokens: dict[tuple[str, str, str], tuple[str, Any]] = field(default_factory=dict)
    """(region, action, client token) → (what was asked, what was answered)."""
    unseen: dict[str, int] = field(default_factory=dict)
    leaving: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Instance → its region, and for how many listings it is still shutting down."""
    zones: dict[str, str] = field(default_factory=dict)


BOOK = Book()
"""The one that the response classes use: moto makes them without arguments."""
