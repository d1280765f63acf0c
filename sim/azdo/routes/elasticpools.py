"""Elastic pools, to look at."""

from __future__ import annotations

from sim.azdo.access import Access
from sim.azdo.errors import ServiceError
from sim.azdo.exchange import Answer, json_answer, list_answer
from sim.azdo.router import Call, Route


def list_elastic_pools(call: Call) -> Answer:
    """GET all."""
    return list_answer([pool.document() for pool in call.state.elastic.values()])


def get_elastic_pool(call: Call) -> Answer:
    """GET one, by the number of its pool."""
    pool = call.state.elastic.get(call.number("poolId"))
    if pool is None:
        raise ServiceError("TaskAgentPoolNotFoundException", f"No elastic pool found with identifier {call.values['poolId']}.")
    return json_answer(pool.document())


_ALL = "_apis/distributedtask/elasticpools"
ROUTES = (
    Route("GET", _ALL, Access.READ, list_elastic_pools),
    Route("GET", _ALL + "/{poolId}", Access.READ, get_elastic_pool),
)
