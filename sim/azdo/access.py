"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sim.azdo.agents import Agent
from sim.azdo.errors import ServiceError, document
from sim.azdo.exchange import Answer, Request, json_answer
from sim.azdo.pats import MANAGE, READ, digest
from sim.azdo.state import State

ANONYMOUS_TEXT = "TF400813: Resource not available for anonymous access. Client authentication required."
REFUSED_TEXT = "TF400813: The user '' is not authorized to access this resource."
SIGN_IN_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head><body><h1>Sign in</h1>"
    "<p>This page stands for the sign-in page of the service.</p></body></html>"
)


class Access(StrEnum):
    """What a route asks for."""

    NOBODY = "anybody, without credentials"
    ANYBODY = "any valid credential"
    READ = "a token with the scope vso.agentpools, or vso.agentpools_manage"
    MANAGE = "a token with the scope vso.agentpools_manage"
    AGENT = "the bearer token of the agent itself"


class Rejection(StrEnum):
    """How the service turns away a token that it does not know: all three have been reported."""

    UNAUTHORIZED = "401"
    SIGN_IN_PAGE = "203"
    SIGN_IN_REDIRECT = "302"


@dataclass(frozen=True)
class Identity:
    """Who asks: a person by token (`scopes`), or an agent (`agent_id`)."""

    descriptor: str
    name: str
    scopes: frozenset[str] = frozenset()
    agent_id: int | None = None

    def document(self) -> dict[str, Any]:
        """This identity as connectionData has it; constant for a credential."""
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, self.descriptor)),
            "descriptor": self.descriptor,
            "subjectDescriptor": f"sim.{digest(self.descriptor)[:24]}",
            "providerDisplayName": self.name,
            "isActive": True,
            "properties": {"Account": {"$type": "System.String", "$value": self.name}},
            "resourceVersion": 2,
            "metaTypeId": 0,
        }


ANONYMOUS = Identity("System:PublicAccess;aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "Anonymous")
"""Nobody in particular."""


class Unauthorized(Exception):
    """No credential, or one that opens nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def identify(state: State, request: Request) -> Identity:
    """Who asks. Raises Unauthorized."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        raise Unauthorized(ANONYMOUS_TEXT)
    if scheme.lower() == "basic":
        token = _password(value)
        pat = state.pats.find(token) if token is not None else None
        if token is None or pat is None or not pat.usable:
            raise Unauthorized(REFUSED_TEXT)
        return Identity(f"Microsoft.IdentityModel.Claims.ClaimsIdentity;simulated\\{digest(token)[:16]}", "Pool Administrator", pat.scopes)
    if scheme.lower() == "bearer":
        grant = state.tokens.find(value.strip())
        agent = state.agents.by_id.get(grant.agent_id) if grant is not None else None
        if grant is None or agent is None or agent.key is None or agent.key.fingerprint() != grant.key:
            raise Unauthorized(REFUSED_TEXT)
        return Identity(
            f"Microsoft.TeamFoundation.ServiceIdentity;{state.instance_id}:AgentPool:{agent.client_id}", agent.name, agent_id=agent.id
        )
    raise Unauthorized(REFUSED_TEXT)


def require(state: State, identity: Identity, access: Access, pool_id: int | None) -> None:
    """Raises ServiceError when `identity` lacks what a route asks for (Access.AGENT is checked against the agent by `require_agent`)."""
    allowed = {
        Access.NOBODY: True,
        Access.ANYBODY: True,
        Access.READ: bool(identity.scopes & {READ, MANAGE}),
        Access.MANAGE: MANAGE in identity.scopes,
        Access.AGENT: identity.agent_id is not None or MANAGE in identity.scopes,
    }[access]
    if not allowed:
        wanted = "View" if access is Access.READ else "Manage"
        pool = state.pools.by_id.get(pool_id) if pool_id is not None else None
        where = f" for pool {pool.name}" if pool is not None else ""
        raise ServiceError(
            "AccessDeniedException",
            f"Access denied. {identity.name} needs {wanted} permissions{where} to perform the action. "
            "For more information, contact the Azure DevOps Server administrator.",
        )


def require_agent(identity: Identity, agent: Agent) -> None:
    """Raises ServiceError unless `identity` is this agent.

    An agent that was answered without an authorization keeps the token of its registration and runs with that, so it may.
    """
    if identity.agent_id == agent.id or (agent.key is None and MANAGE in identity.scopes):
        return
    raise ServiceError("AccessDeniedException", f"Access denied. {identity.name} needs Listen permissions to perform the action.")


def turned_away(state: State, request: Request, text: str, how: Rejection) -> Answer:
    """The answer to somebody who could not be identified."""
    if how is Rejection.SIGN_IN_PAGE:
        return Answer(203, SIGN_IN_PAGE.encode(), "text/html; charset=utf-8")
    if how is Rejection.SIGN_IN_REDIRECT:
        target = f"{request.origin}/_signin?realm={state.organization}&reply_to={request.path}"
        return Answer(302, b"<html><body>Object moved</body></html>", "text/html; charset=utf-8", (("Location", target),))
    challenges = (
        ("WWW-Authenticate", f"Bearer authorization_uri={request.origin}/{state.organization}/_apis/oauth2"),
        ("WWW-Authenticate", f'Basic realm="{request.origin}/"'),
        ("X-TFS-ServiceError", text.replace(" ", "%20")),
    )
    return json_answer(document("UnauthorizedRequestException", text), 401, challenges)


def _password(value: str) -> str | None:
    """The password of Basic credentials; None when they are not exactly base64 of `user:password`."""
    try:
        plain = base64.b64decode(value, validate=True)
        if base64.b64encode(plain).decode() != value:
            return None
        _name, colon, password = plain.decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return password if colon else None
