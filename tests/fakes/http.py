"""HTTP/1.1 on loopback: connections stay open, every answer goes out in one piece, nothing is left when it is stopped.

It can also be a proxy that ends TLS for hosts it knows, so that a client with its default endpoints talks to a fake: see `Server`.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Respond = Callable[[str, str, Mapping[str, str], bytes], Answer | None]
"""Method, target, headers and body → the answer; None: the connection is cut off. Through a tunnel the target is https://HOST/PATH."""


def document(data: Any, status: int = 200) -> Answer:
    """A JSON document of a fake's own."""
    return Answer(status, (json.dumps(data, indent=1, default=str) + "\n").encode(), {"Content-Type": "application/json"})


class Server(ThreadingHTTPServer):
    """Listens as soon as it is made; serves from `start` to `stop`.

    `tunnels` are the hosts that a CONNECT reaches, each with the server side of its TLS; for every other one the answer is 403, and nothing
    leaves this machine.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 512

    def __init__(self, port: int, respond: Respond, tunnels: Mapping[str, ssl.SSLContext] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.respond = respond
        self.tunnels = dict(tunnels or {})
        self.refused_hosts: list[str] = []
        """What clients wanted to reach and could not."""
        self._open: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="fake", daemon=True)

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
            cut(link)
        self.server_close()

    def secured(self, link: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Let a connection become TLS: the old socket is no more, and it is the new one that `stop` has to cut. The handshake is still to come."""
        made = context.wrap_socket(link, server_side=True, do_handshake_on_connect=False)
        with self._mutex:
            self._open.discard(link)
            self._open.add(made)
        return made

    def forget(self, link: socket.socket) -> None:
        with self._mutex:
            self._open.discard(link)

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
    origin = ""
    """What stands before the path of a request through a tunnel."""
    _tls: ssl.SSLSocket | None = None

    def do_GET(self) -> None:
        """Any request."""
        size = int(self.headers.get("Content-Length") or 0)
        if size and self._tls is not None:
            # Clients of a proxy send head and body apart, and the body only when the head is acknowledged: which the kernel would put off for 40 ms.
            self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        body = self.rfile.read(size)
        if len(body) < size:  # the client ended in the middle
            self.close_connection = True
            return
        answer = self.server.respond(self.command, self.origin + self.path, dict(self.headers.items()), body)
        if answer is None:
            self.close_connection = True
            cut(self._tls or self.connection)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET

    def do_CONNECT(self) -> None:
        """A tunnel: from here on the connection is TLS with the host that was asked for."""
        host, _, port = self.path.rpartition(":")
        context = self.server.tunnels.get(host)
        if context is None or port != "443" or self.origin:
            self.server.refused_hosts.append(self.path)
            self.send_error(403, "this proxy leads nowhere else")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self.connection = self._tls = self.server.secured(self.connection, context)
        self._tls.do_handshake()
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 65536)
        self.origin = f"https://{host}"
        self.close_connection = False

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if self._tls is not None:
                self.server.forget(self._tls)
                cut(self._tls)
                self._tls.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: calls are recorded."""


def cut(link: socket.socket) -> None:
    """End a connection at once, in both directions."""
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client was quicker
        pass
