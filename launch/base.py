"""What every cloud has in common: what is to be started, what was started, and how far a failure reaches.

A cloud adds one `Launcher`: its create, list and delete calls. Everything else — journal, parallel start, waiting, removal — is in
`launch.service` and the modules that it uses, once for all clouds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from goldbake.clouds import tags
from goldbake.clouds.failure import Failure, worst
from goldbake.config.model import Cloud, Image
from goldbake.log import Progress
from goldbake.secret import Secret

REGIONS = "regions"
"""The option of a journal entry that names the regions of its launch, with commas."""
ACCOUNT = "account"
"""The option of a journal entry that names the project or subscription of its launch, where a person may have several."""


@dataclass(frozen=True)
class Place:
    """Where an instance can be: a zone of a region. This machine is one place."""

    region: str
    zone: str = ""
    """Empty: the cloud chooses one."""
    spot: bool = False
    """Spare capacity, which the cloud may take back; its quotas and its shortages are its own."""
    kind: str = ""
    """The type of machine, where each type is tried by itself; empty: the cloud chooses among those that are allowed."""

    def __str__(self) -> str:
        return (self.zone or self.region) + (f" {self.kind}" if self.kind else "") + (" (spot)" if self.spot else "")


@dataclass(frozen=True)
class LaunchSpec:
    """What is to be started: the same for every instance of a launch. What only one cloud knows is in its launcher."""

    launch_id: str
    cloud: Cloud
    image: str
    artifact: str
    sha256: str
    driver: str
    """Version of the image's NVIDIA driver; empty when it has none."""
    count: int
    prefix: str
    organization: str
    expires: int
    """Seconds since 1970."""
    user_data: Secret = field(repr=False)
    """The text of `launch.userdata`: it holds the PAT."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Region → the artifact there, home first; empty on this machine."""
    described: Image | None = field(default=None, repr=False)
    """The image's entry of images.yaml, when it still has one."""

    def tags(self) -> dict[str, str]:
        """The tags of every resource of this launch, to be set by the create call itself."""
        return tags.of_launch(self.launch_id, self.image, self.expires)


@dataclass(frozen=True)
class Instance:
    """A machine that was started. `created` and `expires` are seconds since 1970."""

    cloud: Cloud
    launch_id: str
    number: int
    id: str
    """Its identity for the cloud and for itself: the agent is called `<prefix>-<id>`."""
    image: str
    place: str
    created: float
    expires: int
    address: str = ""
    reach: str = ""
    """The command that opens a shell on it; empty when there is no way in."""
    kind: str = ""
    """The type of machine: an instance type, or `vm` and `container` of this machine."""
    state: str = "running"

    def document(self) -> dict[str, Any]:
        """The JSON document of the outer contract."""
        names = {"launch_id": "launch"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Created:
    """What one create call started; `failure` says why it is less than was asked for."""

    instances: tuple[Instance, ...]
    failure: Failure | None = None


@dataclass(frozen=True)
class Resource:
    """Something that exists because of a launch and must go with it."""

    cloud: Cloud
    kind: str
    id: str
    launch_id: str
    expires: int | None = None
    """Seconds since 1970; None when it does not say."""
    instance_id: str = ""
    """Whose it is; empty when it belongs to the launch as a whole."""
    place: str = ""
    going: bool = False
    """Whether its end was asked for already: it only has to be waited for."""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" + (f" in {self.place}" if self.place else "")


class PartlySeen(Failure):
    """Of the places of a cloud in which something may be, some could not be asked; `found` is what the others have.

    Who takes it as any other failure is on the safe side: what was not seen is not proven to be gone.
    """

    def __init__(self, problems: Sequence[Failure], found: Sequence[Any]) -> None:
        chief = worst(problems)
        super().__init__(chief.scope, chief.code, chief.message, hint=chief.hint, exit_code=chief.exit_code)
        self.found = tuple(found)


def require_seen(launch_id: str | None, places: int, found: Sequence[Any], problems: Sequence[Failure]) -> None:
    """Raise Failure when `problems` in some of so many places keep `found` from being all of a launch, or of all launches with None.

    A launch is in one place: where something of it was found, the others do not matter.
    """
    if problems and launch_id is None and len(problems) < places:
        raise PartlySeen(problems, found)
    if problems and (launch_id is None or not found):
        raise worst(problems)


class Market(StrEnum):
    """What capacity a launch may use."""

    ON_DEMAND = "on-demand"
    SPOT_FIRST = "spot-first"
    """Spare capacity where there is some, else on demand."""
    SPOT_ONLY = "spot-only"

    @property
    def spot(self) -> tuple[bool, ...]:
        """Whether to try spare capacity, in the order of the tries."""
        return {Market.ON_DEMAND: (False,), Market.SPOT_FIRST: (True, False), Market.SPOT_ONLY: (True,)}[self]


@dataclass(frozen=True)
class CloudOptions:
    """What a person may say about instances in a cloud; what is empty, the launcher finds out or leaves to the cloud."""

    regions: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """Instance types, best first."""
    market: Market = Market.ON_DEMAND
    subnet: str = ""
    resource_group: str = ""
    """Azure: the group, which must exist, that instances are made in; empty: each launch makes one of its own."""
    public_address: bool = False
    ssh_from: str = ""
    """The CIDR block that may open SSH; empty: nobody."""
    key: str = ""
    """Name of a key pair (AWS), or the text of a public key."""
    identity: str = ""
    """Instance profile, service account or managed identity of the instances; empty: none."""
    disk_gib: int = 0
    """Size of the root disk; 0: the image's own."""
    warm_up_mib_s: int = 0
    """How fast the root disk is to be read ahead from the image's snapshot; 0: as it is used."""


class Launcher(Protocol):
    """The instance side of a cloud. Only `create` and `delete` change anything that costs money; each call has an end of its own.

    Several threads may call `create`, `console`, `death` and `seal` at a time; a launcher asks its cloud once for all of them where it can.
    """

    cloud: Cloud
    shared: bool
    """Whether others start machines there: a launch without a journal here may then be somebody's who works elsewhere."""
    poll_s: float
    """Seconds between two looks at a console."""
    removal_s: float
    """Longest wait until everything deleted is gone from the listing."""
    batch: int
    """How many instances one create call can start."""

    def seen_from_inside(self, organization: str) -> str:
        """The organization's URL as an instance reaches it: the same, except for a service on this machine's own loopback."""

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        """Refuse what cannot work, and make ready what is no part of a launch (a cache). Raises GoldbakeError."""

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        """Where to try, best first."""

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        """What the journal has to keep so that another process finds this launch; after `prepare`."""

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        """Start the instances with these numbers, at most `batch`; every resource carries the tags from its own create call on. Asked
        again with the same numbers, it finds what the first call made instead of making more. Raises Failure when none was started.
        """

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        """Everything with our tags that exists now, of one launch or of all. Raises PartlySeen where only some places could be asked."""

    def delete(self, resources: Sequence[Resource]) -> None:
        """Ask for the end of these, in the order in which that works; what is gone already is fine. Raises Failure for what it cannot
        delete, after it has tried everything else.
        """

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        """The instances with our tags, of one launch or of all; raises as `resources`."""

    def console(self, instance: Instance) -> str:
        """What the instance has printed so far, or the end of it."""

    def death(self, instance: Instance) -> Failure | None:
        """Why the instance does not run any more; None while it does."""

    def seal(self, instance: Instance) -> str:
        """Take the user-data away from outside, once the agent is online. Returns what a person should know, or nothing."""
