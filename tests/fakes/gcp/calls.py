"""What was asked of the fake, and what it was told to refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from tests.fakes import calls

STATUS: Mapping[str, int] = {
    "authError": 401,
    "required": 401,
    "forbidden": 403,
    "accessNotConfigured": 403,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "userRateLimitExceeded": 403,
    "notFound": 404,
    "alreadyExists": 409,
    "conflict": 409,
    "conditionNotMet": 412,
    "internalError": 500,
    "backendError": 503,
    "serviceUnavailable": 503,
    "QUOTA_EXCEEDED": 403,
    "PERMISSIONS_ERROR": 403,
    "VM_EXTERNAL_IP_ACCESS_POLICY_CONSTRAINT": 403,
    "RATE_LIMIT_EXCEEDED": 403,
    "RESOURCE_OPERATION_RATE_EXCEEDED": 403,
    "RESOURCE_NOT_FOUND": 404,
    "RESOURCE_ALREADY_EXISTS": 409,
    "INTERNAL_ERROR": 500,
}
"""HTTP status of reasons and operation codes that do not come with 400; stock-outs come with 503."""

START = "start"
"""A method of `Fault` that means the start of one instance, by instances.insert or as one of a bulkInsert."""
PLACES = ("insert", "operation", "later")
DIED = "compute.instances.preempted"


def status_of(code: str) -> int:
    """The HTTP status with which Compute Engine tells this."""
    return 503 if "RESOURCE_POOL_EXHAUSTED" in code else STATUS.get(code, 400)


@dataclass
class Call(calls.Call):
    """One request. `zone`, `type` and `spot` are those of the instances that it starts; values of metadata are not kept, but for their length."""

    method: str
    """As the description names it: compute.instances.insert."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Those of the path and of the query."""
    body: Any = None
    zone: str = ""
    type: str = ""
    spot: bool = False
    status: int = 0
    operation: str = ""
    """The name of the operation that it began."""
    kept: bytes = b""

    @property
    def answer(self) -> Any:
        """What was answered, if the fake keeps answers."""
        return without_secrets(json.loads(self.kept)) if self.kept else None

    def document(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "kept"}


@dataclass(frozen=True)
class Fault(calls.Fault):
    """An answer of Google's instead of the real one, or an end of what it made.

    Its code is the reason of an HTTP error (quotaExceeded), the code of an operation's error (QUOTA_EXCEEDED), or what ends an instance
    later.
    """

    method: str = "*"
    """A method's id, with `*` for any part of it; START."""
    where: str = "insert"
    """insert: the call itself is refused; operation: it is accepted, and its operation fails; later: what it made runs, and ends."""
    zone: str = ""
    type: str = ""
    spot: bool | None = None
    details: tuple[Mapping[str, Any], ...] = ()
    """`details` of an HTTP error, `errorDetails` of an operation's."""

    def __post_init__(self) -> None:
        if self.where not in PLACES:
            raise ValueError(f"where is one of {', '.join(PLACES)}")

    @property
    def http(self) -> int:
        return self.status or status_of(self.code)

    def matches(self, where: str, method: str, zone: str, type: str, spot: bool) -> bool:
        return (
            self.where == where
            and fnmatchcase(method, self.method)
            and self.zone in ("", zone)
            and self.type in ("", type)
            and self.spot in (None, spot)
        )


class Faults(calls.Faults[Fault]):
    """The faults that are still to come."""

    def take(self, where: str, method: str, zone: str = "", type: str = "", spot: bool = False) -> Fault | None:
        """The fault for this request, operation or instance."""
        return self.first(lambda fault: fault.matches(where, method, zone, type, spot))


def without_secrets(value: Any) -> Any:
    """A document without the values of metadata."""
    if isinstance(value, dict):
        if value.keys() == {"key", "value"} and isinstance(value["value"], str):
            return {"key": value["key"], "value": f"({len(value['value'])} characters)"}
        return {key: without_secrets(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_secrets(one) for one in value]
    return value
