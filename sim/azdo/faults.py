"""Failures on demand: which request is answered wrongly, how, and how often."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from sim.azdo.access import ANONYMOUS_TEXT, REFUSED_TEXT, SIGN_IN_PAGE
from sim.azdo.errors import document
from sim.azdo.exchange import HTML, JSON, NOT_FOUND_PAGE, Answer, Request, json_answer


class Action(StrEnum):
    """What happens instead of, or to, the right answer."""

    UNAUTHORIZED = "unauthorized"
    """401 with WWW-Authenticate."""
    SIGN_IN_PAGE = "sign-in-page"
    """203 with the HTML of a sign-in page."""
    SIGN_IN_REDIRECT = "sign-in-redirect"
    """302 to a sign-in page."""
    EXPIRED = "expired"
    """401 with the page "Access Denied: The Personal Access Token used has expired."."""
    FORBIDDEN = "forbidden"
    """403 AccessDeniedException."""
    NOT_FOUND = "not-found"
    """404 "The resource cannot be found."."""
    THROTTLED = "throttled"
    """429 with Retry-After of `seconds`."""
    SERVER_ERROR = "server-error"
    """500, or `status`."""
    HTML = "html"
    """200 with HTML: a captive portal, a proxy's page."""
    NOT_JSON = "not-json"
    """200 that claims to be JSON and is not."""
    EMPTY = "empty"
    """200 without a body."""
    ANONYMOUS = "anonymous"
    """connectionData 200 with the anonymous identity, whoever asks."""
    CLOCK_SKEW = "clock-skew"
    """The token endpoint's 400 "… Current server time is …"."""
    NO_AUTHORIZATION = "no-authorization"
    """A registration is answered without client id and authorization URL."""
    HANG = "hang"
    """Not handled and not answered for `seconds`, then the connection is closed."""
    RESET = "reset"
    """Not handled; the connection is reset."""
    LOST = "lost"
    """Handled, but the connection is reset before the answer."""
    TRUNCATED = "truncated"
    """Handled; half of the body comes, then the connection is closed."""
    SLOW = "slow"
    """Handled; the answer comes in small pieces over `seconds`."""
    DELAY = "delay"
    """Handled at once; the answer comes `seconds` later."""


HANDLED = frozenset({Action.NO_AUTHORIZATION, Action.LOST, Action.TRUNCATED, Action.SLOW, Action.DELAY, Action.ANONYMOUS})
"""Actions that come after the request was handled."""


PLACES: Mapping[Action, tuple[str, str]] = {
    Action.NO_AUTHORIZATION: ("POST|PUT", "/agents(/[0-9]+)?/?$"),
    Action.CLOCK_SKEW: ("POST", "/oauth2/token/?$"),
    Action.ANONYMOUS: ("GET", "/connectionData/?$"),
}
"""Actions that only some requests can meet: patterns of their methods and paths."""


@dataclass(frozen=True)
class Fault:
    """One failure.

    `method` and `path` say which requests: "*" is every method, `path` is a regular expression that is searched in the path without query
    ("/agents$", "/oauth2/token$"; "" is every path). `skip` matching requests are spared first, then `times` fail (0: all).
    `seconds` is the length of a hang, delay or slow answer and the Retry-After; `status` is the code of a server error.
    """

    action: Action | str
    method: str = "*"
    path: str = ""
    times: int = 1
    skip: int = 0
    seconds: float = 1.0
    status: int = 500

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", Action(self.action))
        re.compile(self.path)
        for name in ("times", "skip", "seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float if name == "seconds" else int) or not 0 <= value < 1e9:
                raise ValueError(f"{name} of a fault is a number from 0, not {value!r}")
        if self.status not in range(500, 600) or self.status not in set(HTTPStatus):
            raise ValueError(f"status of a fault is that of a server error, not {self.status!r}")

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Fault:
        """A fault from a JSON object. Raises ValueError."""
        if unknown := value.keys() - {known.name for known in fields(cls)}:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        try:
            return cls(**value)
        except (TypeError, re.error) as error:
            raise ValueError(str(error)) from error

    def matches(self, request: Request) -> bool:
        """Whether it is for this request; what can only happen to some requests is not spent on others."""
        method, place = PLACES.get(Action(self.action), ("", ""))
        if not re.search(method, request.method) or not re.search(place, request.path, re.IGNORECASE):
            return False
        return self.method in ("*", request.method) and re.search(self.path, request.path, re.IGNORECASE) is not None


def without_authorization(answer: Answer) -> Answer:
    """The answer to a registration without its authorization."""
    body = json.loads(answer.body)
    body.pop("authorization", None)
    return json_answer(body, answer.status)


def wrong_answer(fault: Fault, request: Request, now: str) -> Answer:
    """The answer of a fault whose request is not handled; `now` is the service's time."""
    return _ANSWERS[Action(fault.action)](fault, request, now)


def _unauthorized(_: Fault, request: Request, __: str) -> Answer:
    text = REFUSED_TEXT if "authorization" in request.headers else ANONYMOUS_TEXT
    challenge = ("WWW-Authenticate", f'Basic realm="{request.origin}/"')
    return json_answer(document("UnauthorizedRequestException", text), 401, (challenge,))


def _redirect(_: Fault, request: Request, __: str) -> Answer:
    return Answer(302, b"<html><body>Object moved</body></html>", HTML, (("Location", f"{request.origin}/_signin"),))


def _forbidden(_: Fault, __: Request, ___: str) -> Answer:
    return json_answer(document("AccessDeniedException", "Access denied. You need Manage permissions to perform the action."), 403)


def _throttled(fault: Fault, _: Request, __: str) -> Answer:
    text = "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource 'Concurrency'."
    limits = (("Retry-After", str(round(fault.seconds))), ("X-RateLimit-Resource", "Concurrency"), ("X-RateLimit-Remaining", "0"))
    return json_answer(document("RequestBlockedException", text), 429, limits)


def _server_error(fault: Fault, _: Request, __: str) -> Answer:
    return json_answer(document("VssServiceException", "TF10216: The service is currently unavailable."), fault.status)


def _clock_skew(_: Fault, __: Request, now: str) -> Answer:
    text = f"The assertion is not valid at this time. Current server time is {now}."
    return json_answer({"error": "invalid_client", "error_description": text}, 400)


def _fixed(status: int, body: str, content_type: str) -> Callable[[Fault, Request, str], Answer]:
    answer = Answer(status, body.encode(), content_type)
    return lambda _, __, ___: answer


_EXPIRED_PAGE = "<html><head><title>Access Denied: The Personal Access Token used has expired.</title></head></html>"

_ANSWERS: dict[Action, Callable[[Fault, Request, str], Answer]] = {
    Action.UNAUTHORIZED: _unauthorized,
    Action.SIGN_IN_PAGE: _fixed(203, SIGN_IN_PAGE, HTML),
    Action.SIGN_IN_REDIRECT: _redirect,
    Action.EXPIRED: _fixed(401, _EXPIRED_PAGE, HTML),
    Action.FORBIDDEN: _forbidden,
    Action.NOT_FOUND: _fixed(404, NOT_FOUND_PAGE, HTML),
    Action.THROTTLED: _throttled,
    Action.SERVER_ERROR: _server_error,
    Action.HTML: _fixed(200, "<html><body>Welcome to the guest network</body></html>", HTML),
    Action.NOT_JSON: _fixed(200, '{"count":1,"value":[{"id":', JSON),
    Action.EMPTY: _fixed(200, "", JSON),
    Action.CLOCK_SKEW: _clock_skew,
}


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0

    @property
    def spent(self) -> bool:
        return bool(self.fault.times) and self.seen >= self.fault.skip + self.fault.times


@dataclass
class Faults:
    """The faults that wait for their requests; safe to use from several threads."""

    _armed: list[_Armed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Let it happen from now on."""
        with self._lock:
            self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._armed.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault of this request, or None; the oldest that matches counts it."""
        with self._lock:
            for armed in self._armed:
                if armed.fault.matches(request):
                    armed.seen += 1
                    if armed.seen <= armed.fault.skip:
                        return None
                    if armed.spent:
                        self._armed.remove(armed)
                    return armed.fault
        return None
