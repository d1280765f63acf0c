"""The calls of a run once more, by a plain script: what they cost without anything around them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import google.auth
from google.api_core.client_options import ClientOptions
from google.cloud import compute_v1

from goldbake.clouds.gcp.session import endpoint

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def run(calls: Sequence[Mapping[str, Any]]) -> None:
    """Issue the calls of the fake's log one after the other, each with a requestId of its own, and with the names of the operations of now."""
    credentials, _ = google.auth.default(scopes=_SCOPES)
    clients: dict[str, Any] = {}
    operations: dict[str, str] = {}
    for call in calls:
        service, table, name = call["method"].split(".")
        if service != "compute" or call["code"]:
            continue
        if table not in clients:
            kind = getattr(compute_v1, f"{table[0].upper()}{table[1:]}Client")
            clients[table] = kind(credentials=credentials, client_options=ClientOptions(api_endpoint=endpoint("COMPUTE")))
        method = _CAPITAL.sub("_", name).lower()
        method = f"{method}_unary" if hasattr(clients[table], f"{method}_unary") else method
        answer = getattr(clients[table], method)(request=_request(table, name, call, operations))
        if call["operation"]:
            operations[call["operation"]] = answer.name


def _request(table: str, name: str, call: Mapping[str, Any], operations: Mapping[str, str]) -> Any:
    """The SDK's request of a call."""
    words = f"{name[0].upper()}{name[1:]}", f"{table[0].upper()}{table[1:]}"
    kind = getattr(compute_v1, f"{words[0]}{words[1]}Request", None) or getattr(compute_v1, f"{words[0]}{_one(words[1])}Request")
    given: dict[str, Any] = {_CAPITAL.sub("_", key).lower(): value for key, value in call["parameters"].items()}
    for key in given.keys() & {"max_results", "start", "port"}:
        given[key] = int(given[key])
    if "request_id" in given:
        given["request_id"] = str(uuid.uuid4())
    if "operation" in given:
        given["operation"] = operations.get(given["operation"], given["operation"])
    if call["body"] is not None:
        field = next(one for key, one in kind.meta.fields.items() if key.endswith("_resource"))
        given[field.name] = field.message.from_json(json.dumps(call["body"]))
    return kind(**given)


def _one(words: str) -> str:
    return words.removesuffix("es") if words.endswith("sses") else words.removesuffix("s")
