"""create-users and install-agent: who jobs run as, and the agent that is unpacked and never configured."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from goldbake.config.model import Os
from goldbake.local import sources
from sim import agent
from tests.servers import Answer, closed_port
from tests.shell.conftest import AGENT, Mirror, Started
from tests.shell.machine import UPLOADED, Machine
from tests.shell.packages import program
from tests.shell.states import agent_user, debian_docker, ubuntu_base

ROOT = "/opt/azure-pipelines-agent"


def packed(listener: str) -> bytes:
    """A tarball with nothing but a listener."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        info = tarfile.TarInfo("bin/Agent.Listener")
        info.size, info.mode, info.uid = len(listener), 0o755, 1234
        archive.addfile(info, io.BytesIO(listener.encode()))
    return gzip.compress(plain.getvalue(), mtime=0)


def with_agent(mirror: Mirror, variables: dict[str, str], tarball: bytes, **changes: str) -> dict[str, str]:
    """The variables for another tarball, served with its right hash."""
    url = mirror.publisher.server.serve("/other-agent.tar.gz", tarball)
    return {**variables, "GOLDBAKE_AGENT_URL": url, "GOLDBAKE_AGENT_SHA256": hashlib.sha256(tarball).hexdigest(), **changes}


def test_the_user_of_jobs_may_use_docker_and_nothing_else(after: Started) -> None:
    machine = after(debian_docker)
    machine.does_twice("create-users", {})
    assert set(machine.ok("id", "--name", "--groups", "agent").split()) == {"agent", "docker"}
    assert machine.ok("passwd", "--status", "agent").split()[1] == "L"
    assert machine.ok("stat", "-c", "%a %U:%G", "/home/agent") == "750 agent:agent\n"


def test_without_docker_there_is_no_group_for_the_user(machine: Machine) -> None:
    assert "install-docker comes before create-users" in machine.fails("create-users", {})


def test_r01_r04_the_agent_is_unpacked_for_its_user_and_not_configured(after: Started, debian: dict[str, str]) -> None:
    machine = after(agent_user)
    machine.does_twice("install-agent", debian)
    assert machine.ok("stat", "-c", "%a %U:%G", ROOT) == "750 agent:agent\n"
    assert machine.ok("find", ROOT, "!", "-user", "agent") == ""
    assert machine.read(f"{ROOT}/bin/version") == "4.275.0\n"
    assert not machine.exists(f"{ROOT}/.agent")
    assert machine.ok("sh", "-c", "ls -d /opt/*.new /tmp/tmp.* 2>/dev/null | cat") == ""


def test_a_tarball_of_the_bake_host_goes_before_the_url(after: Started, debian: dict[str, str]) -> None:
    machine = after(agent_user)
    machine.write(f"{UPLOADED}/files/agent.tar.gz", AGENT)
    machine.does_twice("install-agent", {**debian, "GOLDBAKE_AGENT_URL": ""})
    assert machine.read(f"{ROOT}/bin/version") == "4.275.0\n"


def test_a_new_version_replaces_the_old_one_whole(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(agent_user)
    machine.does("install-agent", debian)
    machine.write(f"{ROOT}/of-the-old-version", "")
    machine.does("install-agent", with_agent(mirror, debian, agent.pack("4.276.1"), GOLDBAKE_AGENT_VERSION="4.276.1"))
    assert machine.read(f"{ROOT}/bin/version") == "4.276.1\n"
    assert not machine.exists(f"{ROOT}/of-the-old-version")


def test_the_log_of_asking_for_the_version_goes(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(agent_user)
    machine.does(
        "install-agent", with_agent(mirror, debian, packed(program("mkdir _diag; touch _diag/Agent.log; id -un >user; echo 4.275.0")))
    )
    assert not machine.exists(f"{ROOT}/_diag")
    assert machine.read(f"{ROOT}/user") == "agent\n"


@pytest.mark.parametrize("uploaded", [True, False], ids=["uploaded", "fetched"])
def test_r02_a_tarball_with_another_hash_is_refused_and_the_old_agent_stays(after: Started, debian: dict[str, str], uploaded: bool) -> None:
    machine = after(agent_user)
    machine.does("install-agent", debian)
    if uploaded:
        machine.write(f"{UPLOADED}/files/agent.tar.gz", AGENT)
    output = machine.fails("install-agent", {**debian, "GOLDBAKE_AGENT_SHA256": "0" * 64})
    assert hashlib.sha256(AGENT).hexdigest() in output
    assert "0" * 64 in output
    assert machine.read(f"{ROOT}/bin/version") == "4.275.0\n"


def test_r02_a_tarball_of_another_version_is_refused_and_the_old_agent_stays(
    after: Started, debian: dict[str, str], mirror: Mirror
) -> None:
    machine = after(agent_user)
    machine.does("install-agent", debian)
    output = machine.fails("install-agent", with_agent(mirror, debian, agent.pack("4.275.1")))
    assert "the tarball holds agent 4.275.1, wanted is 4.275.0" in output
    assert machine.read(f"{ROOT}/bin/version") == "4.275.0\n"
    assert not machine.exists(f"{ROOT}.new")


def test_an_agent_that_cannot_start_says_why(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    listener = program("echo 'libicu.so: cannot open shared object file' >&2; exit 134")
    output = after(agent_user).fails("install-agent", with_agent(mirror, debian, packed(listener)))
    assert "libicu.so: cannot open shared object file\nerror: the agent cannot start" in output


def test_a_tarball_that_is_none_is_refused(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(agent_user)
    ended = machine.script("install-agent", with_agent(mirror, debian, b"<html>Sign in</html>"))
    assert ended.code != 0
    assert not machine.exists(ROOT)


@pytest.mark.parametrize("where", ["nowhere on the server", "no server"])
def test_a_tarball_that_cannot_be_fetched_is_named(after: Started, debian: dict[str, str], mirror: Mirror, where: str) -> None:
    url = (closed_port() if where == "no server" else mirror.publisher.server.url) + "/gone.tar.gz"
    assert f"error: {url} cannot be fetched" in after(agent_user).fails("install-agent", {**debian, "GOLDBAKE_AGENT_URL": url})


def test_a_server_with_a_bad_moment_is_asked_again(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    url = mirror.publisher.server.serve("/tired.tar.gz", Answer(b"later", 503), AGENT)
    after(agent_user).does("install-agent", {**debian, "GOLDBAKE_AGENT_URL": url})
    assert mirror.publisher.server.paths.count("/tired.tar.gz") == 2


def test_without_its_user_there_is_no_agent(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_docker)
    assert "create-users comes before install-agent" in machine.fails("install-agent", debian)
    assert machine.changes() == []


def test_r03_ubuntu_gets_the_libraries_by_their_own_names(after: Started, ubuntu: dict[str, str]) -> None:
    machine = after(ubuntu_base)
    machine.ok("sh", "-c", "groupadd docker && useradd --create-home agent")
    machine.does("install-agent", ubuntu)
    assert {"libicu74", "libssl3t64", "liblttng-ust1t64"} <= machine.installed().keys()


def test_r03_debian_really_has_the_libraries(after: Started, debian: dict[str, str]) -> None:
    machine = after(agent_user)
    machine.write("/etc/apt/sources.list", sources.text(Os.DEBIAN_12, sources.of_host(Os.DEBIAN_12)))
    machine.ok("apt-get", "-q", "update", "--error-on=any")
    machine.does("install-agent", debian)
    assert machine.installed()["libicu72"].startswith("72.1-")
    assert machine.ok("git", "--version").startswith("git version 2.")
