"""install-docker and install-toolkit: versions, keys, repositories and the daemon's settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import Answer, closed_port
from tests.shell import packages
from tests.shell.conftest import Mirror, Started
from tests.shell.machine import UPLOADED, Machine
from tests.shell.repository import tampered
from tests.shell.states import debian_docker, ubuntu_base

DOCKER, TOOLKIT = "install-docker", "install-toolkit"


def settings(machine: Machine) -> Any:
    return json.loads(machine.read("/etc/docker/daemon.json"))


def give_programs(machine: Machine, version: str = "1.19.1", *, but: str = "") -> None:
    """What the bake host uploads for source module."""
    for name, text in packages.programs(version).items():
        if name != but:
            machine.write(f"{UPLOADED}/files/toolkit/{name}", text, 0o755)


@pytest.mark.parametrize(
    ("name", "prepare", "system"), [("debian", None, "debian.12~bookworm"), ("ubuntu", ubuntu_base, "ubuntu.24.04~noble")]
)
def test_docker_comes_in_its_exact_version_and_again_changes_nothing(
    after: Started, machine: Machine, request: pytest.FixtureRequest, name: str, prepare: Callable[..., None] | None, system: str
) -> None:
    variables = request.getfixturevalue(name)
    machine = after(prepare) if prepare else machine
    machine.does_twice(DOCKER, variables)
    installed = machine.installed()
    assert installed["docker-ce"] == installed["docker-ce-cli"] == f"5:28.2.2-1~{system}"
    assert {"containerd.io", "docker-buildx-plugin", "docker-compose-plugin", "apparmor"} <= installed.keys()


def test_docker_starts_by_its_socket_only(machine: Machine, debian: dict[str, str]) -> None:
    machine.does(DOCKER, debian)
    assert machine.run("systemctl", "is-enabled", "docker.socket").output == "enabled\n"
    assert machine.run("systemctl", "is-enabled", "docker.service").output == "disabled\n"


def test_debians_docker_makes_room_for_dockers_own(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    assert {"docker.io", "containerd", "runc"} <= machine.installed().keys()
    machine.does(DOCKER, debian)
    assert not {"docker.io", "containerd", "runc"} & machine.installed().keys()
    assert "docker-ce" in machine.installed()


def test_debians_docker_comes_in_its_exact_version(machine: Machine, distro: dict[str, str]) -> None:
    machine.does_twice(DOCKER, distro)
    assert machine.installed()["docker.io"] == "20.10.24+dfsg1-1+deb12u1"
    assert settings(machine) == {"log-driver": "local"}


def test_ubuntu_has_no_docker_of_debian(after: Started, ubuntu: dict[str, str]) -> None:
    assert "source debian is not for ubuntu-24.04" in after(ubuntu_base).fails(DOCKER, {**ubuntu, "GOLDBAKE_DOCKER_SOURCE": "debian"})


def test_a_version_of_docker_that_is_not_there_lists_those_that_are(machine: Machine, debian: dict[str, str]) -> None:
    output = machine.fails(DOCKER, {**debian, "GOLDBAKE_DOCKER_VERSION": "27.5.1"})
    assert "docker-ce 27.5.1 is not in the repositories; there is: 5:28.5.1-1~debian.12~bookworm 5:28.2.2-1~debian.12~bookworm" in output


def test_a_key_with_another_fingerprint_is_refused(machine: Machine, debian: dict[str, str], mirror: Mirror) -> None:
    url = mirror.publisher.server.serve("/stranger/gpg", mirror.stranger.key.public)
    output = machine.fails(DOCKER, {**debian, "GOLDBAKE_DOCKER_KEY_URL": url})
    assert f"{url} holds the key {mirror.stranger.key.fingerprint}, pinned is {mirror.publisher.key.fingerprint}" in output
    assert machine.run("ls", "-A", "/etc/apt/keyrings").output == ""


def test_a_key_file_with_a_second_key_is_refused(machine: Machine, debian: dict[str, str], mirror: Mirror) -> None:
    both = mirror.publisher.key.public + mirror.stranger.key.public
    url = mirror.publisher.server.serve("/both/gpg", both)
    output = machine.fails(DOCKER, {**debian, "GOLDBAKE_DOCKER_KEY_URL": url})
    assert mirror.stranger.key.fingerprint in output
    assert machine.run("ls", "-A", "/etc/apt/keyrings").output == ""


@pytest.mark.parametrize("body", [b"<html><body>Sign in to the network</body></html>", b""], ids=["HTML", "nothing"])
def test_a_file_that_is_no_key_is_refused(machine: Machine, debian: dict[str, str], mirror: Mirror, body: bytes) -> None:
    url = mirror.publisher.server.serve("/nokey/gpg", Answer(body))
    output = machine.fails(DOCKER, {**debian, "GOLDBAKE_DOCKER_KEY_URL": url})
    assert f"{url} holds the key (none)" in output
    assert machine.run("ls", "-A", "/etc/apt/keyrings").output == ""


@pytest.mark.parametrize("where", ["nowhere on the server", "no server"])
def test_a_key_that_cannot_be_fetched_is_named(machine: Machine, debian: dict[str, str], mirror: Mirror, where: str) -> None:
    url = (closed_port() if where == "no server" else mirror.publisher.server.url) + "/gone.gpg"
    assert f"error: {url} cannot be fetched" in machine.fails(DOCKER, {**debian, "GOLDBAKE_DOCKER_KEY_URL": url})


def test_the_toolkit_comes_in_its_exact_version_and_again_changes_nothing(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    machine.does_twice(TOOLKIT, debian)
    installed = machine.installed()
    names = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1")
    assert [installed[name] for name in names] == ["1.19.1-1"] * 4


def test_the_runtime_is_added_to_what_docker_was_told_before(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    machine.write("/etc/docker/daemon.json", '{"log-driver": "local", "data-root": "/mnt/docker"}')
    machine.does(TOOLKIT, debian)
    told = settings(machine)
    assert (told["log-driver"], told["data-root"]) == ("local", "/mnt/docker")
    assert told["runtimes"]["nvidia"]["path"] == "nvidia-container-runtime"
    assert "default-runtime" not in told


def test_docker_again_keeps_the_runtime(after: Started, distro: dict[str, str], debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    machine.does(TOOLKIT, debian)
    machine.does(DOCKER, distro)
    assert "nvidia" in settings(machine)["runtimes"]


def test_specifications_of_the_bakes_own_machine_go(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    machine.write("/etc/cdi/nvidia.yaml", "cdiVersion: 0.5.0")
    machine.does(TOOLKIT, debian)
    assert not machine.exists("/etc/cdi/nvidia.yaml")


@pytest.mark.parametrize("content", ["", '{"log-driver": '], ids=["empty", "cut off"])
def test_broken_settings_of_docker_are_an_error(after: Started, debian: dict[str, str], content: str) -> None:
    machine = after(debian_docker)
    machine.write("/etc/docker/daemon.json", content)
    assert "/etc/docker/daemon.json is not JSON" in machine.fails(TOOLKIT, debian)
    assert machine.read("/etc/docker/daemon.json") == content


def test_the_toolkit_works_without_settings_of_docker(machine: Machine, debian: dict[str, str]) -> None:
    machine.does(TOOLKIT, debian)
    assert "nvidia" in settings(machine)["runtimes"]


def test_a_version_of_the_toolkit_that_is_not_there_lists_those_that_are(after: Started, debian: dict[str, str]) -> None:
    output = after(debian_docker).fails(TOOLKIT, {**debian, "GOLDBAKE_TOOLKIT_VERSION": "1.17.8"})
    assert "nvidia-container-toolkit 1.17.8 is not in the repositories; there is: 1.20.0-1 1.19.1-1" in output


def test_a_toolkit_repository_changed_after_signing_is_refused(machine: Machine, debian: dict[str, str], mirror: Mirror) -> None:
    url = mirror.publisher.flat("/tampered/toolkit", packages.toolkit())
    tampered(mirror.publisher.server, "/tampered/toolkit")
    output = machine.fails(TOOLKIT, {**debian, "GOLDBAKE_TOOLKIT_REPOSITORY_URL": url})
    assert "apt cannot read its sources" in output
    assert "nvidia-container-toolkit" not in machine.installed()


def test_an_unsigned_repository_is_refused(machine: Machine, debian: dict[str, str], mirror: Mirror) -> None:
    server = mirror.publisher.server
    url = mirror.publisher.flat("/unsigned/toolkit", packages.toolkit())
    signed = server.routes.pop("/unsigned/toolkit/InRelease")
    assert callable(signed)
    text = mirror.publisher.server.url  # a Release without a signature beside it
    server.serve("/unsigned/toolkit/Release", f"Origin: {text}\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nSHA256:\n".encode())
    output = machine.fails(TOOLKIT, {**debian, "GOLDBAKE_TOOLKIT_REPOSITORY_URL": url})
    assert "is not signed" in output
    assert "nvidia-container-toolkit" not in machine.installed()


def test_built_programs_are_installed_and_become_dockers_default(after: Started, distro: dict[str, str]) -> None:
    machine = after(debian_docker)
    give_programs(machine)
    machine.does_twice(TOOLKIT, distro)
    assert settings(machine)["default-runtime"] == "nvidia"
    assert 'mode = "cdi"' in machine.read("/etc/nvidia-container-runtime/config.toml")
    assert machine.exists("/usr/lib/systemd/system/nvidia-cdi-refresh.path")
    assert machine.ok("stat", "-c", "%a %U:%G", "/usr/bin/nvidia-container-runtime-hook") == "755 root:root\n"


@pytest.mark.parametrize("name", ["nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-cdi-hook"])
def test_a_program_that_was_not_built_is_named_before_anything_changes(after: Started, distro: dict[str, str], name: str) -> None:
    machine = after(debian_docker)
    give_programs(machine, but=name)
    before = machine.snapshot()
    assert f"{UPLOADED}/files/toolkit has no {name}" in machine.fails(TOOLKIT, distro)
    assert machine.snapshot() == before


def test_programs_of_another_version_are_refused(after: Started, distro: dict[str, str]) -> None:
    machine = after(debian_docker)
    give_programs(machine, "1.19.10")
    output = machine.fails(TOOLKIT, distro)
    assert "nvidia-ctk is not version 1.19.1: NVIDIA Container Toolkit CLI version 1.19.10" in output


def test_a_program_that_cannot_run_says_why(after: Started, distro: dict[str, str]) -> None:
    machine = after(debian_docker)
    give_programs(machine)
    machine.write(f"{UPLOADED}/files/toolkit/nvidia-cdi-hook", packages.program("echo no such library; exit 127"), 0o755)
    assert "nvidia-cdi-hook cannot run: no such library" in machine.fails(TOOLKIT, distro)


def test_settings_that_the_daemon_refuses_are_an_error(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    refuses = packages.DOCKERD.replace('exec python3 -m json.tool "$3" /dev/null', "echo unknown option; exit 1")
    machine.write("/usr/sbin/dockerd", refuses, 0o755)
    ended = machine.script(TOOLKIT, debian)
    assert ended.code != 0
    assert "unknown option" in ended.output
