"""Small HTTP servers on loopback for tests: what is served is a table, and what was asked is noted."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

for _name in ("no_proxy", "NO_PROXY"):  # a proxy of this machine has no way to our loopback
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1"]))


@dataclass(frozen=True)
class Answer:
    """What a server says to one request.

    `claims`: the Content-Length that it claims, when it is not the true one. `hangs`: it never ends its answer.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    claims: int | None = None
    hangs: bool = False


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: Message


Route = Answer | Callable[[Asked], Answer]


class Server:
    """A running server: `routes` by path (with query) may change at any time; `asked` has all requests in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.ends = threading.Event()

    def serve(self, path: str, *answers: bytes | Answer) -> str:
        """Answer `path` with these in turn, the last one for ever; returns the URL."""
        queue = [Answer(answer) if isinstance(answer, bytes) else answer for answer in answers]
        self.routes[path] = lambda _: queue.pop(0) if len(queue) > 1 else queue[0]
        return self.url + path

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        route = self.routes.get(asked.path, Answer(b"not here", 404))
        return route(asked) if callable(route) else route

    @property
    def paths(self) -> list[str]:
        """The paths of all requests that were not HEAD."""
        return [asked.path for asked in self.asked if asked.method != "HEAD"]


@contextmanager
def server() -> Iterator[Server]:
    """A server on a free port of 127.0.0.1 that is gone, its hanging answers included, when the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = running.answer(Asked(self.command, self.path, self.headers))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) if answer.claims is None else answer.claims
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            if answer.hangs:
                self.wfile.flush()
                running.ends.wait()
            self.close_connection = True

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    running = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.ends.set()
        http.shutdown()
        http.server_close()
        thread.join()


_REFUSING: list[socket.socket] = []


def closed_port() -> str:
    """A URL on loopback where nothing listens, nor will while this process lives: a port that was only given back is soon somebody else's."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    _REFUSING.append(taken)
    return f"http://127.0.0.1:{taken.getsockname()[1]}"
