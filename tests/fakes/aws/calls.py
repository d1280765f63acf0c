"""What was asked of the fake, and what it was told to refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tests.fakes import faults

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
class Call:
    """One request. `zone`, `type` and `spot` are those of RunInstances; user-data is not kept."""

    number: int
    service: str
    action: str
    region: str
    parameters: dict[str, Any] = field(default_factory=dict)
    zone: str = ""
    type: str = ""
    spot: bool = False
    code: str = ""
    """The error that was answered; empty: none. `dropped`: no answer at all."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Fault:
    """An answer instead of the real one. What is left at its default matches everything."""

    code: str
    action: str = "*"
    service: str = "*"
    region: str = ""
    zone: str = ""
    type: str = ""
    spot: bool | None = None
    after: int = 0
    """So many matching calls pass first."""
    times: int | None = 1
    """How many calls are refused; None: every one from then on."""
    message: str = ""
    status: int = 0
    """0: as `STATUS` says, else 400."""
    done: bool = False
    """The action is carried out, and only its answer is replaced."""
    drop: bool = False
    """The connection ends without an answer."""

    @property
    def text(self) -> str:
        return self.message or f"The fake was told to answer {self.code}."

    @property
    def http(self) -> int:
        return self.status or STATUS.get(self.code, 400)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Fault:
        """From JSON. Raises ValueError for a key that is none."""
        unknown = document.keys() - {each.name for each in fields(cls)}
        if unknown or "code" not in document:
            raise ValueError(f"a fault has a code and no {', '.join(sorted(unknown)) or 'other way'}")
        return cls(**document)

    def matches(self, service: str, action: str, region: str, zone: str, type: str, spot: bool) -> bool:
        wanted = (
            (self.service, service),
            (self.action, action),
            (self.region or "*", region),
            (self.zone or "*", zone),
            (self.type or "*", type),
        )
        return all(one in ("*", other) for one, other in wanted) and self.spot in (None, spot)


class Faults(faults.Faults[Fault]):
    """The faults that are still to come."""

    def take(self, call: Call) -> Fault | None:
        """The fault for this request."""
        actions = ("RunInstances", START) if call.action == "RunInstances" else (call.action,)
        return self.find(actions, call.service, call.region, call.zone, call.type, call.spot)

    def find(self, actions: Iterable[str], service: str, region: str, zone: str, type: str, spot: bool) -> Fault | None:
        """The first fault that is due for any of these actions."""
        wanted = tuple(actions)
        return self.first(lambda fault: any(fault.matches(service, action, region, zone, type, spot) for action in wanted))
