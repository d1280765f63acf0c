"""HTTP as the agent speaks it, against sockets that answer byte by byte."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote as library_quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.agent.files.bin.simagent.errors import NetworkError
from sim.agent.files.bin.simagent.stream import Interrupted, trust
from sim.agent.files.bin.simagent.wire import Connection, Proxy, Response, Url, quote
from tests.servers import closed_port


@contextmanager
def answering(*answers: bytes | None, keep: bool = False) -> Iterator[tuple[Url, list[bytes]]]:
    """A server whose connections send these answers in turn, one for each request (`keep`: all on one connection); None: no answer."""
    received: list[bytes] = []
    ends = threading.Event()

    def serve() -> None:
        rest = list(answers)
        while rest and not ends.is_set():
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(60)
                while rest:
                    request = b""
                    while not request.endswith(b"\r\n\r\n") and (part := connection.recv(65536)):
                        request += part
                    if not request:
                        break
                    received.append(request)
                    answer = rest.pop(0)
                    if answer is None:
                        ends.wait(60)
                        return
                    connection.sendall(answer)
                    if not keep:
                        break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Url(f"http://127.0.0.1:{listener.getsockname()[1]}"), received
        finally:
            ends.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(url: Url, *, timeout: float = 60.0, proxy: Proxy | None = None, wake: int = -1) -> Response:
    connection = Connection(url, None, proxy, timeout)
    try:
        return connection.exchange("GET", "/path", {"X-Name": "value"}, b"", wake)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://dev.azure.com/demo", "https://dev.azure.com", "/demo"),
        ("HTTPS://Dev.Azure.Com:443", "https://dev.azure.com", "/"),
        ("http://10.0.2.2:8080/a?b=c", "http://10.0.2.2:8080", "/a?b=c"),
        ("https://[::1]:8443/x", "https://[::1]:8443", "/x"),
        ("https://user:password@host/x", "https://host", "/x"),
        ("https://host?a=/b", "https://host", "?a=/b"),
        ("https://host/my org/é\r\nX: y", "https://host", "/my%20org/%C3%A9%0D%0AX:%20y"),
    ],
)
def test_url_is_taken_apart(text: str, origin: str, path: str) -> None:
    url = Url(text)
    assert (url.origin, url.path) == (origin, path)


@pytest.mark.parametrize(
    "text", ["", "demo", "/demo", "ftp://host/x", "https://", "https://host:0/", "https://host:x/", "https://a b/", "https:/x"]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (int() has its own words)
        Url(text)


@given(st.text(max_size=30))
def test_text_is_quoted_as_the_library_does(text: str) -> None:
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    try:
        expected = library_quote(text, safe="")
    except UnicodeEncodeError:
        return
    assert quote(text) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
    ids=["length", "chunked", "until the end"],
)
def test_body_is_read_however_it_is_sent(answer: bytes) -> None:
    with answering(answer) as (url, received):
        response = ask(url)
    assert (response.status, response.reason, response.body) == (200, "OK", b"hello")
    assert b"GET /path HTTP/1.1\r\nHost: 127.0.0.1:" in received[0]
    assert b"X-Name: value\r\n" in received[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n",
    ],
)
@pytest.mark.parametrize("interruptible", [False, True])
def test_broken_answer_is_an_error_and_not_an_answer(answer: bytes, interruptible: bool) -> None:
    reading, writing = os.pipe()
    try:
        with answering(answer) as (url, _), pytest.raises(NetworkError):
            ask(url, wake=reading if interruptible else -1)
    finally:
        os.close(reading)
        os.close(writing)


def test_silence_is_a_time_out() -> None:
    with answering(None) as (url, _), pytest.raises(NetworkError, match="did not answer within") as caught:
        ask(url, timeout=0.2)
    assert caught.value.timed_out


@pytest.mark.parametrize("rung", ["before", "while it waits"])
def test_waiting_for_an_answer_can_be_interrupted(rung: str) -> None:
    reading, writing = os.pipe()
    try:
        ringer = threading.Timer(0.0 if rung == "before" else 0.3, os.write, (writing, b"."))
        ringer.start()
        with answering(None) as (url, _), pytest.raises(Interrupted):
            ask(url, wake=reading)
        ringer.join()
    finally:
        os.close(reading)
        os.close(writing)


def test_answer_comes_through_though_it_could_be_interrupted() -> None:
    reading, writing = os.pipe()
    try:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (url, _):
            assert ask(url, wake=reading).body == b"hi"
    finally:
        os.close(reading)
        os.close(writing)


def test_connection_is_kept_and_opened_anew_when_the_server_closed_it() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    with answering(answer, answer) as (url, received):
        connection = Connection(url, None, None, 10.0)
        try:
            assert [connection.exchange("GET", "/", {}, b"").body for _ in range(2)] == [b"hi", b"hi"]
        finally:
            connection.close()
    assert len(received) == 2


def test_plain_proxy_gets_the_whole_address_and_its_credential() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (proxy, received):
        assert ask(Url("http://service.invalid/"), proxy=Proxy(proxy, "Basic abc")).body == b"hi"
    assert received[0].startswith(b"GET http://service.invalid/path HTTP/1.1\r\nHost: service.invalid\r\n")
    assert b"Proxy-Authorization: Basic abc\r\n" in received[0]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 200"])
def test_proxy_that_refuses_the_tunnel_is_named(answer: bytes) -> None:
    with answering(answer) as (proxy, received), pytest.raises(NetworkError, match=r"tunnel|headers"):
        ask(Url("https://service.invalid/"), proxy=Proxy(proxy))
    assert received[0].startswith(b"CONNECT service.invalid:443 HTTP/1.1\r\n")


def test_nothing_listens() -> None:
    with pytest.raises(NetworkError, match="Connection refused"):
        ask(Url(closed_port()))


def test_file_without_certificates_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(NetworkError, match="cannot be read"):
        trust(str(path))
