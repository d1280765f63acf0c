"""Pools and agents against the simulated service."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.azdo.pools import Agent, JobRequest, Pool
from goldbake.errors import UsageError
from sim.azdo import SimulatedAzureDevOps
from sim.azdo.faults import Action, Fault
from tests.unit.azdo.agents import go_offline, go_online, register
from tests.unit.azdo.conftest import Connect, Raw
from tests.unit.azdo.raw import http, refusal


def test_check_tells_whose_pat_it_is(service: SimulatedAzureDevOps, connect: Connect) -> None:
    assert connect(service).check().name == "Pool Administrator"


def test_a_revoked_pat_is_noticed(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    pools.check()
    service.revoke(service.pat)
    with pytest.raises(AzureDevOpsError) as caught:
        pools.check()
    assert caught.value.kind is Kind.PAT_REJECTED


def test_a_pool_is_found_in_whatever_case(service: SimulatedAzureDevOps, connect: Connect) -> None:
    number = service.add_pool("GPU T4")
    assert connect(service).find_pool("gpu t4") == Pool(
        id=number, name="GPU T4", auto_update=True, auto_provision=False, size=0, pool_type="automation", is_hosted=False
    )


def test_a_pool_of_a_similar_name_is_not_taken(connect: Connect, raw: Raw) -> None:
    """A service that does not filter, or by a part of the name, must not choose the pool."""
    with pytest.raises(AzureDevOpsError, match="did you mean 'gpu-2'"):
        connect(raw(http(200, {"value": [{"id": 3, "name": "gpu-2"}]}))).find_pool("gpu")


def test_pools_are_those_of_own_agents(service: SimulatedAzureDevOps, connect: Connect) -> None:
    service.add_pool("Azure Pipelines", hosted=True)
    service.add_pool("targets", pool_type="deployment")
    assert [pool.name for pool in connect(service).pools()] == ["Default"]


def test_a_pool_is_made_with_updates_off(service: SimulatedAzureDevOps, connect: Connect) -> None:
    made = connect(service).create_pool("gpu")
    assert (made.name, made.auto_update, made.auto_provision) == ("gpu", False, False)
    assert connect(service).find_pool("gpu") == made


def test_a_pool_that_exists_is_returned_as_it_is(service: SimulatedAzureDevOps, connect: Connect) -> None:
    number = service.add_pool("gpu", auto_provision=True)
    assert connect(service).create_pool("GPU").id == number


def test_a_pool_whose_answer_is_lost_is_made_once(service: SimulatedAzureDevOps, connect: Connect) -> None:
    service.fault(Fault(Action.LOST, method="POST", path="/pools$"))
    made = connect(service).create_pool("gpu")
    assert made.name == "gpu"
    assert [request.method for request in service.requests].count("POST") == 1


def test_a_pool_that_was_not_made_is_an_error(service: SimulatedAzureDevOps, connect: Connect) -> None:
    service.fault(Fault(Action.SERVER_ERROR, method="POST", path="/pools$"))
    with pytest.raises(AzureDevOpsError) as caught:
        connect(service).create_pool("gpu")
    assert caught.value.kind is Kind.FAILING
    assert [pool.name for pool in connect(service).pools()] == ["Default"]


def test_a_pool_needs_the_right_to_manage(service: SimulatedAzureDevOps, connect: Connect) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        connect(service, service.add_pat(scopes=("vso.agentpools",))).create_pool("gpu")
    assert caught.value.kind is Kind.PERMISSION


def test_asking_for_the_right_to_manage_changes_nothing(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    agent = register(pools, 1, "goldbake-1")
    before = service.state()["agents"]
    pools.require_manage(pools.find_pool("Default"))
    assert service.state()["agents"] == before
    assert [found.id for found in pools.agents(1)] == [agent]


def test_a_service_that_refuses_the_number_zero_gives_the_right(connect: Connect, raw: Raw) -> None:
    pool = {"id": 5, "name": "gpu"}
    server = raw(http(200, {"value": [pool]}), refusal(400, "VssPropertyValidationException", "agentId must be positive"))
    connect(server).require_manage(Pool.model_validate(pool))
    assert server.asked[1].startswith(b"DELETE /demo/_apis/distributedtask/pools/5/agents/0?")


def test_agents_are_listed_with_their_state(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    first, second = register(pools, 1, "goldbake-1"), register(pools, 1, "goldbake-2")
    go_online(pools, 1, second)
    found = pools.agents(1)
    assert [(agent.id, agent.name, agent.is_online, agent.enabled) for agent in found] == [
        (first, "goldbake-1", False, True),
        (second, "goldbake-2", True, True),
    ]
    assert found[0].version == "4.255.0"
    assert found[0].status_changed_on is not None
    assert found[0].system_capabilities is None
    assert pools.agents(1, "GOLDBAKE-2") == [found[1]]
    assert pools.agents(1, "none") == []
    assert pools.agents(1, "goldbake-1", capabilities=True)[0].system_capabilities == {"Agent.OS": "Linux"}


def test_an_agent_is_removed_once(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    agent = register(pools, 1, "goldbake-1")
    assert pools.remove_agent(1, agent)
    assert not pools.remove_agent(1, agent)
    assert pools.agents(1) == []


def test_a_removal_whose_answer_is_lost_is_done(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    agent = register(pools, 1, "goldbake-1")
    service.fault(Fault(Action.LOST, method="DELETE", path="/agents/"))
    pools.remove_agent(1, agent)
    assert pools.agents(1) == []


def test_a_disabled_agent_gets_no_job(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    agent = register(pools, 1, "goldbake-1")
    go_online(pools, 1, agent)
    disabled = pools.disable_agent(1, pools.agents(1)[0])
    assert (disabled.id, disabled.enabled) == (agent, False)
    assert service.state()["agents"][0]["enabled"] is False
    service.queue_job("Default")
    assert pools.queue_length(1) == 1
    assert pools.agents(1)[0].assigned_request is None


def test_queue_length_counts_jobs_that_no_agent_has(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    assert pools.queue_length(1) == 0
    register(pools, 1, "goldbake-1")
    for _ in range(3):
        service.queue_job("Default")
    service.cancel_job(service.queue_job("Default"))
    assert pools.queue_length(1) == 3


def test_a_job_that_runs_or_is_over_is_not_queued() -> None:
    moment = "2026-11-24T10:00:00.1234567Z"
    assert JobRequest.model_validate({"requestId": 1, "queueTime": moment, "assignTime": moment}).is_queued
    assert not JobRequest.model_validate({"requestId": 1, "receiveTime": moment}).is_queued
    assert not JobRequest.model_validate({"requestId": 1, "result": "canceled"}).is_queued


def test_only_own_offline_agents_without_a_job_are_stale(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    register(pools, 1, "goldbake-gone")
    register(pools, 1, "goldbaker-other")
    register(pools, 1, "someone-else")
    go_online(pools, 1, register(pools, 1, "goldbake-online"))
    session = go_online(pools, 1, register(pools, 1, "goldbake-back"))
    go_offline(pools, 1, session)
    assert [agent.name for agent in pools.stale_agents(1, "goldbake")] == ["goldbake-gone", "goldbake-back"]


def test_an_agent_with_a_job_is_not_stale_though_it_is_offline(connect: Connect, raw: Raw) -> None:
    offline = {"name": "goldbake-1", "status": "offline"}
    busy = {"id": 2, **offline, "assignedRequest": {"requestId": 9}}
    assert [agent.id for agent in connect(raw(http(200, {"value": [{"id": 1, **offline}, busy]}))).stale_agents(1, "goldbake")] == [1]


def test_an_agent_that_went_offline_just_now_is_not_stale(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools = connect(service)
    register(pools, 1, "goldbake-1")
    hour = datetime.timedelta(hours=1)
    assert pools.stale_agents(1, "goldbake", offline_for=hour) == []
    later = datetime.datetime.now(datetime.UTC) + 2 * hour
    assert [agent.name for agent in pools.stale_agents(1, "goldbake", offline_for=hour, now=lambda: later)] == ["goldbake-1"]


def test_an_empty_prefix_is_refused(service: SimulatedAzureDevOps, connect: Connect) -> None:
    with pytest.raises(UsageError, match="every agent"):
        connect(service).stale_agents(1, "")


AGENT: dict[str, Any] = {"id": 7, "name": "goldbake-1", "status": "online", "enabled": True}


def test_what_the_service_adds_is_not_looked_at() -> None:
    agent = Agent.model_validate({**AGENT, "_links": {}, "somethingNew": [1], "createdOn": "0001-01-01T00:00:00"}, strict=False)
    assert agent.created_on == datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "wrong", [{"id": "7"}, {"id": -1}, {"id": None}, {"status": "sleeping"}, {"status": None}, {"enabled": "yes"}, {"name": 3}]
)
def test_what_is_used_is_held_strictly(connect: Connect, raw: Raw, wrong: dict[str, Any]) -> None:
    with pytest.raises(AzureDevOpsError, match=rf"value\.0\.{next(iter(wrong))}: ") as caught:
        connect(raw(http(200, {"value": [{**AGENT, **wrong}]}))).agents(1)
    assert caught.value.kind is Kind.BAD_ANSWER


def test_values_do_not_change() -> None:
    agent = Agent.model_validate(AGENT)
    with pytest.raises(ValidationError):
        agent.enabled = False
