"""HTTP/1.1, as much as first boot needs of it: whole answers, within one deadline however slowly they come, and no redirection followed.

http.client would cost its import (with email) and waits for as long as something drips.
"""

from __future__ import annotations

import socket
import time

from . import TYPE_CHECKING
from .userdata import URL

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from .tunnel import Inner

_LIMIT = 4 << 20


class Broken(Exception):
    """What came is not HTTP, or is not all of it."""


class Refused(Broken):
    """A proxy does not let us through."""


class Answer:
    """An HTTP answer; names of `headers` are in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """A server, reached directly or through a proxy; kept open between requests where the server agrees.

    Raises OSError (TimeoutError and ssl.SSLError are of it) or Broken.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, proxy: str = "", timeout: float = 20.0) -> None:
        match = URL.fullmatch(url)
        if not match:
            raise ValueError("not a URL")
        self._secure = match["scheme"] == "https"
        self._host = match["host"].strip("[]")
        self._port = int(match["port"] or (443 if self._secure else 80))
        self._authority = match["host"] + (f":{match['port']}" if match["port"] else "")
        self._tls = tls
        self._proxy = URL.fullmatch(proxy)
        self._timeout = timeout
        self._link: socket.socket | Inner | None = None
        self._rest = b""

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One request and its whole answer. A kept connection that the server has closed meanwhile is opened anew, once."""
        deadline = time.monotonic() + self._timeout
        kept = self._link is not None
        try:
            return self._once(method, path, headers or {}, deadline)
        except (OSError, Broken) as error:
            self.close()
            if not kept or isinstance(error, TimeoutError):
                raise
        return self._once(method, path, headers or {}, deadline)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._rest = b""

    def _once(self, method: str, path: str, headers: Mapping[str, str], deadline: float) -> Answer:
        try:
            if self._link is None:
                self._link = self._open(deadline)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {self._authority}", "User-Agent: goldbake-firstboot"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if method in {"PUT", "POST"}:
                lines.append("Content-Length: 0")
            self._send("\r\n".join([*lines, "", ""]).encode(), deadline)
            answer = self._receive(method, deadline)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def _open(self, deadline: float) -> socket.socket | Inner:
        proxy = self._proxy
        if not proxy:
            link = _connect(self._host, self._port, deadline)
        else:
            link = _connect(proxy["host"].strip("[]"), int(proxy["port"] or (443 if proxy["scheme"] == "https" else 80)), deadline)
        try:
            if not proxy:
                return self._wrapped(link, self._host, deadline) if self._secure else link
            return self._through(link, proxy["host"].strip("[]"), proxy["scheme"] == "https", deadline)
        except BaseException:
            link.close()
            raise

    def _through(self, link: socket.socket, proxy: str, secure: bool, deadline: float) -> socket.socket | Inner:
        """Ask the proxy for a connection to the server."""
        outer = self._wrapped(link, proxy, deadline) if secure else link
        try:
            self._link = outer
            target = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
            self._send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode(), deadline)
            answer = self._receive("CONNECT", deadline)
            self._link = None
            if answer.status != 200:
                raise Refused(f"the proxy {proxy} answers {answer.status}")
            if not secure:
                return self._wrapped(outer, self._host, deadline)
            from .tunnel import Inner

            assert self._tls is not None
            outer.settimeout(_left(deadline))
            return Inner(outer, self._tls, self._host)
        except BaseException:
            outer.close()
            raise

    def _wrapped(self, link: socket.socket, host: str, deadline: float) -> socket.socket:
        assert self._tls is not None
        link.settimeout(_left(deadline))
        return self._tls.wrap_socket(link, server_hostname=host)

    def _send(self, data: bytes, deadline: float) -> None:
        assert self._link is not None
        self._link.settimeout(_left(deadline))
        self._link.sendall(data)

    def _more(self, deadline: float) -> bytes:
        assert self._link is not None
        self._link.settimeout(_left(deadline))
        return self._link.recv(65536)

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._rest:
            data = self._more(deadline)
            if not data or len(self._rest) > 65536:
                raise Broken("the answer breaks off")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r").decode("latin-1")

    def _exactly(self, size: int, deadline: float) -> bytes:
        if size > _LIMIT:
            raise Broken("the answer is too large")
        while len(self._rest) < size:
            data = self._more(deadline)
            if not data:
                raise Broken("the answer breaks off")
            self._rest += data
        body, self._rest = self._rest[:size], self._rest[size:]
        return body

    def _receive(self, method: str, deadline: float) -> Answer:
        while True:
            version, _, rest = self._line(deadline).partition(" ")
            number = rest[:3]
            if not version.startswith("HTTP/1.") or not (number.isascii() and number.isdigit() and len(number) == 3):
                raise Broken("the answer is not HTTP")
            status = int(number)
            headers: dict[str, str] = {}
            while line := self._line(deadline):
                if len(headers) > 200:
                    raise Broken("the answer has too many headers")
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            if status >= 200:
                break
        return Answer(status, headers, self._body(method, status, headers, deadline))

    def _body(self, method: str, status: int, headers: dict[str, str], deadline: float) -> bytes:
        if method in {"HEAD", "CONNECT"} or status in {204, 304}:
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks(deadline)
        length = headers.get("content-length")
        if length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 12):
                raise Broken("the answer has a broken length")
            return self._exactly(int(length), deadline)
        headers["connection"] = "close"
        body, self._rest = self._rest, b""
        while data := self._more(deadline):
            body += data
            if len(body) > _LIMIT:
                raise Broken("the answer is too large")
        return body

    def _chunks(self, deadline: float) -> bytes:
        body = b""
        while True:
            try:
                size = int(self._line(deadline).partition(";")[0], 16)
            except ValueError:
                raise Broken("the answer has a broken chunk") from None
            if size < 0 or len(body) + size > _LIMIT:
                raise Broken("the answer is too large")
            if size == 0:
                while self._line(deadline):
                    pass
                return body
            body += self._exactly(size, deadline)
            self._line(deadline)


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    link = socket.create_connection((host, port), timeout=_left(deadline))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no whole answer in time")
    return left


def trust(ca: str) -> ssl.SSLContext:
    """The system's certificates and those of `ca` (PEM). Raises ssl.SSLError when `ca` holds none."""
    import ssl

    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    return context
