"""Is a document what a model of the SDK says it is? Names, types, what must be there, and the values of enumerations."""

from __future__ import annotations

import datetime
import enum
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

OPEN_ENUMS = frozenset({"VirtualMachineSizeTypes"})
"""Enumerations that the SDK itself calls incomplete: sizes that came later are sent as they are."""
_READ = "read"
_OLD_TYPES = {"str": str, "bool": bool, "int": int, "long": int, "float": float, "object": Any, "iso-8601": datetime.datetime}


@dataclass(frozen=True)
class Field:
    """One name of a model."""

    type: Any
    visibility: frozenset[str] | None
    """read, create, update …; None: all."""
    format: str | None = None

    @property
    def is_required(self) -> bool:
        return not _is_optional(self.type)

    @property
    def is_read_only(self) -> bool:
        return self.visibility == {_READ}


def answered(model: Any, document: Any) -> list[str]:
    """What is wrong with an answer; empty: nothing."""
    return list(_check(model, document, "", sending=False))


def sent(model: Any, document: Any) -> list[str]:
    """What is wrong with a request; empty: nothing."""
    return list(_check(model, document, "", sending=True))


def _check(kind: Any, value: Any, path: str, *, sending: bool, form: str | None = None) -> Iterator[str]:
    where = path or "the document"
    origin = typing.get_origin(kind)
    if kind is Any or kind is None:
        return
    if value is None:
        # The SDK leaves out what is None, and no answer of these services holds a null.
        yield f"{where} is null"
    elif origin in (typing.Union, types.UnionType):
        yield from _check_union(typing.get_args(kind), value, path, sending=sending, form=form)
    elif origin in (list, dict) or kind is dict:
        yield from _check_many(kind, value, path, sending=sending)
    elif origin is typing.Literal:
        if value not in typing.get_args(kind):
            yield f"{where} is {value!r}"
    elif is_model(kind):
        yield from _check_model(kind, value, path, sending=sending)
    else:
        yield from _check_plain(kind, value, where, form)


def _check_many(kind: Any, value: Any, path: str, *, sending: bool) -> Iterator[str]:
    """A list or an object with names of its own."""
    wanted = typing.get_origin(kind) or kind
    if not isinstance(value, wanted):
        yield f"{path or 'the document'} is no {wanted.__name__}"
        return
    inner = (typing.get_args(kind) or (Any,))[-1]
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in entries:
        yield from _check(inner, one, f"{path}[{name}]", sending=sending)


def _check_union(kinds: tuple[Any, ...], value: Any, path: str, *, sending: bool, form: str | None) -> Iterator[str]:
    kinds = tuple(one for one in kinds if one is not type(None))
    enums = [one for one in kinds if isinstance(one, type) and issubclass(one, enum.Enum)]
    if enums and isinstance(value, str):
        known = [str(one.value) for each in enums for one in each]
        if value not in known and enums[0].__name__ not in OPEN_ENUMS:
            yield f"{path} is {value!r}, none of {enums[0].__name__}"
        return
    wrong = [list(_check(one, value, path, sending=sending, form=form)) for one in kinds]
    if all(wrong):
        yield from min(wrong, key=len)


def _check_model(kind: Any, value: Any, path: str, *, sending: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path or 'the document'} is no object"
        return
    kind = _actual(kind, value)
    known = fields(kind)
    dot = f"{path}." if path else ""
    for name, one in value.items():
        if name not in known:
            yield f"{dot}{name} is unknown to {kind.__name__}"
        elif sending and known[name].is_read_only:
            yield f"{dot}{name} is read-only in {kind.__name__}"
        else:
            yield from _check(known[name].type, one, f"{dot}{name}", sending=sending, form=known[name].format)
    for name, field in known.items():
        visible = field.visibility is None or (not field.is_read_only if sending else _READ in field.visibility)
        if name not in value and field.is_required and visible:
            yield f"{dot}{name} is missing, which {kind.__name__} requires"


def _check_plain(kind: Any, value: Any, where: str, form: str | None) -> Iterator[str]:
    if kind is datetime.datetime:
        try:
            if not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is None:
                yield f"{where} is {value!r}, no time with a zone"
        except ValueError:
            yield f"{where} is {value!r}, no time"
        return
    if form == "str" and kind in (int, bool):
        kind = str
    wanted: Any = {float: (int, float), bytes: str, datetime.timedelta: str}.get(kind, kind)
    if not isinstance(wanted, type | tuple):
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        yield f"{where} is {value!r}, no {getattr(kind, '__name__', kind)}"


# --- the models


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and (getattr(kind, "_is_model", False) or hasattr(kind, "_attribute_map"))


@cache
def fields(model: Any) -> dict[str, Field]:
    """The names of a model as they stand in JSON."""
    if hasattr(model, "_attribute_map"):
        return _old_fields(model)
    package = importlib.import_module(model.__module__.rpartition(".")[0])
    found: dict[str, Field] = {}
    hints: dict[str, Any] = {}
    for each in reversed(model.__mro__):
        space = {**vars(importlib.import_module(each.__module__)), "_models": package}
        for name, text in inspect.get_annotations(each).items():
            if hasattr(each.__dict__.get(name), "_type"):
                hints[name] = typing.get_type_hints(type("one", (), {"__annotations__": {name: text}}), space)[name]
        for name, one in each.__dict__.items():
            if not name.startswith("_") and hasattr(one, "_type"):
                visibility = frozenset(one._visibility) if one._visibility else None
                found[one._rest_name_input or name] = Field(hints[name], visibility, one._format)
    return found


def _old_fields(model: Any) -> dict[str, Field]:
    """Those of a model of the SDK's older kind: `_attribute_map` has the names, `_validation` what must be there and what is read-only."""
    package = importlib.import_module(model.__module__.rpartition(".")[0])
    found = {}
    for name, one in model._attribute_map.items():
        rules = getattr(model, "_validation", {}).get(name, {})
        kind = _old_type(package, one["type"])
        found[one["key"]] = Field(kind if rules.get("required") else kind | None, frozenset({_READ}) if rules.get("readonly") else None)
    return found


def _old_type(package: Any, text: str) -> Any:
    if text.startswith("["):
        return list[_old_type(package, text[1:-1])]  # type: ignore[misc]
    if text.startswith("{"):
        return dict[str, _old_type(package, text[1:-1])]  # type: ignore[misc]
    return _OLD_TYPES.get(text) or getattr(package, text)


def _actual(kind: Any, value: dict[str, Any]) -> Any:
    """The kind that a document says it is, where a model has several."""
    kinds = kind.__dict__.get("__mapping__")
    marks = [one._rest_name_input or name for name, one in kind.__dict__.items() if getattr(one, "_is_discriminator", False)]
    return kinds.get(value.get(marks[0]), kind) if kinds and marks else kind


def _is_optional(kind: Any) -> bool:
    return kind is Any or type(None) in typing.get_args(kind)
