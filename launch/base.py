"""What every cloud has in common: what is to be started, what was started, and how far a failure reaches.

A cloud adds one `Launcher`: its create, list and delete calls. Everything else — journal, parallel start, waiting, removal — is in
`launch.service` and the modules that it uses, once for all clouds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from goldbake.config.model import Cloud
from goldbake.errors import Exit, GoldbakeError
from goldbake.log import Progress
from goldbake.secret import Secret

MANAGED_BY = "managed-by"
LAUNCH = "goldbake-launch"
IMAGE = "goldbake-image"
EXPIRES = "goldbake-expires"
"""The four tags of every resource; values have only a–z, 0–9, - and _, which every cloud's tags and labels accept."""

OWNER = "goldbake"
"""The value of the tag `managed-by`."""


class Scope(StrEnum):
    """How far a failure reaches: what a launcher stops trying because of it."""

    RETRY = "retry"
    """Nothing: the same call may succeed in a moment."""
    ZONE = "zone"
    REGION = "region"
    ACCOUNT = "account"
    """Every place of this account: a permission, or a quota that counts everywhere."""
    REQUEST = "request"
    """The request itself is wrong: no place would take it."""


_EXITS: Mapping[Scope, Exit] = {
    Scope.RETRY: Exit.FAILED,
    Scope.ZONE: Exit.CAPACITY,
    Scope.REGION: Exit.CAPACITY,
    Scope.ACCOUNT: Exit.MISSING,
    Scope.REQUEST: Exit.USAGE,
}


class Failure(GoldbakeError):
    """A cloud refused, or an instance died. `code` is the cloud's own word for it.

    The exit code follows from the scope unless it is given: a quota of the whole account is `ACCOUNT` and `Exit.CAPACITY`.
    """

    def __init__(self, scope: Scope, code: str, message: str, *, hint: str = "", exit_code: Exit | None = None) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope
        self.code = code
        self.exit_code = _EXITS[scope] if exit_code is None else exit_code


@dataclass(frozen=True)
class Place:
    """Where an instance can be: a zone of a region. This machine is one place."""

    region: str
    zone: str = ""

    def __str__(self) -> str:
        return self.zone or self.region


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

    def tags(self) -> dict[str, str]:
        """The tags of every resource of this launch, to be set by the create call itself."""
        return {MANAGED_BY: OWNER, LAUNCH: self.launch_id, IMAGE: self.image, EXPIRES: str(self.expires)}


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

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" + (f" in {self.place}" if self.place else "")


class Launcher(Protocol):
    """The instance side of a cloud. Only `create` and `delete` change anything that costs money; each call has an end of its own."""

    cloud: Cloud
    shared: bool
    """Whether others start machines there: a launch without a journal here may then be somebody's who works elsewhere."""
    poll_s: float
    """Seconds between two looks at a console."""
    removal_s: float
    """Longest wait until everything deleted is gone from the listing."""

    def seen_from_inside(self, organization: str) -> str:
        """The organization's URL as an instance reaches it: the same, except for a service on this machine's own loopback."""

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        """Refuse what cannot work, and make ready what is no part of a launch (a cache). Raises GoldbakeError."""

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        """Where to try, best first."""

    def create(self, spec: LaunchSpec, number: int, place: Place) -> Instance:
        """Start instance `number`; every resource carries the tags from its own create call on. Asked again with the same number, it
        finds what the first call made instead of making a second one. Raises Failure.
        """

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        """Everything with our tags that exists now, of one launch or of all."""

    def delete(self, resources: Sequence[Resource]) -> None:
        """Ask for the end of these, in the order in which that works; what is gone already is fine. Raises Failure for what it cannot
        delete, after it has tried everything else.
        """

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        """The instances with our tags, of one launch or of all."""

    def console(self, instance: Instance) -> str:
        """What the instance has printed so far, or the end of it."""

    def death(self, instance: Instance) -> Failure | None:
        """Why the instance does not run any more; None while it does."""

    def seal(self, instance: Instance) -> str:
        """Take the user-data away from outside, once the agent is online. Returns what a person should know, or nothing."""
