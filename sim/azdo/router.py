"""The table of routes: what is served, for whom, and by whom it was described."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sim.azdo.access import Access, Identity
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import Answer, Request
from sim.azdo.state import State

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Call:
    """One authorized call of a route: `alive` tells whether the client still listens."""

    state: State
    request: Request
    identity: Identity
    values: dict[str, str]
    alive: Callable[[], bool] = lambda: True

    def number(self, name: str) -> int:
        """A number from the path. Raises ServiceError."""
        value = self.values[name]
        if not _NUMBER.fullmatch(value):
            raise ServiceError("VssPropertyValidationException", f"The value {value!r} is not valid for {name}: it must be a number.")
        return int(value)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """A route: `template` below the organization; `source` says where it is described when the API description lacks it.

    Such a route may still take and give types that the API description has: `takes`, `gives` ("[T]" is a list of T).
    """

    method: str
    template: str
    access: Access
    handler: Handler
    source: str = ""
    takes: str = ""
    gives: str = ""
    needs_version: bool = True

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The template as a pattern of paths, in any case."""
        parts = (f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in self.template.split("/"))
        return re.compile("/".join(parts) + "/?", re.IGNORECASE)

    def match(self, path: str) -> dict[str, str] | None:
        """The values in `path`, or None when it is not of this route."""
        found = self.pattern.fullmatch(path)
        return found.groupdict() if found else None


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, Any]]:
        """The route of `path` (below the organization) and the values in it. Raises ServiceError."""
        others = set()
        for route in self.routes:
            values = route.match(path)
            if values is not None:
                if route.method == method:
                    return route, values
                others.add(route.method)
        if others:
            raise ServiceError("VssMethodNotAllowedException", f"The requested resource does not support http method '{method}'.")
        raise ServiceError("VssResourceNotFoundException", f"The controller for path '/{path}' was not found.")
