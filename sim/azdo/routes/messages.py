"""Messages: an agent asks for them all the time, and deletes each that it has taken."""

from __future__ import annotations

from sim.azdo.access import Access, require_agent
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, json_answer
from sim.azdo.router import Call, Route
from sim.azdo.sessions import Session

NOTHING = Answer(202)
"""No message came while the poll lasted."""


def next_message(call: Call) -> Answer:
    """GET the next message, waiting for it."""
    session = _session(call)
    last = call.request.query.get("lastmessageid", "")
    message = call.state.wait_for_message(session, int(last) if last.isdecimal() else None, call.alive)
    return NOTHING if message is None else json_answer(message.document())


def delete_message(call: Call) -> Answer:
    """DELETE a message: the agent has it."""
    call.state.acknowledge(_session(call), call.number("messageId"))
    return EMPTY


def _session(call: Call) -> Session:
    """The open session that the query names, if the caller is its agent. Raises ServiceError."""
    pool, session_id = call.state.pools.get(call.number("poolId")), call.request.query.get("sessionid")
    if not session_id:
        raise ServiceError("VssPropertyValidationException", "sessionId is missing.")
    if call.identity.agent_id is not None:
        call.state.agents.get(pool.id, call.identity.agent_id)
    session = call.state.sessions.get(pool.id, session_id)
    require_agent(call.identity, call.state.agents.get(pool.id, session.agent_id))
    return session


_ALL = "_apis/distributedtask/pools/{poolId}/messages"
ROUTES = (
    Route("GET", _ALL, Access.AGENT, next_message, source="facts 3.4.2", gives="TaskAgentMessage"),
    Route("DELETE", _ALL + "/{messageId}", Access.AGENT, delete_message, source="facts 3.4.2"),
)
