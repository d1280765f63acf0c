"""Sessions: by them an agent goes online and offline."""

from __future__ import annotations

from typing import Any

from sim.azdo.access import Access, require_agent
from sim.azdo.agents import checked_capabilities, text
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, json_answer
from sim.azdo.router import Call, Route


def open_session(call: Call) -> Answer:
    """POST a session: the agent is online from now on."""
    pool, body = call.state.pools.get(call.number("poolId")), call.request.document()
    reference: Any = body.get("agent")
    agent_id = reference.get("id") if isinstance(reference, dict) else None
    if not isinstance(agent_id, int):
        raise ServiceError("VssPropertyValidationException", "A session needs the id of its agent.")
    agent = call.state.agents.get(pool.id, agent_id)
    require_agent(call.identity, agent)
    capabilities = checked_capabilities(body.get("systemCapabilities"))
    version, system = text(reference, "version", agent.version), text(reference, "osDescription", agent.os_description)
    session = call.state.open_session(agent, text(body, "ownerName", ""), capabilities)
    agent.version, agent.os_description = version, system
    return json_answer({"sessionId": session.id, "ownerName": session.owner, "agent": agent.reference()})


def close_session(call: Call) -> Answer:
    """DELETE a session: the agent is offline. One that is not open any more is no error."""
    session = call.state.sessions.by_id.get(call.values["sessionId"].lower())
    if session is not None and session.pool_id == call.number("poolId"):
        require_agent(call.identity, call.state.agents.get(session.pool_id, session.agent_id))
        call.state.close_session(session)
    return EMPTY


_ALL = "_apis/distributedtask/pools/{poolId}/sessions"
ROUTES = (
    Route("POST", _ALL, Access.AGENT, open_session, source="facts 3.4.1", takes="TaskAgentSession", gives="TaskAgentSession"),
    Route("DELETE", _ALL + "/{sessionId}", Access.AGENT, close_session, source="facts 3.4.5"),
)
