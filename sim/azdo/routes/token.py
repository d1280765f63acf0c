"""The token endpoint of the agents."""

from __future__ import annotations

from urllib.parse import parse_qsl

from sim.azdo.access import Access
from sim.azdo.exchange import Answer, json_answer
from sim.azdo.router import Call, Route
from sim.azdo.tokens import TokenError

PATH = "_apis/oauth2/token"


def exchange(call: Call) -> Answer:
    """POST _apis/oauth2/token: a signed assertion for a bearer token."""
    form = dict(parse_qsl(call.request.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        token = call.state.tokens.exchange(form, call.state.agents.by_client)
    except TokenError as error:
        return refusal(error.error, error.description)
    return json_answer({"access_token": token, "expires_in": int(call.state.tokens.lifetime), "token_type": "JWT"})


def refusal(error: str, description: str) -> Answer:
    """The 400 of OAuth."""
    return json_answer({"error": error, "error_description": description}, 400)


ROUTES = (Route("POST", PATH, Access.NOBODY, exchange, source="facts 3.3.6", needs_version=False),)
