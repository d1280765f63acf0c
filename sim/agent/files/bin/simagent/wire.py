"""HTTP/1.1 over one kept-alive connection, straight or through a proxy.

Written on our own streams: http.client and urllib cost more to import than a registration takes.
"""

from __future__ import annotations

import _ssl

from .errors import NetworkError
from .stream import Gone, Stream

LIMIT = 64 << 20
"""Bytes of the largest answer."""


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


class Connection:
    """The way to one origin. `timeout` is the longest silence in seconds."""

    def __init__(self, origin: Url, context: _ssl._SSLContext | None, proxy: Proxy | None, timeout: float) -> None:
        self._origin, self._context, self._proxy, self._timeout = origin, context, proxy, timeout
        self._stream: Stream | None = None

    def limit(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._timeout = seconds
        if self._stream is not None:
            self._stream.limit(seconds)

    def close(self) -> None:
        opened, self._stream = self._stream, None
        if opened is not None:
            opened.close()

    def exchange(self, method: str, target: str, headers: dict[str, str], body: bytes, wake: int = -1) -> Response:
        """One request and its answer. Raises NetworkError, or Interrupted when `wake` became readable before the answer began.

        A kept connection that the server has closed meanwhile is opened anew.
        """
        while True:
            kept = self._stream is not None
            try:
                return self._exchange(method, target, headers, body, wake)
            except Gone as error:
                self.close()
                if not kept:
                    raise NetworkError(f"The connection to {self._origin.origin} was closed before an answer came.") from error
            except TimeoutError as error:
                self.close()
                raise NetworkError(f"{self._origin.origin} did not answer within {self._timeout:.0f} seconds.", timed_out=True) from error
            except (OSError, ValueError) as error:
                self.close()
                unsafe = isinstance(error, _ssl.SSLCertVerificationError)
                raise NetworkError(f"{_why(error)} ({self._origin.host}:{self._origin.port})", may_pass=not unsafe) from error
            except BaseException:  # the rest of this answer must not be taken for the next one
                self.close()
                raise

    def _exchange(self, method: str, target: str, headers: dict[str, str], body: bytes, wake: int) -> Response:
        if self._stream is None:
            self._stream = self._opened()
        stream = self._stream
        plain_proxy = self._proxy is not None and self._origin.scheme == "http"
        lines = [f"{method} {self._origin.origin if plain_proxy else ''}{target} HTTP/1.1", f"Host: {self._origin.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if plain_proxy and self._proxy is not None and self._proxy.authorization:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        if body or method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(body)}")
        stream.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        if wake >= 0:
            stream.wait(wake)
        first = stream.line()
        if not first:
            raise Gone
        status, reason, found = _head(first, stream)
        content = _body(method, status, found, stream)
        if found.get("connection", "").lower() == "close" or not first.startswith(b"HTTP/1.1"):
            self.close()
        return Response(status, reason, found, content)

    def _opened(self) -> Stream:
        first = self._origin if self._proxy is None else self._proxy.url
        opened = Stream(first.host, first.port, self._timeout)
        try:
            if self._origin.scheme == "https":
                if self._proxy is not None:
                    self._tunnel(opened, self._proxy)
                assert self._context is not None
                opened.secure(self._context, self._origin.host)
        except BaseException:
            opened.close()
            raise
        return opened

    def _tunnel(self, opened: Stream, proxy: Proxy) -> None:
        """Ask the proxy for a way through; it says nothing more before we do, so no byte of TLS is lost."""
        where = f"{self._origin.host}:{self._origin.port}"
        extra = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        opened.send(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{extra}\r\n".encode("latin-1"))
        first = opened.line()
        if not first:
            raise ValueError("The proxy closed the tunnel")
        status = _head(first, opened)[0]
        if status != 200:
            raise ValueError(f"The proxy refused the tunnel: {first.decode('latin-1').strip()}")


def _head(first: bytes, stream: Stream) -> tuple[int, str, dict[str, str]]:
    parts = first.decode("latin-1").rstrip("\r\n").split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise ValueError("The answer is no HTTP")
    headers: dict[str, str] = {}
    while (line := stream.line()) not in {b"\r\n", b"\n"}:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or len(headers) > 200:
            raise ValueError("The answer ended in its headers")
        headers.setdefault(name.strip().lower(), value.strip())
    return int(parts[1]), parts[2] if len(parts) > 2 else "", headers


def _body(method: str, status: int, headers: dict[str, str], stream: Stream) -> bytes:
    if method == "HEAD" or status in {204, 304}:
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        content = b""
        while size := int(stream.line().split(b";")[0], 16):
            content += stream.exactly(_bounded(size + len(content)) - len(content))
            stream.line()
        while stream.line() not in {b"\r\n", b"\n", b""}:
            pass
        return content
    if "content-length" in headers:
        return stream.exactly(_bounded(int(headers["content-length"])))
    headers["connection"] = "close"
    return stream.rest(LIMIT)


def _bounded(size: int) -> int:
    if not 0 <= size <= LIMIT:
        raise ValueError("The answer is too large")
    return size


def _why(error: Exception) -> str:
    if isinstance(error, _ssl.SSLCertVerificationError):
        return f"The SSL connection could not be established: the certificate is not trusted, {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
