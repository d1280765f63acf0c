"""What Resource Manager answers: documents, errors in its shape, and the headers that every answer has."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http import Answer


class Refused(Exception):
    """The fake refuses, in Azure's words."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, target: str = "", details: list[dict[str, Any]] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.target = target
        self.details = details or []
        self.more = more

    def document(self) -> dict[str, Any]:
        """The error object that stands in an answer or in an operation."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            found["target"] = self.target
        if self.details:
            found["details"] = self.details
        return found | self.more


@dataclass
class Result:
    """What a handler answers, before it is written."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def not_found(kind: str, name: str, group: str) -> Refused:
    """A resource that is not there, as Resource Manager says it."""
    text = f"The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    return Refused("ResourceNotFound", text, 404)


def no_group(group: str) -> Refused:
    return Refused("ResourceGroupNotFound", f"Resource group '{group}' could not be found.", 404)


def written(result: Result, more: Mapping[str, str] = {}) -> Answer:
    """As bytes; a result without a body has none."""
    body = b"" if result.body is None else json.dumps(result.body, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **more, **result.headers} if body else {**more, **result.headers}
    return Answer(result.status, body, headers)


def refusal(refused: Refused) -> Answer:
    """An error; in the header, too, as Resource Manager has it."""
    return written(
        Result(refused.status, {"error": refused.document()}, {"x-ms-failure-cause": "gateway", "x-ms-error-code": refused.code})
    )


def request_headers(method: str, what: str, remaining: int) -> dict[str, str]:
    """What stands on every answer of Resource Manager: its number, and how many calls of its kind may still be made."""
    number = str(uuid.uuid4())
    kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
    found = {
        "x-ms-request-id": number,
        "x-ms-correlation-request-id": number,
        f"x-ms-ratelimit-remaining-subscription-{kind}": str(remaining),
        f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(remaining * 15),
        "Cache-Control": "no-cache",
    }
    if what.startswith("Microsoft.Compute/virtualMachines"):
        name = {"reads": "HighCostGet", "deletes": "DeleteVM"}.get(kind, "PutVM")
        found["x-ms-ratelimit-remaining-resource"] = f"Microsoft.Compute/{name}3Min;{remaining}"
    return found
