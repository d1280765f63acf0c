"""Routes, fields and types against Microsoft's own description of the API (MIT licence; not part of this repository)."""

from __future__ import annotations

import json
import re
import typing
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from goldbake.azdo.pools import Agent, AgentStatus, JobRequest, Pool
from goldbake.paths import PROJECT
from sim.azdo import SimulatedAzureDevOps, contract
from tests.unit.azdo.agents import register
from tests.unit.azdo.conftest import Connect

FOLDER = contract.find(PROJECT)
UNDOCUMENTED = {"poolName", "poolType"}
"""Parameters that the agent itself sends (facts on its protocol, 3.3), and the description lacks."""


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    if FOLDER is None:
        pytest.skip(f"the API description is not here; {contract.FOLDER_VARIABLE} names its folder")
    found: dict[str, Any] = json.loads((FOLDER / "taskAgent.json").read_text(encoding="utf-8-sig"))
    return found


def _fields(description: dict[str, Any], name: str) -> dict[str, Any]:
    definition = description["definitions"][name]
    found = dict(definition.get("properties", {}))
    for parent in definition.get("allOf", []):
        found |= _fields(description, parent["$ref"].rpartition("/")[2])
    return found


def problems(model: type[BaseModel], fields: dict[str, Any]) -> list[str]:
    """How the fields of a model differ from those of a definition."""
    found = []
    for name, field in model.model_fields.items():
        wire = field.alias or name
        if wire not in fields:
            found.append(f"{wire} is not in the description")
        elif not _fits(field.annotation, fields[wire]):
            found.append(f"{wire} is {fields[wire]} in the description")
    return found


def _fits(annotation: Any, schema: dict[str, Any]) -> bool:
    inner = [part for part in typing.get_args(annotation) if part is not type(None)]
    if type(None) in typing.get_args(annotation):
        return all(_fits(part, schema) for part in inner)
    if typing.get_origin(annotation) is typing.Annotated:
        return _fits(inner[0], schema)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return schema.get("enum") is not None and {member.value for member in annotation} == set(schema["enum"])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return str(schema.get("$ref", "")).rpartition("/")[2] == f"TaskAgent{annotation.__name__}"
    if "enum" in schema:
        return annotation is str
    kinds = {"str": "string", "bool": "boolean", "int": "integer", "datetime": "string", "dict": "object"}
    name = getattr(typing.get_origin(annotation) or annotation, "__name__", "")
    return kinds.get(name) == schema.get("type") and (name == "datetime") == (schema.get("format") == "date-time")


@pytest.mark.parametrize(("model", "name"), [(Pool, "TaskAgentPool"), (Agent, "TaskAgent"), (JobRequest, "TaskAgentJobRequest")])
def test_our_fields_are_those_of_the_description(description: dict[str, Any], model: type[BaseModel], name: str) -> None:
    assert problems(model, _fields(description, name)) == []


def test_a_wrong_field_would_be_noticed(description: dict[str, Any]) -> None:
    fields = _fields(description, "TaskAgent")
    wrong = {**fields, "id": {"type": "string"}, "status": {"enum": ["offline", "online", "asleep"]}, "createdOn": {"type": "string"}}
    del wrong["enabled"]
    assert len(problems(Agent, wrong)) == 4


def test_the_states_of_an_agent_are_those_of_the_description(description: dict[str, Any]) -> None:
    assert {state.value for state in AgentStatus} == set(_fields(description, "TaskAgent")["status"]["enum"])


def test_every_request_is_one_of_the_description(description: dict[str, Any], service: SimulatedAzureDevOps, connect: Connect) -> None:
    """What the client really sends: method, path, parameters and fields of bodies."""
    pools = connect(service)
    agent = register(pools, pools.find_pool("Default").id, "goldbake-1")
    pools.create_pool("gpu")
    pools.pools()
    pools.require_manage(pools.find_pool("gpu"))
    pools.disable_agent(1, pools.agents(1, "goldbake-1", capabilities=True)[0])
    pools.remove_agent(1, agent)
    sent = [request for request in service.requests if "/jobrequests" not in request.path]
    assert {request.method for request in sent} == {"GET", "POST", "PATCH", "DELETE"}
    for request in sent:
        template = re.sub(
            r"/agents/\d+$", "/agents/{agentId}", re.sub(r"/pools/\d+", "/pools/{poolId}", request.path.replace("/demo", "/{organization}"))
        )
        operation = description["paths"][template][request.method.lower()]
        parameters = [entry for entry in operation["parameters"] if entry.get("in") == "query"]
        assert set(request.query) - {"api-version"} <= {entry["name"].lower() for entry in parameters} | {
            name.lower() for name in UNDOCUMENTED
        }
        if request.body:
            schema = next(entry["schema"]["$ref"] for entry in operation["parameters"] if entry.get("in") == "body")
            assert set(json.loads(request.body)) <= set(_fields(description, schema.rpartition("/")[2]))
        assert request.query["api-version"] == "7.1"
