"""Whatever a client sends: an answer, never a crash of the thread that serves it, and a state that can still be told."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.azdo import SimulatedAzureDevOps
from sim.azdo.routes import ROUTER
from tests.unit.sim.azdo.client import AGENTS, Machine, administrator

pytestmark = pytest.mark.slow

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["AQAB", "agent-1", "", "succeeded"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "id",
        "name",
        "enabled",
        "version",
        "maxParallelism",
        "systemCapabilities",
        "userCapabilities",
        "authorization",
        "agent",
        "pool",
        "result",
        "ownerName",
        "autoUpdate",
        "targetSize",
        "poolType",
        "publicKey",
        "exponent",
        "modulus",
        "osDescription",
    ]
)
BASE64 = st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
KEYS = st.fixed_dictionaries({"publicKey": st.fixed_dictionaries({"exponent": BASE64 | VALUES, "modulus": BASE64 | VALUES})})
REGISTRATIONS = st.fixed_dictionaries(
    {"name": st.text(max_size=5) | VALUES},
    optional={"authorization": KEYS, "systemCapabilities": st.dictionaries(st.text(max_size=5), VALUES, max_size=2), "version": VALUES},
)
OBJECTS = st.recursive(VALUES, lambda inner: st.dictionaries(FIELDS, inner, max_size=4), max_leaves=8)
BODIES = OBJECTS | st.dictionaries(FIELDS, OBJECTS, max_size=4) | REGISTRATIONS
PARTS = st.just("1") | st.sampled_from(["1", "0", "-1", "99999999999", "x", "²", "demo", "agent"]) | st.text(min_size=1, max_size=6)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["poolName", "poolType", "poolIds", "sessionId", "lastMessageId", "lockToken", "demands", "$top", "completedRequestCount"]
    ),
    st.sampled_from(["1", "²", "-1", "", "x", " -equals ", ","]) | st.text(max_size=6),
    max_size=3,
)
CHANGING = [route for route in ROUTER.routes if route.method in ("POST", "PUT", "PATCH")]


def path_of(template: str, part: str) -> str:
    return "/" + "/".join(quote(part, safe="", errors="replace") if name.startswith("{") else name for name in template.split("/"))


def spoiled(body: Any) -> Iterator[Any]:
    """`body` with each of its parts, and the whole, replaced by each kind of JSON value."""
    yield from (None, True, 5, -1, 2.5, "", "x", [], [5], {}, {"x": []})
    if isinstance(body, dict):
        for name, part in body.items():
            for wrong in spoiled(part):
                yield {**body, name: wrong}


def test_every_part_of_every_body_may_be_anything(service: SimulatedAzureDevOps) -> None:
    with administrator(service, held=False) as admin, Machine(service) as machine:
        machine.online()
        job = service.queue_job("Default")
        machine.http.event_hooks = {"response": []}
        pool = {"name": "gpu", "autoProvision": True, "autoUpdate": True, "targetSize": 1, "poolType": "automation"}
        agent = machine.body(id=1, enabled=True, userCapabilities={"A": "B"})
        session = {
            "ownerName": "host",
            "agent": {"id": 1, "name": "a", "version": "1", "osDescription": "L"},
            "systemCapabilities": {"A": "B"},
        }
        lock = {"lockToken": str(uuid.UUID(int=0))}
        base = f"https://127.0.0.1:{service.port}"
        cases: list[tuple[httpx.Client, str, str, dict[str, str], Any]] = [
            (admin, "POST", "/_apis/distributedtask/pools", {}, pool),
            (admin, "PATCH", "/_apis/distributedtask/pools/1", {}, pool),
            (admin, "POST", AGENTS, {}, agent),
            (admin, "PATCH", f"{AGENTS}/1", {}, agent),
            (admin, "PUT", f"{AGENTS}/1", {}, agent),
            (machine.http, "POST", f"{machine.base}/sessions", {}, session),
            (admin, "POST", "/demo/_apis/distributedtask/queues", {}, {"name": "q", "pool": {"id": 1}}),
            (machine.http, "PATCH", f"{machine.base}/jobrequests/{job}", lock, {"requestId": job, "result": "succeeded"}),
            (admin, "POST", f"{base}/_jobs", {}, {"pool": "Default", "name": "n", "demands": ["A"], "script": "true"}),
            (
                admin,
                "POST",
                f"{base}/_faults",
                {},
                {"action": "reset", "method": "BREW", "path": "never", "times": 1, "skip": 0, "seconds": 1},
            ),
            (admin, "POST", f"{base}/_pats", {}, {"scopes": ["vso.agentpools"], "expired": True}),
            (admin, "POST", f"{base}/_pats/revoke", {}, {"pat": "x"}),
        ]
        for client, method, path, query, body in cases:
            for wrong in spoiled(body):
                answer = client.request(method, path, params=query, json=wrong)
                assert answer.status_code < 500, (method, path, wrong, answer.text)
                service.clear_faults()
                assert json.loads(json.dumps(service.state())) == service.state(), (method, path, wrong)


def test_no_request_is_without_an_answer() -> None:
    with SimulatedAzureDevOps(poll_seconds=0.0) as service, administrator(service, held=False) as admin, Machine(service) as machine:
        machine.online()
        service.queue_job("Default")
        machine.http.event_hooks = {"response": []}

        def told(answer: httpx.Response) -> None:
            assert answer.status_code < 500, answer.text
            assert json.loads(json.dumps(service.state())) == service.state()

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(route=st.sampled_from(CHANGING), part=PARTS, query=QUERIES, body=BODIES, as_agent=st.booleans())
        def change(route: Any, part: str, query: dict[str, str], body: object, as_agent: bool) -> None:
            client = machine.http if as_agent else admin
            query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
            told(client.request(route.method, path_of(route.template, part), params=query, content=json.dumps(body)))

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(route=st.sampled_from(ROUTER.routes), part=PARTS, query=QUERIES, as_agent=st.booleans())
        def look(route: Any, part: str, query: dict[str, str], as_agent: bool) -> None:
            client = machine.http if as_agent else admin
            query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
            told(client.get(path_of(route.template, part), params=query))

        @settings(max_examples=100, deadline=None)
        @given(body=st.binary(max_size=60) | OBJECTS.map(lambda value: json.dumps(value).encode()))
        def control(body: bytes) -> None:
            for path in ("/_jobs", "/_pats", "/_pats/revoke"):
                told(admin.post(f"https://127.0.0.1:{service.port}{path}", content=body))

        change()
        look()
        control()
