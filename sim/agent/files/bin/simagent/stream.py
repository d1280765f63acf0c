"""A connection of bytes, plain or by TLS, on the C modules under socket and ssl: those import enum, re and selectors, another third of the start.

Names and meaning are the same in Python 3.10 to 3.14; a test runs the agent with each that is installed. TLS is always verified: the context
is a client's (certificate and host name are checked by default), and nothing here can switch that off.
"""

from __future__ import annotations

import _socket
import _ssl
import os
import select

from .errors import NetworkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLIENT = 16
"""ssl.PROTOCOL_TLS_CLIENT."""
_CERTIFICATES = "/etc/ssl/certs"
_LINE = 65536
_PART = 65536


class Interrupted(Exception):
    """Something else has to be looked at first; the request was given up."""


class Gone(Exception):
    """The other side closed the connection."""


class _Socket(_socket.socket):
    """A socket that TLS can refer to weakly."""

    __slots__ = ("__weakref__",)


def trust(ca_file: str) -> _ssl._SSLContext:
    """The system's certificates and those of `ca_file`. Raises NetworkError.

    The system's folder has each certificate under the hash of its subject, so that only the one that is needed is read; its file, which
    OpenSSL reads whole beside it where there is one, costs as much as all else until the first request.
    """
    context = _ssl._SSLContext(CLIENT)
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if named or not os.path.isdir(_CERTIFICATES):
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(None, _CERTIFICATES, None)
    if ca_file:
        try:
            context.load_verify_locations(ca_file, None, None)
        except OSError as error:
            raise NetworkError(f"The certificates in {ca_file} cannot be read: {error.strerror or error}") from error
    return context


class Stream:
    """A connection to `host`; `timeout` is the longest silence in seconds. Raises OSError, TimeoutError."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._timeout = timeout
        self._tls: Any = None
        self._buffer = b""
        self._socket = _connected(host, port, timeout)

    def limit(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def close(self) -> None:
        self._tls = None
        self._socket.close()

    def secure(self, context: _ssl._SSLContext, host: str) -> None:
        """Begin TLS and check the certificate against `host`."""
        self._tls = context._wrap_socket(self._socket, False, host)  # type: ignore[attr-defined]
        self._tls.do_handshake()

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises Gone."""
        try:
            if self._tls is None:
                self._socket.sendall(data)
                return
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest) :]
        except (BrokenPipeError, ConnectionResetError, _ssl.SSLEOFError, _ssl.SSLZeroReturnError) as error:
            raise Gone from error

    def wait(self, wake: int) -> None:
        """Wait for the first bytes of an answer, or its end. Raises Interrupted when `wake` is readable before."""
        self._socket.setblocking(False)
        try:
            while True:
                try:
                    self._buffer += self._receive()
                    return
                except (BlockingIOError, _ssl.SSLWantReadError):
                    ready = select.select([self._socket.fileno(), wake], [], [], self._timeout)[0]
                    if wake in ready:
                        raise Interrupted from None
                    if not ready:
                        raise TimeoutError from None
        finally:
            self._socket.settimeout(self._timeout)

    def line(self) -> bytes:
        """The next line, its end included; without one when the other side closed. Raises Gone when nothing comes, ValueError for a long line."""
        while b"\n" not in self._buffer:
            try:
                part = self._receive()
            except Gone:
                if not self._buffer:
                    raise
                part = b""
            if not part:
                break
            self._buffer += part
            if len(self._buffer) > 2 * _LINE:
                raise ValueError("The answer has too long a line")
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises ValueError when fewer come."""
        parts, missing = [], size
        while missing:
            part = self._buffer or self._some()
            if not part:
                raise ValueError(f"The answer ended after {size - missing} of {size} bytes")
            parts.append(part[:missing])
            self._buffer, missing = part[missing:], missing - len(parts[-1])
        return b"".join(parts)

    def rest(self, limit: int) -> bytes:
        """Everything until the other side closes, at most about `limit` bytes."""
        content, self._buffer = self._buffer, b""
        while len(content) < limit and (part := self._some()):
            content += part
        return content

    def _some(self) -> bytes:
        try:
            return self._receive()
        except Gone:
            return b""

    def _receive(self) -> bytes:
        """Some bytes; none when the other side closed in order. Raises Gone."""
        try:
            part: bytes = self._socket.recv(_PART) if self._tls is None else self._tls.read(_PART)
            return part
        except _ssl.SSLZeroReturnError:
            return b""
        except (ConnectionResetError, _ssl.SSLEOFError) as error:
            raise Gone from error


def _connected(host: str, port: int, timeout: float) -> _Socket:
    failure: OSError | None = None
    for family, kind, protocol, _, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        opened = _Socket(family, kind | _socket.SOCK_CLOEXEC, protocol)
        try:
            opened.settimeout(timeout)
            opened.connect(address)
            opened.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            return opened
        except OSError as error:
            opened.close()
            failure = error
    raise failure or OSError(f"{host} has no address")
