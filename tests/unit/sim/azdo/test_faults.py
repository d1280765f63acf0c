from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from typing import Any

import httpx
import pytest

from sim.azdo import Fault, SimulatedAzureDevOps
from tests.unit.sim.azdo.client import AGENTS, PATIENCE_S, Machine, administrator, until

POOLS = "/_apis/distributedtask/pools"


IMPATIENT = httpx.Timeout(PATIENCE_S, read=0.3)


def failing(service: SimulatedAzureDevOps, *faults: Fault, timeout: float | httpx.Timeout = PATIENCE_S) -> httpx.Client:
    """An administrator whose next calls fail; its answers are wrong on purpose, so they are not held against the description."""
    for fault in faults:
        service.fault(fault)
    return administrator(service, held=False, timeout=timeout)


@pytest.mark.parametrize(
    ("action", "status", "kind"),
    [
        ("unauthorized", 401, "application/json"),
        ("sign-in-page", 203, "text/html"),
        ("sign-in-redirect", 302, "text/html"),
        ("expired", 401, "text/html"),
        ("forbidden", 403, "application/json"),
        ("not-found", 404, "text/html"),
        ("throttled", 429, "application/json"),
        ("server-error", 500, "application/json"),
        ("html", 200, "text/html"),
        ("empty", 200, "application/json"),
    ],
)
def test_an_answer_is_replaced_once(service: SimulatedAzureDevOps, action: str, status: int, kind: str) -> None:
    with failing(service, Fault(action)) as client:
        answer = client.get(POOLS)
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, kind)
        assert answer.headers["X-Simulated-Service"] == "azure-devops"
        assert client.get(POOLS).json()["count"] == 1


def test_a_refusal_says_how_to_log_in(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("unauthorized")) as client:
        answer = client.get(POOLS)
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert answer.json()["message"].startswith("TF400813")


def test_a_redirect_leads_to_the_sign_in_page(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("sign-in-redirect")) as client:
        assert client.get(POOLS).headers["Location"].endswith("/_signin")


def test_throttling_says_when_to_come_again(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("throttled", seconds=17)) as client:
        answer = client.get(POOLS)
    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Remaining"]) == ("17", "0")
    assert answer.json()["message"].startswith("TF400733")


def test_a_broken_json_body_claims_to_be_json(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("not-json")) as client:
        answer = client.get(POOLS)
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()


def test_errors_come_in_bursts_of_any_code(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("server-error", times=5, status=503)) as client:
        assert [client.get(POOLS).status_code for _ in range(6)] == [503] * 5 + [200]


def test_some_requests_can_be_spared_first(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("server-error", skip=2)) as client:
        assert [client.get(POOLS).status_code for _ in range(4)] == [200, 200, 500, 200]


def test_a_fault_without_end_ends_when_it_is_cleared(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("forbidden", times=0)) as client:
        assert [client.get(POOLS).status_code for _ in range(3)] == [403] * 3
        service.clear_faults()
        assert client.get(POOLS).status_code == 200


def test_only_the_named_requests_fail(service: SimulatedAzureDevOps, machine: Machine) -> None:
    with failing(service, Fault("forbidden", "POST", "/agents$", times=0)) as client:
        assert client.get(POOLS).status_code == 200
        assert client.get(AGENTS).status_code == 200
        assert client.post(AGENTS, json=machine.body()).status_code == 403
    assert service.state()["agents"] == []


def test_faults_happen_one_after_the_other(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("forbidden"), Fault("throttled")) as client:
        assert [client.get(POOLS).status_code for _ in range(3)] == [403, 429, 200]


def test_a_hang_ends_without_an_answer(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("hang", seconds=0.3)) as client:
        started = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(POOLS, json={"name": "gpu"})
        assert time.monotonic() - started >= 0.3
        assert client.get(POOLS).json()["count"] == 1


def test_a_client_with_a_time_limit_leaves_a_hang(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("hang", seconds=60), timeout=IMPATIENT) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get(POOLS)


def test_the_service_ends_at_once_while_it_hangs(service: SimulatedAzureDevOps) -> None:
    with SimulatedAzureDevOps() as other:
        outcome: list[BaseException] = []

        def ask() -> None:
            with failing(other, Fault("hang", seconds=60)) as client:
                try:
                    client.get(POOLS)
                except httpx.TransportError as error:
                    outcome.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: other.requests)
        ended = time.monotonic()
    assert time.monotonic() - ended < 9  # a thread that does not end is waited for 10 s
    asking.join()
    assert len(outcome) == 1


def read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_a_reset_is_a_reset(service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("reset"))
    trust = ssl.create_default_context(cadata=service.ca_pem)
    with socket.create_connection(("127.0.0.1", service.port)) as plain, trust.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"POST /demo/_apis/distributedtask/pools HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with socket.socket(fileno=os.dup(client.fileno())) as below:  # Python's TLS calls the reset an end: look below it
            with pytest.raises(ConnectionResetError):
                read_to_the_end(below)
    assert len(service.state()["pools"]) == 1


def test_a_lost_answer_leaves_its_effect(service: SimulatedAzureDevOps, machine: Machine) -> None:
    with failing(service, Fault("lost", "POST")) as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            client.post(AGENTS, json=machine.body())
        assert client.get(AGENTS).json()["count"] == 1
        assert client.post(AGENTS, json=machine.body()).status_code == 409


def test_a_truncated_answer_is_shorter_than_it_claims(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("truncated")) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.get(POOLS)
        assert client.get(POOLS).status_code == 200


def test_a_slow_answer_comes_whole(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("slow", seconds=0.6)) as client:
        started = time.monotonic()
        assert client.get(POOLS).json()["count"] == 1
        assert time.monotonic() - started >= 0.5


def test_a_delayed_token_finds_its_agent_registered(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register()
    service.fault(Fault("delay", "POST", "/oauth2/token$", seconds=0.5))
    started = time.monotonic()
    machine.log_in()
    assert time.monotonic() - started >= 0.5


def test_what_is_delayed_was_done_at_once(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("delay", seconds=600), timeout=IMPATIENT) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(POOLS, json={"name": "gpu"})
    until(lambda: [pool["name"] for pool in service.state()["pools"]] == ["Default", "gpu"])


def test_the_token_endpoint_can_find_the_clock_wrong(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.register()
    service.fault(Fault("clock-skew", "POST", "/oauth2/token$"))
    answer = machine.exchange()
    assert answer.status_code == 400
    assert "Current server time is" in answer.json()["error_description"]
    assert machine.exchange().status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_agent_without_authorization_runs_with_the_token_of_its_registration(
    service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine, method: str
) -> None:
    if method == "PUT":
        machine.register()
    service.fault(Fault("no-authorization", method, "/agents(/[0-9]+)?$"))
    answer = admin.request(method, AGENTS + ("/1" if method == "PUT" else ""), json=machine.body())
    assert answer.status_code == 200
    assert "authorization" not in answer.json()
    session = admin.post(f"{machine.base}/sessions", json={"ownerName": "host", "agent": {"id": 1, "name": "agent-1"}})
    assert session.status_code == 200
    assert service.state()["agents"][0]["status"] == "online"


def test_a_fault_of_one_kind_of_request_is_not_spent_on_others(
    service: SimulatedAzureDevOps, admin: httpx.Client, machine: Machine
) -> None:
    machine.register()
    for action in ("no-authorization", "clock-skew", "anonymous"):
        service.fault(Fault(action))
    admin.get(POOLS)
    admin.post(POOLS, json={"name": "gpu"})
    assert service.state()["agents"][0]["key"] is not None
    assert admin.get("/_apis/connectionData").json()["authenticatedUser"]["providerDisplayName"] == "Anonymous"
    assert [machine.exchange().status_code, machine.exchange().status_code] == [400, 200]
    assert "authorization" not in admin.put(f"{AGENTS}/1", json=machine.body()).json()


def test_connection_data_can_be_that_of_nobody(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("anonymous", path="/connectionData$")) as client:
        data = client.get("/_apis/connectionData", auth=("x", "wrong")).json()
    assert data["authenticatedUser"]["providerDisplayName"] == "Anonymous"


def test_requests_that_failed_are_recorded_with_their_fault(service: SimulatedAzureDevOps) -> None:
    with failing(service, Fault("forbidden"), Fault("reset")) as client:
        client.get(POOLS)
        with pytest.raises(httpx.TransportError):
            client.get(POOLS)
    assert [(request.fault, request.status) for request in service.requests] == [("forbidden", 403), ("reset", None)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"action": "explode"}, "explode"),
        ({"action": "reset", "when": "now"}, "no when"),
        ({"action": "reset", "path": "("}, "unterminated"),
        ({}, "action"),
        ({"action": "reset", "times": "x"}, "times"),
        ({"action": "reset", "skip": -1}, "skip"),
        ({"action": "hang", "seconds": True}, "seconds"),
        ({"action": "server-error", "status": 200}, "status"),
        ({"action": "server-error", "status": 599}, "status"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(value: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Fault.parse(value)
