"""TLS to the service inside TLS to a proxy; ssl.SSLContext.wrap_socket cannot do that."""

from __future__ import annotations

import ssl

from . import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any


class Inner:
    """As much of a socket as `web.Connection` uses, over a link that is encrypted already."""

    def __init__(self, link: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._link = link
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._pump(self._tls.do_handshake)

    def settimeout(self, seconds: float) -> None:
        self._link.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        self._pump(lambda: self._tls.write(data))

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self._pump(lambda: self._tls.read(size))
            return data
        except ssl.SSLZeroReturnError:
            return b""

    def close(self) -> None:
        self._link.close()

    def _pump(self, step: Callable[[], Any]) -> Any:
        """Do one step of the inner TLS, with as much to and fro as it wants."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._link.recv(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self._link.sendall(data)
