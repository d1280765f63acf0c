"""Holds requests and answers against Microsoft's own description of the API, strictly: what it does not name is a finding.

The description (`taskAgent.json` and `elastic.json`, OpenAPI 2, from MicrosoftDocs/vsts-rest-api-specs, MIT licence) is not part of this
repository; `find` knows where to look for it. It is generated from the service's classes, so some types look different on the wire:
`DIFFERENCES` lists all of them, each with what is really sent. Nothing else is forgiven, nulls included.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "AZURE_DEVOPS_API_DESCRIPTION"
"""Environment variable that names the folder with the two files."""

FILES = ("taskAgent.json", "elastic.json")

_PROPERTY = {"type": "object", "properties": {"$type": {"type": "string"}, "$value": {}}}
_LINK = {"type": "object", "properties": {"href": {"type": "string"}}}
DIFFERENCES: Mapping[str, Mapping[str, Any]] = {
    "PropertiesCollection": {"type": "object", "additionalProperties": _PROPERTY},
    "ReferenceLinks": {"type": "object", "additionalProperties": _LINK},
    "Demand": {"type": "string"},
    "bytes": {"type": "string", "format": "base64"},
    "list": {"type": "object", "properties": {"count": {"type": "integer"}, "value": {}}},
    "deleted": {"status": 204},
}
"""What is sent instead of a described type.

A property is `{"$type", "$value"}` by name; links are by name; a demand is one line of text; `byte[]` (described as an array of `byte`) is
base64; a list comes in `{"count", "value"}`; a deletion answers 204 where the description has 200.
"""


def find(beside: Path) -> Path | None:
    """The folder of the description: named by the environment, or `shared/specs/azure-devops-7.1` next to the checkout `beside`."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else beside.parent / "shared" / "specs" / "azure-devops-7.1"
    return folder if all((folder / name).is_file() for name in FILES) else None


@dataclass(frozen=True)
class Operation:
    """One described call: several may share a method and a path, and differ in their query."""

    method: str
    template: str
    description: Mapping[str, Any]
    file: Mapping[str, Any]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path with its organization."""
        parts = ("[^/]+" if part.startswith("{") else re.escape(part) for part in self.template.split("?")[0].strip("/").split("/"))
        return re.compile("/" + "/".join(parts), re.IGNORECASE)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that it asks for."""
        return tuple(self.description["security"][0]["oauth2"])

    def parameters(self, where: str) -> dict[str, Mapping[str, Any]]:
        """Its parameters in `where` (path, query, body), by name."""
        all_of_them = [_resolved(parameter, self.file) for parameter in self.description["parameters"]]
        return {parameter["name"]: parameter for parameter in all_of_them if parameter["in"] == where}

    def request_problems(self, query: Mapping[str, str], headers: Mapping[str, str], body: str) -> list[str]:
        """What is wrong with a request; the names in `headers` are in small letters."""
        return [*self._query_problems(query, headers), *self._body_problems(body)]

    def answer_problems(self, status: int, body: str) -> list[str]:
        """What is wrong with the answer to a request that succeeded."""
        schema = self.description["responses"]["200"].get("schema")
        if schema is None:
            wanted = DIFFERENCES["deleted"]["status"]
            return [] if (status, body) == (wanted, "") else [f"answered {status} with {len(body)} bytes instead of {wanted} without body"]
        if status != 200:
            return [f"answered {status} instead of 200"]
        return body_problems(body, schema, self.file)

    def _query_problems(self, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[str]:
        known = {name.casefold(): parameter for name, parameter in self.parameters("query").items()}
        given = {name.casefold(): value for name, value in query.items()}
        if "api-version" not in given and "api-version=" not in headers.get("accept", ""):
            yield "query: api-version is missing, and the Accept header has none"
        for name, value in given.items():
            if name not in known:
                yield f"query: {name} is not described"
            elif name != "api-version":
                yield from _text_problems(value, known[name], f"query: {name}")
        for name, parameter in known.items():
            if parameter.get("required") and name not in given and name != "api-version":
                yield f"query: {name} is missing"

    def _body_problems(self, body: str) -> list[str]:
        parameter = self.parameters("body").get("body")
        if parameter is None:
            return ["body: none is described"] if body else []
        return body_problems(body, parameter["schema"], self.file)


class Description:
    """The described calls and types."""

    def __init__(self, folder: Path) -> None:
        self.files = [json.loads((folder / name).read_text(encoding="utf-8-sig")) for name in FILES]
        self.operations = [
            Operation(method.upper(), template, operation, file)
            for file in self.files
            for paths in (file["paths"], file.get("x-ms-paths", {}))
            for template, methods in paths.items()
            for method, operation in methods.items()
        ]

    def find(self, method: str, path: str) -> list[Operation]:
        """The calls of this method and path (with the organization)."""
        return [operation for operation in self.operations if operation.method == method and operation.pattern.fullmatch(path)]

    def problems(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: str, status: int, answer: str
    ) -> list[str] | None:
        """What is wrong with a call that succeeded, held against the described call that it fits best; None when it is not described."""
        found = [
            [*operation.request_problems(query, headers, body), *operation.answer_problems(status, answer)]
            for operation in self.find(method, path)
        ]
        return min(found, key=len) if found else None

    def type_problems(self, body: str, name: str) -> list[str]:
        """What is wrong with a body of the described type `name`, or of a list of it (`[name]`), in a call that is not described."""
        schema: dict[str, Any] = {"$ref": f"#/definitions/{name.strip('[]')}"}
        return body_problems(body, {"type": "array", "items": schema} if name.startswith("[") else schema, self.files[0])


def body_problems(body: str, schema: Mapping[str, Any], file: Mapping[str, Any]) -> list[str]:
    """What is wrong with a JSON body."""
    try:
        value = json.loads(body)
    except ValueError as error:
        return [f"body: no JSON ({error})"]
    if schema.get("type") == "array":
        if not isinstance(value, dict) or value.keys() != {"count", "value"} or not isinstance(value["value"], list):
            return ["body: no list in {count, value}"]
        if value["count"] != len(value["value"]):
            return [f"body: count is {value['count']}, there are {len(value['value'])}"]
        value = value["value"]
    return list(value_problems(value, schema, file, "body"))


def value_problems(value: object, schema: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Iterator[str]:
    """What is wrong with a value; `where` is its place for people."""
    schema = _resolved(schema, file)
    if schema.get("type") == "array" and schema["items"].get("format") == "byte":
        schema = DIFFERENCES["bytes"]
    if "enum" in schema:
        if value not in schema["enum"]:
            yield f"{where}: {value!r} is none of {', '.join(schema['enum'])}"
        return
    if not schema:
        return
    kind = schema["type"]
    if not _is(value, kind):
        yield f"{where}: {value!r} is no {kind}"
    elif isinstance(value, dict):
        yield from _object_problems(value, schema, file, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from value_problems(item, schema["items"], file, f"{where}[{index}]")
    elif not _has_format(value, schema.get("format", "")):
        yield f"{where}: {value!r} is no {schema['format']}"


def _object_problems(value: dict[str, Any], schema: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Iterator[str]:
    properties = _properties(schema, file)
    for name, item in value.items():
        if name in properties:
            yield from value_problems(item, properties[name], file, f"{where}.{name}")
        elif "additionalProperties" in schema:
            yield from value_problems(item, schema["additionalProperties"], file, f"{where}.{name}")
        elif properties:
            yield f"{where}.{name}: is not described"
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name}: is missing"


def _properties(schema: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The fields of a type and of those that it extends."""
    found: dict[str, Mapping[str, Any]] = {}
    for parent in schema.get("allOf", ()):
        found |= _properties(_resolved(parent, file), file)
    found.update(schema.get("properties", {}))
    return found


def _resolved(schema: Mapping[str, Any], file: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    _, section, name = schema["$ref"].split("/")
    if section == "definitions" and name in DIFFERENCES:
        return DIFFERENCES[name]
    found: Mapping[str, Any] = file[section][name]
    return found


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    types: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    return kind in types and isinstance(value, types[kind])


def _has_format(value: object, name: str) -> bool:
    bits = {"int32": 31, "int64": 63}.get(name)
    if bits is not None:
        return isinstance(value, int) and -(2**bits) <= value < 2**bits
    try:
        match name:
            case "date-time":
                return datetime.fromisoformat(str(value)).tzinfo is not None
            case "uuid":
                return str(uuid.UUID(str(value))) == str(value).lower()
            case "base64":
                base64.b64decode(str(value), validate=True)
    except (ValueError, binascii.Error):
        return False
    return True


def _text_problems(value: str, parameter: Mapping[str, Any], where: str) -> Iterator[str]:
    """What is wrong with a value of a query, which is always text."""
    if "enum" in parameter:
        if value.casefold() not in (known.casefold() for known in parameter["enum"]):
            yield f"{where}: {value!r} is none of {', '.join(parameter['enum'])}"
    elif parameter.get("type") == "boolean" and value.casefold() not in ("true", "false"):
        yield f"{where}: {value!r} is no boolean"
    elif parameter.get("type") == "integer" and not re.fullmatch(r"-?[0-9]+", value):
        yield f"{where}: {value!r} is no integer"
