"""One request and its answer, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sim.azdo.errors import ServiceError, document

MARK = ("X-Simulated-Service", "azure-devops")
"""The header of every answer: nobody can take this service for the real one."""

JSON = "application/json; charset=utf-8; api-version=7.1"
HTML = "text/html; charset=utf-8"

NOT_FOUND_PAGE = "<html><head><title>The resource cannot be found.</title></head></html>"
"""What is said of an organization that does not exist."""


@dataclass(frozen=True)
class Request:
    """A request as it came; `path` has no query and is decoded, the names in `query` and `headers` are in small letters."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """A request from its request line, headers and body."""
        parts = urlsplit(target)
        query = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        return cls(method, unquote(parts.path), query, {name.lower(): value for name, value in headers.items()}, body)

    @property
    def origin(self) -> str:
        """`https://host:port` as this client named the service."""
        return f"https://{self.headers.get('host', 'localhost')}"

    @property
    def api_version(self) -> str | None:
        """The version that the client asks for, by query or by its Accept header; None when it named none."""
        if version := self.query.get("api-version"):
            return version
        for part in self.headers.get("accept", "").replace(",", ";").split(";"):
            name, _, value = part.strip().partition("=")
            if name.lower() == "api-version" and value:
                return value
        return None

    def document(self) -> dict[str, Any]:
        """The JSON object in the body. Raises ServiceError when there is none."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise ServiceError("VssPropertyValidationException", "The body of the request is no JSON.") from error
        if not isinstance(value, dict):
            raise ServiceError("VssPropertyValidationException", "The body of the request is no JSON object.")
        return value

    def flag(self, name: str) -> bool:
        """Whether the query has `name` with the value true."""
        return self.query.get(name.lower(), "").lower() == "true"


@dataclass(frozen=True)
class Answer:
    """An answer: `body` is complete, its length and the mark of the simulation are added when it is sent."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())


def json_answer(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer whose body is `value` as JSON."""
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), JSON, headers)


def list_answer(values: list[Any]) -> Answer:
    """A list in the wrapper that the service puts around every list."""
    return json_answer({"count": len(values), "value": values})


def error_answer(error: ServiceError) -> Answer:
    """The answer of a refusal."""
    return json_answer(document(error.type_key, error.message), error.status)


EMPTY = Answer(204)
"""Done, nothing to say."""
