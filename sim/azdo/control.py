"""What a test or a demo asks of the simulation itself, below /_: its state, jobs, faults, tokens; and the packages' files."""

from __future__ import annotations

from collections.abc import Callable

from sim.azdo.errors import ServiceError
from sim.azdo.exchange import EMPTY, Answer, Request, error_answer, json_answer
from sim.azdo.faults import Fault, Faults
from sim.azdo.state import State


def answer(state: State, faults: Faults, request: Request) -> Answer:
    """The answer to a request below /_."""
    try:
        with state.lock:
            state.tick()
            return _answer(state, faults, request)
    except ServiceError as error:
        return error_answer(error)
    except (ValueError, TypeError, KeyError) as error:
        return error_answer(ServiceError("VssPropertyValidationException", str(error)))


def _answer(state: State, faults: Faults, request: Request) -> Answer:
    known = _CONTROLS.get((request.method, request.path.rstrip("/")))
    if known is not None:
        return known(state, faults, request)
    folder, _, name = request.path[1:].partition("/")
    if request.method == "GET" and folder == "_packages" and (package := state.packages.named(name)):
        return Answer(200, package.content, "application/octet-stream")
    if request.method == "GET" and folder == "_jobs" and name.isdecimal() and (job := state.jobs.get(int(name))):
        return json_answer(state.job_document(job))
    raise ServiceError("VssResourceNotFoundException", f"The simulation has no {request.method} {request.path}.")


def _add_fault(_: State, faults: Faults, request: Request) -> Answer:
    faults.add(Fault.parse(request.document()))
    return EMPTY


def _clear_faults(_: State, faults: Faults, __: Request) -> Answer:
    faults.clear()
    return EMPTY


def _revoke(state: State, _: Faults, request: Request) -> Answer:
    state.pats.revoke(str(request.document()["pat"]))
    return EMPTY


def _state(state: State, _: Faults, __: Request) -> Answer:
    return json_answer(state.document())


def _queue(state: State, _: Faults, request: Request) -> Answer:
    body = request.document()
    unknown = body.keys() - {"pool", "name", "demands", "script"}
    if unknown:
        raise ValueError(f"a job has no {', '.join(sorted(unknown))}")
    pool = state.pools.find(str(body["pool"]))
    if pool is None:
        raise ServiceError("TaskAgentPoolNotFoundException", f"No agent pool found with the name {body['pool']}.")
    job = state.queue_job(pool, str(body.get("name", "job")), [str(line) for line in body.get("demands", ())], str(body.get("script", "")))
    return json_answer(state.job_document(job))


_CONTROLS: dict[tuple[str, str], Callable[[State, Faults, Request], Answer]] = {
    ("GET", "/_state"): _state,
    ("POST", "/_jobs"): _queue,
    ("POST", "/_faults"): _add_fault,
    ("DELETE", "/_faults"): _clear_faults,
    ("POST", "/_pats/revoke"): _revoke,
}
