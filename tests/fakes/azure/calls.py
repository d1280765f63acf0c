"""What was asked of the fake, and what it was told to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import calls

STATUS: Mapping[str, int] = {
    "AllocationFailed": 409,
    "ZonalAllocationFailed": 409,
    "OverconstrainedAllocationRequest": 409,
    "OverconstrainedZonalAllocationRequest": 409,
    "SkuNotAvailable": 409,
    "OperationNotAllowed": 409,
    "QuotaExceeded": 409,
    "Conflict": 409,
    "AnotherOperationInProgress": 429,
    "RetryableError": 429,
    "TooManyRequests": 429,
    "ResourceRequestsThrottled": 429,
    "SubscriptionRequestsThrottled": 429,
    "OperationPreempted": 409,
    "MissingSubscriptionRegistration": 409,
    "ScopeLocked": 409,
    "RequestDisallowedByPolicy": 403,
    "AuthorizationFailed": 403,
    "LinkedAuthorizationFailed": 403,
    "ReadOnlyDisabledSubscription": 409,
    "SubscriptionNotFound": 404,
    "ResourceNotFound": 404,
    "ResourceGroupNotFound": 404,
    "NotFound": 404,
    "ExpiredAuthenticationToken": 401,
    "InvalidAuthenticationToken": 401,
    "InternalServerError": 500,
    "InternalExecutionError": 500,
    "InternalOperationError": 500,
    "ServiceUnavailable": 503,
    "ServerBusy": 503,
    "GatewayTimeout": 504,
}
"""HTTP status of the codes that do not come with 400."""

START = "start"
"""`what` of a fault for whatever starts machines: a virtual machine or a scale set."""
STARTED = frozenset({"microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets"})
READING = frozenset({"GET", "HEAD"})


@dataclass
class Call(calls.Call):
    """One request. `zone`, `size` and `spot` are those of the machines it starts; secrets in the body are not kept."""

    method: str
    host: str
    path: str
    version: str = ""
    what: str = ""
    """The resource's type, as Microsoft.Compute/virtualMachines; `token` for a sign-in, `operation` for a poll."""
    action: str = ""
    """The verb after a resource of a POST, as deallocate."""
    group: str = ""
    name: str = ""
    location: str = ""
    zone: str = ""
    size: str = ""
    spot: bool = False
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    status: int = 0

    @property
    def is_reading(self) -> bool:
        return self.method in READING or self.what in ("token", "operation") or self.action.startswith("retrieve")

    @property
    def title(self) -> str:
        """Method and what it is about, as `PUT Microsoft.Compute/virtualMachines`."""
        return f"{self.method} {self.what}" + (f"/{self.action}" if self.action else "")


@dataclass(frozen=True)
class Fault(calls.Fault):
    """An answer of Azure's instead of the real one."""

    what: str = "*"
    """A type of resource, `start` for any that starts machines, `token` for signing in, `operation` for a poll; `*`: all."""
    method: str = ""
    """Empty: what changes something, if `what` is a type of resource; else any. `*`: any."""
    where: str = "call"
    """call: at once. operation: the long-running operation ends with it. later: the operation succeeds, and the resource says Failed without
    a code. body: no operation, and the resource itself says Failed without a code."""
    action: str = ""
    name: str = ""
    group: str = ""
    location: str = ""
    zone: str = ""
    size: str = ""
    spot: bool | None = None
    details: tuple[dict[str, Any], ...] = ()
    """Inner errors: what a deployment or a policy says."""
    few: int = 0
    """Of a scale set whose operation it ends: so many machines start all the same."""
    retry_after: int | None = None
    """Seconds, in the header of the answer."""

    @property
    def http(self) -> int:
        return self.status or STATUS.get(self.code, 400)

    def matches(self, call: Call) -> bool:
        if not self._fits_what(call) or not self._fits_method(call):
            return False
        wanted = (
            (self.action, call.action), (self.name, call.name), (self.group, call.group),
            (self.location, call.location), (self.zone, call.zone), (self.size, call.size),
        )  # fmt: skip
        return all(one in ("", "*") or one.lower() == other.lower() for one, other in wanted) and self.spot in (None, call.spot)

    def _fits_what(self, call: Call) -> bool:
        what = call.what.lower()
        if self.what == START:
            return what in STARTED and call.method == "PUT"
        return self.what == "*" or self.what.lower() == what

    def _fits_method(self, call: Call) -> bool:
        if self.method:
            return self.method in ("*", call.method)
        return self.what in ("*", "token", "operation") or not call.is_reading


class Faults(calls.Faults[Fault]):
    """The faults that are still to come."""

    def take(self, call: Call, *where: str) -> Fault | None:
        """The fault of this call at one of these places."""
        return self.first(lambda fault: fault.where in where and fault.matches(call))
