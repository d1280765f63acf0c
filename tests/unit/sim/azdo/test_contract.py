"""The service is held against Microsoft's own description of the API, and the check against wrong answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from sim.azdo.access import Access
from sim.azdo.agents import Agent
from sim.azdo.contract import DIFFERENCES, FILES, FOLDER_VARIABLE, Description, find
from sim.azdo.jobs import JobRequest
from sim.azdo.pats import MANAGE, READ
from sim.azdo.pools import Pool
from sim.azdo.routes import ROUTER
from tests.unit.sim.azdo.client import AGENTS, DESCRIPTION, Machine, administrator

pytestmark = pytest.mark.skipif(
    DESCRIPTION is None,
    reason=f"Microsoft's description of the API ({', '.join(FILES)}) is not here: it lies beside the checkout, or {FOLDER_VARIABLE} names it",
)

POOLS = "/_apis/distributedtask/pools"
UNDESCRIBED = {
    "GET _apis/connectionData",
    "OPTIONS _apis",
    "OPTIONS _apis/{rest}",
    "POST _apis/oauth2/token",
    "PUT _apis/distributedtask/pools/{poolId}/agents/{agentId}/updates",
    "POST _apis/distributedtask/pools/{poolId}/sessions",
    "DELETE _apis/distributedtask/pools/{poolId}/sessions/{sessionId}",
    "GET _apis/distributedtask/pools/{poolId}/messages",
    "DELETE _apis/distributedtask/pools/{poolId}/messages/{messageId}",
    "GET _apis/distributedtask/pools/{poolId}/jobrequests",
    "GET _apis/distributedtask/pools/{poolId}/jobrequests/{requestId}",
    "PATCH _apis/distributedtask/pools/{poolId}/jobrequests/{requestId}",
    "GET _apis/distributedtask/packages/{packageType}",
    "GET _apis/distributedtask/packages/{packageType}/{platform}",
    "GET _apis/distributedtask/packages/{packageType}/{platform}/{version}",
}
"""The agent's own protocol: no description has it, so it is written after the agent's source (each route names where)."""


@pytest.fixture
def description() -> Description:
    assert DESCRIPTION is not None
    return DESCRIPTION


def concrete(template: str) -> str:
    return "/demo/" + "/".join("1" if part.startswith("{") else part for part in template.split("/"))


def test_every_route_is_described_or_listed_as_undescribed(description: Description) -> None:
    for route in ROUTER.routes:
        described = bool(description.find(route.method, concrete(route.template)))
        listed = f"{route.method} {route.template}" in UNDESCRIBED
        assert described != listed, f"{route.method} {route.template}"
        assert bool(route.source) == listed, f"{route.method} {route.template} must say where it is described"
    assert {f"{route.method} {route.template}" for route in ROUTER.routes} >= UNDESCRIBED


def test_every_described_route_asks_for_the_described_scope(description: Description) -> None:
    wanted = {Access.READ: (READ,), Access.MANAGE: (MANAGE,)}
    described = [route for route in ROUTER.routes if not route.source]
    assert len(described) == 17
    for route in described:
        scopes = {operation.scopes for operation in description.find(route.method, concrete(route.template))}
        assert scopes == {wanted[route.access]}, f"{route.method} {route.template}"


def test_types_of_undescribed_routes_exist(description: Description) -> None:
    for route in ROUTER.routes:
        for name in filter(None, (route.takes, route.gives)):
            assert name.strip("[]") in description.files[0]["definitions"]


def test_a_whole_life_uses_every_route_and_each_answer_is_right(
    service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine
) -> None:
    """Every answer of these clients is held against the description."""
    service.add_package("4.255.0", b"tarball")
    service.add_elastic_pool("vmss")
    admin.options("/_apis")
    admin.options("/_apis/distributedtask")
    admin.get("/_apis/connectionData", params={"connectOptions": "1"})
    for path in ("agent", "agent/linux-x64", "agent/linux-x64/4.255.0"):
        admin.get(f"/_apis/distributedtask/packages/{path}")
    pool = admin.post(POOLS, json={"name": "gpu", "autoProvision": True, "autoUpdate": False}).json()["id"]
    admin.patch(f"{POOLS}/{pool}", json={"name": "gpu-2", "targetSize": 2})
    admin.get(POOLS, params={"poolName": "gpu-2", "poolType": "automation", "actionFilter": "manage"})
    admin.get(f"{POOLS}/{pool}")
    queues = "/demo/_apis/distributedtask/queues"
    queue = admin.get(queues).json()["value"][0]["id"]
    admin.get(f"{queues}/{queue}")
    admin.delete(f"{queues}/{queue}")
    admin.post(queues, params={"authorizePipelines": "true"}, json={"name": "gpu", "pool": {"id": pool}})
    admin.get("/_apis/distributedtask/elasticpools")
    admin.get("/_apis/distributedtask/elasticpools/2")
    machine.online()
    service.refresh_agent(machine.id, "4.260.0")
    machine.delete(machine.poll().json()["messageId"])
    machine.http.put(f"{AGENTS}/1/updates", params={"currentState": "Done"})
    done, running = service.queue_job("Default", demands=("GPU_NAME -equals T4",)), service.queue_job("Default")
    machine.delete(machine.poll().json()["messageId"])
    machine.update(done)
    machine.update(done, result="succeeded", finishTime="2026-01-01T00:00:00Z")
    look = {"includeCapabilities": "true", "includeAssignedRequest": "true", "includeLastCompletedRequest": "true"}
    agent = admin.get(f"{AGENTS}/1", params=look).json()
    assert {"assignedRequest", "lastCompletedRequest", "systemCapabilities", "pendingUpdate"} <= agent.keys()
    admin.get(AGENTS, params=look | {"agentName": "agent-1", "demands": "GPU_NAME"})
    admin.get(f"{POOLS}/1/jobrequests")
    admin.get(f"{POOLS}/1/jobrequests/{running}")
    machine.update(running, result="failed")
    machine.close()
    admin.put(f"{AGENTS}/1", json=machine.body())
    admin.patch(f"{AGENTS}/1", json={"id": 1, "name": "agent-1", "enabled": False})
    admin.delete(f"{AGENTS}/1")
    admin.delete(f"{POOLS}/{pool}")

    assert [request for request in service.requests if (request.status or 500) >= 400] == []
    used = {ROUTER.find(request.method, request.path.split("/", 2)[2])[0] for request in service.requests}
    assert {f"{route.method} {route.template}" for route in ROUTER.routes} == {f"{route.method} {route.template}" for route in used}


def spoiled(change: Callable[[dict[str, Any]], object]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(right: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(*arguments: Any, **named: Any) -> Any:
            document = right(*arguments, **named)
            change(document)
            return document

        return wrong

    return wrap


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda pool: pool.update(colour="red"), "colour: is not described"),
        (lambda pool: pool.update(autoUpdate="true"), "autoUpdate: 'true' is no boolean"),
        (lambda pool: pool.update(id="1"), "id: '1' is no integer"),
        (lambda pool: pool.update(size=True), "size: True is no integer"),
        (lambda pool: pool.update(id=2**31), f"id: {2**31} is no int32"),
        (lambda pool: pool.update(poolType="Automation"), "poolType: 'Automation' is none of automation, deployment"),
        (lambda pool: pool.update(options="spot"), "options: 'spot' is none of none, elasticPool"),
        (lambda pool: pool.update(createdOn="yesterday"), "createdOn: 'yesterday' is no date-time"),
        (lambda pool: pool.update(createdOn="2026-01-01T00:00:00"), "createdOn: '2026-01-01T00:00:00' is no date-time"),
        (lambda pool: pool.update(scope="one"), "scope: 'one' is no uuid"),
        (lambda pool: pool.update(owner=None), "owner: None is no object"),
        (lambda pool: pool.update(name=None), "name: None is no string"),
        (lambda pool: pool["owner"].update(nick="o"), "owner.nick: is not described"),
        (lambda pool: pool.update(properties={"a": "b"}), "properties.a: 'b' is no object"),
    ],
)
def test_a_wrong_answer_of_the_service_is_found(
    monkeypatch: pytest.MonkeyPatch, admin: httpx.Client, change: Callable[[dict[str, Any]], object], finding: str
) -> None:
    admin.get(POOLS)
    monkeypatch.setattr("sim.azdo.pools.OWNER", {"displayName": "Owner"})
    monkeypatch.setattr(Pool, "document", spoiled(change)(Pool.document))
    for path, place in ((POOLS, "body[0]"), (f"{POOLS}/1", "body")):
        with pytest.raises(AssertionError) as caught:
            admin.get(path)
        assert f"{place}.{finding}" in str(caught.value)


def test_a_wrong_type_deep_inside_is_found(monkeypatch: pytest.MonkeyPatch, service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    service.queue_job("Default", demands=("GPU_NAME",))
    wrong = spoiled(lambda job: job.update(demands=[{"name": "GPU_NAME"}], result="splendid"))
    monkeypatch.setattr(JobRequest, "document", wrong(JobRequest.document))
    with administrator(service) as admin, pytest.raises(AssertionError) as caught:
        admin.get(f"{AGENTS}/1", params={"includeAssignedRequest": "true"})
    assert "body.assignedRequest.demands[0]: {'name': 'GPU_NAME'} is no string" in str(caught.value)
    assert "body.assignedRequest.result: 'splendid' is none of succeeded" in str(caught.value)


def test_a_wrong_answer_of_an_undescribed_route_is_found(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    machine.register().log_in()
    monkeypatch.setattr(Agent, "reference", spoiled(lambda agent: agent.update(status="busy"))(Agent.reference))
    with pytest.raises(AssertionError, match=r"body.agent.status: 'busy' is none of offline, online"):
        machine.open()


@pytest.mark.parametrize(
    ("path", "query", "body", "finding"),
    [
        (POOLS, {"poolname": "a", "poolKind": "b"}, "", "query: poolkind is not described"),
        (POOLS, {"poolType": "cloud"}, "", "query: pooltype: 'cloud' is none of automation, deployment"),
        (AGENTS, {"includeCapabilities": "yes"}, "", "query: includecapabilities: 'yes' is no boolean"),
        (AGENTS, {}, "{}", "body: none is described"),
        ("/_apis/distributedtask/elasticpools/1/logs", {"$top": "all"}, "", "query: $top: 'all' is no integer"),
    ],
)
def test_a_wrong_look_is_found(description: Description, path: str, query: dict[str, str], body: str, finding: str) -> None:
    accept = {"accept": "application/json; api-version=7.1"}
    problems = description.problems("GET", "/demo" + path, query, accept, body, 200, '{"count":0,"value":[]}')
    assert problems == [finding]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"label": "gpu"}, "body.label: is not described"),
        ({"enabled": "false"}, "body.enabled: 'false' is no boolean"),
        ({"status": "idle"}, "body.status: 'idle' is none of offline, online"),
        ({"systemCapabilities": {"A": 1}}, "body.systemCapabilities.A: 1 is no string"),
        ({"authorization": {"publicKey": {"modulus": "no base64"}}}, "body.authorization.publicKey.modulus: 'no base64' is no base64"),
        ({"authorization": {"token": "x"}}, "body.authorization.token: is not described"),
    ],
)
def test_a_wrong_registration_is_found(description: Description, machine: Machine, change: dict[str, Any], finding: str) -> None:
    registration = json.dumps(machine.body(**change))
    query = {"api-version": "7.1"}
    assert description.problems("POST", f"/demo{AGENTS}", query, {}, registration, 200, "{}") == [finding]


def test_what_is_missing_is_found(description: Description) -> None:
    query = {"api-version": "7.1"}
    assert description.problems("GET", f"/demo{POOLS}/1", {}, {}, "", 200, "{}") == [
        "query: api-version is missing, and the Accept header has none"
    ]
    assert description.problems("POST", f"/demo{POOLS}", query, {}, "", 200, "{}") == [
        "body: no JSON (Expecting value: line 1 column 1 (char 0))"
    ]
    operation = next(o for o in description.find("GET", f"/demo{AGENTS}/1") if "isCheckPermissions" in o.parameters("query"))
    assert operation.request_problems(query, {}, "") == ["query: ischeckpermissions is missing"]


def test_a_missing_field_that_a_type_requires_is_found(description: Description, tmp_path: Path) -> None:
    """None of the described types requires a field today; the check would hold one that does."""
    for name, file in zip(FILES, description.files, strict=True):
        (tmp_path / name).write_text(json.dumps(file))
    text = json.loads((tmp_path / FILES[0]).read_text())
    text["definitions"]["TaskAgentPool"]["required"] = ["autoUpdate"]
    (tmp_path / FILES[0]).write_text(json.dumps(text))
    query = {"api-version": "7.1"}
    assert Description(tmp_path).problems("GET", f"/demo{POOLS}/1", query, {}, "", 200, "{}") == ["body.autoUpdate: is missing"]


@pytest.mark.parametrize(
    ("status", "answer", "finding"),
    [
        (201, "[]", "answered 201 instead of 200"),
        (200, "[]", "body: no list in {count, value}"),
        (200, '{"count":1,"value":[]}', "body: count is 1, there are 0"),
        (200, '{"count":1,"value":[{}],"next":2}', "body: no list in {count, value}"),
        (200, "<html>", "body: no JSON (Expecting value: line 1 column 1 (char 0))"),
        (200, '{"count":1,"value":["Default"]}', "body[0]: 'Default' is no object"),
    ],
)
def test_a_wrong_list_is_found(description: Description, status: int, answer: str, finding: str) -> None:
    assert description.problems("GET", f"/demo{POOLS}", {"api-version": "7.1"}, {}, "", status, answer) == [finding]


def test_a_deletion_with_an_answer_is_found(description: Description) -> None:
    problems = description.problems("DELETE", f"/demo{AGENTS}/1", {"api-version": "7.1"}, {}, "", 200, "{}")
    assert problems == ["answered 200 with 2 bytes instead of 204 without body"]


def test_what_no_description_has_is_told_apart(description: Description) -> None:
    assert description.problems("GET", "/demo/_apis/connectionData", {}, {}, "", 200, "{}") is None


def test_every_difference_names_a_described_type(description: Description) -> None:
    assert set(DIFFERENCES) - {"bytes", "list", "deleted"} <= description.files[0]["definitions"].keys()


def test_the_description_is_looked_for_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find(tmp_path) is None
    for name in FILES:
        (tmp_path / name).write_text("{}")
    assert find(tmp_path / "elsewhere") == tmp_path
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert find(tmp_path / "checkout") is None
