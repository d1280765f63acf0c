"""Queues: by them a project uses a pool."""

from __future__ import annotations

from typing import Any

from sim.azdo.access import Access
from sim.azdo.agents import text
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, json_answer, list_answer
from sim.azdo.queues import Queue
from sim.azdo.router import Call, Route
from sim.azdo.routes.pools import ACTIONS, choice


def list_queues(call: Call) -> Answer:
    """GET the queues of a project, by name, names, numbers or pools."""
    query, project = call.request.query, call.state.queues.project(call.values["project"])
    choice(call.request, "actionFilter", ACTIONS)
    queues = call.state.queues.of(project)
    if name := query.get("queuename"):
        queues = [queue for queue in queues if queue.name.casefold() == name.casefold()]
    if names := query.get("queuenames"):
        wanted = {part.strip().casefold() for part in names.split(",")}
        queues = [queue for queue in queues if queue.name.casefold() in wanted]
    for parameter, number in (("queueids", "id"), ("poolids", "pool_id")):
        if parameter in query:
            numbers = {int(part) for part in query[parameter].split(",") if part.strip().isdecimal()}
            queues = [queue for queue in queues if getattr(queue, number) in numbers]
    return list_answer([_document(call, queue) for queue in queues])


def get_queue(call: Call) -> Answer:
    """GET one queue."""
    choice(call.request, "actionFilter", ACTIONS)
    return json_answer(_document(call, _queue(call)))


def add_queue(call: Call) -> Answer:
    """POST a queue for an existing pool."""
    project, body = call.state.queues.project(call.values["project"]), call.request.document()
    reference: Any = body.get("pool")
    pool_id = reference.get("id") if isinstance(reference, dict) else None
    if not isinstance(pool_id, int):
        raise ServiceError("VssPropertyValidationException", "A queue needs the id of its pool.")
    pool = call.state.pools.get(pool_id)
    return json_answer(_document(call, call.state.queues.add(project, pool.id, text(body, "name", pool.name))))


def delete_queue(call: Call) -> Answer:
    """DELETE a queue; its pool stays."""
    del call.state.queues.by_id[_queue(call).id]
    return EMPTY


def _queue(call: Call) -> Queue:
    return call.state.queues.get(call.state.queues.project(call.values["project"]), call.number("queueId"))


def _document(call: Call, queue: Queue) -> dict[str, Any]:
    return queue.document(call.state.pools.get(queue.pool_id).reference())


_ALL = "{project}/_apis/distributedtask/queues"
ROUTES = (
    Route("GET", _ALL, Access.READ, list_queues),
    Route("POST", _ALL, Access.MANAGE, add_queue),
    Route("GET", _ALL + "/{queueId}", Access.READ, get_queue),
    Route("DELETE", _ALL + "/{queueId}", Access.MANAGE, delete_queue),
)
