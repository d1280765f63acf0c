"""Every kind of error is provoked over a real connection, and says what, what to do, and with which exit code."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goldbake.azdo import credentials
from goldbake.azdo.client import Client, Limits
from goldbake.azdo.errors import ROWS, AzureDevOpsError, Kind
from goldbake.azdo.pools import Agent, AgentStatus, Pools
from goldbake.errors import Exit
from goldbake.secret import Secret
from sim.azdo import SimulatedAzureDevOps
from sim.azdo.faults import Action, Fault
from tests.servers import closed_port
from tests.unit.azdo.agents import go_online, register
from tests.unit.azdo.conftest import PAT, PATIENT, Connect, Raw
from tests.unit.azdo.raw import http, refusal

pytestmark = pytest.mark.slow

CONNECT = Limits(connect=0.3, read=30, attempt=120)
READ = Limits(connect=30, read=0.3, attempt=120)
ATTEMPT = Limits(connect=30, read=30, attempt=0.6)
"""One of the three is short: which of them ends a call is not left to how busy this machine is."""


class Lab:
    """All that a case needs; the simulated service starts when a case speaks with it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self.connect: Connect = request.getfixturevalue("connect")
        self.raw: Raw = request.getfixturevalue("raw")
        self.patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        self.folder: Path = request.getfixturevalue("tmp_path")

    @property
    def service(self) -> SimulatedAzureDevOps:
        found: SimulatedAzureDevOps = self._request.getfixturevalue("service")
        return found

    def ask(self, *answers: bytes) -> None:
        """Ask a server that says these bytes."""
        self.connect(self.raw(*answers)).check()

    def fault(self, action: Action, limits: Limits | None = None, **how: float) -> None:
        """Ask the simulated service while it fails."""
        self.service.fault(Fault(action, times=0, **how))  # type: ignore[arg-type]
        self.connect(self.service, limits=limits).check()

    def elsewhere(self, url: str, limits: Limits | None = None) -> None:
        """Ask whoever is at this address."""
        with Client(url, Secret(PAT), limits=limits or PATIENT, sleep=lambda _: None) as client:
            Pools(client).check()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(request)


def _cannot_read_pools(lab: Lab) -> None:
    lab.connect(lab.service, lab.service.add_pat(scopes=("vso.code",))).find_pool("Default")


def _read_only(lab: Lab) -> None:
    pools = lab.connect(lab.service, lab.service.add_pat(scopes=("vso.agentpools",)))
    pools.require_manage(pools.find_pool("Default"))


def _no_administrator(lab: Lab) -> None:
    pools = lab.connect(lab.service)
    default = pools.find_pool("Default")
    lab.connect(lab.raw(http(200, {"count": 0, "value": []}))).require_manage(default)


def _hosted(lab: Lab) -> None:
    lab.service.add_pool("Azure Pipelines", hosted=True)
    lab.connect(lab.service).find_pool("azure pipelines")


def _busy(lab: Lab) -> None:
    pools = lab.connect(lab.service)
    agent = register(pools, 1, "goldbake-1")
    go_online(pools, 1, agent)
    lab.service.queue_job("Default")
    pools.remove_agent(1, agent)


def _same_name(lab: Lab) -> None:
    pools = lab.connect(lab.service)
    register(pools, 1, "goldbake-1")
    register(pools, 1, "goldbake-1")


def _rejected(how: str) -> Callable[[Lab], None]:
    def case(lab: Lab) -> None:
        with SimulatedAzureDevOps(organization="demo", rejection=how) as service:
            lab.connect(service, PAT).check()

    return case


def _lookup_fails(code: int, text: str) -> Callable[[Lab], None]:
    def case(lab: Lab) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(code, text)

        lab.patch.setattr(socket, "getaddrinfo", fail)  # a real one would ask the name servers of whoever runs this test
        lab.elsewhere("https://azure.invalid/demo")

    return case


def _full_backlog(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:  # the kernel takes one or two, and drops the rest on the floor
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            time.sleep(0.1)
            lab.elsewhere(f"https://127.0.0.1:{port}/demo", CONNECT)
        finally:
            for one in waiting:
                one.close()


def _header_by_drips(lab: Lab) -> None:
    def drip(connection: socket.socket, ends: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not ends.wait(0.05):
            connection.sendall(b"x")

    lab.connect(lab.raw(drip), limits=ATTEMPT).check()


def _body_by_drips(lab: Lab) -> None:
    def drip(connection: socket.socket, ends: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        while not ends.wait(0.05):
            connection.sendall(b" ")

    lab.connect(lab.raw(drip), limits=ATTEMPT).check()


def _endless_body(lab: Lab) -> None:
    def pour(connection: socket.socket, ends: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not ends.is_set():
            connection.sendall(b" " * 262144)

    lab.connect(lab.raw(pour)).check()


def _untrusted(lab: Lab) -> None:
    lab.elsewhere(lab.service.url)


def _another_name(lab: Lab) -> None:
    lab.connect(lab.raw(http(200), names=("elsewhere.example",))).check()


def _proxy(*answer: bytes, url: str = "http://user:hunter22@127.0.0.1") -> Callable[[Lab], None]:
    def case(lab: Lab) -> None:
        port = lab.raw(*answer, tls=False).port if answer else int(closed_port().rpartition(":")[2])
        lab.patch.setenv("HTTPS_PROXY", f"{url}:{port}")
        lab.elsewhere("https://azure.invalid/demo")

    return case


def _past_the_proxy(lab: Lab) -> None:
    lab.patch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    lab.patch.setenv("NO_PROXY", "127.0.0.1")
    lab.elsewhere(NOWHERE)


def _environment(name: str, value: str) -> Callable[[Lab], None]:
    def case(lab: Lab) -> None:
        lab.patch.setenv(name, value)
        Client("demo", Secret(PAT))

    return case


def _bad_ca(lab: Lab) -> None:
    path = lab.folder / "ca.pem"
    path.write_text("no certificate")
    Client("demo", Secret(PAT), ca=path)


GONE = Agent(id=99, name="goldbake-gone", status=AgentStatus.OFFLINE)
EXPIRED = "Access Denied: The Personal Access Token used has expired."
NOWHERE = closed_port().replace("http:", "https:")
TOKENS = r"make one at https://.*/_usersSettings/tokens with the scope Agent Pools \(Read & manage\)"
POOLS_PAGE = r"https://127\.0\.0\.1:\d+/demo/_settings/agentpools"
PROXIED = "HTTPS_PROXY"

Case = tuple[Kind, Callable[[Lab], object], str, str]
CASES: list[Case] = [
    (Kind.PAT_MISSING, lambda lab: credentials.pat(print, environ={}), "neither AZP_TOKEN nor AZP_TOKEN_FILE is set", TOKENS),
    (
        Kind.PAT_UNUSABLE,
        lambda lab: credentials.pat(print, environ={"AZP_TOKEN": "\n"}),
        "no PAT can be read from AZP_TOKEN: it is empty",
        TOKENS,
    ),
    (Kind.PAT_EXPIRED, lambda lab: lab.ask(refusal(401, "Unauthorized", EXPIRED)), "/demo has expired: Access Denied", TOKENS),
    (
        Kind.PAT_EXPIRED,
        lambda lab: lab.ask(http(401, f"<html><title>{EXPIRED}</title>", "text/html")),
        "has expired: Access Denied",
        TOKENS,
    ),
    (Kind.PAT_REJECTED, _rejected("401"), r"/demo does not accept the PAT \(401\).*TF400813", TOKENS),
    (Kind.PAT_REJECTED, _rejected("203"), r"does not accept the PAT \(203\).*Sign In", TOKENS),
    (Kind.PAT_REJECTED, _rejected("302"), r"does not accept the PAT \(302\)", TOKENS),
    (Kind.PAT_REJECTED, lambda lab: lab.fault(Action.UNAUTHORIZED), "TF400813", TOKENS),
    (Kind.PAT_REJECTED, lambda lab: lab.fault(Action.ANONYMOUS), "nobody in particular", TOKENS),
    (Kind.PAT_REJECTED, lambda lab: lab.connect(lab.service, lab.service.add_pat(expired=True)).check(), "does not accept the PAT", TOKENS),
    (Kind.PERMISSION, _cannot_read_pools, "may not do this in .* with the pool 'Default': Access denied. .* needs View", "Read & manage"),
    (Kind.PERMISSION, _read_only, "with the pool 'Default': Access denied. .* needs Manage permissions", f"Administrator at {POOLS_PAGE}"),
    (Kind.PERMISSION, _no_administrator, "no Administrator of the pool", "role Administrator"),
    (
        Kind.BLOCKED,
        lambda lab: lab.ask(http(403, "<title>Web filter</title>", "text/html")),
        "blocked .* text/html.: Web filter",
        "policies",
    ),
    (Kind.ORGANIZATION_MISSING, lambda lab: credentials.organization("", {}), "no organization is named", "AZP_URL=https://"),
    (
        Kind.ORGANIZATION_INVALID,
        lambda lab: Client("http://x/y", Secret(PAT)),
        "'http://x/y' cannot .* https://x/y",
        "https://dev.azure.com/NAME",
    ),
    (Kind.ORGANIZATION_UNKNOWN, lambda lab: lab.fault(Action.NOT_FOUND), "there is no organization at https://127.* .404.", "AZP_URL"),
    (
        Kind.ORGANIZATION_UNKNOWN,
        lambda lab: lab.connect(lab.service, url=lab.service.url.replace("demo", "other")).check(),
        "no organization at https://127.0.0.1:.*/other",
        "AZP_URL",
    ),
    (Kind.POOL_UNKNOWN, lambda lab: lab.connect(lab.service).find_pool("gpu"), "no pool 'gpu' in https://", "--pool gpu --create-pool"),
    (Kind.POOL_UNKNOWN, lambda lab: lab.connect(lab.service).find_pool("Defualt"), "did you mean 'Default'", POOLS_PAGE),
    (Kind.POOL_UNKNOWN, lambda lab: lab.connect(lab.service).find_pool("my pool"), "no pool 'my pool'", "--pool 'my pool' --create-pool"),
    (Kind.POOL_GONE, lambda lab: lab.connect(lab.service).agents(77), "the pool '77' is not in", POOLS_PAGE),
    (Kind.POOL_HOSTED, _hosted, "'azure pipelines' .* Microsoft's own", "--create-pool"),
    (Kind.AGENT_UNKNOWN, lambda lab: lab.connect(lab.service).disable_agent(1, GONE), "no such agent .* '1'.*identifier 99", POOLS_PAGE),
    (Kind.AGENT_BUSY, _busy, "running a job", "wait for its job"),
    (Kind.CONFLICT, _same_name, "already.*goldbake-1", "another name"),
    (
        Kind.REFUSED,
        lambda lab: lab.connect(lab.service).create_pool("a/b"),
        r"refused POST .*/pools \(400\): .*a/b",
        "correct what it names",
    ),
    (Kind.VERSION, lambda lab: lab.ask(refusal(400, "VssVersionOutOfRangeException", "at most 5.1")), "version 7.1 .* 5.1", "Server 2022"),
    (Kind.THROTTLED, lambda lab: lab.fault(Action.THROTTLED, seconds=120), r"\(429, Retry-After 120 s\): TF400733", "wait 120 s"),
    (Kind.THROTTLED, lambda lab: lab.ask(http(429, "slow down", "text/plain")), r"ask more often for now \(429\)$", "^wait, then"),
    (
        Kind.FAILING,
        lambda lab: lab.fault(Action.SERVER_ERROR, status=503),
        r"failed on GET _apis/connectionData \(503\): TF10216",
        "status.dev",
    ),
    (Kind.NOT_JSON, lambda lab: lab.fault(Action.HTML), "connectionData with text/html instead of JSON", "a proxy that wants a log-in"),
    (Kind.NOT_JSON, lambda lab: lab.ask(http(200, b"{}", media="")), "with no type instead of JSON", "address of Azure DevOps"),
    (Kind.BAD_ANSWER, lambda lab: lab.fault(Action.NOT_JSON), "something unexpected: Invalid JSON", "report it"),
    (Kind.BAD_ANSWER, lambda lab: lab.fault(Action.EMPTY), "something unexpected: Invalid JSON", "report it"),
    (Kind.BAD_ANSWER, lambda lab: lab.ask(http(200, {"authenticatedUser": {"id": 1}})), "authenticatedUser.id: .*string", "report it"),
    (Kind.BAD_ANSWER, lambda lab: lab.ask(http(206, {})), "unexpected: status 206", "report it"),
    (Kind.BAD_ANSWER, lambda lab: lab.ask(http(200, b"no gzip", Content_Encoding="gzip")), "cannot be unpacked", "report it"),
    (Kind.BAD_ANSWER, _endless_body, "more than 32 MiB", "report it"),
    (Kind.REDIRECTED, lambda lab: lab.ask(http(301, Location="https://u:p@new.example/demo")), r"to new\.example \(301\)", "has moved"),
    (Kind.REDIRECTED, lambda lab: lab.ask(http(302, Location="https://[broken")), r"to elsewhere \(302\)", "has moved"),
    (Kind.DNS_UNKNOWN, _lookup_fails(socket.EAI_NONAME, "Name or service not known"), "azure.invalid is unknown", "correct AZP_URL"),
    (
        Kind.DNS_UNKNOWN,
        lambda lab: lab.elsewhere(f"https://{'a' * 70}.invalid/x"),
        "cannot be the name|label",
        "AZP_URL",
    ),
    (Kind.DNS_FAILING, _lookup_fails(socket.EAI_AGAIN, "Temporary failure"), "azure.invalid cannot be looked up", "online"),
    (
        Kind.NOT_LISTENING,
        lambda lab: lab.elsewhere(NOWHERE),
        r"127\.0\.0\.1:\d+ refuses the connection",
        "port right",
    ),
    (Kind.NO_ROUTE, lambda lab: lab.elsewhere("https://255.255.255.255/x"), "255.* cannot be reached", "online"),
    (Kind.CONNECT_TIMEOUT, _full_backlog, "did not accept a connection within 0.3 s", "firewall"),
    (
        Kind.ANSWER_TIMEOUT,
        lambda lab: lab.fault(Action.HANG, READ, seconds=60),
        "did not complete its answer to GET .* within 0.3 s",
        "status.dev",
    ),
    (Kind.ANSWER_TIMEOUT, _header_by_drips, "within 0.6 s", "status.dev"),
    (Kind.ANSWER_TIMEOUT, _body_by_drips, "within 0.6 s", "status.dev"),
    (Kind.CUT, lambda lab: lab.fault(Action.RESET), "broke during GET _apis/connectionData", "run the same command again"),
    (Kind.CUT, lambda lab: lab.fault(Action.TRUNCATED), "broke during GET", "run the same command again"),
    (Kind.CUT, lambda lab: lab.ask(b"SSH-2.0-OpenSSH\r\n"), "broke during GET", "run the same command again"),
    (Kind.TLS_UNTRUSTED, _untrusted, "certificate of 127.* is not trusted: unable to get local issuer certificate", "SSL_CERT_FILE"),
    (Kind.TLS_UNTRUSTED, _another_name, "not trusted: IP address mismatch", "SSL_CERT_FILE"),
    (Kind.TLS_FAILED, lambda lab: lab.connect(lab.raw(http(400), tls=False)).check(), "no TLS with 127", "https only"),
    (Kind.PROXY, _proxy(http(407)), "the proxy on the way to azure.invalid, does not connect: 407", PROXIED),
    (Kind.PROXY, _proxy(http(403)), r"^127\.0\.0\.1:\d+, the proxy .* does not connect: 403", "NO_PROXY"),
    (Kind.NOT_LISTENING, _proxy(), r"^127\.0\.0\.1:\d+, the proxy on the way to azure.invalid, refuses", PROXIED),
    (Kind.NOT_LISTENING, _past_the_proxy, r"^127\.0\.0\.1:\d+ refuses", PROXIED),
    (Kind.PROXY_INVALID, _environment("HTTPS_PROXY", "ftp://user:hunter22@x"), "that HTTPS_PROXY names", "http://HOST:PORT"),
    (Kind.PROXY_INVALID, _environment("ALL_PROXY", "socks5://x:1"), "ALL_PROXY names cannot be used: SOCKS is not", "http://HOST:PORT"),
    (Kind.CERTIFICATES, _environment("SSL_CERT_FILE", "/nowhere.pem"), "SSL_CERT_FILE ./nowhere.pem. has no certificates", "PEM"),
    (Kind.CERTIFICATES, _environment("REQUESTS_CA_BUNDLE", "/nowhere.pem"), "REQUESTS_CA_BUNDLE ./nowhere.pem. has no", "PEM"),
    (Kind.CERTIFICATES, _bad_ca, "the CA file .*ca.pem. has no certificates to trust", "PEM"),
]

EXITS = {
    Exit.MISSING: {Kind.PAT_MISSING, Kind.PAT_UNUSABLE, Kind.PAT_EXPIRED, Kind.PAT_REJECTED, Kind.PERMISSION, Kind.BLOCKED},
    Exit.USAGE: {
        Kind.ORGANIZATION_MISSING, Kind.ORGANIZATION_INVALID, Kind.ORGANIZATION_UNKNOWN, Kind.POOL_UNKNOWN, Kind.POOL_GONE, Kind.POOL_HOSTED,
        Kind.AGENT_UNKNOWN, Kind.PROXY_INVALID, Kind.CERTIFICATES,
    },
}  # fmt: skip
"""Exit codes by kind: the outer contract. What is not here is 1."""


@pytest.mark.parametrize(("kind", "provoke", "message", "hint"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)])
def test_each_kind_says_what_and_what_to_do(lab: Lab, kind: Kind, provoke: Callable[[Lab], object], message: str, hint: str) -> None:
    with pytest.raises(AzureDevOpsError, match=message) as caught:
        provoke(lab)
    error = caught.value
    assert error.kind is kind
    assert re.search(hint, error.hint), error.hint
    assert error.exit_code is next((code for code, kinds in EXITS.items() if kind in kinds), Exit.FAILED)
    for text in (error.message, error.hint, repr(error)):
        assert text.isprintable()
        assert PAT not in text
        assert "hunter22" not in text
        assert "{" not in text


def test_no_kind_is_without_its_case() -> None:
    assert {case[0] for case in CASES} == set(Kind)
    assert set(ROWS) == set(Kind)


def test_the_kernel_refuses_the_address_of_no_route() -> None:
    """The case above is about what it says: broadcast is no place for TCP, so nothing is sent."""
    with socket.socket() as probe:
        assert probe.connect_ex(("255.255.255.255", 443)) in (errno.ENETUNREACH, errno.EACCES, errno.EHOSTUNREACH)
