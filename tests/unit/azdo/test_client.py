"""What goes out, what is tried again, and that the PAT is seen nowhere."""

from __future__ import annotations

import base64
import datetime
import io
import logging
import pickle
import socket
import ssl
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
import trustme

from goldbake.azdo import answers, connection
from goldbake.azdo.client import LONGEST_WAIT_S, TRIES, Client, Limits, may_have_happened
from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.log import Progress
from goldbake.secret import Secret
from sim.azdo import SimulatedAzureDevOps
from sim.azdo.faults import Action, Fault
from tests.unit.azdo.conftest import PAT, Connect, Raw
from tests.unit.azdo.raw import http, raw_service, refusal

pytestmark = pytest.mark.slow

ME = {"authenticatedUser": {"id": "1", "providerDisplayName": "Me", "descriptor": "x"}}
BASIC = base64.b64encode(f":{PAT}".encode())


def test_a_request_says_who_asks_and_wants_no_sign_in_page(connect: Connect, raw: Raw) -> None:
    server = raw(http(200, ME))
    connect(server).check()
    head = server.asked[0].split(b"\r\n")
    assert head[0] == b"GET /demo/_apis/connectionData?api-version=7.1-preview HTTP/1.1"
    assert b"Authorization: Basic " + BASIC in head
    assert b"X-TFS-FedAuthRedirect: Suppress" in head
    assert b"Accept: application/json" in head


def test_a_redirection_is_not_followed_so_the_pat_does_not_go_along(connect: Connect, raw: Raw, tmp_path: Path) -> None:
    with raw_service(tmp_path, http(200, ME)) as other:
        pools = connect(raw(http(307, Location=f"{other.url}/_apis/connectionData")))
        with pytest.raises(AzureDevOpsError) as caught:
            pools.check()
        assert caught.value.kind is Kind.REDIRECTED
        assert other.asked == []


def test_a_cookie_is_not_sent_back(connect: Connect, raw: Raw) -> None:
    server = raw(http(200, ME, Set_Cookie="Sticky=77; path=/"))
    pools = connect(server)
    pools.check()
    pools.check()
    assert len(server.asked) == 2
    assert b"Sticky" not in server.asked[1]


@pytest.mark.parametrize("passing", [http(500), http(503), http(429), http(408), b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_what_may_pass_is_tried_again(connect: Connect, raw: Raw, pauses: list[float], passing: bytes) -> None:
    assert connect(raw(passing, passing, http(200, ME))).check().name == "Me"
    assert pauses == [1, 2]


def test_trying_again_ends(connect: Connect, raw: Raw, pauses: list[float]) -> None:
    server = raw(http(502))
    with pytest.raises(AzureDevOpsError, match="502"):
        connect(server).check()
    assert (len(server.asked), pauses) == (TRIES, [1, 2, 4])


def test_retry_after_is_waited_for(connect: Connect, raw: Raw, pauses: list[float]) -> None:
    connect(raw(http(429, Retry_After="7"), http(503, Retry_After="0.5"), http(200, ME))).check()
    assert pauses == [7, 2]


def test_a_long_retry_after_is_told_and_not_waited_for(connect: Connect, raw: Raw, pauses: list[float]) -> None:
    with pytest.raises(AzureDevOpsError, match="Retry-After 61 s"):
        connect(raw(http(429, Retry_After=f"{LONGEST_WAIT_S + 1:.0f}"))).check()
    assert pauses == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("Tue, 24 Nov 2026 10:00:09 GMT", 9),
        ("Tue, 24 Nov 2026 10:00:09 -0000", 9),
        ("Tue, 24 Nov 2020 10:00:09 GMT", 0),
    ]
    + [
        (wrong, 0)
        for wrong in ("", "soon", "-3", "inf", "nan", "1e9", "９", "Mon, 99 Foo 9999 99:99:99 GMT", "Tue, 24 Nov 2026 10:00:09 +9999999")
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_a_surprise(text: str, seconds: float) -> None:
    assert answers.retry_after(text, lambda: datetime.datetime(2026, 11, 24, 10, tzinfo=datetime.UTC)) == seconds


@pytest.mark.parametrize("permanent", [http(401), http(403), http(404), http(400), http(203), http(302), http(200, b"{")])
def test_what_will_not_pass_is_told_at_once(connect: Connect, raw: Raw, pauses: list[float], permanent: bytes) -> None:
    server = raw(permanent)
    with pytest.raises(AzureDevOpsError):
        connect(server).check()
    assert (len(server.asked), pauses) == (1, [])


@pytest.mark.parametrize("unknown", [http(500), http(504), b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_creation_that_may_have_happened_is_not_tried_again(connect: Connect, raw: Raw, pauses: list[float], unknown: bytes) -> None:
    server = raw(unknown)
    with pytest.raises(AzureDevOpsError) as caught:
        connect(server).client.post("_apis/x", {"name": "x"}, dict[str, Any])
    assert (len(server.asked), pauses, may_have_happened(caught.value)) == (1, [], True)


def test_a_creation_that_cannot_have_happened_is_tried_again(connect: Connect, raw: Raw, pauses: list[float]) -> None:
    server = raw(refusal(429, "RequestBlockedException", "TF400733"), http(200, {"id": 1}))
    assert connect(server).client.post("_apis/x", {"name": "x"}, dict[str, Any]) == {"id": 1}
    assert server.asked[1].endswith(b'{"name":"x"}')
    assert pauses == [1]


def test_a_removal_needs_no_answer_but_a_page_is_none(connect: Connect, raw: Raw) -> None:
    for done in (http(200), http(204, media=""), http(200, {"id": 1})):
        connect(raw(done)).client.delete("_apis/x/1")
    with pytest.raises(AzureDevOpsError) as caught:
        connect(raw(http(200, "<title>Guest network</title>", "text/html"))).client.delete("_apis/x/1")
    assert caught.value.kind is Kind.NOT_JSON
    assert "Guest network" in caught.value.message


@pytest.mark.parametrize("other", [http(203), http(202, {}), http(206, {})])
def test_a_removal_is_done_with_200_or_204_only(connect: Connect, raw: Raw, other: bytes) -> None:
    with pytest.raises(AzureDevOpsError):
        connect(raw(other)).client.delete("_apis/x/1")


def test_an_empty_answer_is_no_document(connect: Connect, raw: Raw) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        connect(raw(http(204, media=""))).check()
    assert caught.value.kind is Kind.NOT_JSON


def test_all_pages_of_a_list_are_read(connect: Connect, raw: Raw) -> None:
    server = raw(
        http(200, {"count": 2, "value": [1, 2]}, X_MS_ContinuationToken="next & more"),
        http(200, {"count": 1, "value": [3]}),
    )
    assert connect(server).client.get_all("_apis/x", int, {"a": "b"}) == [1, 2, 3]
    assert b"GET /demo/_apis/x?a=b&api-version=7.1&continuationToken=next+%26+more " in server.asked[1] + b" "


def test_pages_without_an_end_are_given_up(connect: Connect, raw: Raw) -> None:
    server = raw(http(200, {"count": 1, "value": [1]}, X_MS_ContinuationToken="same"))
    with pytest.raises(AzureDevOpsError, match="no end"):
        connect(server).client.get_all("_apis/x", int)
    assert len(server.asked) == 2


def test_a_packed_answer_is_unpacked(connect: Connect, raw: Raw) -> None:
    import gzip  # noqa: PLC0415
    import json  # noqa: PLC0415

    assert connect(raw(http(200, gzip.compress(json.dumps(ME).encode()), Content_Encoding="gzip"))).check().name == "Me"


def test_the_simulated_service_is_recognized_by_its_mark(service: SimulatedAzureDevOps, connect: Connect, raw: Raw) -> None:
    assert connect(service).client.simulated
    real = connect(raw(http(200, ME)))
    assert not real.client.simulated


def test_a_refusal_does_not_make_a_service_a_simulated_one(connect: Connect, raw: Raw) -> None:
    pools = connect(raw(http(401, X_Simulated_Service="azure-devops"), http(200, ME)))
    with pytest.raises(AzureDevOpsError):
        pools.check()
    assert not pools.client.simulated


def test_a_connection_is_used_again(connect: Connect, raw: Raw) -> None:
    """Eight agents that are waited for must not cost eight handshakes a second."""

    def twice(connection: socket.socket, ends: threading.Event) -> None:
        answer = http(200, ME).replace(b"Connection: close\r\n", b"")
        connection.sendall(answer)
        assert connection.recv(65536)
        connection.sendall(answer)

    server = raw(twice)
    pools = connect(server)
    assert pools.check() == pools.check()
    assert len(server.asked) == 1  # connections


def test_several_threads_may_ask(service: SimulatedAzureDevOps, connect: Connect) -> None:
    pools, names = connect(service), []
    threads = [threading.Thread(target=lambda: names.append(pools.find_pool("Default").name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["Default"] * 8


def test_what_is_tried_again_is_told(service: SimulatedAzureDevOps) -> None:
    service.fault(Fault(Action.SERVER_ERROR, times=1, status=503))
    said = io.StringIO()
    with Client(service.url, Secret(service.pat), ca=service.ca_path, progress=Progress(said), sleep=lambda _: None) as client:
        assert client.simulated
    assert said.getvalue().endswith("(503): TF10216: The service is currently unavailable.; trying again in 1 s\n")


def test_ssl_cert_file_is_honoured(service: SimulatedAzureDevOps, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(service.ca_path))
            with Client(service.url, Secret(service.pat)) as client:
                assert client.simulated


def test_a_folder_of_certificates_is_honoured(service: SimulatedAzureDevOps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path))  # an empty one: nobody is trusted
            with Client(service.url, Secret(service.pat)) as client, pytest.raises(AzureDevOpsError, match="not trusted"):
                client.get("_apis/connectionData", dict[str, Any])


def test_authorities_that_this_machine_trusts_are_trusted_besides_the_usual_ones() -> None:
    """A company's own authority is in the system's store, and httpx alone looks only at its own bundle."""

    class Context(ssl.SSLContext):
        loaded = False

        def load_default_certs(self, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
            self.loaded = True

    context = connection.trust(None, lambda: Context(ssl.PROTOCOL_TLS_CLIENT))
    assert isinstance(context, Context)
    assert context.loaded


def test_a_ca_file_adds_to_what_is_trusted(service: SimulatedAzureDevOps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(service.ca_path))
    with Client(service.url, Secret(service.pat), ca=tmp_path / "other.pem") as client:
        assert client.simulated
    with raw_service(tmp_path, http(200, ME), authority=other) as server:
        with Client(server.url, Secret(PAT), ca=tmp_path / "other.pem") as client:
            assert not client.simulated


def test_the_service_is_asked_through_the_proxy(service: SimulatedAzureDevOps, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = raw(http(502), tls=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    with Client(service.url, Secret(service.pat), ca=service.ca_path, sleep=lambda _: None) as client:
        with pytest.raises(AzureDevOpsError):
            client.get("_apis/connectionData", dict[str, Any])
    assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{service.port} ".encode())
    assert b"Basic" not in proxy.asked[0]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Client(service.url, Secret(service.pat), ca=service.ca_path) as client:
        assert client.simulated


ECHOES = [
    refusal(400, "X", f"you sent {PAT}"),
    refusal(401, "X", f"you sent Basic {BASIC.decode()}"),
    http(401, "", X_TFS_ServiceError=f"for%20{PAT}"),
    http(403, f"<title>{PAT}</title>", "text/html"),
    http(302, Location=f"https://{PAT}.example/"),
    http(302, Location=f"https://{PAT}@x.example/_signin?t={PAT}"),
    http(200, b"{}", f"text/{PAT}"),
    http(200, {"authenticatedUser": {"id": [PAT]}}),
    http(200, f"{PAT}"),
    f"HTTP/1.1 {PAT}\r\n\r\n".encode(),
    PAT.encode() + b"\r\n\r\n",
    http(429, refusal(429, "X", PAT), Retry_After=PAT),
]


@pytest.mark.parametrize("echo", ECHOES, ids=range(len(ECHOES)))
def test_a_server_that_repeats_the_pat_does_not_bring_it_into_a_message(connect: Connect, raw: Raw, echo: bytes) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        connect(raw(echo)).check()
    for text in (caught.value.message, caught.value.hint, repr(caught.value)):
        assert PAT not in text
        assert BASIC.decode() not in text


def test_a_short_pat_is_not_repeated_either(connect: Connect, raw: Raw) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        connect(raw(refusal(400, "X", "you sent q7z")), "q7z").check()
    assert "q7z" not in caught.value.message


def test_the_pat_is_in_no_log_and_no_representation(
    service: SimulatedAzureDevOps, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pools = connect(service)
    pools.check()
    basic = base64.b64encode(f":{service.pat}".encode()).decode()
    assert "connectionData" in caplog.text  # so it was written, and is worth looking at
    for text in (caplog.text, repr(pools.client), str(pools.client), repr(pools.client._http.headers)):
        assert service.pat not in text
        assert basic not in text


def test_a_traceback_has_no_pat(connect: Connect, raw: Raw) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        connect(raw(b"")).check()
    assert PAT not in "".join(traceback.format_exception(caught.value))


def test_a_client_cannot_be_written_down(connect: Connect, raw: Raw) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(connect(raw(b"")).client._pat)


def test_text_of_a_server_moves_no_cursor_and_has_an_end() -> None:
    text = answers.told("\x1b[2J one\r\n two\u202e\ud800 " + "x" * 1000, Secret("none"))
    assert text.startswith("[2J one two ")
    assert text.isprintable()
    assert len(text) == 300


def test_giving_up_does_not_wait_for_the_server(connect: Connect, service: SimulatedAzureDevOps, pauses: list[float]) -> None:
    service.fault(Fault(Action.HANG, times=0, seconds=60))
    pools = connect(service, limits=Limits(connect=5, read=5, attempt=0.1))
    with pytest.raises(AzureDevOpsError, match=r"within 0\.1 s"):
        pools.check()
    assert pauses == [1, 2, 4]
