from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import PATIENCE_S, Clock, Machine

REQUESTS = "/_apis/distributedtask/pools/1/jobrequests"


@pytest.fixture
def timed(clock: Clock) -> Iterator[SimulatedAzureDevOps]:
    """A service whose time a test turns."""
    with SimulatedAzureDevOps(poll_seconds=0.2, session_timeout=300, job_lock=600, now=clock) as running:
        yield running


def test_a_job_is_received_acknowledged_renewed_and_finished(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    request = service.queue_job("Default", "render", script="echo hello")
    message = machine.poll().json()
    body = json.loads(message["body"])
    assert message["messageType"] == body["messageType"] == "PipelineAgentJobRequest"
    assert (body["requestId"], body["steps"][0]["inputs"]["script"]) == (request, "echo hello")
    assert service.job(request)["state"] == "assigned"
    assert machine.delete(message["messageId"]).status_code == 204
    assert service.job(request)["state"] == "running"
    assert machine.update(request).json()["lockedUntil"]
    finished = machine.update(request, result="succeeded", finishTime="2026-01-01T00:00:00Z")
    assert finished.json()["result"] == "succeeded"
    job = service.job(request)
    assert (job["state"], job["result"], job["agent"], job["renewals"]) == ("completed", "succeeded", "agent-1", 1)
    assert [entry["event"] for entry in job["history"]] == ["assigned to agent-1", "received", "succeeded"]


def test_a_message_comes_again_until_it_is_deleted(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    service.queue_job("Default")
    first = machine.poll().json()
    assert machine.poll().json() == first
    assert machine.poll(last=first["messageId"]).status_code == 202
    machine.delete(first["messageId"])
    assert machine.poll().status_code == 202
    assert machine.delete(first["messageId"]).status_code == 204


def test_a_poll_is_answered_as_soon_as_a_job_comes(machine: Machine) -> None:
    with SimulatedAzureDevOps(poll_seconds=30) as service, Machine(service) as waiting, ThreadPoolExecutor(1) as pool:
        waiting.online()
        answer = pool.submit(waiting.poll)
        time.sleep(0.2)
        queued = time.monotonic()
        service.queue_job("Default")
        assert answer.result(PATIENCE_S).status_code == 200
        assert time.monotonic() - queued < 25


def test_an_empty_poll_answers_202_without_body_after_its_time(machine: Machine) -> None:
    machine.online()
    started = time.monotonic()
    answer = machine.poll()
    assert (answer.status_code, answer.content) == (202, b"")
    assert 0.2 <= time.monotonic() - started < 25


def test_messages_need_the_session_of_the_caller(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    assert machine.http.get(f"{machine.base}/messages").status_code == 400
    with Machine(service, "agent-2") as other:
        other.online()
        other.session = machine.session
        assert other.poll().json()["typeKey"] == "AccessDeniedException"


def test_a_job_waits_for_an_agent_that_is_offline_and_starts_with_its_session(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register().log_in()
    request = service.queue_job("Default")
    assert service.job(request)["state"] == "queued"
    machine.open()
    assert service.job(request)["state"] == "assigned"


def test_a_job_that_no_agent_could_ever_take_fails_at_once(service: SimulatedAzureDevOps, machine: Machine) -> None:
    empty = service.job(service.queue_job("Default"))
    machine.online()
    demanding = service.job(service.queue_job("Default", demands=("GPU_NAME -equals H100", "Agent.Name")))
    assert (empty["result"], demanding["result"]) == ("failed", "failed")
    assert demanding["message"] == (
        "No agent found in pool Default which satisfies the following demands: GPU_NAME -equals H100, Agent.Name."
    )


def test_demands_choose_the_agent(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    with Machine(service, "agent-2") as other:
        other.register(systemCapabilities={"GPU_NAME": "L4"}).log_in()
        other.open()
        request = service.queue_job("Default", demands=("gpu_name -equals l4",))
        assert service.job(request)["agent"] == "agent-2"


def test_an_agent_has_one_job_at_a_time(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    first, second = service.queue_job("Default"), service.queue_job("Default")
    assert [service.job(job)["state"] for job in (first, second)] == ["assigned", "queued"]
    machine.update(first, result="succeeded")
    assert service.job(second)["state"] == "assigned"


def test_a_job_that_was_not_taken_is_queued_again_when_its_agent_goes(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    request = service.queue_job("Default")
    machine.close()
    job = service.job(request)
    assert (job["state"], job["agent"]) == ("queued", None)
    machine.open()
    assert service.job(request)["state"] == "assigned"


def test_a_job_whose_agent_died_is_abandoned(timed: SimulatedAzureDevOps, clock: Clock) -> None:
    with Machine(timed) as machine:
        machine.online()
        request = timed.queue_job("Default")
        machine.delete(machine.poll().json()["messageId"])
        clock.now += 599
        assert timed.job(request)["state"] == "running"
        clock.now += 1
        assert timed.job(request)["result"] == "abandoned"
        late = machine.update(request, result="succeeded")
        assert late.json()["typeKey"] == "TaskAgentJobTokenExpiredException"


def test_a_renewed_job_outlives_its_lock(timed: SimulatedAzureDevOps, clock: Clock) -> None:
    with Machine(timed) as machine:
        machine.online()
        request = timed.queue_job("Default")
        for _ in range(3):
            clock.now += 250
            assert machine.update(request).status_code == 200
        assert timed.job(request)["state"] == "running"


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_by_message(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    running, queued = service.queue_job("Default"), service.queue_job("Default")
    machine.delete(machine.poll().json()["messageId"])
    service.cancel_job(queued)
    assert service.job(queued)["result"] == "canceled"
    service.cancel_job(running)
    message = machine.poll().json()
    assert message["messageType"] == "JobCancellation"
    assert "jobId" in json.loads(message["body"])
    machine.update(running, result="canceled")
    assert service.job(running)["result"] == "canceled"


def test_a_job_whose_message_was_not_read_is_cancelled_with_its_message(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    request = service.queue_job("Default")
    service.cancel_job(request)
    assert service.job(request)["result"] == "canceled"
    assert machine.poll().status_code == 202


def test_the_queue_of_a_pool_can_be_counted(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    done, running, waiting = (service.queue_job("Default", name) for name in ("one", "two", "three"))
    machine.update(done, result="succeeded")
    machine.update(running)

    def queued(**query: str) -> list[int]:
        answer = admin.get(REQUESTS, params=query).json()["value"]
        return [job["requestId"] for job in answer if job.get("result") is None and "receiveTime" not in job]

    assert queued(completedRequestCount="0") == [waiting]
    everything = admin.get(REQUESTS).json()["value"]
    assert [job["requestId"] for job in everything] == [running, waiting, done]
    assert everything[1]["matchedAgents"][0]["name"] == "agent-1"
    assert everything[0]["reservedAgent"]["name"] == "agent-1"
    assert len(admin.get(REQUESTS, params={"$top": "1"}).json()["value"]) == 1
    assert admin.get(f"{REQUESTS}/{done}").json()["result"] == "succeeded"
    assert admin.get(f"{REQUESTS}/99").json()["typeKey"] == "TaskAgentJobNotFoundException"


def test_only_its_agent_finishes_a_job(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    request = service.queue_job("Default")
    with Machine(service, "agent-2") as other:
        other.online()
        assert other.update(request, result="succeeded").status_code == 403
    lock = {"lockToken": "00000000-0000-0000-0000-000000000000"}
    assert admin.patch(f"{REQUESTS}/{request}", params=lock, json={"result": "succeeded"}).status_code == 403
    assert service.job(request)["state"] == "assigned"


def test_a_finish_that_says_nothing_known_is_refused(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    request = service.queue_job("Default")
    assert machine.update(request, result="splendid").status_code == 400
    assert machine.http.patch(f"{REQUESTS}/{request}", json={}).status_code == 400
    assert service.job(request)["state"] == "assigned"


def test_a_job_needs_a_pool_and_sensible_demands(service: SimulatedAzureDevOps) -> None:
    with pytest.raises(KeyError, match="there is no pool gpu"):
        service.queue_job("gpu")
    with pytest.raises(ValueError, match="is no demand"):
        service.queue_job("Default", demands=(" ",))
    assert service.state()["jobs"] == []
