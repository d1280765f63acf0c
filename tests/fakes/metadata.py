"""What the metadata services of the fakes share: each serves one instance, on a socket in the network of that instance's machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Generic, TypeVar

from tests.fakes.http import cut

T = TypeVar("T")
_BUSY_S = 5.0
"""How long a cloud is asked how an instance is now. It may wait for that machine's end itself, which waits for what is asked here."""


class Latest(Generic[T]):
    """An instance as its cloud has it now; one that is deleted shuts down with what it was told last. `look` raises KeyError then."""

    def __init__(self, lock: threading.RLock, look: Callable[[], T]) -> None:
        self._lock = lock
        self._look = look
        self._last = look()

    def __call__(self) -> T:
        if self._lock.acquire(timeout=_BUSY_S):
            try:
                self._last = self._look()
            except KeyError:
                pass
            finally:
                self._lock.release()
        return self._last


@dataclass(frozen=True)
class Question:
    """One request; `link` is its connection."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Asked for in any case."""
    link: socket.socket


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Metadata:
    """Serves on a socket that listens already, in whatever network namespace it was made, from `start` to `stop`. A cloud adds `reply`."""

    def __init__(self, name: str, listener: socket.socket) -> None:
        self.asked: list[tuple[str, str, int]] = []
        """Method, path and status of every request."""
        self._listener = listener
        self._links: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name=f"metadata-{name}", daemon=True)

    def reply(self, question: Question) -> Reply:
        """The answer to a request."""
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for link in [self._listener, *self._links]:
            cut(link)
        self._thread.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                link, address = self._listener.accept()
            except OSError:  # stopped
                return
            self._links.add(link)
            thread = threading.Thread(target=self._serve, args=(link, address), name="metadata-connection", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket, address: Any) -> None:
        try:
            _Handler(link, address, self)
        except OSError:  # it went away
            pass
        finally:
            self._links.discard(link)
            link.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Metadata  # type: ignore[assignment]

    def __init__(self, link: socket.socket, address: Any, server: Metadata) -> None:
        super().__init__(link, address, server)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        given: Any = self.headers
        reply = self.server.reply(Question(self.command, self.path, given, self.connection))
        self.server.asked.append((self.command, self.path, reply.status))
        self.send_response(reply.status)
        for name, value in {"Content-Type": "text/plain", **reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
