from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import CHECKOUT, Machine, administrator, connect


@pytest.fixture
def control(service: SimulatedAzureDevOps) -> Iterator[httpx.Client]:
    with connect(service) as client:
        client.base_url = f"https://127.0.0.1:{service.port}"
        yield client


def test_the_state_is_the_same_by_both_ways(service: SimulatedAzureDevOps, control: httpx.Client, machine: Machine) -> None:
    machine.online()
    service.queue_job("Default")
    state = control.get("/_state").json()
    assert state == service.state()
    assert state.keys() >= {"service", "organization", "pools", "agents", "sessions", "jobs", "pats"}
    agent = state["agents"][0]
    assert (agent["name"], agent["status"], agent["pool"], agent["capabilities"]["GPU_NAME"]) == ("agent-1", "online", "Default", "T4")
    assert state["sessions"][0]["agentId"] == agent["id"]
    assert state["pats"] == {"active": 1, "expired": 0, "revoked": 0}


def test_a_job_is_queued_and_looked_at(control: httpx.Client, machine: Machine) -> None:
    machine.online()
    job = control.post("/_jobs", json={"pool": "default", "name": "render", "demands": ["GPU_NAME"], "script": "true"}).json()
    assert (job["name"], job["state"], job["demands"]) == ("render", "assigned", ["GPU_NAME"])
    machine.update(job["requestId"], result="succeeded")
    assert control.get(f"/_jobs/{job['requestId']}").json()["result"] == "succeeded"


def test_faults_are_set_and_cleared(service: SimulatedAzureDevOps, control: httpx.Client) -> None:
    with administrator(service) as admin:
        assert control.post("/_faults", json={"action": "forbidden", "path": "/connectionData$", "times": 0}).status_code == 204
        assert admin.get("/_apis/connectionData").status_code == 403
        assert control.delete("/_faults").status_code == 204
        assert admin.get("/_apis/connectionData").status_code == 200


def test_faults_never_hit_the_control(service: SimulatedAzureDevOps, control: httpx.Client) -> None:
    control.post("/_faults", json={"action": "server-error", "times": 0})
    assert control.get("/_state").status_code == 200


def test_tokens_are_made_and_revoked(service: SimulatedAzureDevOps, control: httpx.Client) -> None:
    reader = control.post("/_pats", json={"scopes": ["vso.agentpools"]}).json()["pat"]
    with administrator(service, reader) as client:
        assert client.get("/_apis/distributedtask/pools").status_code == 200
        assert control.post("/_pats/revoke", json={"pat": reader}).status_code == 204
        assert client.get("/_apis/distributedtask/pools").status_code == 401
    expired = control.post("/_pats", json={"expired": True}).json()["pat"]
    with administrator(service, expired) as client:
        assert client.get("/_apis/distributedtask/pools").status_code == 401


def test_recorded_requests_can_be_had_without_the_control_ones(
    service: SimulatedAzureDevOps, control: httpx.Client, machine: Machine
) -> None:
    machine.register()
    control.post("/_pats/revoke", json={"pat": service.pat})
    requests = control.get("/_requests").json()
    assert [(request["method"], request["path"]) for request in requests] == [("POST", "/demo/_apis/distributedtask/pools/1/agents")]
    assert service.pat not in json.dumps(requests)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/_jobs", {"pool": "nothing"}),
        ("POST", "/_jobs", {}),
        ("POST", "/_jobs", {"pool": "Default", "when": "now"}),
        ("POST", "/_faults", {"action": "explode"}),
        ("POST", "/_faults", []),
        ("POST", "/_pats", {"scopes": ["vso.everything"]}),
        ("POST", "/_pats/revoke", {"pat": "unknown"}),
        ("GET", "/_jobs/7", None),
        ("GET", "/_packages/none.tar.gz", None),
        ("DELETE", "/_state", None),
    ],
)
def test_a_wrong_order_is_refused(control: httpx.Client, method: str, path: str, body: object) -> None:
    assert control.request(method, path, json=body).status_code in (400, 404)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "sim.azdo", *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_program_it_says_one_line_serves_and_ends_by_signal(number: signal.Signals) -> None:
    with start("--organization", "studio") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        line = json.loads(program.stdout.readline())
        assert line.keys() == {"url", "organization", "port", "ca_file", "pat", "pool"}
        assert line["url"] == f"https://127.0.0.1:{line['port']}/studio"
        trust = ssl.create_default_context(cafile=line["ca_file"])
        with httpx.Client(verify=trust, trust_env=False, auth=("x", line["pat"])) as client:
            pools = client.get(f"{line['url']}/_apis/distributedtask/pools", params={"poolName": line["pool"]}).json()
            assert pools["count"] == 1
            assert client.get(f"https://127.0.0.1:{line['port']}/_state").json()["organization"] == "studio"
            program.send_signal(number)
            assert program.wait(60) == 0
        assert (program.stdout.read(), program.stderr.read()) == ("", "")
        assert not Path(line["ca_file"]).exists()


def test_as_a_program_it_says_why_it_cannot_start(service: SimulatedAzureDevOps) -> None:
    with start("--port", str(service.port)) as program:
        out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (1, "")
    assert err.startswith("error: the simulated service cannot start: ")
    assert len(err.splitlines()) == 1
