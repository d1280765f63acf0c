from __future__ import annotations

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import AGENTS, KEYS, Machine, modulus


def test_a_registration_is_answered_with_number_client_and_address(admin: httpx.Client, machine: Machine) -> None:
    answer = admin.post(AGENTS, json=machine.body()).json()
    assert (answer["id"], answer["status"], answer["enabled"]) == (1, "offline", True)
    assert answer["authorization"]["publicKey"]["modulus"] == modulus(machine.key)
    assert answer["authorization"]["authorizationUrl"].startswith("https://127.0.0.1:")
    assert answer["properties"]["ServerUrl"]["$value"].endswith("/demo/")


def test_a_second_agent_of_a_name_is_refused(admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    answer = admin.post(AGENTS, json=machine.body(name="AGENT-1"))
    assert (answer.status_code, answer.json()["typeKey"]) == (409, "TaskAgentExistsException")
    assert answer.json()["message"] == "Pool 1 already contains an agent with name AGENT-1."


def test_replacing_keeps_the_number_and_exchanges_the_key(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.register().log_in()
    with Machine(service, key=KEYS[1]) as successor:
        successor.take(admin.put(f"{AGENTS}/{machine.id}", json=successor.body()).json())
        assert (successor.id, successor.client_id) == (machine.id, machine.client_id)
        assert machine.exchange().status_code == 400
        assert machine.open().status_code == 401
        successor.log_in()
        assert successor.open().status_code == 200
    assert len(service.state()["agents"]) == 1


def test_what_is_not_there_is_named(admin: httpx.Client, machine: Machine) -> None:
    for method in ("get", "delete"):
        answer = getattr(admin, method)(f"{AGENTS}/7")
        assert (answer.status_code, answer.json()["typeKey"]) == (404, "TaskAgentNotFoundException")
    assert admin.put(f"{AGENTS}/7", json=machine.body()).json()["typeKey"] == "TaskAgentNotFoundException"
    other = admin.get("/_apis/distributedtask/pools/9/agents")
    assert other.json()["typeKey"] == "TaskAgentPoolNotFoundException"
    assert admin.get(f"{AGENTS}/first").status_code == 400


def test_capabilities_come_only_when_asked_for(admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    assert "systemCapabilities" not in admin.get(f"{AGENTS}/1").json()
    asked = admin.get(f"{AGENTS}/1", params={"includeCapabilities": "true"}).json()
    assert asked["systemCapabilities"]["GPU_NAME"] == "T4"


def test_agents_are_found_by_name_and_by_demands(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    with Machine(service, "agent-2") as second:
        second.register(systemCapabilities={"GPU_NAME": "L4"})

    def found(**query: str) -> list[str]:
        return [agent["name"] for agent in admin.get(AGENTS, params=query).json()["value"]]

    assert found() == ["agent-1", "agent-2"]
    assert found(agentName="Agent-2", includeCapabilities="False") == ["agent-2"]
    assert found(demands="gpu_name") == ["agent-1", "agent-2"]
    assert found(demands="GPU_NAME -equals l4") == ["agent-2"]
    assert found(demands="GPU_NAME,Agent.Name") == ["agent-1"]
    assert admin.get(AGENTS, params={"demands": " -equals 4"}).status_code == 400


def test_whether_an_agent_may_be_seen_is_a_call_of_its_own(admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    assert admin.get(f"{AGENTS}/1", params={"isCheckPermissions": "true"}).json() is True


def test_a_disabled_agent_receives_no_job_until_it_is_enabled(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    assert admin.patch(f"{AGENTS}/1", json={"id": 1, "name": "agent-1", "enabled": False}).json()["enabled"] is False
    job = service.queue_job("Default")
    assert service.job(job)["state"] == "queued"
    admin.patch(f"{AGENTS}/1", json={"enabled": True})
    assert service.job(job)["state"] == "assigned"


def test_a_patch_changes_what_it_names(admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    admin.patch(f"{AGENTS}/1", json={"userCapabilities": {"RACK": "4"}})
    agent = admin.get(f"{AGENTS}/1", params={"includeCapabilities": "true"}).json()
    assert (agent["userCapabilities"], agent["systemCapabilities"]["GPU_NAME"], agent["enabled"]) == ({"RACK": "4"}, "T4", True)
    assert admin.patch(f"{AGENTS}/1", json={"id": 2}).status_code == 400
    assert admin.patch(f"{AGENTS}/1", json={"enabled": "no"}).status_code == 400


def test_an_agent_that_works_is_not_deleted(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    job = service.queue_job("Default")
    answer = admin.delete(f"{AGENTS}/1")
    assert answer.json()["typeKey"] == "TaskAgentJobStillRunningException"
    assert answer.json()["message"] == 'Agent "agent-1" is running a job for pool "Default"'
    working = admin.get(f"{AGENTS}/1", params={"includeAssignedRequest": "true", "includeLastCompletedRequest": "true"}).json()
    assert working["assignedRequest"]["requestId"] == job
    machine.update(job, result="failed")
    idle = admin.get(f"{AGENTS}/1", params={"includeAssignedRequest": "true", "includeLastCompletedRequest": "true"}).json()
    assert "assignedRequest" not in idle
    assert idle["lastCompletedRequest"]["result"] == "failed"
    assert admin.delete(f"{AGENTS}/1").status_code == 204
    assert machine.poll().status_code == 401
    assert service.state()["agents"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": None},
        {"authorization": {"publicKey": {"exponent": "AQAB"}}},
        {"authorization": {"publicKey": {"exponent": "AQAB", "modulus": "§"}}},
        {"authorization": {"publicKey": {"exponent": "AQAB", "modulus": modulus(rsa.generate_private_key(65537, 1024))}}},
        {"systemCapabilities": {"A": 1}},
        {"systemCapabilities": {"A": "x" * 1024}},
        {"version": 4},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_registration_that_cannot_be_leaves_no_agent(
    service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine, changes: dict[str, object]
) -> None:
    assert admin.post(AGENTS, json=machine.body(**changes)).status_code == 400
    assert service.state()["agents"] == []


def test_a_failed_replacement_changes_nothing(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    before = service.state()["agents"]
    assert admin.put(f"{AGENTS}/1", json=machine.body(version="5.0.0", systemCapabilities={"A": None})).status_code == 400
    assert service.state()["agents"] == before


def test_an_agent_reports_the_progress_of_its_update(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    service.refresh_agent(machine.id, "4.260.1")
    message = machine.poll().json()
    assert message["messageType"] == "AgentRefresh"
    answer = machine.http.put(f"{AGENTS}/1/updates", params={"currentState": "Downloading"})
    assert answer.json()["pendingUpdate"]["currentState"] == "Downloading"
    assert answer.json()["pendingUpdate"]["targetVersion"] == {"major": 4, "minor": 260, "patch": 1}
