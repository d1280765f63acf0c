"""Packer, its plugins and the toolkit come from where they can be had, once, and only as pinned; shell scripts stand in for them."""

import functools
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldbake import toolchain
from goldbake.config.model import Cloud, Lock, Pin
from goldbake.config.plugins import PLUGINS
from goldbake.errors import DownloadError, MissingError
from goldbake.fetch import unreachable
from goldbake.log import Progress
from goldbake.packer import Packer, version_of
from goldbake.paths import PROJECT, Paths
from goldbake.toolchain import ensure_plugin, host_platform, packer_binary, toolkit
from tests import standins
from tests.servers import Answer, Server, closed_port, server
from tests.standins import StandIns

VERSION = "1.16.0"
AMAZON = PLUGINS[Cloud.AWS].version


@pytest.fixture
def web() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in this process may get no turn for a while."""
    monkeypatch.setattr(toolchain, "unreachable", functools.partial(unreachable, timeout=60))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    monkeypatch.delenv("PACKER", raising=False)
    return StandIns(tmp_path, monkeypatch)


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "project", tmp_path / "cache", tmp_path / "state")
    for name, path, version in (
        ("packer", "github.com/hashicorp/packer", VERSION),
        ("amazon", "github.com/hashicorp/packer-plugin-amazon", AMAZON),
        ("toolkit", "github.com/NVIDIA/nvidia-container-toolkit", "1.19.1"),
    ):
        folder = paths.tools / name
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(f"module goldbake.dev/tools/{name}\n\ngo 1.26.3\n\nrequire {path} v{version} // indirect\n")
        (folder / "go.sum").write_text("\n")
    return paths


def zipped(on_path: StandIns, name: str, body: str) -> bytes:
    """A zip with one program, without permission bits as HashiCorp's have them from some systems."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(name, f"#!/bin/sh\n{on_path.noting(name)}\n{body}\n")
        file.writestr("LICENSE.txt", "BUSL")
    return data.getvalue()


def packer_lock(url: str, data: bytes | None, version: str = VERSION) -> Lock:
    sha256 = None if data is None else hashlib.sha256(data).hexdigest()
    return Lock(pins={f"packer-{host_platform()}": Pin(version=version, url=url, sha256=sha256)})


def trees(paths: Paths) -> list[str]:
    """What the toolchain's folder holds, the locks aside."""
    return sorted(path.name for path in paths.toolchain.iterdir() if path.is_dir()) if paths.toolchain.exists() else []


# --- Packer itself


def test_the_named_packer_is_used_when_its_version_fits(
    on_path: StandIns, paths: Paths, said: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKER", str(on_path.program("packer", standins.packer(VERSION), folder=tmp_path / "mine")))
    found = toolchain.packer(packer_lock("http://127.0.0.1:1/p.zip", b""), paths, Progress(said))
    assert found.binary == tmp_path / "mine" / "packer"
    assert found.version() == VERSION


@pytest.mark.parametrize(
    ("body", "words"), [("echo Packer v1.11.2", "is Packer 1.11.2; 1.16.0 is pinned"), ("exit 1", "no Packer that runs")]
)
def test_a_named_packer_of_another_version_is_refused(
    on_path: StandIns, paths: Paths, said: io.StringIO, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setenv("PACKER", str(on_path.program("packer", body)))
    with pytest.raises(MissingError) as caught:
        packer_binary(packer_lock("http://127.0.0.1:1/p.zip", b""), paths, Progress(said))
    assert words.partition(";")[0] in caught.value.message
    assert "1.16.0 is pinned" in caught.value.message
    assert "unset PACKER" in caught.value.hint


def test_the_packer_on_path_is_used_when_its_version_fits(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    program = on_path.program("packer", standins.packer(VERSION))
    assert packer_binary(packer_lock("http://127.0.0.1:1/p.zip", b""), paths, Progress(said)) == program
    assert trees(paths) == []


def test_a_packer_of_another_version_on_path_is_passed_over_for_the_pinned_zip(
    on_path: StandIns, paths: Paths, said: io.StringIO, web: Server
) -> None:
    on_path.program("packer", standins.packer("1.11.2"))
    data = zipped(on_path, "packer", standins.packer(VERSION))
    lock = packer_lock(web.serve("/packer_1.16.0.zip", data), data)
    found = packer_binary(lock, paths, Progress(said))
    assert found.is_relative_to(paths.toolchain)
    assert os.access(found, os.X_OK)
    assert version_of(found) == VERSION


def test_what_is_in_the_cache_asks_no_server(on_path: StandIns, paths: Paths, said: io.StringIO, web: Server) -> None:
    data = zipped(on_path, "packer", standins.packer(VERSION))
    lock = packer_lock(web.serve("/packer.zip", data), data)
    first = packer_binary(lock, paths, Progress(said))
    web.asked.clear()
    assert packer_binary(lock, paths, Progress(said)) == first
    assert web.asked == []


def test_a_zip_that_is_not_the_pinned_one_is_refused_and_nothing_is_built_instead(
    on_path: StandIns, paths: Paths, said: io.StringIO, web: Server
) -> None:
    on_path.program("go", standins.go())
    lock = packer_lock(web.serve("/packer.zip", b"something else"), b"the pinned one")
    with pytest.raises(DownloadError, match="is not the pinned file"):
        packer_binary(lock, paths, Progress(said))
    assert on_path.calls("go") == []
    assert trees(paths) == []
    assert list(paths.downloads.iterdir()) == []


@pytest.mark.parametrize("kind", ["no zip", "no program"])
def test_a_pinned_file_without_packer_in_it_is_told(on_path: StandIns, paths: Paths, said: io.StringIO, web: Server, kind: str) -> None:
    data = b"<html>" if kind == "no zip" else zipped(on_path, "other", "exit 0")
    with pytest.raises(DownloadError, match="is no zip" if kind == "no zip" else r"holds no program"):
        packer_binary(packer_lock(web.serve("/packer.zip", data), data), paths, Progress(said))
    assert trees(paths) == []


def test_where_the_zip_cannot_be_reached_packer_is_built_from_its_module(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    on_path.program("go", standins.go())
    found = packer_binary(packer_lock(closed_port() + "/packer.zip", b"x"), paths, Progress(said))
    assert version_of(found) == VERSION
    assert "-X github.com/hashicorp/packer/version.VersionPrerelease= " in on_path.calls("go")[-1]
    assert "Connection refused; Packer 1.16.0 is built from its Go module instead" in said.getvalue()


def test_a_built_packer_is_used_again_without_asking_the_server(on_path: StandIns, paths: Paths, said: io.StringIO, web: Server) -> None:
    on_path.program("go", standins.go())
    lock = packer_lock(web.serve("/packer.zip", Answer(status=503)), b"x")
    first = packer_binary(lock, paths, Progress(said))
    web.asked.clear()
    assert packer_binary(lock, paths, Progress(said)) == first
    assert web.asked == []


def test_an_unresolved_packer_is_built_and_not_fetched(on_path: StandIns, paths: Paths, said: io.StringIO, web: Server) -> None:
    on_path.program("go", standins.go())
    packer_binary(packer_lock(web.serve("/packer.zip", b"unverified"), None), paths, Progress(said))
    assert web.asked == []


def test_no_zip_and_no_go_tells_what_to_install(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    with pytest.raises(MissingError, match=r"Go 1\.26\.3 or newer is missing"):
        packer_binary(packer_lock(closed_port() + "/packer.zip", b"x"), paths, Progress(said))


def test_a_lock_without_packer_names_the_command(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    with pytest.raises(MissingError, match=f"no Packer for {host_platform()}") as caught:
        packer_binary(Lock(pins={}), paths, Progress(said))
    assert "./inv pin packer" in caught.value.hint


def test_the_platform_is_named_as_release_files_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    for machine, name in (("x86_64", "linux_amd64"), ("aarch64", "linux_arm64"), ("riscv64", "linux_riscv64")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert host_platform() == name


# --- plugins


@pytest.fixture
def program(on_path: StandIns, paths: Paths) -> Packer:
    binary = on_path.program("packer", standins.packer(VERSION, AMAZON, host_platform()))
    return Packer(binary, paths.toolchain / "plugins", paths.toolchain / "packer-config")


def installs(on_path: StandIns) -> list[str]:
    return [call for call in on_path.calls("packer") if call.startswith("plugins install")]


def test_the_local_cloud_needs_no_plugin(on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO) -> None:
    ensure_plugin(Cloud.LOCAL, program, Lock(pins={}), paths, Progress(said))
    assert on_path.calls("packer") == []


def test_a_plugin_is_built_from_its_module_and_installed_once(on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO) -> None:
    on_path.program("go", standins.go())
    for _ in range(2):
        ensure_plugin(Cloud.AWS, program, Lock(pins={}), paths, Progress(said))
    (call,) = installs(on_path)
    assert call.endswith("packer-plugin-amazon github.com/hashicorp/amazon")
    assert "-X github.com/hashicorp/packer-plugin-amazon/version.VersionPrerelease= " in on_path.calls("go")[-1]


def plugin_lock(url: str, data: bytes, version: str = AMAZON) -> Lock:
    pin = Pin(version=version, url=url, sha256=hashlib.sha256(data).hexdigest())
    return Lock(pins={f"packer-plugin-amazon-{host_platform()}": pin})


def test_a_pinned_plugin_comes_from_its_zip(on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO, web: Server) -> None:
    name = f"packer-plugin-amazon_v{AMAZON}_x5.0_{host_platform()}"
    data = zipped(on_path, name, "exit 0")
    ensure_plugin(Cloud.AWS, program, plugin_lock(web.serve("/amazon.zip", data), data), paths, Progress(said))
    (call,) = installs(on_path)
    assert f"{name} github.com/hashicorp/amazon" in call


def test_a_plugin_zip_that_is_not_the_pinned_one_is_refused(
    on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO, web: Server
) -> None:
    with pytest.raises(DownloadError, match="is not the pinned file"):
        ensure_plugin(Cloud.AWS, program, plugin_lock(web.serve("/amazon.zip", b"other"), b"x"), paths, Progress(said))
    assert installs(on_path) == []


def test_a_pin_of_another_plugin_version_is_passed_over(
    on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO, web: Server
) -> None:
    on_path.program("go", standins.go())
    ensure_plugin(Cloud.AWS, program, plugin_lock(web.serve("/amazon.zip", b"x"), b"x", "0.0.9"), paths, Progress(said))
    assert web.asked == []
    assert len(installs(on_path)) == 1


def test_a_plugin_without_module_or_zip_comes_by_packer_init(
    on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "_RELEASES", web.url)
    web.serve("/packer-plugin-azure/releases", b"")
    ensure_plugin(Cloud.AZURE, program, Lock(pins={}), paths, Progress(said))
    (call,) = on_path.calls("packer")
    requirement = (Path(call.removeprefix("init ")) / "plugins.pkr.hcl").read_text()
    assert '"github.com/hashicorp/azure"' in requirement
    assert f'"= {PLUGINS[Cloud.AZURE].version}"' in requirement


def test_a_plugin_that_cannot_be_had_tells_why(
    on_path: StandIns, program: Packer, paths: Paths, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "_RELEASES", closed_port())
    with pytest.raises(MissingError, match=r"plugin azure .* cannot be had: .*Connection refused"):
        ensure_plugin(Cloud.AZURE, program, Lock(pins={}), paths, Progress(said))
    assert on_path.calls("packer") == []


def test_a_failed_init_tells_why(on_path: StandIns, paths: Paths, said: io.StringIO, web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_RELEASES", web.url)
    web.serve("/packer-plugin-azure/releases", b"")
    broken = Packer(on_path.program("packer", "echo rate limit exceeded >&2; exit 1"), paths.toolchain / "plugins", paths.toolchain)
    with pytest.raises(MissingError, match="rate limit exceeded"):
        ensure_plugin(Cloud.AZURE, broken, Lock(pins={}), paths, Progress(said))


@pytest.mark.parametrize("cloud", [cloud for cloud in PLUGINS if cloud is not Cloud.AZURE])
def test_a_plugins_version_is_the_one_in_its_go_mod(cloud: Cloud) -> None:
    plugin = PLUGINS[cloud]
    text = (PROJECT / "packer" / "tools" / plugin.name / "go.mod").read_text()
    assert f"github.com/hashicorp/packer-plugin-{plugin.name} v{plugin.version} " in text


# --- the container toolkit


def test_the_toolkit_is_its_four_programs_with_their_version(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    on_path.program("go", standins.go())
    on_path.program("gcc", "exit 0")
    folder = toolkit("1.19.1", Lock(pins={}), paths, Progress(said))
    assert sorted(path.name for path in folder.iterdir()) == sorted(toolchain.TOOLKIT_PROGRAMS)
    assert "internal/info.version=1.19.1 " in on_path.calls("go")[-1]
    assert on_path.env("go")["CGO_ENABLED"] == "1"


def test_another_toolkit_version_tells_how_to_get_it(on_path: StandIns, paths: Paths, said: io.StringIO) -> None:
    with pytest.raises(MissingError, match=r"toolkit 1\.20\.0 cannot be built") as caught:
        toolkit("1.20.0", Lock(pins={}), paths, Progress(said))
    assert "go get github.com/NVIDIA/nvidia-container-toolkit@v1.20.0" in caught.value.hint
