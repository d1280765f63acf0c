"""Job requests: the queue of a pool for whoever looks, renewal and result for the agent that has the job."""

from __future__ import annotations

import uuid

from sim.azdo.access import Access, require_agent
from sim.azdo.agents import Agent
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import Answer, json_answer, list_answer
from sim.azdo.jobs import JobRequest, checked_result
from sim.azdo.router import Call, Route
from sim.azdo.state import State


def list_requests(call: Call) -> Answer:
    """GET the requests of a pool: all that are not over, and the newest `completedRequestCount` of the others ($top counts both)."""
    pool, query = call.state.pools.get(call.number("poolId")), call.request.query
    mine = [job for job in call.state.jobs.values() if job.pool_id == pool.id]
    open_ones = [job for job in mine if job.result is None]
    done = sorted((job for job in mine if job.result is not None), key=lambda job: job.finished or 0.0, reverse=True)
    done = done[: _count(query.get("completedrequestcount"), 25)]
    chosen = [*open_ones, *done]
    if "$top" in query:
        chosen = chosen[: _count(query["$top"], 250)]
    return list_answer([job.document(_matched(call.state, job)) for job in chosen])


def get_request(call: Call) -> Answer:
    """GET one request."""
    job = _job(call)
    return json_answer(job.document(_matched(call.state, job)))


def change_request(call: Call) -> Answer:
    """PATCH a request: the agent renews its lock, or says how the job ended."""
    job, body = _job(call), call.request.document()
    try:
        uuid.UUID(call.request.query.get("locktoken", ""))
    except ValueError as error:
        raise ServiceError("VssPropertyValidationException", "lockToken must be a UUID.") from error
    if job.agent_id is None or job.result is not None or job.agent_id not in call.state.agents.by_id:
        raise ServiceError("TaskAgentJobTokenExpiredException", f"The lock on job request {job.id} is not valid any more.")
    require_agent(call.identity, call.state.agents.by_id[job.agent_id])
    result = checked_result(body["result"]) if body.get("result") is not None else None
    job.acknowledge(call.state.now())
    if result is None:
        job.renewals += 1
        job.locked_until = call.state.now() + call.state.times.job_lock
    else:
        call.state.finish_job(job, result)
    return json_answer(job.document())


def _job(call: Call) -> JobRequest:
    pool = call.state.pools.get(call.number("poolId"))
    job = call.state.jobs.get(call.number("requestId"))
    if job is None or job.pool_id != pool.id:
        raise ServiceError("TaskAgentJobNotFoundException", f"No job request found with identifier {call.values['requestId']}.")
    return job


def _matched(state: State, job: JobRequest) -> list[Agent]:
    return state.matching(job) if job.result is None else []


def _count(value: str | None, default: int) -> int:
    return int(value) if value is not None and value.isdecimal() else default


_ALL = "_apis/distributedtask/pools/{poolId}/jobrequests"
ROUTES = (
    Route("GET", _ALL, Access.READ, list_requests, source="facts 4, as KEDA reads it", gives="[TaskAgentJobRequest]"),
    Route("GET", _ALL + "/{requestId}", Access.READ, get_request, source="facts 3.2", gives="TaskAgentJobRequest"),
    Route(
        "PATCH",
        _ALL + "/{requestId}",
        Access.AGENT,
        change_request,
        source="facts 3.4.3",
        takes="TaskAgentJobRequest",
        gives="TaskAgentJobRequest",
    ),
)
