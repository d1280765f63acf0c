"""Personal access tokens: who may do what. Only hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass

READ = "vso.agentpools"
MANAGE = "vso.agentpools_manage"
SCOPES = frozenset({READ, MANAGE, "vso.build", "vso.build_execute", "vso.code", "vso.packaging", "vso.project"})
"""Scopes that a token can have here; the last five open nothing on these routes."""

_ALPHABET = string.ascii_letters + string.digits


@dataclass
class Pat:
    """What is known of a token: never the token."""

    scopes: frozenset[str]
    expired: bool = False
    revoked: bool = False

    @property
    def usable(self) -> bool:
        """Whether the service accepts it at all."""
        return not (self.expired or self.revoked)


class Pats:
    """All tokens of an organization, by hash."""

    def __init__(self) -> None:
        self._by_hash: dict[str, Pat] = {}

    def add(self, scopes: Iterable[str], expired: bool = False) -> str:
        """Make a token and return it; it cannot be had again. Raises ValueError for a scope that does not exist."""
        wanted = frozenset(scopes)
        if unknown := wanted - SCOPES:
            raise ValueError(f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(sorted(SCOPES))}")
        token = "".join(secrets.choice(_ALPHABET) for _ in range(76)) + "AZDO" + "".join(secrets.choice(_ALPHABET) for _ in range(4))
        self._by_hash[digest(token)] = Pat(wanted, expired)
        return token

    def find(self, token: str) -> Pat | None:
        """What is known of `token`, whether it can still be used or not."""
        return self._by_hash.get(digest(token))

    def revoke(self, token: str) -> None:
        """From now on `token` opens nothing. Raises KeyError when it was never given out."""
        pat = self.find(token)
        if pat is None:
            raise KeyError("this token was never given out")
        pat.revoked = True

    def counts(self) -> dict[str, int]:
        """How many tokens there are, by state."""
        pats = list(self._by_hash.values())
        return {
            "active": sum(pat.usable for pat in pats),
            "expired": sum(pat.expired and not pat.revoked for pat in pats),
            "revoked": sum(pat.revoked for pat in pats),
        }


def digest(token: str) -> str:
    """What is kept instead of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
