"""Metadata services of AWS, Google Cloud and Azure on loopback, as strict as the real ones, and a record of what they were asked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, bytes, dict[str, str]]
NOT_FOUND: Reply = (404, b"<?xml version='1.0'?><html>404 - Not Found</html>", {"Content-Type": "text/html"})


class Metadata:
    """One cloud's service; `data` is the user-data (None: the instance has none), `later` how many requests fail before it is up."""

    def __init__(self, data: bytes | None, later: int = 0) -> None:
        self.data = data
        self.later = later
        self.url = ""
        self.asked: list[str] = []

    def reply(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        self.asked.append(f"{method} {path}")
        if self.later:
            self.later -= 1
            return 503, b"", {}
        return self.answer(method, path, headers)

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        raise NotImplementedError


class Aws(Metadata):
    """IMDSv2 with HttpTokens=required: without a token by PUT there is 401."""

    token = "AQAEAtoken=="

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if path == "/latest/api/token":
            if (
                method != "PUT"
                or not 1 <= int(headers.get("X-aws-ec2-metadata-token-ttl-seconds", 0)) <= 21600
                or "X-Forwarded-For" in headers
            ):
                return 403, b"", {}
            return 200, self.token.encode(), {"Content-Type": "text/plain"}
        if headers.get("X-aws-ec2-metadata-token") != self.token:
            return 401, b"", {}
        found = {"/latest/user-data": self.data, "/latest/meta-data/instance-id": b"i-0123456789abcdef0"}.get(path)
        return NOT_FOUND if found is None else (200, found, {"Content-Type": "application/octet-stream"})


class Gcp(Metadata):
    """Without the header there is 403; every answer has it, too."""

    flavor = "Google"

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("Metadata-Flavor") != "Google":
            return 403, b"", {}
        base = "/computeMetadata/v1/instance/"
        found = {f"{base}attributes/user-data": self.data, f"{base}name": b"agent-7f3a"}.get(path)
        status, body, more = NOT_FOUND if found is None else (200, found, {"Content-Type": "application/text"})
        return status, body, {**more, "Metadata-Flavor": self.flavor}


class Azure(Metadata):
    """Without `Metadata: true` there is 400; userData comes in base64."""

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("Metadata") != "true" or "api-version=" not in path:
            return 400, b'{"error": "Bad request"}', {}
        compute = {"name": "vm-3", "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "userData": base64.b64encode(self.data or b"").decode()}
        return 200, json.dumps(compute).encode(), {"Content-Type": "application/json; charset=utf-8"}


@contextmanager
def serving(service: Metadata) -> Iterator[Metadata]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body, headers = service.reply(self.command, self.path, self.headers)  # type: ignore[arg-type]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    service.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
