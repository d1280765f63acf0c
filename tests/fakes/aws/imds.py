"""The instance metadata service as one instance of the fake sees it: version 2 with its token, hop limit, user-data, and its own end."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.fakes.aws.service import FakeAws
from tests.fakes.metadata import Metadata, Question, Reply

_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"
_TTL_MAX = 21600


class Imds(Metadata):
    """Of one instance."""

    def __init__(self, fake: FakeAws, instance_id: str, listener: socket.socket) -> None:
        super().__init__(instance_id, listener)
        self.instance = fake.instance(instance_id)
        self.tokens: dict[str, float] = {}

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

    def reply(self, question: Question) -> Reply:
        return self._token(question) if question.method == "PUT" else self._data(question)

    def _token(self, question: Question) -> Reply:
        ttl = question.headers.get(_TTL, "")
        if self.options.http_endpoint == "disabled" or "X-Forwarded-For" in question.headers:
            return Reply(403)
        if question.path != "/latest/api/token":
            return Reply(404)
        if not ttl.isdigit() or not 1 <= int(ttl) <= _TTL_MAX:
            return Reply(400)
        token = secrets.token_urlsafe(32)
        self.tokens[token] = time.monotonic() + int(ttl)
        # The hop limit is the answer's own: a router between takes one off, and none is left for a container's network. It stays for as long
        # as the connection does, or what was dropped would be sent again without it.
        question.link.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.options.http_put_response_hop_limit)
        return Reply(200, token.encode())

    def _data(self, question: Question) -> Reply:
        found = self.paths().get(question.path.removeprefix("/latest/").rstrip("/"), lambda: None)()
        if self.options.http_endpoint == "disabled":
            return Reply(403)
        if not self._may_read(question):
            return Reply(401)
        if found is None:
            return Reply(404)
        return Reply(200, found if isinstance(found, bytes) else found.encode())

    def _may_read(self, question: Question) -> bool:
        token = question.headers.get(_TOKEN)
        if token is None:
            return bool(self.options.http_tokens != "required")
        return self.tokens.get(token, 0.0) >= time.monotonic()
