"""A fetched file is complete and the pinned one, or it is not there."""

import errno
import hashlib
import os
import resource
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldbake import fetch as module
from goldbake.errors import DownloadError
from goldbake.fetch import TRIES, fetch, read, unreachable
from goldbake.log import Progress
from tests.servers import Answer, Server, closed_port, server

DATA = b"the pinned file\n" * 1000
Get = Callable[..., Path]
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def get(tmp_path: Path, pauses: list[float]) -> Get:
    def call(url: str, sha256: str = SHA256, name: str = "cache/file") -> Path:
        return fetch(url, tmp_path / name, sha256, Progress(), sleep=pauses.append)

    return call


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_a_file_arrives_with_the_pinned_content(web: Server, get: Get, tmp_path: Path) -> None:
    path = get(web.serve("/file", DATA))
    assert path.read_bytes() == DATA
    assert left(tmp_path) == ["file"]


def test_a_file_that_is_there_is_not_fetched_again(web: Server, get: Get) -> None:
    url = web.serve("/file", DATA)
    get(url)
    get(url)
    assert web.paths == ["/file"]


def test_a_file_that_was_changed_in_the_cache_is_fetched_again(web: Server, get: Get) -> None:
    url = web.serve("/file", DATA)
    get(url).write_bytes(b"changed")
    assert get(url).read_bytes() == DATA


def test_another_hash_is_refused_at_once_and_leaves_nothing(web: Server, get: Get, pauses: list[float], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"SHA-256 is {SHA256}, wanted {'0' * 64}"):
        get(web.serve("/file", DATA), "0" * 64)
    assert (left(tmp_path), pauses) == ([], [])


def test_a_wrong_file_does_not_replace_what_was_there(web: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file").write_bytes(b"older pin")
    with pytest.raises(DownloadError):
        get(web.serve("/file", b"neither"))
    assert (tmp_path / "cache" / "file").read_bytes() == b"older pin"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(web: Server, get: Get, pauses: list[float], status: int) -> None:
    assert get(web.serve("/file", Answer(status=status), Answer(status=status), Answer(DATA))).read_bytes() == DATA
    assert pauses == [1, 2]


def test_a_cut_connection_is_tried_again_from_the_start(web: Server, get: Get) -> None:
    assert get(web.serve("/file", Answer(DATA[:100], claims=len(DATA)), Answer(DATA))).read_bytes() == DATA
    assert len(web.paths) == 2


def test_after_the_last_try_the_reason_and_the_host_are_told(web: Server, get: Get, pauses: list[float], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"ended after 100 of {len(DATA)} bytes \({TRIES} attempts\)") as caught:
        get(web.serve("/file", Answer(DATA[:100], claims=len(DATA))))
    assert "127.0.0.1" in caught.value.hint
    assert (left(tmp_path), pauses) == ([], [1, 2, 4])


@pytest.mark.parametrize(("status", "hint"), [(404, "another version"), (403, "refuses this machine")])
def test_what_will_not_pass_is_told_at_once(web: Server, get: Get, status: int, hint: str) -> None:
    with pytest.raises(DownloadError, match=f"answered {status}") as caught:
        get(web.serve("/file", Answer(status=status)))
    assert hint in caught.value.hint
    assert len(web.paths) == 1


def test_a_server_that_hangs_is_given_up(web: Server, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.1)
    with pytest.raises(DownloadError, match="timed out"):
        get(web.serve("/file", Answer(DATA[:100], claims=len(DATA), hangs=True)))
    deadline = time.monotonic() + 60
    while len(web.paths) < TRIES and time.monotonic() < deadline:  # the server may be later than we
        time.sleep(0.02)
    assert len(web.paths) == TRIES


def test_a_server_that_is_down_is_named(get: Get) -> None:
    with pytest.raises(DownloadError, match="Connection refused"):
        get(closed_port() + "/file")


def test_an_answer_that_is_no_http_is_tried_again(get: Get, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            for _ in range(TRIES):
                connection, _ = listener.accept()
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(DownloadError, match=r"SSH-2\.0"):
            get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert len(pauses) == TRIES - 1


def test_a_redirection_is_followed(web: Server, get: Get) -> None:
    target = web.serve("/there", DATA)
    assert get(web.serve("/file", Answer(status=302, headers={"Location": target}))).read_bytes() == DATA


@pytest.mark.parametrize("url", ["ftp://host/x", "no url", "https:///x", "https://[::1/x", "http://host:port/x"])
def test_what_is_no_url_is_told_as_such(get: Get, url: str) -> None:
    with pytest.raises(DownloadError, match="is no https, http or file URL"):
        get(url)
    assert unreachable(url) is not None


def test_a_local_file_can_be_pinned(get: Get, tmp_path: Path) -> None:
    (tmp_path / "agent.tar.gz").write_bytes(DATA)
    assert get((tmp_path / "agent.tar.gz").as_uri()).read_bytes() == DATA


def test_a_local_file_that_is_not_there_is_told_at_once(get: Get, tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(DownloadError, match="No such file"):
        get((tmp_path / "none").as_uri())
    assert pauses == []


def test_a_full_disk_is_told_and_leaves_nothing(web: Server, get: Get, tmp_path: Path) -> None:
    url = web.serve("/file", DATA)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel refuses to write more, as a full disk does
    try:
        with pytest.raises(DownloadError, match=f"no space left in {tmp_path / 'cache'}") as caught:
            get(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "GOLDBAKE_HOME" in caught.value.hint
    assert left(tmp_path) == []


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs /dev/full")
def test_a_disk_that_is_full_only_when_the_file_is_closed_is_told(
    web: Server, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dest: Path) -> Path:
        part = dest.with_name("part")
        part.symlink_to("/dev/full")
        return part

    monkeypatch.setattr(module, "_new_part", full)
    with pytest.raises(DownloadError, match="no space left"):
        get(web.serve("/file", b"small"), hashlib.sha256(b"small").hexdigest())
    assert left(tmp_path) == []


def test_a_cache_folder_that_cannot_be_made_is_told(web: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DownloadError, match="cannot be made"):
        get(web.serve("/file", DATA))


def test_a_place_that_cannot_be_written_is_told(web: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache" / "file").mkdir(parents=True)
    with pytest.raises(DownloadError, match="cannot be written: Is a directory"):
        get(web.serve("/file", DATA))
    assert left(tmp_path) == ["file"]


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_left_alone(web: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for name, age in ((".file.old", 7200), (".file.young", 60), (".other.old", 7200)):
        path = tmp_path / "cache" / name
        path.write_bytes(b"part")
        os.utime(path, (time.time() - age,) * 2)
    get(web.serve("/file", DATA))
    assert left(tmp_path) == [".file.young", ".other.old", "file"]


def test_a_certificate_that_is_not_trusted_is_told_at_once(get: Get, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)  # a real one needs a certificate that only a tool could make
    with pytest.raises(DownloadError, match="self-signed certificate") as caught:
        get("https://127.0.0.1/file")
    assert "SSL_CERT_FILE" in caught.value.hint
    assert pauses == []


def test_read_returns_the_bytes_and_sends_the_headers(web: Server) -> None:
    assert read(web.serve("/api", DATA), headers={"Authorization": "Basic abc"}) == DATA
    assert web.asked[0].headers["Authorization"] == "Basic abc"


def test_a_credential_does_not_follow_a_redirection(web: Server) -> None:
    with server() as other:
        other.serve("/sign-in", b"<html>")
        web.serve("/api", Answer(status=302, headers={"Location": f"{other.url}/sign-in"}))
        assert read(f"{web.url}/api", headers={"Authorization": "Basic abc"}) == b"<html>"
        assert web.asked[0].headers["Authorization"] == "Basic abc"
        assert other.asked[0].headers["Authorization"] is None


def test_read_refuses_what_is_too_large(web: Server) -> None:
    with pytest.raises(DownloadError, match="larger than 10 bytes"):
        read(web.serve("/api", DATA), limit=10)


def test_read_tells_status_and_failure(web: Server) -> None:
    with pytest.raises(DownloadError, match="answered 401"):
        read(web.serve("/api", Answer(status=401)))
    with pytest.raises(DownloadError, match="Connection refused"):
        read(closed_port())


def test_read_gives_up_a_server_that_hangs(web: Server) -> None:
    with pytest.raises(DownloadError, match="timed out"):
        read(web.serve("/api", Answer(b"x", claims=5, hangs=True)), timeout=0.1)


def test_a_server_that_answers_is_reachable(web: Server) -> None:
    assert unreachable(web.serve("/zip", DATA)) is None
    assert web.asked[0].method == "HEAD"


def test_why_something_is_unreachable_is_told(web: Server) -> None:
    assert unreachable(f"{web.url}/none") == "answered 404 Not Found"
    assert unreachable(closed_port()) == os.strerror(errno.ECONNREFUSED)


def test_no_answer_is_unreachable_within_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        why = unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)
    assert why in {"no answer within 0 s", "timed out"}
    assert time.monotonic() - began < 30


def test_a_part_that_another_process_finishes_meanwhile_is_no_failure(web: Server, get: Get, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".file.other").symlink_to("gone")  # listed in the folder, and not there when it is looked at
    assert get(web.serve("/zip", DATA)).read_bytes() == DATA
