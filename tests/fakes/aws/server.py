"""HTTP/1.1 on loopback: connections stay open, every answer goes out in one piece, nothing is left when it is stopped."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.aws.answers import Answer

Respond = Callable[[str, str, Mapping[str, str], bytes], Answer | None]
"""Method, target, headers and body → the answer; None: the connection is cut off."""


class Server(ThreadingHTTPServer):
    """Listens as soon as it is made; serves from `start` to `stop`."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 512

    def __init__(self, port: int, respond: Respond) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.respond = respond
        self._open: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-aws", daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every connection and every thread."""
        self.shutdown()
        self._thread.join()
        with self._mutex:
            links = list(self._open)
        for link in links:
            _cut(link)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._mutex:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._mutex:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing; anything else is said."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Any request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.respond(self.command, self.path, dict(self.headers.items()), body)
        if answer is None:
            self.close_connection = True
            _cut(self.connection)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: calls are recorded."""


def _cut(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client was quicker
        pass
