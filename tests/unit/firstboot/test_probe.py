"""The questions to the service before config.sh: what each kind of answer means, and that nothing holds up a boot for ever."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest
import trustme
from firstboot.errors import Problem
from firstboot.explain import ERRORS
from firstboot.probe import classify, http_date, probe, quoted
from firstboot.retry import pause
from firstboot.settings import Settings
from firstboot.userdata import Input
from firstboot.web import Answer, Broken, Connection, trust

from sim.azdo import Action, Fault, SimulatedAzureDevOps
from tests.servers import closed_port
from tests.unit.firstboot.box import Box

pytestmark = pytest.mark.slow


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def wanted(service: SimulatedAzureDevOps) -> Input:
    made = Input()
    made.url, made.pat, made.ca = service.url, service.pat, service.ca_pem
    return made


def problem(settings: Settings, wanted: Input) -> Problem:
    with pytest.raises(Problem) as caught:
        probe(settings, wanted)
    assert wanted.pat not in caught.value.reason
    return caught.value


def test_r15_a_service_that_knows_us_and_our_pool_is_good(settings: Settings, wanted: Input, service: SimulatedAzureDevOps) -> None:
    probe(settings, wanted)
    assert [request.path.rpartition("/")[2] for request in service.requests] == ["connectionData", "pools"]
    assert {request.headers.get("X-TFS-FedAuthRedirect", request.headers.get("x-tfs-fedauthredirect")) for request in service.requests} == {
        "Suppress"
    }


@pytest.mark.parametrize("pool", ["a b", "é & ü", "50%"])
def test_r15_a_pool_may_have_any_name(settings: Settings, wanted: Input, service: SimulatedAzureDevOps, pool: str) -> None:
    service.add_pool(pool)
    wanted.pool = pool
    probe(settings, wanted)


PERMANENT = [
    (Action.UNAUTHORIZED, "", "auth"),
    (Action.SIGN_IN_PAGE, "", "auth"),
    (Action.SIGN_IN_REDIRECT, "", "auth"),
    (Action.ANONYMOUS, "connectionData", "auth"),
    (Action.FORBIDDEN, "pools", "permission"),
    (Action.NOT_FOUND, "connectionData", "organization"),
]
TRANSIENT = [
    (Action.SERVER_ERROR, "", "service"),
    (Action.THROTTLED, "", "service"),
    (Action.HTML, "", "service"),
    (Action.NOT_JSON, "", "service"),
    (Action.EMPTY, "", "service"),
    (Action.TRUNCATED, "", "service"),
    (Action.RESET, "", ("network", "service")),
    (Action.HANG, "", "network"),
]


@pytest.mark.parametrize(("action", "path", "kind"), [*PERMANENT, *TRANSIENT])
def test_r15_each_failure_has_its_class(
    settings: Settings, wanted: Input, service: SimulatedAzureDevOps, action: Action, path: str, kind: str | tuple[str, ...]
) -> None:
    settings.answer_s = 1.0 if action is Action.HANG else 60.0
    service.fault(Fault(action, path=path, times=0, seconds=60))
    found = problem(settings, wanted)
    assert found.kind in ((kind,) if isinstance(kind, str) else kind)
    assert found.permanent == ((action, path, kind) in PERMANENT)


def test_r15_a_pat_that_expired_or_was_revoked_or_has_no_scope_is_told_apart(
    settings: Settings, wanted: Input, service: SimulatedAzureDevOps
) -> None:
    wanted.pat = service.add_pat(expired=True)
    assert problem(settings, wanted).kind == "auth"
    wanted.pat = service.add_pat(scopes=("vso.code",))
    assert problem(settings, wanted).kind in {"permission", "auth"}
    wanted.pat = service.pat
    service.revoke(service.pat)
    assert problem(settings, wanted).kind == "auth"


def test_r15_another_organization_is_told_apart(settings: Settings, wanted: Input, service: SimulatedAzureDevOps) -> None:
    wanted.url = f"{wanted.url}x"
    assert problem(settings, wanted).kind in {"organization", "auth"}


def test_r15_a_pool_that_is_not_there_is_told_apart(settings: Settings, wanted: Input) -> None:
    wanted.pool = "no such pool"
    assert problem(settings, wanted).kind == "pool"


def test_r15_permanent_failures_have_exit_codes_of_their_own() -> None:
    codes = [found.code for found in ERRORS.values()]
    assert len(set(codes)) == len(codes)
    assert {kind for kind, found in ERRORS.items() if found.permanent} >= {
        "auth",
        "organization",
        "permission",
        "pool",
        "input",
        "gpu",
        "guard",
    }
    assert not any(ERRORS[kind].permanent for kind in ("network", "service", "clock", "tls", "metadata", "register"))


def test_r15_nobody_at_the_address_is_the_network(settings: Settings, wanted: Input) -> None:
    wanted.url = closed_port().replace("http:", "https:") + "/demo"
    found = problem(settings, wanted)
    assert (found.kind, found.permanent) == ("network", False)
    assert "refused" in found.reason


def test_r15_a_name_that_does_not_resolve_is_the_network(settings: Settings, wanted: Input) -> None:
    wanted.url = "https://no-such-host.invalid/demo"
    assert problem(settings, wanted).kind == "network"


def test_a_certificate_that_nobody_vouches_for_is_named(settings: Settings, wanted: Input) -> None:
    wanted.ca = ""
    found = problem(settings, wanted)
    assert (found.kind, found.permanent) == ("tls", False)


def test_a_ca_without_a_certificate_is_bad_input(settings: Settings, wanted: Input) -> None:
    wanted.ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert problem(settings, wanted).kind == "input"


@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
def test_r15_a_clock_that_is_off_is_named(settings: Settings, wanted: Input, offset: float) -> None:
    settings.clock = lambda: time.time() + offset
    found = problem(settings, wanted)
    assert (found.kind, found.permanent) == ("clock", False)
    off = re.search(r"(\d+) s off", found.reason)
    assert off is not None
    assert abs(int(off[1]) - 3600) < 60, "a Date has whole seconds, and the answer takes its time"


def test_r15_a_certificate_of_another_time_is_the_clock(settings: Settings, wanted: Input) -> None:
    authority = trustme.CA()
    old = authority.issue_cert("127.0.0.1", not_before=datetime.datetime(2001, 1, 1), not_after=datetime.datetime(2002, 1, 1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.configure_cert(context)
    wanted.ca = authority.cert_pem.bytes().decode()
    with raw_server(lambda link: None, tls=context) as url:
        wanted.url = url.replace("http:", "https:") + "/demo"
        assert problem(settings, wanted).kind == "clock"


@pytest.mark.parametrize(("seconds", "least"), [(7, 7.0), (120, 120.0)])
def test_r14_retry_after_is_honoured(
    settings: Settings, wanted: Input, service: SimulatedAzureDevOps, seconds: float, least: float
) -> None:
    service.fault(Fault(Action.THROTTLED, times=0, seconds=seconds))
    found = problem(settings, wanted)
    assert found.retry_after == least
    assert pause(settings, 1, found.retry_after) >= least


def test_r14_retry_after_may_be_a_date() -> None:
    now = 1_700_000_000
    answer = Answer(503, {"retry-after": formatdate(now + 90, usegmt=True), "date": formatdate(now, usegmt=True)}, b"")
    found = classify(answer, "pool")
    assert found is not None
    assert found.retry_after == 90
    for nonsense in ("soon", "-5", "", "1e9", "\u0665"):
        other = classify(Answer(429, {"retry-after": nonsense}, b""), "pool")
        assert other is not None
        assert other.retry_after == 0


def test_r14_pauses_grow_differ_and_are_bounded() -> None:
    settings = Settings()
    chance = [0.0]
    settings.jitter = lambda: chance[0]
    least = [pause(settings, attempt, 0) for attempt in (1, 2, 3, 4, 5, 6, 60)]
    chance[0] = 1.0
    most = [pause(settings, attempt, 0) for attempt in (1, 2, 3, 4, 5, 6, 60)]
    assert most == [1, 2, 4, 8, 16, 30, 30]
    assert least == [0.5, 1, 2, 4, 8, 15, 15]
    assert pause(settings, 1, 10**9) <= 330
    assert len({pause(Settings(), 5, 0) for _ in range(20)}) > 10


def test_a_date_of_http_is_read() -> None:
    assert http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777
    for text in ("", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 aa:49:37 GMT", "a b Nov c d e", "Sun, 06 Foo 1994 08:49:37 GMT"):
        assert http_date(text) is None


def test_a_query_holds_no_characters_that_mean_something() -> None:
    assert quoted("a b&c=d/é%") == "a%20b%26c%3Dd%2F%C3%A9%25"


# HTTP itself


@contextmanager
def raw_server(handle: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A TCP server that does what `handle` does with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []
        ends = threading.Event()

        def one(link: socket.socket) -> None:
            with link:
                try:
                    if tls is not None:
                        with tls.wrap_socket(link, server_side=True) as secure:
                            handle(secure)
                    else:
                        handle(link)
                except OSError:  # the client left
                    pass

        def serve() -> None:
            listener.settimeout(0.05)
            while not ends.is_set():
                try:
                    link, _ = listener.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=one, args=(link,)))
                threads[-1].start()

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ends.set()
            for thread in [server, *threads]:
                thread.join()


def answering(data: bytes) -> Callable[[socket.socket], None]:
    def handle(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(data)

    return handle


def ask(url: str, timeout: float = 60.0) -> Answer:
    connection = Connection(url, timeout=timeout)
    try:
        return connection.ask("GET", "/")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n", b"hello world"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200\nContent-Length: 2\n\nhi", b"hi"),
    ],
)
def test_an_answer_arrives_whole_in_every_form(data: bytes, body: bytes) -> None:
    with raw_server(answering(data)) as url:
        assert ask(url).body == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10 + b"Half: ",
        b"\xff" * 200000,
    ],
)
def test_r18_what_is_no_answer_is_broken(data: bytes) -> None:
    with raw_server(answering(data)) as url, pytest.raises((Broken, ConnectionError)):
        ask(url)


def test_r18_an_answer_that_drips_ends_at_the_deadline() -> None:
    """http.client would wait as long as a byte comes now and then."""

    def handle(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            link.sendall(b"x")
            time.sleep(0.05)

    with raw_server(handle) as url, pytest.raises(TimeoutError):
        ask(url, timeout=0.5)


def test_r18_a_server_that_never_answers_ends_at_the_deadline() -> None:
    def handle(link: socket.socket) -> None:
        while link.recv(65536):  # until the client leaves
            pass

    with raw_server(handle) as url, pytest.raises(TimeoutError):
        ask(url, timeout=0.5)


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    with raw_server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as url:
        connection = Connection(url)
        try:
            assert connection.ask("GET", "/").body == b"hi"
            time.sleep(0.1)
            assert connection.ask("GET", "/").body == b"hi"
        finally:
            connection.close()


def tunnel(refuses: bytes = b"") -> Callable[[socket.socket], None]:
    """A proxy that knows CONNECT."""

    def handle(link: socket.socket) -> None:
        head = link.recv(65536).decode()
        if refuses:
            link.sendall(refuses)
            return
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, link))
            back.start()
            pump(link, far)
            back.join()

    return handle


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_the_service_is_reached_through_a_proxy(settings: Settings, wanted: Input, service: SimulatedAzureDevOps) -> None:
    with raw_server(tunnel()) as proxy:
        wanted.proxy = proxy
        probe(settings, wanted)
    assert len(service.requests) == 2


def test_the_service_is_reached_through_an_https_proxy(settings: Settings, wanted: Input, service: SimulatedAzureDevOps) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    wanted.ca += authority.cert_pem.bytes().decode()
    with raw_server(tunnel(), tls=context) as proxy:
        wanted.proxy = proxy.replace("http:", "https:")
        probe(settings, wanted)
    assert len(service.requests) == 2


def test_a_proxy_that_refuses_is_named(settings: Settings, wanted: Input) -> None:
    with raw_server(tunnel(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")) as proxy:
        wanted.proxy = proxy
        found = problem(settings, wanted)
    assert (found.kind, found.reason) == ("network", "the proxy 127.0.0.1 answers 407")


def test_certificates_of_our_own_are_added_to_the_systems() -> None:
    plain, more = trust(""), trust(trustme.CA().cert_pem.bytes().decode())
    assert len(more.get_ca_certs()) == len(plain.get_ca_certs()) + 1


# The same within a whole boot


@pytest.mark.parametrize(("action", "path", "kind"), PERMANENT)
def test_r15_r19_a_permanent_failure_is_not_tried_again_and_takes_the_pat(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], action: Action, path: str, kind: str
) -> None:
    service.fault(Fault(action, path=path, times=0))
    box.seed(given)
    assert box.boot() == ERRORS[kind].code
    assert (box.status["phase"], box.status["error"], box.status["attempts"]) == ("failed", kind, 1)
    assert (box.slept, service.state()["agents"], box.holding(service.pat)) == ([], [], [])
    assert not (box.agent / ".credentials").exists()
    assert "start goldbake-agent.service" not in box.systemctl_calls


@pytest.mark.parametrize("action", [action for action, _, _ in TRANSIENT])
def test_r15_r18_a_failure_that_passes_is_tried_again(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], action: Action
) -> None:
    box.settings.answer_s = 2.0 if action is Action.HANG else 60.0
    service.fault(Fault(action, path="connectionData", times=2, seconds=60 if action is Action.HANG else 2))
    box.seed(given)
    assert box.boot() == 0
    assert box.status["phase"] == "online"
    assert "error" not in box.status
    assert box.status["attempts"] >= 2
    assert [agent["id"] for agent in service.state()["agents"]] == [1]


def test_r14_what_does_not_pass_ends_within_bounds_and_keeps_the_pat(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]
) -> None:
    service.fault(Fault(Action.SERVER_ERROR, times=0, status=503))
    now = [0.0]
    box.settings.monotonic = lambda: now[0]
    box.settings.sleep = lambda seconds: now.__setitem__(0, now[0] + seconds)
    box.settings.backoff_s, box.settings.backoff_max_s = 1.0, 30.0
    box.seed(given)
    assert box.boot() == ERRORS["service"].code
    assert (box.status["phase"], box.status["error"]) == ("failed", "service")
    assert 15 < box.status["attempts"] < 60
    assert 500 < now[0] <= box.settings.probe_budget_s
    assert box.holding(service.pat) == ["var/lib/cloud/seed/nocloud/user-data"]
    service.clear_faults()
    assert box.boot() == 0
    assert box.holding(service.pat) == []
