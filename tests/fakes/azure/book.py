"""What the fake remembers, and what a test may set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import book
from tests.fakes.azure.answers import Refused
from tests.fakes.azure.calls import Faults

TENANT = "11111111-aaaa-4bbb-8ccc-000000000001"
SUBSCRIPTION = "22222222-aaaa-4bbb-8ccc-000000000002"
CLIENT = "33333333-aaaa-4bbb-8ccc-000000000003"
LOCATION = "westeurope"


@dataclass(frozen=True)
class Event:
    """What happened to a machine: `started`, `stopped`, `restarted`, `deleted`, `generalized`, `imaged` (then `image` is the new image's id)."""

    what: str
    group: str
    instance: str
    """The name of the virtual machine."""
    image: str = ""


@dataclass
class Resource:
    """One resource as its service has it."""

    id: str
    type: str
    group: str
    names: tuple[str, ...]
    body: dict[str, Any]
    """location, tags, sku, zones, identity, properties …: what GET answers beside id, name and type."""
    secret: dict[str, Any] = field(default_factory=dict)
    """What no GET answers: customData, adminPassword; userData only where it is asked for."""
    unseen: int = 0
    """So many readings do not know it yet."""
    running: str = ""
    """The long-running operation at work on it."""
    power: str = ""
    """running, stopped, deallocated: of a virtual machine."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the fake itself has to know of it."""

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def location(self) -> str:
        return str(self.body.get("location", ""))

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.body.get("tags") or {})

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.setdefault("properties", {})
        return found

    @properties.setter
    def properties(self, value: dict[str, Any]) -> None:
        self.body["properties"] = value

    @property
    def state(self) -> str:
        return str(self.properties.get("provisioningState", ""))

    @state.setter
    def state(self, value: str) -> None:
        self.properties["provisioningState"] = value


@dataclass
class Running:
    """A long-running operation."""

    id: str
    style: str
    """async: Azure-AsyncOperation. location: Location. both. body: the resource's own provisioningState."""
    resource: str
    left: int
    """So many polls say that it is not done."""
    finish: Callable[[], None]
    error: Refused | None = None
    status: str = "InProgress"
    answer: Callable[[], Any] | None = None
    """What Location answers when it is done; None: nothing."""


@dataclass
class Book(book.Book[Event]):
    """Settings and memory of the fake."""

    faults: Faults = field(default_factory=Faults)
    page: int = 1000
    """Items in one page of a listing."""
    lag: int = 0
    """So many readings do not know a new resource."""
    polls: int = 0
    """So many polls of a long-running operation say that it is not done. Azure's SDK asks the first time at once."""
    retry_after: int | None = 1
    """Seconds in the header of answers that are to be polled; Python's SDK takes 0 for none, Packer waits 30 s without one."""
    style: dict[str, str] = field(default_factory=dict)
    """PUT, POST, DELETE or a type → how its operations are polled: async, location, both or body (PUT only)."""
    capacity: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    """(location or LOCATION-ZONE, size, spot) → machines that can still be started there; what is not in it has no end."""
    shortage_at: str = "operation"
    """Where the fake says that there is no capacity: in the operation, or at once in the call."""
    restricted: dict[tuple[str, str], str] = field(default_factory=dict)
    """(location or LOCATION-ZONE, size) → reasonCode of the restriction: NotAvailableForSubscription or QuotaId."""
    quotas: dict[tuple[str, str], int] = field(default_factory=dict)
    """(location, usage's name) → limit; else those of `catalogue`."""
    subscription_state: str = "Enabled"
    """Enabled, Warned, PastDue, Disabled, Deleted."""
    unregistered: set[str] = field(default_factory=set)
    """Resource providers that are not registered, in small letters."""
    register_polls: int = 0
    """A provider says Registering for so many readings."""
    policies: list[Callable[[str, dict[str, Any]], str]] = field(default_factory=list)
    """Asked for each PUT with type and body; a text that is not empty refuses it: the name of the policy."""
    locks: dict[str, str] = field(default_factory=dict)
    """Scope (an id) → CanNotDelete or ReadOnly."""
    terms: set[str] = field(default_factory=set)
    """publisher/offer/sku of marketplace plans whose terms were accepted."""
    denied: set[str] = field(default_factory=set)
    """Actions, as Microsoft.Compute/virtualMachines/write, that the identity may not do; the permissions list leaves them out."""
    disk_tags: bool = True
    """The disk that a machine starts from gets the machine's tags."""
    instance_tags: bool = True
    """The machines of a scale set get the set's tags."""
    granted: list[str] = field(default_factory=lambda: ["*"])
    """What the permissions list says that the identity may do."""
    keep_failed: bool = False
    """The machines of a scale set that there was no room for are there, as Failed."""
    replication: dict[str, str] = field(default_factory=dict)
    """Region → state of a gallery's new versions there, instead of Completed: Replicating or Failed."""

    resources: dict[str, Resource] = field(default_factory=dict)
    types: dict[str, dict[str, Resource]] = field(default_factory=dict)
    """The same by their types, in small letters."""
    operations: dict[str, Running] = field(default_factory=dict)
    registering: dict[str, int] = field(default_factory=dict)
    number: int = 0

    def next(self) -> int:
        self.number += 1
        return self.number

    # --- resources

    def find(self, id: str) -> Resource | None:
        return self.resources.get(id.lower())

    def add(self, resource: Resource) -> None:
        low = resource.id.lower()
        self.resources[low] = resource
        self.types.setdefault(resource.type.lower(), {})[low] = resource

    def drop(self, id: str) -> None:
        """Take it away, and what lies below it."""
        low = id.lower()
        found = self.resources.get(low)
        if found is None:
            return
        kind = found.type.lower()
        for type, entries in self.types.items():
            if type == kind:
                entries.pop(low, None)
            elif type.startswith(f"{kind}/") or kind.endswith("/resourcegroups"):
                for key in [key for key in entries if key.startswith(f"{low}/")]:
                    del entries[key]
                    del self.resources[key]
        del self.resources[low]

    def of(self, type: str, group: str = "") -> Iterator[Resource]:
        """Those of a type; of one group, if it is said."""
        for one in list(self.types.get(type.lower(), {}).values()):
            if group.lower() in ("", one.group.lower()):
                yield one
