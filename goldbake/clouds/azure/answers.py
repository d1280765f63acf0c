"""What an answer of Azure says about an error: every code in it with its words, however deep it lies.

A code can stand in the answer itself, in `details` of `details`, as JSON inside a message, in Go's form inside a message, in the statuses of
a machine, or in the description of an error of sign-in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_GO = re.compile(r'Code="(?P<code>\w+)" Message="(?P<said>.*?)"(?= (?:Target|Details|AdditionalInfo)=|$)', re.DOTALL)
_AADSTS = re.compile(r"\b(AADSTS\d+)\b[:.]?\s*(.*)", re.DOTALL)
_OPENING = re.compile(r"[\[{](?=[\s\[{\"])")
_JSON = json.JSONDecoder()
_STATUS = "ProvisioningState/failed/"
"""How the code of a status begins when a machine could not be made; the service's own code follows."""
_DEEP = 12
"""Deeper than any answer that Azure gives; a document made to hurt ends here."""


@dataclass(frozen=True)
class Said:
    """One code of an answer with its words. `depth` grows inwards."""

    code: str
    words: str
    depth: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)
    """What Azure adds to some, as the policy that was violated."""


def word(value: object) -> str:
    """A word of Azure's as it stands in the answer, also where the SDK has made a member of an enumeration of it; empty for None."""
    return str(getattr(value, "value", value) or "")


def said_in(document: Any, depth: int = 0) -> Iterator[Said]:
    """Every code in an answer, outermost first. Anything that is no error of Azure yields nothing."""
    if not isinstance(document, Mapping) or depth > _DEEP:
        return
    error = document.get("error")
    if isinstance(error, str):
        yield from _sign_in(error, str(document.get("error_description", "")), depth)
        return
    if isinstance(error, Mapping):
        yield from said_in(error, depth)
        return
    if isinstance(document.get("code"), str) and document["code"]:
        yield from _one(document, depth)
    elif document.get("details"):  # a level without a code of its own
        yield from _inner(document, depth)
    properties = document.get("properties")
    if isinstance(properties, Mapping):
        yield from said_in(properties, depth + 1)
        yield from said_in(properties.get("statusMessage"), depth + 1)
        yield from _statuses(properties.get("instanceView"), depth + 1)
    yield from _statuses(document.get("instanceView"), depth + 1)


def said_in_text(text: str, depth: int = 0) -> Iterator[Said]:
    """The same for a text: a message that holds JSON, Go's form of an error, or a code of sign-in."""
    for start in (match.start() for match in _OPENING.finditer(text)):
        try:
            document, _ = _JSON.raw_decode(text, start)
        except ValueError:
            continue
        except RecursionError:  # brackets without end: no answer of Azure
            break
        found = [said for one in (document if isinstance(document, list) else [document]) for said in said_in(one, depth)]
        if found:
            yield from found
            return
    for go in _GO.finditer(text):
        yield Said(go["code"], go["said"].replace('\\"', '"'), depth)
    if (match := _AADSTS.search(text)) is not None:
        yield Said(match[1], match[2], depth)


def _one(error: Mapping[str, Any], depth: int) -> Iterator[Said]:
    words = str(error.get("message") or "")
    info: dict[str, Any] = {}
    more = error.get("additionalInfo")
    for one in more if isinstance(more, list) else []:
        if isinstance(one, Mapping) and isinstance(one.get("info"), Mapping):
            info |= one["info"]
    yield Said(str(error["code"]), words, depth, info)
    yield from said_in_text(words, depth + 1)
    yield from _inner(error, depth)


def _inner(error: Mapping[str, Any], depth: int) -> Iterator[Said]:
    details = error.get("details")
    for one in details if isinstance(details, list) else []:
        yield from said_in(one, depth + 1)
    yield from said_in(error.get("innererror"), depth + 1)


def _statuses(view: Any, depth: int) -> Iterator[Said]:
    statuses = view.get("statuses") if isinstance(view, Mapping) else None
    for one in statuses if isinstance(statuses, list) else []:
        code = str(one.get("code", "")) if isinstance(one, Mapping) else ""
        if code.startswith(_STATUS):
            yield Said(code.removeprefix(_STATUS), str(one.get("message") or ""), depth)


def _sign_in(error: str, description: str, depth: int) -> Iterator[Said]:
    match = _AADSTS.search(description)
    yield Said(match[1], match[2], depth) if match else Said(error, description, depth)
