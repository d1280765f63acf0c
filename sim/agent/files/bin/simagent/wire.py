"""HTTP/1.1 over one kept-alive connection, straight or through a proxy; TLS is always verified.

Written on sockets: http.client and urllib cost more to import than a registration takes.
"""

from __future__ import annotations

import select
import socket
import ssl

from .errors import NetworkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_LIMIT = 64 << 20
_LINE = 65536


class Url:
    """An absolute http or https URL; `path` keeps its query. Raises ValueError for anything else."""

    __slots__ = ("host", "path", "port", "scheme")

    def __init__(self, text: str) -> None:
        scheme, separator, rest = text.strip().partition("://")
        self.scheme = scheme.lower()
        if not separator or self.scheme not in {"http", "https"}:
            raise ValueError(f"{text!r} is no absolute http or https URL")
        slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        authority = rest[:slash].rpartition("@")[2]
        self.path = "".join(letter if " " < letter < "\x7f" else quote(letter) for letter in rest[slash:]) or "/"
        name, colon, port = authority.rpartition(":")
        if not colon or "]" in port:
            name, port = authority, ""
        self.host = name.strip("[]").lower()
        self.port = int(port) if port else {"http": 80, "https": 443}[self.scheme]
        if not self.host or not 0 < self.port < 65536 or not all(" " < letter < "\x7f" for letter in authority):
            raise ValueError(f"{text!r} is no absolute http or https URL")

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL, the scheme's own port left out."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == {"http": 80, "https": 443}[self.scheme] else f"{name}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"


def quote(text: str) -> str:
    """`text` for a part of a path or a value of a query."""
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"-_.~" else f"%{byte:02X}" for byte in text.encode(errors="replace")
    )


class Response:
    """Status, headers (small letters; the first of several) and body."""

    __slots__ = ("body", "headers", "reason", "status")

    def __init__(self, status: int, reason: str, headers: dict[str, str], body: bytes) -> None:
        self.status, self.reason, self.headers, self.body = status, reason, headers, body


class Proxy:
    """A proxy and what it wants to see: the value of Proxy-Authorization, or nothing."""

    __slots__ = ("authorization", "url")

    def __init__(self, url: Url, authorization: str = "") -> None:
        self.url, self.authorization = url, authorization


def trust(ca_file: str) -> ssl.SSLContext:
    """The system's certificates (read one by one when needed) and those of `ca_file`; verification cannot be switched off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_default_verify_paths()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise NetworkError(f"The certificates in {ca_file} cannot be read: {error.strerror or error}") from error
    return context


class Connection:
    """The way to one origin. `timeout` is the longest silence in seconds."""

    def __init__(self, origin: Url, context: ssl.SSLContext | None, proxy: Proxy | None, timeout: float) -> None:
        self._origin, self._context, self._proxy, self._timeout = origin, context, proxy, timeout
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def close(self) -> None:
        reader, self._reader = self._reader, None
        opened, self._socket = self._socket, None
        if reader is not None:
            reader.close()
        if opened is not None:
            opened.close()

    def exchange(self, method: str, target: str, headers: dict[str, str], body: bytes, wake: int = -1) -> Response:
        """One request and its answer. Raises NetworkError, or Interrupted when `wake` became readable before the answer began.

        A kept connection that the server has closed meanwhile is opened anew.
        """
        while True:
            kept = self._socket is not None
            try:
                return self._exchange(method, target, headers, body, wake)
            except _Gone as error:
                self.close()
                if not kept:
                    raise NetworkError(f"The connection to {self._origin.origin} was closed before an answer came.") from error
            except TimeoutError as error:
                self.close()
                raise NetworkError(f"{self._origin.origin} did not answer within {self._timeout:.0f} seconds.", timed_out=True) from error
            except (OSError, ValueError) as error:
                self.close()
                raise NetworkError(f"{_why(error)} ({self._origin.host}:{self._origin.port})") from error
            except BaseException:  # the rest of this answer must not be taken for the next one
                self.close()
                raise

    def _exchange(self, method: str, target: str, headers: dict[str, str], body: bytes, wake: int) -> Response:
        if self._socket is None:
            self._open()
        assert self._socket is not None
        assert self._reader is not None
        plain_proxy = self._proxy is not None and self._origin.scheme == "http"
        lines = [f"{method} {self._origin.origin if plain_proxy else ''}{target} HTTP/1.1", f"Host: {self._origin.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if plain_proxy and self._proxy is not None and self._proxy.authorization:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        if body or method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(body)}")
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            first = b"" if wake < 0 else self._first_byte(self._socket, wake)
            first += self._reader.readline(_LINE)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise _Gone from error
        if not first:
            raise _Gone
        status, reason, found = _head(first, self._reader)
        content = _body(method, status, found, self._reader)
        if found.get("connection", "").lower() == "close" or not first.startswith(b"HTTP/1.1"):
            self.close()
        return Response(status, reason, found, content)

    def _first_byte(self, opened: socket.socket, wake: int) -> bytes:
        """The first byte of the answer. Raises Interrupted, TimeoutError."""
        opened.setblocking(False)
        try:
            while True:
                try:
                    return opened.recv(1)
                except (BlockingIOError, ssl.SSLWantReadError):
                    ready = select.select([opened.fileno(), wake], [], [], self._timeout)[0]
                if wake in ready:
                    raise Interrupted
                if not ready:
                    raise TimeoutError
        finally:
            opened.settimeout(self._timeout)

    def _open(self) -> None:
        first = self._origin if self._proxy is None else self._proxy.url
        opened = socket.create_connection((first.host, first.port), timeout=self._timeout)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._origin.scheme == "https":
                if self._proxy is not None:
                    self._tunnel(opened, self._proxy)
                assert self._context is not None
                opened = self._context.wrap_socket(opened, server_hostname=self._origin.host)
        except BaseException:
            opened.close()
            raise
        self._socket, self._reader = opened, opened.makefile("rb")

    def _tunnel(self, opened: socket.socket, proxy: Proxy) -> None:
        where = f"{self._origin.host}:{self._origin.port}"
        extra = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        opened.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{extra}\r\n".encode("latin-1"))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            byte = opened.recv(1)  # one by one: what follows the blank line belongs to TLS
            answer += byte
            if not byte or len(answer) > _LINE:
                raise ValueError("The proxy closed the tunnel")
        status = answer.split(b" ", 2)[1:2]
        if status != [b"200"]:
            raise ValueError(f"The proxy refused the tunnel: {answer.splitlines()[0].decode('latin-1')}")


class Interrupted(Exception):
    """Something else has to be looked at first; the request was given up."""


class _Gone(Exception):
    """The other side closed the connection before it answered."""


def _head(first: bytes, reader: BinaryIO) -> tuple[int, str, dict[str, str]]:
    parts = first.decode("latin-1").rstrip("\r\n").split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise ValueError("The answer is no HTTP")
    headers: dict[str, str] = {}
    while (line := reader.readline(_LINE)) not in {b"\r\n", b"\n"}:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or len(headers) > 200:
            raise ValueError("The answer ended in its headers")
        headers.setdefault(name.strip().lower(), value.strip())
    return int(parts[1]), parts[2] if len(parts) > 2 else "", headers


def _body(method: str, status: int, headers: dict[str, str], reader: BinaryIO) -> bytes:
    if method == "HEAD" or status in {204, 304}:
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        content = b""
        while size := int(reader.readline(_LINE).split(b";")[0], 16):
            content += _exactly(reader, size)
            reader.readline(_LINE)
            if len(content) > _LIMIT:
                raise ValueError("The answer is too large")
        while reader.readline(_LINE) not in {b"\r\n", b"\n", b""}:
            pass
        return content
    if "content-length" in headers:
        return _exactly(reader, int(headers["content-length"]))
    headers["connection"] = "close"
    return reader.read(_LIMIT)


def _exactly(reader: BinaryIO, size: int) -> bytes:
    if size > _LIMIT:
        raise ValueError("The answer is too large")
    content = reader.read(size)
    if len(content) < size:
        raise ValueError(f"The answer ended after {len(content)} of {size} bytes")
    return content


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The SSL connection could not be established: the certificate is not trusted, {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
