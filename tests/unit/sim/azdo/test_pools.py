from __future__ import annotations

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import Machine

POOLS = "/_apis/distributedtask/pools"
QUEUES = "/demo/_apis/distributedtask/queues"


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200
    return [entry["name"] for entry in answer.json()["value"]]


def test_a_new_organization_has_the_pool_default(admin: httpx.Client) -> None:
    answer = admin.get(POOLS)
    assert names(answer) == ["Default"]
    assert answer.json()["value"][0]["isHosted"] is False
    assert answer.json()["value"][0]["poolType"] == "automation"


def test_pools_are_found_by_name_without_regard_to_case(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    service.add_pool("GPU")
    assert names(admin.get(POOLS, params={"poolName": "gpu", "poolType": "automation"})) == ["GPU"]
    assert names(admin.get(POOLS, params={"poolName": "nothing"})) == []
    assert names(admin.get(POOLS, params={"poolType": "deployment"})) == []


def test_pools_are_found_by_number(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    number = service.add_pool("GPU")
    assert names(admin.get(POOLS, params={"poolIds": str(number)})) == ["GPU"]


def test_an_action_filter_that_does_not_exist_is_refused(admin: httpx.Client) -> None:
    assert admin.get(POOLS, params={"actionFilter": "manage"}).status_code == 200
    assert admin.get(POOLS, params={"actionFilter": "destroy"}).status_code == 400


def test_a_pool_is_created_changed_and_deleted(admin: httpx.Client) -> None:
    created = admin.post(POOLS, json={"name": "gpu", "autoProvision": True, "autoUpdate": False}).json()
    assert (created["autoProvision"], created["autoUpdate"]) == (True, False)
    one = f"{POOLS}/{created['id']}"
    changed = admin.patch(one, json={"name": "gpu-2", "autoUpdate": True, "targetSize": 3}).json()
    assert changed == admin.get(one).json()
    assert (changed["name"], changed["autoUpdate"], changed["targetSize"]) == ("gpu-2", True, 3)
    assert admin.delete(one).status_code == 204
    gone = admin.get(one)
    assert (gone.status_code, gone.json()["typeKey"]) == (404, "TaskAgentPoolNotFoundException")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {},
        {"name": "a/b"},
        {"name": 5},
        {"name": "x", "autoUpdate": "no"},
        {"name": "x", "targetSize": "3"},
        {"name": "x", "poolType": "cloud"},
    ],
)
def test_a_pool_that_cannot_be_is_refused(admin: httpx.Client, body: dict[str, object]) -> None:
    answer = admin.post(POOLS, json=body)
    assert (answer.status_code, answer.json()["typeKey"]) == (400, "VssPropertyValidationException")
    assert names(admin.get(POOLS)) == ["Default"]


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
def test_a_body_that_is_no_object_is_refused(admin: httpx.Client, body: bytes) -> None:
    answer = admin.post(POOLS, content=body)
    assert (answer.status_code, answer.json()["typeKey"]) == (400, "VssPropertyValidationException")


def test_a_pool_can_be_for_deployments(admin: httpx.Client) -> None:
    assert admin.post(POOLS, json={"name": "film", "poolType": "deployment"}).json()["poolType"] == "deployment"
    assert names(admin.get(POOLS, params={"poolType": "automation"})) == ["Default"]


def test_jobs_that_waited_in_a_deleted_pool_are_cancelled(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.register()
    job = service.queue_job("Default")
    assert admin.delete(f"{POOLS}/1").status_code == 204
    assert (service.job(job)["result"], service.job(job)["pool"]) == ("canceled", None)


def test_a_second_pool_of_a_name_is_refused(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    number = service.add_pool("gpu")
    created = admin.post(POOLS, json={"name": "DEFAULT"})
    renamed = admin.patch(f"{POOLS}/{number}", json={"name": "default"})
    assert [answer.json()["typeKey"] for answer in (created, renamed)] == ["TaskAgentPoolExistsException"] * 2
    assert created.status_code == renamed.status_code == 409


def test_a_pool_goes_with_its_agents_unless_one_works(service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine) -> None:
    machine.online()
    job = service.queue_job("Default")
    refused = admin.delete(f"{POOLS}/1")
    assert refused.json()["typeKey"] == "TaskAgentJobStillRunningException"
    assert service.state()["pools"][0]["size"] == 1
    machine.update(job, result="succeeded")
    assert admin.delete(f"{POOLS}/1").status_code == 204
    assert (service.state()["pools"], service.state()["agents"], service.state()["sessions"]) == ([], [], [])


def test_a_provisioned_pool_has_a_queue_in_every_project(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    service.add_project("film")
    service.add_pool("gpu", auto_provision=True)
    assert names(admin.get("/film/_apis/distributedtask/queues", params={"queueName": "GPU"})) == ["gpu"]
    assert names(admin.get(QUEUES)) == ["gpu"]
    unknown = admin.get("/nothing/_apis/distributedtask/queues")
    assert (unknown.status_code, unknown.json()["typeKey"]) == (404, "ProjectDoesNotExistWithNameException")


def test_a_queue_is_made_for_a_pool_once(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    number = service.add_pool("gpu")
    body = {"name": "gpu", "pool": {"id": number}}
    made = admin.post(QUEUES, params={"authorizePipelines": "true"}, json=body).json()
    assert made["pool"]["name"] == "gpu"
    assert admin.get(f"{QUEUES}/{made['id']}").json() == made
    for query in ({"queueNames": "gpu,other"}, {"queueIds": str(made["id"])}, {"poolIds": str(number)}):
        assert names(admin.get(QUEUES, params=query)) == ["gpu"]
    assert admin.post(QUEUES, json=body).status_code == 409
    assert admin.delete(f"{QUEUES}/{made['id']}").status_code == 204
    assert admin.get(f"{QUEUES}/{made['id']}").status_code == 404
    assert admin.post(QUEUES, json={"name": "x"}).status_code == 400


def test_an_elastic_pool_can_be_told_from_others(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    number = service.add_elastic_pool("vmss")
    assert admin.get(f"{POOLS}/{number}").json()["options"] == "elasticPool"
    elastic = admin.get("/_apis/distributedtask/elasticpools").json()
    assert elastic["value"] == [admin.get(f"/_apis/distributedtask/elasticpools/{number}").json()]
    assert admin.get("/_apis/distributedtask/elasticpools/1").status_code == 404
