"""What a test or a demo asks of the simulation itself, below /_: its state, requests, jobs, faults, tokens; and the packages' files.

Whoever reaches the service reaches these too, a machine that it launched included: no answer here holds a credential but that of `POST /_pats`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, Request, error_answer, json_answer
from sim.azdo.faults import Fault, Faults
from sim.azdo.pats import MANAGE
from sim.azdo.state import State


@dataclass(frozen=True)
class Controlled:
    """What can be looked at and changed."""

    state: State
    faults: Faults
    requests: Callable[[], list[dict[str, object]]]


def answer(sim: Controlled, request: Request) -> Answer:
    """The answer to a request below /_."""
    try:
        with sim.state.lock:
            sim.state.tick()
            return _answer(sim, request)
    except ServiceError as error:
        return error_answer(error)
    except (ValueError, TypeError, KeyError) as error:
        return error_answer(ServiceError("VssPropertyValidationException", str(error)))


def _answer(sim: Controlled, request: Request) -> Answer:
    known = _CONTROLS.get((request.method, request.path.rstrip("/")))
    if known is not None:
        return known(sim, request)
    folder, _, name = request.path[1:].partition("/")
    if request.method == "GET" and folder == "_packages" and (package := sim.state.packages.named(name)):
        return Answer(200, package.content, "application/octet-stream")
    if request.method == "GET" and folder == "_jobs" and name.isdecimal() and (job := sim.state.jobs.get(int(name))):
        return json_answer(sim.state.job_document(job))
    raise ServiceError("VssResourceNotFoundException", f"The simulation has no {request.method} {request.path}.")


def _add_fault(sim: Controlled, request: Request) -> Answer:
    sim.faults.add(Fault.parse(request.document()))
    return EMPTY


def _clear_faults(sim: Controlled, _: Request) -> Answer:
    sim.faults.clear()
    return EMPTY


def _revoke(sim: Controlled, request: Request) -> Answer:
    sim.state.pats.revoke(str(request.document()["pat"]))
    return EMPTY


def _add_pat(sim: Controlled, request: Request) -> Answer:
    body = request.document()
    scopes = body.get("scopes", [MANAGE])
    return json_answer({"pat": sim.state.pats.add([str(scope) for scope in scopes], expired=body.get("expired") is True)})


def _requests(sim: Controlled, _: Request) -> Answer:
    return json_answer(sim.requests())


def _state(sim: Controlled, _: Request) -> Answer:
    return json_answer(sim.state.document())


def _queue(sim: Controlled, request: Request) -> Answer:
    body = request.document()
    unknown = body.keys() - {"pool", "name", "demands", "script"}
    if unknown:
        raise ValueError(f"a job has no {', '.join(sorted(unknown))}")
    pool = sim.state.pools.find(str(body["pool"]))
    if pool is None:
        raise ServiceError("TaskAgentPoolNotFoundException", f"No agent pool found with the name {body['pool']}.")
    job = sim.state.queue_job(
        pool, str(body.get("name", "job")), [str(line) for line in body.get("demands", ())], str(body.get("script", ""))
    )
    return json_answer(sim.state.job_document(job))


_CONTROLS: dict[tuple[str, str], Callable[[Controlled, Request], Answer]] = {
    ("GET", "/_state"): _state,
    ("POST", "/_jobs"): _queue,
    ("POST", "/_faults"): _add_fault,
    ("DELETE", "/_faults"): _clear_faults,
    ("GET", "/_requests"): _requests,
    ("POST", "/_pats"): _add_pat,
    ("POST", "/_pats/revoke"): _revoke,
}
