"""Expressions of deployment templates, as far as Packer writes them: [concat(…)], parameters, variables, resourceId, resourceGroup().location …"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.azure.answers import Refused

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_][\w]*)|(-?\d+)|([().,\[\]]))")


@dataclass
class Scope:
    """What expressions may name."""

    subscription: str
    group: str
    location: str
    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]

    def resolve(self, value: Any) -> Any:
        """A value with every expression in it worked out. Raises Refused (InvalidTemplate)."""
        if isinstance(value, dict):
            return {name: self.resolve(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if isinstance(value, str) and value.startswith("[[") and value.endswith("]"):
            return value[1:]
        if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
            return _Reader(self, value[1:-1]).whole()
        return value

    def call(self, name: str, given: list[Any]) -> Any:
        """A function of templates. Raises Refused."""
        functions: dict[str, Callable[[], Any]] = {
            "parameters": lambda: self.resolve(_named(self.parameters, given[0], "parameter")),
            "variables": lambda: self.resolve(_named(self.variables, given[0], "variable")),
            "concat": lambda: _concat(given),
            "resourcegroup": lambda: {
                "id": f"/subscriptions/{self.subscription}/resourceGroups/{self.group}", "name": self.group, "location": self.location,
            },
            "subscription": lambda: {"id": f"/subscriptions/{self.subscription}", "subscriptionId": self.subscription},
            "resourceid": lambda: self._resource_id([str(one) for one in given]),
            "tolower": lambda: str(given[0]).lower(),
        }  # fmt: skip
        if name.lower() not in functions:
            raise _invalid(f"The template function '{name}' is not valid.")
        return functions[name.lower()]()

    def _resource_id(self, words: list[str]) -> str:
        subscription, group = self.subscription, self.group
        if "/" not in words[0]:
            group, words = words[0], words[1:]
        provider, *kinds = words[0].split("/")
        parts = [f"{kind}/{name}" for kind, name in zip(kinds, words[1:], strict=True)]
        return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{'/'.join(parts)}"


def _concat(given: list[Any]) -> Any:
    return [one for part in given for one in part] if isinstance(given[0], list) else "".join(str(one) for one in given)


def _named(known: Mapping[str, Any], name: str, kind: str) -> Any:
    low = {key.lower(): value for key, value in known.items()}
    if name.lower() not in low:
        raise _invalid(f"The template {kind} '{name}' is not found.")
    return low[name.lower()]


def _invalid(text: str) -> Refused:
    return Refused("InvalidTemplate", f"Deployment template validation failed: '{text}'.", 400)


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, scope: Scope, text: str) -> None:
        self._scope = scope
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        value = self._value()
        if self._text[self._at :].strip():
            raise _invalid(f"The expression '{self._text}' is not valid.")
        return value

    def _next(self) -> re.Match[str]:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise _invalid(f"The expression '{self._text}' is not valid at position {self._at}.")
        self._at = found.end()
        return found

    def _peek(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        return found[4] or "" if found else ""

    def _value(self) -> Any:
        token = self._next()
        if token[1] is not None:
            return token[1].replace("''", "'")
        if token[3] is not None:
            return int(token[3])
        if token[2] is None or self._next()[4] != "(":
            raise _invalid(f"The expression '{self._text}' is not valid.")
        given = []
        while self._peek() != ")":
            given.append(self._value())
            if self._peek() == ",":
                self._next()
        self._next()
        return self._after(self._scope.call(token[2], given))

    def _after(self, value: Any) -> Any:
        """Members: .location, [0]."""
        while self._peek() in (".", "["):
            if self._next()[4] == ".":
                value = value[self._next()[2]]
            else:
                value = value[self._value()]
                self._next()
        return value
