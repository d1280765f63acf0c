"""What was asked of the fake, and what it was told to refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import calls

STATUS: Mapping[str, int] = {
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "ServerInternal": 500,
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "AuthFailure": 401,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AccessDeniedException": 400,
    "ExpiredToken": 403,
    "ExpiredTokenException": 400,
    "InvalidClientTokenId": 403,
    "UnrecognizedClientException": 400,
    "SignatureDoesNotMatch": 403,
    "OptInRequired": 403,
    "DryRunOperation": 412,
}
"""HTTP status of the codes that do not come with 400."""

START = "start"
"""An action of `Fault` that means the start of an instance, by RunInstances or as one override of CreateFleet."""


@dataclass
class Call(calls.Call):
    """One request. `zone`, `type` and `spot` are those of RunInstances; user-data is not kept."""

    service: str
    action: str
    region: str
    parameters: dict[str, Any] = field(default_factory=dict)
    zone: str = ""
    type: str = ""
    spot: bool = False


@dataclass(frozen=True)
class Fault(calls.Fault):
    """An answer of EC2, STS or Service Quotas instead of the real one."""

    action: str = "*"
    service: str = "*"
    region: str = ""
    zone: str = ""
    type: str = ""
    spot: bool | None = None

    @property
    def http(self) -> int:
        return self.status or STATUS.get(self.code, 400)

    def matches(self, service: str, action: str, region: str, zone: str, type: str, spot: bool) -> bool:
        wanted = (
            (self.service, service),
            (self.action, action),
            (self.region or "*", region),
            (self.zone or "*", zone),
            (self.type or "*", type),
        )
        return all(one in ("*", other) for one, other in wanted) and self.spot in (None, spot)


class Faults(calls.Faults[Fault]):
    """The faults that are still to come."""

    def take(self, call: Call) -> Fault | None:
        """The fault for this request."""
        actions = ("RunInstances", START) if call.action == "RunInstances" else (call.action,)
        return self.find(actions, call.service, call.region, call.zone, call.type, call.spot)

    def find(self, actions: Iterable[str], service: str, region: str, zone: str, type: str, spot: bool) -> Fault | None:
        """The first fault that is due for any of these actions."""
        wanted = tuple(actions)
        return self.first(lambda fault: any(fault.matches(service, action, region, zone, type, spot) for action in wanted))
