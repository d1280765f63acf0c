"""Google's own description of its services, and whether a request or an answer keeps to it.

The discovery documents are those that google-api-python-client ships. Whatever they do not know is a problem: a method, a parameter, a field, a
type (integers of 64 bits are strings in JSON), a value of an enumeration, something required that is missing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SERVICES = ("compute.v1", "cloudresourcemanager.v1", "cloudresourcemanager.v3", "serviceusage.v1", "cloudbilling.v1", "iam.v1")


@dataclass(frozen=True)
class Allowance:
    """Something that clients send and the services take, though the description does not have it."""

    method: str
    """A method's id; `*` is every one."""
    where: str
    """`query NAME`, or a path in the body as `networkInterfaces[].accessConfigs[]`."""
    why: str
    value: Any = ...
    """Only this value; `...` is any."""


ALLOWANCES: tuple[Allowance, ...] = (
    Allowance(
        "compute.instances.insert",
        "networkInterfaces[].accessConfigs[]",
        "Packer's plugin sends [null] for omit_external_ip, and Compute Engine reads it as no access configuration at all",
        None,
    ),
    Allowance(
        "*", "query $alt", "the SDKs of Resource Manager, Service Usage and Billing ask for numbers in place of names of enumerations"
    ),
)
"""Every exception from the description, each with its reason."""

_BOUNDS = {
    "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1),
}  # fmt: skip
_DIGITS = re.compile(r"-?\d+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"), "a time as RFC 3339 has it"
_FORMATS = {
    "date-time": _TIME,
    "google-datetime": _TIME,
    "google-duration": (re.compile(r"-?\d+(\.\d{1,9})?s"), "a duration as 3.5s"),
}
_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")


@dataclass(frozen=True)
class Method:
    """One method of a service."""

    id: str
    """As the description has it; Resource Manager's with the version: cloudresourcemanager.v3.projects.get."""
    verb: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    """The variables of the path, in its order."""
    parameters: Mapping[str, Any]
    service: Service
    request: str = ""
    response: str = ""


@dataclass(frozen=True)
class Match:
    """A request's method, and what its path says."""

    method: Method
    path: dict[str, str]


class Service:
    """One discovery document."""

    def __init__(self, name: str) -> None:
        spec = find_spec("googleapiclient")
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "discovery_cache" / "documents"
        document = json.loads((folder / f"{name}.json").read_bytes())
        self.name = name
        self.schemas: Mapping[str, Any] = document["schemas"]
        self.common: Mapping[str, Any] = document["parameters"]
        self.methods = tuple(self._methods(document, f"/{document['servicePath']}"))

    def _methods(self, node: Mapping[str, Any], base: str) -> Iterator[Method]:
        for one in node.get("methods", {}).values():
            parameters = one.get("parameters", {})
            yield Method(
                one["id"].replace("cloudresourcemanager", self.name, 1),  # its two versions have the same ids
                one["httpMethod"],
                re.compile(_pattern(base + one["path"], parameters)),
                tuple(found[2] for found in _VARIABLE.finditer(one["path"])),
                parameters,
                self,
                one.get("request", {}).get("$ref", ""),
                one.get("response", {}).get("$ref", ""),
            )
        for child in node.get("resources", {}).values():
            yield from self._methods(child, base)


class Contract:
    """All services that the fake stands for."""

    def __init__(self, services: Sequence[str] = SERVICES) -> None:
        self.methods: dict[str, Method] = {}
        self._index: dict[tuple[str, int], list[Method]] = {}
        for name in services:
            for method in Service(name).methods:
                self.methods.setdefault(method.id, method)
                for length in _lengths(method):
                    self._index.setdefault((method.verb, length), []).append(method)

    def find(self, verb: str, path: str) -> Match | None:
        """The method that this request means; the one with the fewest variables where several fit."""
        found: list[tuple[int, Match]] = []
        for method in self._index.get((verb, path.count("/")), ()):
            if (fits := method.pattern.fullmatch(path)) is not None:
                found.append((len(method.names), Match(method, dict(zip(method.names, fits.groups(), strict=True)))))
        return min(found, key=lambda one: one[0])[1] if found else None

    def request(self, match: Match, query: Mapping[str, Sequence[str]], body: Any) -> list[str]:
        """What is wrong with a request; `body` is the parsed document, None without one."""
        method = match.method
        problems = list(_parameters(method, match.path, query))
        if method.request:
            if body is None:
                problems.append("the body is missing")
            else:
                checks = _Checks(method, request=True)
                checks.object(method.service.schemas[method.request], body, "")
                problems += checks.problems
        elif body not in (None, {}):
            problems.append("a body, where the method has none")
        return problems

    def answer(self, match: Match, document: Any) -> list[str]:
        """What is wrong with an answer that is no error."""
        method = match.method
        if not method.response:
            return ["an answer, where the method has none"] if document else []
        checks = _Checks(method, request=False)
        checks.object(method.service.schemas[method.response], document, "")
        return checks.problems

    def resource(self, service: str, schema: str, document: Any) -> list[str]:
        """What is wrong with a document of this schema, wherever it stands."""
        method = next(one for one in self.methods.values() if one.service.name == service)
        checks = _Checks(method, request=False)
        checks.object(method.service.schemas[schema], document, schema)
        return checks.problems


@lru_cache(maxsize=1)
def contract() -> Contract:
    """Read once in a process: they are five megabytes."""
    return Contract()


def error(document: Any) -> list[str]:
    """What is wrong with an error answer: the description has no schema for it, but all services have the same."""
    inner = document.get("error") if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        return ["an error has an object `error`"]
    problems = [f"error.{name} is unknown" for name in inner.keys() - {"code", "message", "errors", "status", "details"}]
    if not isinstance(inner.get("code"), int) or not 400 <= inner["code"] < 600:
        problems.append("error.code is an HTTP status")
    if not isinstance(inner.get("message"), str):
        problems.append("error.message is a string")
    for one in inner.get("errors", []):
        unknown = one.keys() - {"message", "domain", "reason", "location", "locationType", "extendedHelp", "debugInfo"}
        problems += [f"error.errors[].{name} is unknown" for name in unknown]
    for one in inner.get("details", []):
        if "@type" not in one:
            problems.append("error.details[] has an @type")
    return problems


class _Checks:
    """One walk over one document."""

    def __init__(self, method: Method, *, request: bool) -> None:
        self.method = method
        self.request = request
        self.problems: list[str] = []
        self._schemas = method.service.schemas

    def value(self, schema: Mapping[str, Any], value: Any, where: str) -> None:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        kind = schema.get("type", "any")
        if value is None and kind != "any":
            if not self._allowed(where, value):
                self.problems.append(f"{where} is null")
        elif kind == "object":
            self.object(schema, value, where)
        elif kind == "array":
            self._array(schema, value, where)
        elif kind == "string":
            self._string(schema, value, where)
        elif kind == "boolean":
            if not isinstance(value, bool):
                self._wrong(where, value, "true or false")
        elif kind == "integer":
            low, high = _BOUNDS[schema.get("format", "int32")]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                self._wrong(where, value, f"an integer ({schema.get('format', 'int32')})")
        elif kind == "number" and (not isinstance(value, int | float) or isinstance(value, bool)):
            self._wrong(where, value, "a number")

    def object(self, schema: Mapping[str, Any], value: Any, where: str) -> None:
        if not isinstance(value, dict):
            self._wrong(where, value, "an object")
            return
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        for name, one in value.items():
            inner = f"{where}.{name}" if where else name
            if name in known:
                self.value(known[name], one, inner)
            elif rest is not None:
                self.value(rest, one, f"{where}{{}}")
            elif not self._allowed(inner, one):
                self.problems.append(f"{inner} is not a field of {schema.get('id', 'this object')}")
        if self.request:
            for name, one in known.items():
                if self.method.id in one.get("annotations", {}).get("required", ()) and name not in value:
                    self.problems.append(f"{where}.{name} is missing".lstrip("."))
        elif "default" in known.get("kind", {}) and value.get("kind", known["kind"]["default"]) != known["kind"]["default"]:
            self._wrong(f"{where}.kind".lstrip("."), value["kind"], known["kind"]["default"])

    def _array(self, schema: Mapping[str, Any], value: Any, where: str) -> None:
        if not isinstance(value, list):
            self._wrong(where, value, "a list")
            return
        for one in value:
            self.value(schema["items"], one, f"{where}[]")

    def _string(self, schema: Mapping[str, Any], value: Any, where: str) -> None:
        if not isinstance(value, str):
            if "enum" in schema and isinstance(value, int) and self.request and self.method.service.name != "compute.v1":
                return  # as `$alt` says
            self._wrong(where, value, f"a string{' of digits' if schema.get('format') in _BOUNDS else ''}")
        elif (problem := _text(schema, value)) and not self._allowed(where, value):
            self._wrong(where, value, problem)

    def _wrong(self, where: str, value: Any, wanted: str) -> None:
        self.problems.append(f"{where or 'the document'} is {json.dumps(value, default=str)[:60]}, not {wanted}")

    def _allowed(self, where: str, value: Any) -> bool:
        return self.request and any(
            one.method in ("*", self.method.id) and one.where == where and (one.value is ... or one.value == value) for one in ALLOWANCES
        )


def _text(schema: Mapping[str, Any], value: str) -> str:
    """What this string should be and is not; empty: it is."""
    kind = schema.get("format")
    if "enum" in schema and value not in schema["enum"]:
        return f"one of {', '.join(schema['enum'])}"
    if kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        return "" if _DIGITS.fullmatch(value) and low <= int(value) <= high else f"an integer ({kind}) as a string"
    if kind == "byte":
        return "" if _is_base64(value) else "base64"
    if kind in _FORMATS:
        pattern, said = _FORMATS[kind]
        return "" if pattern.fullmatch(value) else said
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return f"of the form {schema['pattern']}"
    return ""


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _parameters(method: Method, path: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> Iterator[str]:
    known = method.parameters
    for name, values in query.items():
        schema = known.get(name, method.service.common.get(name))
        if schema is None or schema.get("location") != "query":
            if not any(one.method in ("*", method.id) and one.where == f"query {name}" for one in ALLOWANCES):
                yield f"{name} is not a parameter"
            continue
        if len(values) > 1 and not schema.get("repeated"):
            yield f"{name} comes {len(values)} times"
        for value in values:
            if problem := _parameter(schema, value):
                yield f"parameter {name} is {value!r}, not {problem}"
    for name, value in path.items():
        if name in known and (problem := _parameter(known[name], value)):
            yield f"{name} in the path is {value!r}, not {problem}"
    for name, schema in known.items():
        if schema.get("required") and name not in query and name not in path:
            yield f"the parameter {name} is missing"


def _parameter(schema: Mapping[str, Any], value: str) -> str:
    kind = schema.get("type", "string")
    if kind == "boolean":
        return "" if value in ("true", "false") else "true or false"
    if kind == "integer":
        low, high = _BOUNDS[schema.get("format", "int32")]
        low, high = int(schema.get("minimum", low)), int(schema.get("maximum", high))
        return "" if _DIGITS.fullmatch(value) and low <= int(value) <= high else f"an integer from {low} to {high}"
    if kind == "number":
        return "" if re.fullmatch(r"-?\d+(\.\d+)?", value) else "a number"
    return _text(schema, value)


def _pattern(path: str, parameters: Mapping[str, Any]) -> str:
    """A path with variables as a regular expression."""
    pieces, last = [], 0
    for found in _VARIABLE.finditer(path):
        pieces.append(re.escape(path[last : found.start()]))
        own = parameters.get(found[2], {}).get("pattern", ".+").strip("^$")
        pieces.append(f"({own})" if found[1] else "([^/:]+)")
        last = found.end()
    return "".join([*pieces, re.escape(path[last:])])


def _lengths(method: Method) -> range:
    """How many slashes the path of this method can have: a variable that is a path has at most five."""
    least = method.pattern.pattern.count("/") - method.pattern.pattern.count("[^/]") - method.pattern.pattern.count("[^/:]")
    return range(least, least + (6 if any("/" in str(method.parameters.get(name, {}).get("pattern", "")) for name in method.names) else 1))
