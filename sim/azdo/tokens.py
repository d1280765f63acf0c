"""Access tokens of agents: an agent signs an assertion with its private key and receives a bearer token for an hour at most."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from sim.azdo.agents import Agent
from sim.azdo.clock import stamp
from sim.azdo.pats import digest

GRANT = "client_credentials"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_S = 2999
"""Seconds that a token of the real service lives."""

LONGEST_ASSERTION_S = 600
"""An assertion that lives longer than this is refused; the agent's live 5 minutes."""

LEEWAY_S = 300
"""How far the clock of an agent may be off."""


class TokenError(Exception):
    """No token: `error` is OAuth's name of the reason."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class Grant:
    """A token that was given out, without the token."""

    agent_id: int
    key: str
    expires: float


class Tokens:
    """Checks assertions and knows the tokens that it gave out, by hash."""

    def __init__(self, audience: str, now: Callable[[], float], lifetime: float = LIFETIME_S) -> None:
        self.audience = audience
        self.lifetime = lifetime
        self._now = now
        self._grants: dict[str, Grant] = {}
        self._used: dict[str, float] = {}

    def exchange(self, form: dict[str, str], find: Callable[[str], Agent | None]) -> str:
        """A bearer token for the assertion in `form`; `find` knows agents by client id. Raises TokenError."""
        if form.get("grant_type") != GRANT:
            raise TokenError("unsupported_grant_type", f"grant_type must be {GRANT}.")
        if form.get("client_assertion_type") != ASSERTION:
            raise TokenError("invalid_request", f"client_assertion_type must be {ASSERTION}.")
        assertion = form.get("client_assertion", "")
        try:
            client_id = str(jwt.decode(assertion, options={"verify_signature": False}).get("iss", ""))
        except jwt.PyJWTError as error:
            raise TokenError("invalid_request", "client_assertion is no JSON web token.") from error
        agent = find(client_id)
        if agent is None or agent.key is None:
            raise TokenError("invalid_client", f"Client {client_id} is not registered.")
        self._check(assertion, client_id, agent)
        token = secrets.token_urlsafe(48)
        self._grants = {known: grant for known, grant in self._grants.items() if grant.expires > self._now()}
        self._grants[digest(token)] = Grant(agent.id, agent.key.fingerprint(), self._now() + self.lifetime)
        return token

    def find(self, token: str) -> Grant | None:
        """What the token stands for; None when it is unknown or has expired."""
        grant = self._grants.get(digest(token))
        return grant if grant is not None and grant.expires > self._now() else None

    def expire_all(self) -> None:
        """No token that was given out until now opens anything any more."""
        self._grants.clear()

    def _check(self, assertion: str, client_id: str, agent: Agent) -> None:
        assert agent.key is not None
        try:
            claims = jwt.decode(
                assertion,
                agent.key.rsa(),
                algorithms=["RS256"],
                audience=self.audience,
                issuer=client_id,
                options={"require": ["iss", "sub", "aud", "exp", "jti"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise TokenError("invalid_client", f"The assertion was refused: {error}.") from error
        if claims["sub"] != client_id:
            raise TokenError("invalid_client", "The assertion was refused: sub is not iss.")
        self._check_times(claims)
        now, used = self._now(), str(claims["jti"])
        self._used = {known: until for known, until in self._used.items() if until > now}
        if used in self._used:
            raise TokenError("invalid_client", "The assertion was refused: it has been used before.")
        self._used[used] = float(claims["exp"]) + LEEWAY_S

    def _check_times(self, claims: dict[str, object]) -> None:
        now = self._now()
        times = {name: claims[name] for name in ("exp", "nbf") if name in claims}
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in times.values()):
            raise TokenError("invalid_request", "exp and nbf must be numbers.")
        expires, begins = float(str(claims["exp"])), float(str(claims.get("nbf", now)))
        if expires < now - LEEWAY_S or begins > now + LEEWAY_S:
            raise TokenError("invalid_client", clock_text(now, begins, expires))
        if expires - max(begins, now - LEEWAY_S) > LONGEST_ASSERTION_S + LEEWAY_S:
            raise TokenError("invalid_client", f"The assertion was refused: it lives longer than {LONGEST_ASSERTION_S} s.")


def clock_text(now: float, begins: float, expires: float) -> str:
    """What the service says to an agent whose clock is wrong; the agent looks for the words `Current server time is`."""
    return (
        f"The assertion is not valid at this time. Valid from {stamp(begins)} until {stamp(expires)}. Current server time is {stamp(now)}."
    )
