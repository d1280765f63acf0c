"""What each type of resource does of its own; what all do alike is in `verbs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.calls import Call
from tests.fakes.azure.paths import Target


@dataclass
class Ask:
    """One call, as far as it is understood."""

    book: Book
    target: Target
    method: str
    query: Mapping[str, str]
    body: Any
    call: Call
    version: str
    statuses: frozenset[int] = frozenset()
    """Those that the SDK takes for success; empty: any."""

    def made(self, *, is_new: bool, is_done: bool = False) -> int:
        """The status of a PUT: services differ in it."""
        wanted = (201, 202, 200) if is_new and not is_done else (201, 200, 202) if is_new else (200, 202, 201)
        return next(one for one in wanted if not self.statuses or one in self.statuses)


Handler = Callable[[Ask], Result]


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Kind:
    """A type of resource that is made, read, changed and deleted by itself."""

    type: str
    make: Callable[[Ask, Resource, Resource | None], None] = _nothing
    """Check the body of a PUT (raise `Refused`) and complete the new resource; the third is what was there before, if anything."""
    made: Callable[[Book, Resource, Refused | None], None] = _nothing
    """The operation that makes it ends: with an error or without."""
    begun: Callable[[Book, Resource, Refused | None], None] = _nothing
    """The resource is there, its operation begins."""
    change: Callable[[Ask, Resource], None] = _nothing
    """Apply a PATCH beyond tags."""
    may_go: Callable[[Book, Resource], None] = _nothing
    """Raise `Refused` when a DELETE is not possible."""
    gone: Callable[[Book, Resource], None] = _nothing
    """Its end: what goes with it."""
    chosen: Callable[[Ask, Resource], bool] = lambda *_: True
    """Whether a list's $filter lets it through. Raises Refused."""
    show: Callable[[Ask, Resource], dict[str, Any]] | None = None
    """What GET answers; None: the body as it is."""
    actions: Mapping[str, Handler] = field(default_factory=dict)
    """Verb in small letters → what a POST or GET of it does."""
    is_tracked: bool = True
    """It has a location and tags, and is in the lists of a group's and subscription's resources."""
    instant: frozenset[str] = frozenset()
    """The methods that are no long-running operation for it."""
    parent: bool = False
    """It lies below another resource, which must be there."""


KINDS: dict[str, Kind] = {}
HANDLERS: dict[tuple[str, str], Handler] = {}
"""(method, type in small letters) → what answers, for what is no resource of its own: lists of sizes, usages, locations."""


def known(kind: Kind) -> Kind:
    """Add a type."""
    KINDS[kind.type.lower()] = kind
    return kind


def handles(method: str, type: str) -> Callable[[Handler], Handler]:
    """Answer this method for all paths of this type."""

    def add(handler: Handler) -> Handler:
        HANDLERS[method, type.lower()] = handler
        return handler

    return add


def document(ask: Ask, resource: Resource) -> dict[str, Any]:
    """A resource as an answer."""
    kind = KINDS[resource.type.lower()]
    shown = kind.show(ask, resource) if kind.show else resource.body
    head: dict[str, Any] = {"id": resource.id, "name": resource.name, "type": resource.type}
    return head | shown
