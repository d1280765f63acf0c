from __future__ import annotations

import socket
import ssl
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sim.azdo import SimulatedAzureDevOps
from sim.azdo.server import LONGEST_BODY
from tests.unit.sim.azdo.client import AGENTS, PATIENCE_S, Machine, administrator, connect, until

POOLS = "/_apis/distributedtask/pools"


def tls(service: SimulatedAzureDevOps, name: str = "127.0.0.1") -> ssl.SSLSocket:
    trust = ssl.create_default_context(cadata=service.ca_pem)
    return trust.wrap_socket(socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S), server_hostname=name)


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("azdo-")]


def descriptors() -> set[tuple[str, str]]:
    """What this process has open. What earlier tests left to the garbage collector may go at any time: only what is new says something."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.add((path.name, str(path.readlink())))
        except OSError:  # that of the folder itself
            pass
    return found


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "10.0.2.2"])
def test_the_certificate_is_good_for_every_name_of_this_machine(service: SimulatedAzureDevOps, name: str) -> None:
    with tls(service, name) as client:
        assert client.version() == "TLSv1.3"


def test_the_certificate_is_good_for_nothing_else(service: SimulatedAzureDevOps) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), tls(service, "dev.azure.com"):
        pass


def test_the_authority_is_also_a_file_while_the_service_runs() -> None:
    with SimulatedAzureDevOps() as service:
        assert service.ca_path.read_text() == service.ca_pem
        folder = service.ca_path.parent
    assert not folder.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="is not loopback"):
        SimulatedAzureDevOps(host=host)


@pytest.mark.parametrize("name", ["", "a/b", "_state"])
def test_an_organization_needs_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="organization"):
        SimulatedAzureDevOps(name)


def test_a_port_that_is_taken_leaves_nothing_behind(service: SimulatedAzureDevOps) -> None:
    before = descriptors()
    with pytest.raises(OSError, match="in use"), SimulatedAzureDevOps(port=service.port):
        pass
    assert descriptors() - before == set()


def test_one_connection_carries_many_requests_without_delay(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        answers = client.makefile("rb")
        seconds = []
        for _ in range(100):
            started = time.monotonic()
            client.sendall(b"OPTIONS /demo/_apis HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while line := answers.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)
            seconds.append(time.monotonic() - started)
        answers.close()
        assert statistics.median(seconds) < 0.035  # most would wait 40 ms, the delay of an acknowledgement; a busy machine delays a few


def test_a_client_can_ask_to_close(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        client.sendall(b"OPTIONS /demo/_apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert b"\r\nConnection: close\r\n" in answer


def test_a_body_in_chunks_is_read(service: SimulatedAzureDevOps) -> None:
    with administrator(service, held=False) as admin:
        answer = admin.post(POOLS, content=iter([b'{"na', b'me":"gpu"}']), headers={"Content-Type": "application/json"})
        assert answer.json()["name"] == "gpu"
        assert admin.get(POOLS).json()["count"] == 2


def test_what_follows_a_body_in_chunks_is_the_next_request(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        head = b"POST /_faults HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head + b'8;a=b\r\n{"action\r\nb\r\n": "reset"}\r\n0\r\nX-Trailer: 1\r\n\r\n')
        assert client.recv(1000).startswith(b"HTTP/1.1 204 ")
        client.sendall(b"DELETE /_faults HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_a_head_has_no_body(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        client.sendall(b"HEAD /demo/_apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_waits_for_leave_to_send_gets_it(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        client.sendall(b"POST /_faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b'{"action": "reset"}')
        assert client.recv(100).startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"BREW /demo HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"POST /demo HTTP/1.1\r\nContent-Length: ten\r\n\r\n", 400),
        (b"POST /demo HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LONGEST_BODY + 1), 413),
        (b"POST /demo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n", 400),
        (b"POST /demo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (LONGEST_BODY + 1), 413),
        (b"GET http://[/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
    ],
)
def test_a_request_that_is_none_is_refused(service: SimulatedAzureDevOps, request_text: bytes, status: int) -> None:
    with tls(service) as client:
        client.sendall(request_text)
        answer = client.recv(65536)
    assert answer.split()[1] == str(status).encode()
    assert b"X-Simulated-Service: azure-devops\r\n" in answer


def test_a_request_that_stops_within_its_body_changes_nothing(service: SimulatedAzureDevOps) -> None:
    with tls(service) as client:
        client.sendall(b'POST /_faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"action": "reset"}')
    with connect(service) as other:
        assert other.options("/_apis").status_code == 200


def test_plain_http_is_no_way_in(service: SimulatedAzureDevOps) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /_state HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            answer = client.recv(1000)
        except ConnectionResetError:
            answer = b""
        assert b"HTTP" not in answer


def test_a_client_that_connects_and_says_nothing_holds_nobody_up(service: SimulatedAzureDevOps) -> None:
    silent = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
    with connect(service) as client:
        assert client.options("/_apis").status_code == 200
    for connection in silent:
        connection.close()


def test_sixty_four_agents_poll_at_once_and_each_receives_its_job() -> None:
    with SimulatedAzureDevOps(poll_seconds=60) as service, administrator(service) as admin:
        machines = [Machine(service, f"agent-{number}") for number in range(64)]
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(Machine.online, machines))
            polls = [pool.submit(machine.poll) for machine in machines]
            until(lambda: sum("/messages" in request.path for request in service.requests) == 64)
            assert {agent["status"] for agent in admin.get(AGENTS).json()["value"]} == {"online"}
            started = time.monotonic()
            jobs = [service.queue_job("Default") for _ in machines]
            assert {poll.result(PATIENCE_S).status_code for poll in polls} == {200}
            assert time.monotonic() - started < 30
        assert len({service.job(job)["agent"] for job in jobs}) == 64
        for machine in machines:
            machine.http.close()


def test_nothing_is_left_when_it_ends() -> None:
    before = descriptors()
    with SimulatedAzureDevOps(poll_seconds=60) as service:
        machines = [Machine(service, f"agent-{number}") for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            polls = [pool.submit(machine.online().poll) for machine in machines]
            until(lambda: sum("/messages" in request.path for request in service.requests) == 8)
            assert len(ours()) >= 9
            started = time.monotonic()
            service.__exit__(None, None, None)
            assert time.monotonic() - started < 9  # a thread that does not end is waited for 10 s
            assert all(poll.exception(PATIENCE_S) is not None or poll.result().status_code == 202 for poll in polls)
        for machine in machines:
            machine.http.close()
        assert ours() == []
    assert descriptors() - before == set()


def test_an_end_while_a_client_is_within_its_handshake_takes_no_time() -> None:
    with SimulatedAzureDevOps() as service:
        client = socket.create_connection(("127.0.0.1", service.port))
        time.sleep(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 9  # a handshake may take 10 s
    client.close()
    assert ours() == []
