"""From a request to what is sent: faults, organization, route, credential, handler. Knows nothing of sockets."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sim.azdo import control
from sim.azdo.access import ANONYMOUS, Access, Rejection, Unauthorized, identify, require, turned_away
from sim.azdo.clock import stamp
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import HTML, NOT_FOUND_PAGE, Answer, Request, error_answer
from sim.azdo.faults import HANDLED, Action, Fault, Faults, without_authorization, wrong_answer
from sim.azdo.router import Call, Route
from sim.azdo.routes import ROUTER
from sim.azdo.routes.connection import anonymous_data
from sim.azdo.state import State

KEPT_REQUESTS = 10_000
KEPT_BODY = 64 * 1024
"""Characters of a body that are kept."""


@dataclass
class Recorded:
    """A request that came: all of it but the credential. `status` is None until it was answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str
    at: float
    status: int | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Reply:
    """What is sent: `answer` (None: nothing) after `hold` seconds, in pieces over `spread` seconds, half of it (`cut`), or a reset."""

    answer: Answer | None
    hold: float = 0.0
    spread: float = 0.0
    cut: bool = False
    reset: bool = False


class Application:
    """Answers requests."""

    def __init__(self, state: State, rejection: Rejection = Rejection.UNAUTHORIZED) -> None:
        self.state = state
        self.rejection = rejection
        self.faults = Faults()
        self._requests: deque[Recorded] = deque(maxlen=KEPT_REQUESTS)
        self._lock = threading.Lock()

    def reply(self, request: Request, alive: Callable[[], bool]) -> Reply:
        """What is sent for `request`; `alive` tells whether its client still listens."""
        if request.path.startswith("/_"):
            return Reply(control.answer(control.Controlled(self.state, self.faults, self._documents), request))
        recorded = self._record(request)
        fault = self.faults.take(request)
        if fault is None:
            answer = self._handle(request, alive)
            recorded.status = answer.status
            return Reply(answer)
        reply = self._fail(fault, request, alive)
        recorded.fault = str(fault.action)  # whoever sees it finds done what the fault lets be done
        recorded.status = reply.answer.status if reply.answer is not None else None
        return reply

    def recorded(self) -> list[Recorded]:
        """The last requests, oldest first."""
        with self._lock:
            return list(self._requests)

    def _record(self, request: Request) -> Recorded:
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
        body = request.body.decode("utf-8", "replace")[:KEPT_BODY]
        recorded = Recorded(request.method, request.path, dict(request.query), headers, body, self.state.now())
        with self._lock:
            self._requests.append(recorded)
        return recorded

    def _documents(self) -> list[dict[str, object]]:
        return [dataclasses.asdict(request) for request in self.recorded()]

    def _fail(self, fault: Fault, request: Request, alive: Callable[[], bool]) -> Reply:
        if fault.action is Action.HANG:
            return Reply(None, hold=fault.seconds)
        if fault.action is Action.RESET:
            return Reply(None, reset=True)
        if fault.action not in HANDLED:
            return Reply(wrong_answer(fault, request, stamp(self.state.now())))
        answer = self._handle(request, alive, anonymous=fault.action is Action.ANONYMOUS)
        if fault.action is Action.NO_AUTHORIZATION and answer.status == 200:
            answer = self._strip(answer)
        if fault.action is Action.LOST:
            return Reply(None, reset=True)
        return Reply(
            answer,
            hold=fault.seconds if fault.action is Action.DELAY else 0.0,
            spread=fault.seconds if fault.action is Action.SLOW else 0.0,
            cut=fault.action is Action.TRUNCATED,
        )

    def _strip(self, answer: Answer) -> Answer:
        with self.state.lock:
            agent = self.state.agents.by_id.get(json.loads(answer.body).get("id"))
            if agent is not None:
                agent.key = None
        return without_authorization(answer)

    def _handle(self, request: Request, alive: Callable[[], bool], anonymous: bool = False) -> Answer:
        organization, *rest = [part for part in request.path.split("/") if part] or [""]
        if organization.casefold() != self.state.organization.casefold():
            return Answer(404, NOT_FOUND_PAGE.encode(), HTML)
        with self.state.lock:
            self.state.tick()
            try:
                return self._call(request, "/".join(rest), alive, anonymous)
            except ServiceError as error:
                return error_answer(error)
            except Unauthorized as error:
                return turned_away(self.state, request, error.text, self.rejection)

    def _call(self, request: Request, path: str, alive: Callable[[], bool], anonymous: bool) -> Answer:
        found: tuple[Route, dict[str, str]] | ServiceError
        try:
            found = ROUTER.find(request.method, path)
        except ServiceError as error:
            found = error
        if isinstance(found, ServiceError):
            identify(self.state, request)
            raise found
        route, values = found
        if anonymous or route.access is Access.NOBODY:
            call = Call(self.state, request, ANONYMOUS, values, alive)
            return anonymous_data(call) if anonymous else route.handler(call)
        identity = identify(self.state, request)
        pool_id = values.get("poolId", "")
        require(self.state, identity, route.access, int(pool_id) if pool_id.isdecimal() else None)
        if route.needs_version and request.method != "GET" and request.api_version is None:
            raise ServiceError(
                "VssVersionNotSpecifiedException",
                f'No api-version was supplied for the "{request.method}" request. The version must be supplied either as part of the '
                'Accept header (e.g. "application/json; api-version=1.0") or as a query parameter (e.g. "?api-version=1.0").',
            )
        return route.handler(Call(self.state, request, identity, values, alive))
