"""The filter language of Compute Engine's listings, as far as its documentation goes: AIP-160, and the older `FIELD eq REGEX`.

https://cloud.google.com/compute/docs/reference/rest/v1/instances/list
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.gcp.refused import Refused, invalid

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|\(|\)|!=|<=|>=|=|<|>|:|[^\s()=!<>:"']+)""")
_WORDS = ("AND", "OR", "NOT")
_MARKS = ("=", "!=", "<", ">", "<=", ">=", ":", "eq", "ne")

_NUMBER = re.compile(r"-?\d+(\.\d+)?")

Test = Callable[[Mapping[str, Any]], bool]


class Filter:
    """A filter that was understood. Raises Refused for one that the service would not."""

    def __init__(self, text: str, fields: Mapping[str, Any]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = self._read(text)
        marks = {token for token in self._tokens if token in _MARKS or token in ("AND", "OR")}
        if marks & {"eq", "ne"} and marks - {"eq", "ne"}:  # the two languages exclude each other, and the older one has no words
            raise self._wrong()
        self._test: Test = self._all() if self._tokens else lambda _: True
        if self._tokens:
            raise self._wrong()

    def fits(self, document: Mapping[str, Any]) -> bool:
        return self._test(document)

    def _read(self, text: str) -> list[str]:
        tokens, position = [], 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise self._wrong()
            tokens.append(found[1])
            position = found.end()
        return tokens

    def _next(self) -> str:
        if not self._tokens:
            raise self._wrong()
        return self._tokens.pop(0)

    def _all(self) -> Test:
        """Expressions that must all fit, with AND between them or without."""
        found = [self._any()]
        while self._tokens and self._tokens[0] != ")":
            if self._tokens[0] == "AND":
                self._next()
            found.append(self._any())
        return found[0] if len(found) == 1 else lambda document: all(one(document) for one in found)

    def _any(self) -> Test:
        """Expressions of which one must fit: in AIP-160, OR binds closer than AND."""
        found = [self._not()]
        while self._tokens and self._tokens[0] == "OR":
            self._next()
            found.append(self._not())
        return found[0] if len(found) == 1 else lambda document: any(one(document) for one in found)

    def _not(self) -> Test:
        if self._tokens and self._tokens[0] == "NOT":
            self._next()
            inner = self._not()
            return lambda document: not inner(document)
        if self._tokens and self._tokens[0] == "(":
            self._next()
            group = self._all()
            if self._next() != ")":
                raise self._wrong()
            return group
        return self._comparison()

    def _comparison(self) -> Test:
        name, mark, value = self._next(), self._next(), self._next()
        if mark not in _MARKS or name in _WORDS or value in (*_WORDS, "(", ")"):
            raise self._wrong()
        if name.split(".")[0] not in self._fields:
            raise self._wrong()
        text = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] in "\"'" else value
        return lambda document: _compare(_field(document, name.split(".")), mark, text)

    def _wrong(self) -> Refused:
        return invalid("filter", self._text, "Invalid list filter expression.")


def _field(value: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _compare(found: Any, mark: str, wanted: str) -> bool:
    if mark in ("ne", "!="):
        return not _compare(found, "eq" if mark == "ne" else "=", wanted)
    if found is None:
        return False
    if mark == ":":
        return _has(found, wanted)
    if mark in ("eq", "="):
        pattern = wanted if mark == "eq" else ".*".join(re.escape(piece) for piece in wanted.split("*"))
        return re.fullmatch(pattern, _word(found)) is not None
    left: Any = _word(found)
    right: Any = wanted
    if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(wanted):
        left, right = float(left), float(wanted)
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[mark])


def _has(found: Any, wanted: str) -> bool:
    if wanted == "*":
        return True
    if isinstance(found, Mapping | list):
        return wanted in found
    return wanted.strip("*").lower() in _word(found).lower()


def _word(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
