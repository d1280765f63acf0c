"""Agent pools."""

from __future__ import annotations

from typing import Any

from sim.azdo.access import Access
from sim.azdo.agents import text
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, Request, json_answer, list_answer
from sim.azdo.pools import Pool
from sim.azdo.router import Call, Route
from sim.azdo.state import State

_POOL_TYPES = ("automation", "deployment")
ACTIONS = ("none", "manage", "use")
_SWITCHES = {"autoProvision": "auto_provision", "autoUpdate": "auto_update", "autoSize": "auto_size"}


def list_pools(call: Call) -> Answer:
    """GET pools, filtered by name, type or numbers."""
    query = call.request.query
    pools = list(call.state.pools.by_id.values())
    if name := query.get("poolname"):
        pools = [pool for pool in pools if pool.name.casefold() == name.casefold()]
    if "pooltype" in query:
        kind = choice(call.request, "poolType", _POOL_TYPES)
        pools = [pool for pool in pools if pool.pool_type == kind]
    if "poolids" in query:
        wanted = {int(part) for part in query["poolids"].split(",") if part.strip().isdecimal()}
        pools = [pool for pool in pools if pool.id in wanted]
    choice(call.request, "actionFilter", ACTIONS)
    return list_answer([_document(call.state, pool) for pool in pools])


def get_pool(call: Call) -> Answer:
    """GET one pool."""
    choice(call.request, "actionFilter", ACTIONS)
    return json_answer(_document(call.state, call.state.pools.get(call.number("poolId"))))


def create_pool(call: Call) -> Answer:
    """POST a pool."""
    body, settings = call.request.document(), {}
    if body.get("poolType") is not None:
        if body["poolType"] not in _POOL_TYPES:
            raise ServiceError("VssPropertyValidationException", f"{body['poolType']!r} is no type of a pool.")
        settings["pool_type"] = body["poolType"]
    pool = call.state.add_pool(text(body, "name", ""), **settings, **_settings(body))
    return json_answer(_document(call.state, pool))


def change_pool(call: Call) -> Answer:
    """PATCH a pool: what the body names."""
    pool, body = call.state.pools.get(call.number("poolId")), call.request.document()
    settings = _settings(body)
    call.state.pools.rename(pool, text(body, "name", pool.name))
    for name, value in settings.items():
        setattr(pool, name, value)
    return json_answer(_document(call.state, pool))


def delete_pool(call: Call) -> Answer:
    """DELETE a pool and its agents."""
    call.state.remove_pool(call.state.pools.get(call.number("poolId")))
    return EMPTY


def choice(request: Request, name: str, known: tuple[str, ...]) -> str | None:
    """The value of a query parameter that has only `known` values. Raises ServiceError."""
    value = request.query.get(name.lower())
    if value is None:
        return None
    for candidate in known:
        if candidate.casefold() == value.casefold():
            return candidate
    raise ServiceError("VssPropertyValidationException", f"The value {value!r} is not valid for {name}.")


def _document(state: State, pool: Pool) -> dict[str, Any]:
    return pool.document(len(state.agents.of_pool(pool.id)))


def _settings(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, attribute in _SWITCHES.items():
        if body.get(name) is not None:
            if not isinstance(body[name], bool):
                raise ServiceError("VssPropertyValidationException", f"{name} must be true or false.")
            found[attribute] = body[name]
    if body.get("targetSize") is not None:
        if not isinstance(body["targetSize"], int) or isinstance(body["targetSize"], bool):
            raise ServiceError("VssPropertyValidationException", "targetSize must be a number.")
        found["target_size"] = body["targetSize"]
    return found


_ALL = "_apis/distributedtask/pools"
_ONE = "_apis/distributedtask/pools/{poolId}"
ROUTES = (
    Route("GET", _ALL, Access.READ, list_pools),
    Route("POST", _ALL, Access.MANAGE, create_pool),
    Route("GET", _ONE, Access.READ, get_pool),
    Route("PATCH", _ONE, Access.MANAGE, change_pool),
    Route("DELETE", _ONE, Access.MANAGE, delete_pool),
)
