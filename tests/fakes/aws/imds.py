"""The instance metadata service as one instance of the fake sees it: version 2 with its token, hop limit, user-data, and its own end."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.aws.service import FakeAws

ADDRESS = "169.254.169.254"
_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"
_TTL_MAX = 21600


class Imds:
    """Serves on a socket that listens already, in whatever network namespace it was made, from `start` to `stop`."""

    def __init__(self, fake: FakeAws, instance_id: str, listener: socket.socket) -> None:
        self.instance = fake.instance(instance_id)
        self.asked: list[tuple[str, str, int]] = []
        """Method, path and status of every request."""
        self.tokens: dict[str, float] = {}
        self._listener = listener
        self._links: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name=f"imds-{instance_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for link in [self._listener, *self._links]:
            _shut(link)
        self._thread.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def options(self) -> Any:
        return self.instance.metadata_options

    def paths(self) -> dict[str, Callable[[], str | bytes | None]]:
        """What can be asked for; None is not there."""
        one = self.instance
        pair = one.ec2_backend.key_pairs.get(one.key_name)
        return {
            "user-data": lambda: one.user_data.decode() if one.user_data is not None else None,
            "meta-data/instance-id": lambda: one.id,
            "meta-data/ami-id": lambda: one.image_id,
            "meta-data/instance-type": lambda: one.instance_type,
            "meta-data/local-ipv4": lambda: one.private_ip,
            "meta-data/public-ipv4": lambda: one.public_ip,
            "meta-data/local-hostname": lambda: one.private_dns_name,
            "meta-data/placement/availability-zone": lambda: one.availability_zone,
            "meta-data/placement/region": lambda: one.ec2_backend.region_name,
            "meta-data/public-keys/0/openssh-key": lambda: pair.public_key if pair else None,
        }

    def _accept(self) -> None:
        while True:
            try:
                link, address = self._listener.accept()
            except OSError:  # stopped
                return
            self._links.add(link)
            thread = threading.Thread(target=self._serve, args=(link, address), name="imds-connection", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket, address: Any) -> None:
        try:
            _Handler(link, address, self)
        except OSError:  # it went away
            pass
        finally:
            self._links.discard(link)
            link.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Imds  # type: ignore[assignment]

    def __init__(self, link: socket.socket, address: Any, server: Imds) -> None:
        super().__init__(link, address, server)  # type: ignore[arg-type]

    def do_PUT(self) -> None:
        ttl = self.headers.get(_TTL, "")
        if self.server.options.http_endpoint == "disabled" or "X-Forwarded-For" in self.headers:
            self._answer(403)
        elif self.path != "/latest/api/token":
            self._answer(404)
        elif not ttl.isdigit() or not 1 <= int(ttl) <= _TTL_MAX:
            self._answer(400)
        else:
            token = secrets.token_urlsafe(32)
            self.server.tokens[token] = time.monotonic() + int(ttl)
            # The hop limit is the answer's own: a router between takes one off, and none is left for a container's network. It stays for as
            # long as the connection does, or what was dropped would be sent again without it.
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.server.options.http_put_response_hop_limit)
            self._answer(200, token.encode())

    def do_GET(self) -> None:
        found = self.server.paths().get(self.path.removeprefix("/latest/").rstrip("/"), lambda: None)()
        if self.server.options.http_endpoint == "disabled":
            self._answer(403)
        elif not self._may_read():
            self._answer(401)
        elif found is None:
            self._answer(404)
        else:
            self._answer(200, found if isinstance(found, bytes) else found.encode())

    def _may_read(self) -> bool:
        token = self.headers.get(_TOKEN)
        if token is None:
            return bool(self.server.options.http_tokens != "required")
        return self.server.tokens.get(token, 0.0) >= time.monotonic()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.server.asked.append((self.command, self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _shut(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is over already
        pass
