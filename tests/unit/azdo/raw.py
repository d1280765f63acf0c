"""A TLS server that says exactly the bytes that a test gives it: what the simulated service cannot be made to say."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

Say = bytes | Callable[[socket.socket, threading.Event], None]
"""Bytes that are sent before the connection is closed, or a function that speaks by itself until the event is set."""


class RawService:
    """A running server: says `answers` in turn, the last one for ever; `asked` has the bytes of all requests."""

    def __init__(
        self, folder: Path, *, tls: bool = True, names: tuple[str, ...] = ("127.0.0.1",), authority: trustme.CA | None = None
    ) -> None:
        self.authority = authority or trustme.CA()
        self.context: ssl.SSLContext | None = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert(*names).configure_cert(self.context)
        self.ca = folder / "raw-ca.pem"
        self.ca.write_bytes(self.authority.cert_pem.bytes())
        self.answers: list[Say] = []
        self.asked: list[bytes] = []
        self._ends = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"https://127.0.0.1:{self.port}/demo"

    def serve(self) -> None:
        """Accept until `end`."""
        talks: list[threading.Thread] = []
        while not self._ends.is_set():
            connection, _ = self._listener.accept()
            talks.append(threading.Thread(target=self._talk, args=(connection,), daemon=True))
            talks[-1].start()
        for talk in talks:
            talk.join()

    def end(self) -> None:
        """Stop accepting; what still speaks is told to end."""
        self._ends.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            pass

    def close(self) -> None:
        self._listener.close()

    def _talk(self, plain: socket.socket) -> None:
        with plain:
            if self._ends.is_set():
                return
            try:
                plain.settimeout(60)
                connection = self.context.wrap_socket(plain, server_side=True) if self.context else plain
                with connection:
                    self._answer(connection)
            except OSError:  # the client went away, or does not trust us
                return

    def _answer(self, connection: socket.socket) -> None:
        request = _request(connection)
        if not request:
            return
        self.asked.append(request)
        say = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(say):
            say(connection, self._ends)
        else:
            connection.sendall(say)


@contextmanager
def raw_service(folder: Path, *answers: Say, **how: object) -> Iterator[RawService]:
    """A running RawService that is gone when the block ends."""
    running = RawService(folder, **how)  # type: ignore[arg-type]
    running.answers = list(answers)
    thread = threading.Thread(target=running.serve, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.end()
        thread.join()
        running.close()


def http(status: int, body: bytes | str | object = b"", media: str = "application/json; charset=utf-8", **headers: str) -> bytes:
    """An answer as bytes; a body that is neither bytes nor text is written as JSON. Underscores in the names of headers are hyphens."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"Content-Type: {media}"] if media else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def refusal(status: int, type_key: str, message: str) -> bytes:
    """The service's error document."""
    return http(status, {"$id": "1", "message": message, "typeKey": type_key, "errorCode": 0})


def _request(connection: socket.socket) -> bytes:
    """A whole request: head, and as much body as its Content-Length says."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
        if data[0] == 0x16:  # TLS, to a server that speaks none
            return data
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body
