"""Whatever a server answers, the client returns a value or raises an error of ours, in one printable line without the PAT."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from goldbake.azdo.client import Client, Limits
from goldbake.azdo.pools import Agent, AgentStatus, Pools
from goldbake.errors import Exit, GoldbakeError
from goldbake.secret import Secret
from tests.unit.azdo.conftest import PAT
from tests.unit.azdo.raw import RawService, raw_service

pytestmark = pytest.mark.slow

AGENT = Agent(id=7, name="goldbake-1", status=AgentStatus.ONLINE)
CALLS: list[Callable[[Pools], object]] = [
    lambda pools: pools.check(),
    lambda pools: pools.find_pool("Default"),
    lambda pools: pools.create_pool("gpu"),
    lambda pools: pools.agents(1),
    lambda pools: pools.queue_length(1),
    lambda pools: pools.stale_agents(1, "goldbake"),
    lambda pools: pools.remove_agent(1, 7),
    lambda pools: pools.disable_agent(1, AGENT),
    lambda pools: pools.client.simulated,
]

NAMES = [
    "authenticatedUser",
    "id",
    "name",
    "status",
    "value",
    "count",
    "message",
    "typeKey",
    "requestId",
    "isHosted",
    "createdOn",
    "descriptor",
]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["online", "offline", PAT, "Default"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    st.lists(DOCUMENTS, max_size=3).map(lambda entries: json.dumps({"count": 1, "value": entries}).encode()),
    st.sampled_from(
        [b"[" * 100_000, b'{"value":' * 5000, b"9" * 10_000, b'"\\ud800"', b"\xef\xbb\xbf{}", f"<title>{PAT}</title>".encode()]
    ),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Content-Type",
                "Content-Length",
                "Content-Encoding",
                "Transfer-Encoding",
                "Location",
                "Retry-After",
                "Set-Cookie",
                "Connection",
                "X-TFS-ServiceError",
                "X-MS-ContinuationToken",
                "X-Simulated-Service",
                "WWW-Authenticate",
                "",
            ]
        ),
        st.text(st.characters(max_codepoint=255), max_size=30)
        | st.sampled_from(
            ["application/json", "text/html", "gzip", "deflate", "chunked", "-1", "5", "https://[x", "a=b; domain=.", "0", PAT]
        ),
    ),
    max_size=4,
)


def _written(status: int, headers: list[tuple[str, str]], body: bytes, json_type: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers)]
    lines += ["Content-Type: application/json"] if json_type else []
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


STATUS = st.integers(-1, 1000) | st.sampled_from([100, 101, 200, 200, 200, 203, 204, 302, 401, 403, 404, 407, 409, 429, 500])
ANSWERS = st.binary(max_size=300) | st.builds(_written, STATUS, HEADERS, BODIES, st.booleans())


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RawService, Pools]]:
    with raw_service(tmp_path_factory.mktemp("raw"), b"") as server:
        with Client(server.url, Secret(PAT), ca=server.ca, limits=Limits(30, 30, 120), sleep=lambda _: None) as client:
            yield server, Pools(client)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(answers=st.lists(ANSWERS, min_size=1, max_size=3), call=st.sampled_from(range(len(CALLS))))
@example(answers=[_written(200, [], b"[" * 1_000_000, True)], call=0)
@example(answers=[_written(200, [("X-MS-ContinuationToken", "é\x00")], b'{"value":[]}', True)], call=3)
@example(answers=[b"HTTP/1.1 100 Continue\r\n\r\n" * 50], call=0)
@example(answers=[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"], call=0)
def test_no_bytes_make_anything_but_an_error_of_ours(babbler: tuple[RawService, Pools], answers: list[bytes], call: int) -> None:
    server, pools = babbler
    server.answers = list(answers)
    pools.client._simulated = None
    raised: GoldbakeError | None = None
    try:
        CALLS[call](pools)
    except GoldbakeError as error:
        raised = error
    if raised is not None:
        assert raised.exit_code in (Exit.FAILED, Exit.USAGE, Exit.MISSING)
        for text in (raised.message, raised.hint):
            assert 0 < len(text) < 1000
            assert text.isprintable()
            assert PAT not in text
