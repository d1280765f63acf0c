from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import PATIENCE_S, Clock, Machine, administrator


class Stepping(Clock):
    """A clock that goes on by `step` seconds whenever somebody looks at it."""

    step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def service(clock: Clock) -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(poll_seconds=0.2, session_timeout=300, now=clock) as running:
        yield running


def test_an_agent_is_online_exactly_while_it_has_a_session(machine: Machine) -> None:
    machine.register().log_in()
    assert machine.status() == "offline"
    machine.open()
    assert machine.status() == "online"
    assert machine.close().status_code == 204
    assert machine.status() == "offline"


def test_the_time_of_every_change_is_kept(service: SimulatedAzureDevOps, clock: Clock, machine: Machine) -> None:
    machine.online()
    clock.now += 100
    machine.close()
    agent = service.state()["agents"][0]
    assert [change["status"] for change in agent["statusChanges"]] == ["online", "offline"]
    assert agent["statusChangedOn"] == agent["statusChanges"][1]["at"] > agent["statusChanges"][0]["at"]


def test_a_second_session_is_a_conflict_and_changes_nothing(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    before = service.state()
    body = {"ownerName": "other", "agent": {"id": machine.id, "name": "x", "version": "1.0.0"}, "systemCapabilities": {"A": "B"}}
    answer = machine.http.post(f"{machine.base}/sessions", json=body)
    assert (answer.status_code, answer.json()["typeKey"]) == (409, "TaskAgentSessionConflictException")
    assert service.state() == before


def test_a_session_can_bring_new_capabilities(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register().log_in()
    body = {"ownerName": "host", "agent": {"id": machine.id, "name": "agent-1", "version": "4.260.0"}, "systemCapabilities": {"A": "B"}}
    assert machine.http.post(f"{machine.base}/sessions", json=body).status_code == 200
    agent = service.state()["agents"][0]
    assert (agent["version"], agent["capabilities"]) == ("4.260.0", {"A": "B"})


def test_a_silent_session_expires_and_then_a_new_one_opens(service: SimulatedAzureDevOps, clock: Clock, machine: Machine) -> None:
    machine.online()
    old = machine.session
    clock.now += 299
    assert machine.status() == "online"
    clock.now += 1
    assert machine.status() == "offline"
    answer = machine.poll()
    assert (answer.status_code, answer.json()["typeKey"]) == (404, "TaskAgentSessionExpiredException")
    assert machine.open().status_code == 200
    assert machine.session != old


def test_a_poll_keeps_the_session(clock: Clock, machine: Machine) -> None:
    machine.online()
    clock.now += 200
    assert machine.poll().status_code == 202
    clock.now += 200
    assert machine.status() == "online"


def test_a_client_that_goes_away_within_its_poll_does_not_keep_its_session(clock: Clock) -> None:
    """A poll that goes on would be seen every half second, in which this clock moves by 100 seconds."""
    with SimulatedAzureDevOps(poll_seconds=60, session_timeout=300, now=clock) as service, Machine(service) as gone:
        gone.online()
        with pytest.raises(httpx.ReadTimeout):
            gone.http.get(f"{gone.base}/messages", params={"sessionId": gone.session}, timeout=httpx.Timeout(PATIENCE_S, read=0.2))
        deadline = time.monotonic() + 30
        while gone.status() == "online" and time.monotonic() < deadline:
            time.sleep(0.05)
            clock.now += 10
        assert gone.status() == "offline"


def test_a_poll_that_waits_outlives_the_session_timeout() -> None:
    """It is seen as often as the clock is looked at, so that how long this machine takes for it does not matter."""
    clock = Stepping()
    with SimulatedAzureDevOps(poll_seconds=2.0, session_timeout=200, now=clock) as service, Machine(service) as machine:
        machine.online()
        began, clock.step = clock.now, 30
        assert machine.poll().status_code == 202
        clock.step = 0
        assert clock.now - began > 200
        assert machine.status() == "online"


def test_an_agent_opens_no_session_for_another(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register().log_in()
    with Machine(service, "agent-2") as other:
        other.register()
        machine.id = other.id
        answer = machine.open()
    assert (answer.status_code, answer.json()["typeKey"]) == (403, "AccessDeniedException")


def test_a_personal_token_opens_no_session_for_an_agent_that_has_a_key(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register()
    body = {"ownerName": "host", "agent": {"id": machine.id, "name": machine.name}}
    with administrator(service) as admin:
        assert admin.post(f"{machine.base}/sessions", json=body).status_code == 403


def test_a_session_needs_an_agent(machine: Machine) -> None:
    machine.register().log_in()
    assert machine.http.post(f"{machine.base}/sessions", json={"ownerName": "host"}).status_code == 400
    machine.id = 99
    assert machine.open().json()["typeKey"] == "TaskAgentNotFoundException"


def test_closing_a_session_twice_is_no_error(machine: Machine) -> None:
    machine.online()
    assert [machine.close().status_code, machine.close().status_code] == [204, 204]


def test_closing_a_session_ends_the_poll_that_waits_in_it() -> None:
    with SimulatedAzureDevOps(poll_seconds=30) as service, Machine(service) as machine:
        machine.online()
        closing = threading.Timer(0.3, machine.close)
        closing.start()
        started = time.monotonic()
        answer = machine.poll()
        closing.join()
        assert answer.json()["typeKey"] == "TaskAgentSessionExpiredException"
        assert time.monotonic() - started < 25
