"""What the fakes of all clouds are to a test: a server on loopback that keeps every call, lets a test watch it, and refuses what it was told to."""

from __future__ import annotations

import json
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from tests.fakes.calls import Call, Fault, Faults
from tests.fakes.http import Answer, Server, document

C = TypeVar("C", bound=Call)
F = TypeVar("F", bound=Fault)


class Fake(ABC, Generic[C, F]):
    """A cloud, as a context manager, or by `start` and `stop`."""

    def __init__(self, port: int, parse: Callable[[Mapping[str, Any]], F], tunnels: Mapping[str, ssl.SSLContext] | None = None) -> None:
        self.calls: list[C] = []
        """Every request, in the order in which they came."""
        self.crashes: list[str] = []
        """Tracebacks of the fake itself, and what broke the cloud's own description; a test asserts that there is none."""
        self.latency_s = 0.0
        self.before: list[Callable[[C], None]] = []
        """Called with each request before it is looked at, in the thread that serves it."""
        self.after: list[Callable[[C], None]] = []
        """Called when it was carried out, before the client gets the answer."""
        self._parse = parse
        self._mutex = threading.Lock()
        self._number = 0
        self._server = Server(port, self._respond, tunnels)

    # --- life

    def start(self) -> Self:
        """Serve an account in which nothing is."""
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def reset(self) -> None:
        """As it was just made: no calls, nobody who watches. A cloud adds what it holds."""
        with self._mutex:
            self.calls.clear()
            self.crashes.clear()
            self._number = 0
        self.latency_s = 0.0
        self.before.clear()
        self.after.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    # --- what a cloud adds

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables that lead the cloud's SDKs and tools here and nowhere else."""

    @property
    @abstractmethod
    def faults(self) -> Faults[F]:
        """What is still to be refused."""

    @abstractmethod
    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """The answer to a request; None: the connection is cut off."""

    @abstractmethod
    def _fault(self, call: C) -> F | None:
        """The fault of this call, if there is one."""

    @abstractmethod
    def _refusal(self, call: C, fault: F) -> Answer:
        """A fault as the cloud words it."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """All that it holds."""

    # --- serving

    def _keep(self, call: C) -> C:
        """Give a call its number."""
        with self._mutex:
            self._number += 1
            call.number = self._number
            self.calls.append(call)
        return call

    def _answered(self, call: C, work: Callable[[], Answer]) -> Answer | None:
        """What `work` answers, unless a fault is due."""
        for watcher in list(self.before):
            watcher(call)
        if self.latency_s:
            time.sleep(self.latency_s)
        fault = self._fault(call)
        if fault is not None and not fault.done:
            return self._refused(call, fault)
        answer = work()
        for watcher in list(self.after):
            watcher(call)
        return answer if fault is None else self._refused(call, fault)

    def _refused(self, call: C, fault: F) -> Answer | None:
        call.code = "dropped" if fault.drop else fault.code
        return None if fault.drop else self._refusal(call, fault)

    def _control(self, method: str, path: str, body: bytes) -> Answer:
        """What is asked of the fake itself, and not of the cloud."""
        controls: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/_state"): self._state,
            ("GET", "/_calls"): lambda: [call.document() for call in list(self.calls)],
            ("DELETE", "/_calls"): self.calls.clear,
            ("GET", "/_crashes"): lambda: list(self.crashes),
            ("POST", "/_faults"): lambda: self.faults.add(self._parse(json.loads(body))),
            ("DELETE", "/_faults"): self.faults.clear,
            ("POST", "/_reset"): self.reset,
        }
        if (method, path) not in controls:
            return document({"error": f"the fake has no {method} {path}"}, 404)
        try:
            found = controls[method, path]()
            return document({} if found is None else found)
        except (ValueError, TypeError) as wrong:
            return document({"error": str(wrong)}, 400)
