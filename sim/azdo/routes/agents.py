"""Agents of a pool: registration, listing, draining, removal, progress of an update."""

from __future__ import annotations

from typing import Any

from sim.azdo.access import Access, require_agent
from sim.azdo.agents import Agent, Registration, checked_capabilities, text
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, Request, json_answer, list_answer
from sim.azdo.jobs import Demand
from sim.azdo.router import Call, Route
from sim.azdo.state import State


def list_agents(call: Call) -> Answer:
    """GET agents, filtered by name and demands."""
    pool, query = call.state.pools.get(call.number("poolId")), call.request.query
    agents = call.state.agents.of_pool(pool.id)
    if name := query.get("agentname"):
        agents = [agent for agent in agents if agent.name.casefold() == name.casefold()]
    if lines := query.get("demands"):
        try:
            demands = [Demand.parse(line) for line in lines.split(",")]
        except ValueError as error:
            raise ServiceError("VssPropertyValidationException", str(error)) from error
        agents = [agent for agent in agents if all(demand.met(agent.capabilities) for demand in demands)]
    return list_answer([_document(call.state, call.request, agent) for agent in agents])


def get_agent(call: Call) -> Answer:
    """GET one agent, or whether the caller may see it."""
    if call.request.flag("isCheckPermissions"):
        _agent(call)
        return json_answer(True)
    return json_answer(_document(call.state, call.request, _agent(call)))


def add_agent(call: Call) -> Answer:
    """POST an agent: its registration."""
    agent = call.state.register(call.state.pools.get(call.number("poolId")), Registration.parse(call.request.document()))
    return json_answer(registration(call.state, agent))


def replace_agent(call: Call) -> Answer:
    """PUT an agent: another machine, or another key, takes its place."""
    agent, body = _agent(call), call.request.document()
    _check_id(agent, body)
    call.state.replace(agent, Registration.parse(body))
    return json_answer(registration(call.state, agent))


def change_agent(call: Call) -> Answer:
    """PATCH an agent: what the body names; `enabled` false drains it."""
    agent, body = _agent(call), call.request.document()
    _check_id(agent, body)
    if not isinstance(body.get("enabled", True), bool):
        raise ServiceError("VssPropertyValidationException", "enabled must be true or false.")
    name = text(body, "name", agent.name)
    user = checked_capabilities(body.get("userCapabilities", agent.user_capabilities))
    call.state.agents.check_name(agent.pool_id, name, besides=agent)
    agent.name, agent.user_capabilities = name, user
    agent.enabled = body.get("enabled", agent.enabled)
    call.state.dispatch()
    return json_answer(agent.document())


def delete_agent(call: Call) -> Answer:
    """DELETE an agent; refused while it runs a job."""
    call.state.remove_agent(_agent(call))
    return EMPTY


def report_update(call: Call) -> Answer:
    """PUT the progress of a self-update."""
    agent = _agent(call)
    require_agent(call.identity, agent)
    agent.update_state = call.request.query.get("currentstate", "")
    return json_answer(agent.document())


def registration(state: State, agent: Agent) -> dict[str, Any]:
    """The answer to a registration: the agent with its authorization."""
    document = agent.document(capabilities=True)
    document["properties"] = {"ServerUrl": {"$type": "System.String", "$value": f"{state.url}/"}}
    if agent.key is not None:
        document["authorization"] = {
            "authorizationUrl": state.tokens.audience,
            "clientId": agent.client_id,
            "publicKey": agent.key.document(),
        }
    return document


def _document(state: State, request: Request, agent: Agent) -> dict[str, Any]:
    document = agent.document(capabilities=request.flag("includeCapabilities"))
    if request.flag("includeAssignedRequest") and (job := state.current_job(agent)):
        document["assignedRequest"] = job.document()
    if request.flag("includeLastCompletedRequest") and (job := state.last_job(agent)):
        document["lastCompletedRequest"] = job.document()
    return document


def _agent(call: Call) -> Agent:
    pool = call.state.pools.get(call.number("poolId"))
    return call.state.agents.get(pool.id, call.number("agentId"))


def _check_id(agent: Agent, body: dict[str, Any]) -> None:
    if body.get("id", agent.id) not in (agent.id, 0):
        raise ServiceError("VssPropertyValidationException", f"The body is of agent {body['id']}, the path of agent {agent.id}.")


_ALL = "_apis/distributedtask/pools/{poolId}/agents"
_ONE = "_apis/distributedtask/pools/{poolId}/agents/{agentId}"
ROUTES = (
    Route("GET", _ALL, Access.READ, list_agents),
    Route("POST", _ALL, Access.MANAGE, add_agent),
    Route("GET", _ONE, Access.READ, get_agent),
    Route("PUT", _ONE, Access.MANAGE, replace_agent),
    Route("PATCH", _ONE, Access.MANAGE, change_agent),
    Route("DELETE", _ONE, Access.MANAGE, delete_agent),
    Route("PUT", _ONE + "/updates", Access.AGENT, report_update, source="facts 3.2, 3.4.3", gives="TaskAgent"),
)
