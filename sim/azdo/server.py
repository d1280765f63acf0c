"""HTTP/1.1 over TLS on loopback: one thread per connection, every answer in one write, nothing left when it is closed."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from sim.azdo.application import Reply
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import MARK, Answer, Request, error_answer

LONGEST_BODY = 4 << 20
IDLE_S = 120.0
"""How long a connection may be silent between requests."""

_HANDSHAKE_S = 60.0
_STOP_S = 10.0
_BACKLOG = 512
_PIECES = 20
_RESET = struct.pack("ii", 1, 0)

Responder = Callable[[Request, Callable[[], bool]], Reply]


class Server:
    """Listens on `host`:`port` (0: any free port) as soon as it is made, and serves from `serve` to `stop`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        self.stopping = threading.Event()
        self._tls = tls
        self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="azdo-accept", daemon=True)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        """The connections, and some that have ended: whoever stops waits for their threads too."""

    def serve(self, respond: Responder) -> None:
        """Serve, in threads of its own."""
        self.respond = respond
        self._accepting.start()

    def stop(self) -> None:
        """End every connection and every thread."""
        self.stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:  # it never served
            pass
        if self._accepting.ident is not None:
            self._accepting.join(_STOP_S)
        self._listener.close()
        with self._lock:
            connections = list(self._open.items())
        for _, connection in connections:
            _shut(connection)
        for thread, _ in connections:
            thread.join(_STOP_S)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                raw, address = self._listener.accept()
            except OSError:  # the listener was shut down, or the client gave up already
                if self.stopping.is_set():
                    return
                time.sleep(0.01)
                continue
            thread = threading.Thread(target=self._serve, args=(raw, address), name="azdo-connection", daemon=True)
            with self._lock:
                self._open = {other: connection for other, connection in self._open.items() if other.is_alive()} | {thread: raw}
            thread.start()

    def _serve(self, raw: socket.socket, address: Any) -> None:
        connection: socket.socket = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(_HANDSHAKE_S)
            wrapped = self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            connection = wrapped
            with self._lock:
                self._open[threading.current_thread()] = connection
            if self.stopping.is_set():
                return
            wrapped.do_handshake()
            Connection(connection, address, self)
        except OSError:  # no TLS, a broken connection, or shut down by stop()
            pass
        finally:
            connection.close()


class Connection(BaseHTTPRequestHandler):
    """One connection: request after request until either side ends it."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: Server  # type: ignore[assignment]
    connection: ssl.SSLSocket

    def __init__(self, connection: socket.socket, address: Any, server: Server) -> None:
        super().__init__(connection, address, server)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Any request: the table of routes knows the methods."""
        try:
            body = self._body()
        except ServiceError as error:
            self.close_connection = True
            self._send(error_answer(error))
            return
        try:
            request = Request.parse(self.command, self.path, dict(self.headers.items()), body)
        except ValueError as error:  # a target such as //[
            self.send_error(400, str(error))
            return
        self._reply(self.server.respond(request, self._alive))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A request that is no HTTP."""
        self.close_connection = True
        self._send(Answer(code, (message or HTTPStatus(code).phrase).encode(), "text/plain"))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: requests are recorded."""

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise ServiceError("VssPropertyValidationException", "Content-Length is no number.")
        if int(length) > LONGEST_BODY:
            raise ServiceError("VssRequestTooLargeException", f"The body is larger than {LONGEST_BODY} bytes.")
        return self._exactly(int(length))

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size_line = self.rfile.readline(100).split(b";")[0].strip()
            try:
                size = int(size_line, 16)
            except ValueError as error:
                raise ServiceError("VssPropertyValidationException", "A chunk has no size.") from error
            if size < 0 or len(body) + size > LONGEST_BODY:
                raise ServiceError("VssRequestTooLargeException", f"The body is larger than {LONGEST_BODY} bytes.")
            if size == 0:
                while self.rfile.readline(1000).strip():  # trailers
                    pass
                return body
            body += self._exactly(size)
            self.rfile.readline(100)

    def _exactly(self, size: int) -> bytes:
        body = self.rfile.read(size) if size else b""
        if len(body) < size:
            raise ConnectionResetError("the client went away within its request")
        return body

    def _alive(self) -> bool:
        """Whether the client still listens: one that waits for an answer sends nothing, not even the end of TLS."""
        if self.server.stopping.is_set():
            return False
        readable, _, _ = select.select([self.connection], [], [], 0)
        return not readable

    def _reply(self, reply: Reply) -> None:
        deadline = time.monotonic() + reply.hold
        while (left := deadline - time.monotonic()) > 0 and self._alive():
            self.server.stopping.wait(min(left, 0.1))
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if reply.answer is None:
            self.close_connection = True
            return
        self._send(reply.answer, spread=reply.spread, cut=reply.cut)

    def _send(self, answer: Answer, *, spread: float = 0.0, cut: bool = False) -> None:
        head = self._head(answer)
        body = b"" if self.command == "HEAD" else answer.body
        if cut:
            self.close_connection = True
            body = body[: len(body) // 2]
        message = head + body
        if not spread:
            self.connection.sendall(message)
            return
        step = max(1, -(-len(message) // _PIECES))
        for start in range(0, len(message), step):
            self.connection.sendall(message[start : start + step])
            self.server.stopping.wait(spread / _PIECES)

    def _head(self, answer: Answer) -> bytes:
        reason = HTTPStatus(answer.status).phrase
        headers = [("Date", self.date_time_string()), MARK, *answer.headers]
        if answer.content_type:
            headers.append(("Content-Type", answer.content_type))
        if answer.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(answer.body))))
        if self.close_connection:
            headers.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _shut(connection: socket.socket) -> None:
    """End a connection that another thread may be reading; that thread closes it."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass
