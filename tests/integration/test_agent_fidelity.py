"""The agent's outside: inputs, files, messages, exit codes, order and requests, as first boot and launcher rely on them.

It takes the agent's tarball from GOLDBAKE_AGENT_TARBALL, else it packs the simulated one, and does not know which it has. A real agent
waits as long as it waits: the slow tests then take minutes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sim import agent
from sim.azdo import Fault, SimulatedAzureDevOps
from tests.servers import closed_port
from tests.unit.sim.agent.installed import PATIENCE_S, Installed, environment, give, unpacked, until

TARBALL = os.environ.get("GOLDBAKE_AGENT_TARBALL", "")
OTHER_VERSIONS = ("99.1.0", "0.1.0")
"""Newer and older than any agent."""
STATE_FILES = {".agent", ".credentials", ".credentials_rsaparams", ".env", ".path", "svc.sh", "_diag"}
"""What configuration leaves."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if TARBALL:
        return Path(TARBALL)
    path = tmp_path_factory.mktemp("agent") / "agent.tar.gz"
    path.write_bytes(agent.pack("4.275.0"))
    return path


@pytest.fixture
def service() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(poll_seconds=2) as running:
        yield running


@pytest.fixture
def fresh(archive: Path, service: SimulatedAzureDevOps) -> Iterator[Installed]:
    """An agent that was never configured."""
    with unpacked(archive, service) as found:
        yield found


@pytest.fixture(scope="module")
def made_key(archive: Path) -> str:
    """A key file that the agent itself made; to have it already saves the time to make one."""
    with SimulatedAzureDevOps() as service, unpacked(archive, service) as found:
        assert found.configure(service, "--pool", "there is none").code == 1
        return found.text(".credentials_rsaparams")


@pytest.fixture
def keyed(fresh: Installed, made_key: str) -> Installed:
    """An agent that was never configured, but has its key."""
    fresh.write(".credentials_rsaparams", made_key)
    return fresh


@pytest.fixture
def configured(keyed: Installed, service: SimulatedAzureDevOps) -> Installed:
    """An agent in the pool Default."""
    done = keyed.configure(service)
    assert done.code == 0, done.stderr
    return keyed


def asked(service: SimulatedAzureDevOps, start: int = 0) -> list[str]:
    """Method and path (after the organization's `_apis`) of every request."""
    return [f"{request.method} {request.path.partition('/_apis/')[2]}" for request in service.requests[start:]]


def body_of(service: SimulatedAzureDevOps, request: str) -> dict[str, object]:
    """The body of the last request of this kind."""
    found = [entry for entry, line in zip(service.requests, asked(service), strict=True) if line == request]
    document = json.loads(found[-1].body)
    assert isinstance(document, dict)
    return document


# 1. the tarball


def test_tarball_is_flat_and_has_the_known_names(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = {name.removeprefix("./").split("/")[0] for name in opened.getnames()} - {"", "."}
    assert {"config.sh", "run.sh", "run-docker.sh", "env.sh", "reauth.sh", "license.html", "bin", "externals"} <= names
    assert names & STATE_FILES == set()


def test_listener_says_its_version_and_leaves_a_log(fresh: Installed) -> None:
    done = fresh.run("bin/Agent.Listener", "--version")
    assert done.code == 0
    assert [part.isdecimal() for part in done.stdout.strip().split(".")] == [True, True, True]
    assert fresh.left == {"_diag"}
    assert [path for path in (fresh.root / "_diag").iterdir() if path.name.startswith("Agent_")] != []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see how root is refused")
@pytest.mark.parametrize("program", ["config.sh", "run.sh", "reauth.sh"])
def test_root_is_refused(fresh: Installed, program: str) -> None:
    done = fresh.run(f"./{program}", root=True)
    assert done.code == 1
    assert "Must not run" in done.stdout + done.stderr
    assert fresh.left == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see how root is let through")
def test_root_is_let_through_by_its_variable(fresh: Installed) -> None:
    done = fresh.run("./config.sh", "--unattended", root=True, env={"AGENT_ALLOW_RUNASROOT": "1"})
    assert done.code == 1
    assert "Invalid configuration provided for url" in done.stderr


# 2. inputs


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"--url": None}, "url"),
        ({"--url": "dev.azure.com/demo"}, "url"),
        ({"--url": "ftp://dev.azure.com/demo"}, "url"),
        ({"--auth": "password"}, "auth"),
        ({"token": ""}, "token"),
    ],
    ids=["no url", "relative url", "url of another kind", "unknown auth", "no token"],
)
def test_missing_value_ends_unattended_configuration(
    fresh: Installed, service: SimulatedAzureDevOps, changes: dict[str, str | None], missing: str
) -> None:
    flags = {"--url": service.url, "--auth": "pat", "--sslcacert": str(fresh.ca), **changes}
    token = flags.pop("token", service.pat)
    command = [part for name, value in flags.items() if value is not None for part in (name, value)]
    done = fresh.run("./config.sh", "--unattended", *command, env={"VSTS_AGENT_INPUT_TOKEN": str(token)})
    assert done.code == 1
    assert f"Invalid configuration provided for {missing}. Terminating unattended configuration." in done.stderr
    assert service.requests == []


def test_everything_can_come_by_environment(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    names = {"UNATTENDED": "true", "URL": service.url, "AUTH": "pat", "TOKEN": service.pat, "POOL": "Default", "AGENT": "by-environment"}
    names |= {"WORK": "elsewhere", "SSLCACERT": str(keyed.ca)}
    done = keyed.run("./config.sh", env={f"VSTS_AGENT_INPUT_{name}": value for name, value in names.items()})
    assert done.code == 0, done.stderr
    settings = keyed.json(".agent")
    assert (settings["agentName"], settings["workFolder"]) == ("by-environment", "elsewhere")


def test_arguments_win_over_the_environment(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service, "--agent", "by-flag", env={"VSTS_AGENT_INPUT_AGENT": "by-environment"}).code == 0
    assert keyed.json(".agent")["agentName"] == "by-flag"


def test_arguments_are_known_in_any_case(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    command = ["./config.sh", "--UNATTENDED", "--Url", service.url, "--AUTH", "PAT", "--tokeN", service.pat, "--sslCaCert", str(keyed.ca)]
    done = keyed.run(*command, "--Agent", "any-case")
    assert done.code == 0, done.stderr
    assert keyed.json(".agent")["agentName"] == "any-case"


@pytest.mark.parametrize("argument", ["--replac", "--no-such-thing", "stray", "--runAsService", "--once", "--acceptTeeEula"])
def test_argument_without_a_meaning_here_does_not_fail(keyed: Installed, service: SimulatedAzureDevOps, argument: str) -> None:
    done = keyed.configure(service, argument)
    assert done.code == 0, done.stderr
    unknown = argument in {"--replac", "--no-such-thing", "stray"}
    assert ("Unrecognized command-line input arguments" in done.stdout + done.stderr) is unknown


def test_blank_around_a_token_of_the_environment_is_trimmed(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service, token=f" {service.pat}\n").code == 0


def test_defaults(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    command = ["./config.sh", "--unattended", "--url", service.url, "--token", service.pat, "--sslcacert", str(keyed.ca)]
    done = keyed.run(*command)
    assert done.code == 0, done.stderr
    settings = keyed.json(".agent")
    assert settings["agentName"] == os.uname().nodename
    assert settings["poolId"] == 1
    assert settings["workFolder"] == "_work"


def test_without_auth_a_name_without_a_dot_is_not_asked_by_pat(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    url = f"https://localhost:{service.port}/{service.organization}"
    done = keyed.run("./config.sh", "--unattended", "--url", url, "--token", service.pat, "--sslcacert", str(keyed.ca))
    assert done.code == 1
    assert service.state()["agents"] == []


def test_pat_is_not_sent_over_plain_http(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        done = keyed.configure(service, "--url", f"http://127.0.0.1:{listener.getsockname()[1]}/demo")
        assert done.code == 1
        received = b""
        try:
            with listener.accept()[0] as caller:
                received = caller.recv(65536)
        except TimeoutError:
            pass
    assert b"authorization" not in received.lower()


def test_certificate_that_nobody_vouches_for_ends_configuration(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    done = keyed.run("./config.sh", "--unattended", "--auth", "pat", "--url", service.url, env={"VSTS_AGENT_INPUT_TOKEN": service.pat})
    assert done.code == 1
    assert service.requests == []


# 3. how configuration ends


def test_console_markers_come_in_order(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    said = keyed.configure(service).stdout
    markers = [
        ">> End User License Agreements:",
        ">> Connect:",
        "Connecting to server ...",
        ">> Register Agent:",
        "Scanning for tool capabilities.",
        "Connecting to the server.",
        "Successfully added the agent",
        "Testing agent connection.",
        ": Settings Saved.",
    ]
    places = [said.find(marker) for marker in markers]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("fault", ["unauthorized", "sign-in-page", "sign-in-redirect", "forbidden", "not-found", "html", "not-json"])
def test_refused_connection_ends_with_1_and_leaves_no_key(fresh: Installed, service: SimulatedAzureDevOps, fault: str) -> None:
    service.fault(Fault(fault, path="/connectionData$", times=0))
    done = fresh.configure(service)
    assert done.code == 1
    assert done.stderr.strip() != ""
    assert fresh.left <= {"_diag", ".env", ".path", ".certificates"}
    assert service.state()["agents"] == []


def test_wrong_token_is_refused_after_five_tries(fresh: Installed, service: SimulatedAzureDevOps) -> None:
    done = fresh.configure(service, token="x" * 84)
    assert done.code == 1
    assert "not authorized to access" in done.stderr  # VS30063, or what the service says in X-TFS-ServiceError
    assert len([line for line in asked(service) if line == "GET connectionData"]) >= 5


def test_server_that_is_not_there_ends_with_1(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    done = keyed.configure(service, "--url", closed_port().replace("http:", "https:") + "/demo", timeout=280)
    assert done.code == 1
    assert done.stderr.strip() != ""


def test_missing_pool_is_named_and_the_key_is_there_already(fresh: Installed, service: SimulatedAzureDevOps) -> None:
    done = fresh.configure(service, "--pool", "no such pool")
    assert done.code == 1
    assert "Agent pool not found: 'no such pool'" in done.stderr
    assert fresh.has(".credentials_rsaparams")
    assert not fresh.has(".credentials")
    assert not fresh.has(".agent")


def test_name_that_is_taken_needs_replace(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service).code == 0
    (keyed.root / ".agent").unlink()
    done = keyed.configure(service)
    assert done.code == 1
    assert "already contains an agent with name one." in done.stderr
    assert [agent["id"] for agent in service.state()["agents"]] == [1]


def test_replace_keeps_the_number(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service).code == 0
    (keyed.root / ".agent").unlink()
    done = keyed.configure(service, "--replace")
    assert done.code == 0
    assert "Successfully replaced the agent" in done.stdout
    assert keyed.json(".agent")["agentId"] == 1
    assert [agent["id"] for agent in service.state()["agents"]] == [1]


@pytest.mark.parametrize("more", [(), ("--replace",)], ids=["plain", "replace"])
def test_configured_agent_refuses_to_be_configured(configured: Installed, service: SimulatedAzureDevOps, more: tuple[str, ...]) -> None:
    before = len(service.requests)
    done = configured.configure(service, *more)
    assert done.code == 1
    assert "Cannot configure the agent because it is already configured" in done.stderr
    assert len(service.requests) == before


def test_failed_test_of_the_connection_leaves_an_orphan_that_replace_takes_over(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("clock-skew", path="/oauth2/token$", times=0))
    done = keyed.configure(service)
    assert done.code == 1
    assert "Testing agent connection." in done.stdout
    assert keyed.has(".credentials")
    assert not keyed.has(".agent")
    assert not keyed.has("svc.sh")
    assert len(service.state()["agents"]) == 1
    service.clear_faults()
    assert keyed.configure(service).code == 1
    assert keyed.configure(service, "--replace").code == 0
    assert [agent["id"] for agent in service.state()["agents"]] == [1]


def test_replacement_that_keeps_failing_has_no_end(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    """Whoever calls config.sh has to set it a time limit."""
    assert keyed.configure(service).code == 0
    (keyed.root / ".agent").unlink()
    service.fault(Fault("forbidden", method="PUT", path="/agents/1$", times=0))
    command = keyed.config_command(service, "--replace")
    with keyed.running(*command, env={"VSTS_AGENT_INPUT_TOKEN": service.pat}) as running:
        until(lambda: asked(service).count("PUT distributedtask/pools/1/agents/1") >= 6)
        assert running.child.poll() is None


# 4. what configuration asks and leaves


def test_requests_of_configuration_come_in_order(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service).code == 0
    wanted = [
        "GET connectionData",
        "GET distributedtask/pools",
        "GET distributedtask/pools/1/agents",
        "POST distributedtask/pools/1/agents",
        "POST oauth2/token",
        "GET connectionData",
    ]
    rest = iter(asked(service))
    assert [line for line in wanted if line not in rest] == []
    queries = {request.path.rpartition("/")[2]: request.query for request in service.requests if request.method == "GET"}
    assert queries["pools"]["poolname"] == "Default"
    assert queries["agents"]["agentname"] == "one"


def test_requests_have_the_agents_headers(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    assert keyed.configure(service).code == 0
    for request in service.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not request.path.endswith("/token"):
            assert headers["x-tfs-fedauthredirect"] == "Suppress"
            assert headers["user-agent"].startswith("VstsAgentCore-")
            assert "api-version=" in headers["accept"]


def test_first_request_of_the_agent_itself_has_no_credential(configured: Installed, service: SimulatedAzureDevOps) -> None:
    before_token = service.requests[asked(service).index("POST oauth2/token") - 1]
    assert before_token.path.endswith("/connectionData")
    assert before_token.status == 401


def test_registration_says_what_the_service_has_to_know(configured: Installed, service: SimulatedAzureDevOps) -> None:
    body = body_of(service, "POST distributedtask/pools/1/agents")
    assert body["name"] == "one"
    assert body["maxParallelism"] == 1
    assert str(body["provisioningState"]).lower() == "provisioned"
    assert body["version"] == configured.run("bin/Agent.Listener", "--version").stdout.strip()
    assert set(body["authorization"]["publicKey"]) >= {"exponent", "modulus"}  # type: ignore[index]
    assert service.pat not in json.dumps(body)


def test_files_that_configuration_leaves(configured: Installed) -> None:
    assert configured.left == STATE_FILES | {".certificates"}
    settings = configured.json(".agent")
    assert {name: settings[name] for name in ("agentId", "agentName", "poolId", "workFolder")} == {
        "agentId": 1,
        "agentName": "one",
        "poolId": 1,
        "workFolder": "_work",
    }
    assert settings["serverUrl"].rstrip("/").endswith("/demo")


def test_credentials_hold_the_client_and_not_the_token(configured: Installed, service: SimulatedAzureDevOps) -> None:
    credentials = configured.json(".credentials")
    assert credentials["scheme"] == "OAuth"
    assert set(credentials["data"]) == {"clientId", "authorizationUrl", "oauthEndpointUrl"}
    assert service.pat not in configured.everything_written


def test_token_goes_into_the_credentials_when_the_service_names_no_client(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("no-authorization", method="POST", path="/agents$"))
    keyed.configure(service)
    assert service.pat in keyed.text(".credentials")


def test_key_is_made_with_2048_bits_for_its_owner_only(fresh: Installed, service: SimulatedAzureDevOps) -> None:
    assert fresh.configure(service).code == 0
    key = fresh.json(".credentials_rsaparams")
    assert {"modulus", "exponent", "d", "p", "q", "dp", "dq", "inverseQ"} <= set(key)
    assert fresh.mode(".credentials_rsaparams") == 0o600
    body = body_of(service, "POST distributedtask/pools/1/agents")
    assert body["authorization"]["publicKey"]["modulus"] == key["modulus"]  # type: ignore[index]


def test_key_that_lies_there_is_used_again(keyed: Installed, service: SimulatedAzureDevOps, made_key: str) -> None:
    assert keyed.configure(service).code == 0
    assert json.loads(keyed.text(".credentials_rsaparams"))["modulus"] == json.loads(made_key)["modulus"]


def test_path_and_environment_are_kept_at_configuration(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    keyed.write(".env", "GPU_NAME=A10\nLANG=from-before\n")
    more = {"PATH": f"/usr/local/cuda/bin:{environment()['PATH']}", "LANG": "C", "JAVA_HOME": "/opt/java", "UNRELATED": "x"}
    assert keyed.configure(service, env=more).code == 0
    assert keyed.text(".path").strip() == more["PATH"]
    lines = keyed.text(".env").splitlines()
    assert "GPU_NAME=A10" in lines
    assert "LANG=from-before" in lines
    assert "JAVA_HOME=/opt/java" in lines
    assert [line for line in lines if line.startswith(("UNRELATED", "LANG=C"))] == []


def test_environment_is_the_capabilities(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    keyed.write(".env", "GPU_NAME=A10\n")
    more = {
        "SHORT": "s" * 1023,
        "LONG": "l" * 1024,
        "HIDDEN_ONE": "x",
        "HIDDEN_TWO": "x",
        "VSO_AGENT_IGNORE": "HIDDEN_ONE,hidden_two",
        "MY_TOKEN": "not protected by its name",
    }
    assert keyed.configure(service, env=more).code == 0
    capabilities = service.state()["agents"][0]["capabilities"]
    assert capabilities["GPU_NAME"] == "A10"
    assert capabilities["SHORT"] == "s" * 1023
    assert capabilities["MY_TOKEN"] == "not protected by its name"
    assert {"LONG", "HIDDEN_ONE", "HIDDEN_TWO"} & set(capabilities) == set()
    assert [name for name in capabilities if name.upper().startswith("VSTS_AGENT_INPUT_")] == []
    assert {"Agent.Name", "Agent.Version", "Agent.OS", "Agent.ComputerName"} <= set(capabilities)


def test_token_of_the_environment_is_in_no_argument(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("delay", path="/pools$", seconds=0.5))
    with keyed.running(*keyed.config_command(service), env={"VSTS_AGENT_INPUT_TOKEN": service.pat}) as running:
        seen = set()
        while running.child.poll() is None:
            seen |= {path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if service.pat.encode() in _read(path)}
        assert running.wait() == 0
    assert seen == set()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended meanwhile
        return b""


# 5. the service script

SYSTEMCTL = '#!/bin/sh\necho "$*" >>"$SYSTEMCTL_LOG"\n[ "$1" != --no-pager ] || exit 3\n'


@dataclass(frozen=True)
class Service:
    """svc.sh of a configured agent, with /etc/systemd/system and systemctl of its own."""

    agent: Installed
    home: Path

    @property
    def name(self) -> str:
        return next(line for line in self.units)

    @property
    def units(self) -> list[str]:
        return sorted(path.name for path in (self.home / "units").iterdir())

    @property
    def calls(self) -> list[str]:
        log = self.home / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []

    def svc(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        inside = 'mount --bind "$0" /etc/systemd/system && exec ./svc.sh "$@"'
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(self.home / "units"), *arguments],
            cwd=self.agent.root,
            env={
                "PATH": f"{self.home}/bin:{environment()['PATH']}:/usr/sbin:/sbin",
                "SYSTEMCTL_LOG": str(self.home / "systemctl.log"),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def svc(configured: Installed, tmp_path: Path) -> Service:
    if os.geteuid() != 0:
        pytest.skip("a service is installed by root")
    (tmp_path / "units").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    Path("/etc/systemd/system").mkdir(parents=True, exist_ok=True)
    return Service(configured, tmp_path)


def test_service_is_installed_for_a_user_and_not_started(svc: Service) -> None:
    done = svc.svc("install", "nobody")
    assert done.returncode == 0, done.stdout + done.stderr
    assert svc.units == ["vsts.agent.127.Default.one.service"]
    assert svc.agent.text(".service").strip() == svc.name
    unit = (svc.home / "units" / svc.name).read_text().splitlines()
    assert "User=nobody" in unit
    assert "KillMode=process" in unit
    assert "After=network.target" in unit
    assert [line for line in unit if line.startswith("Restart=")] == []
    assert [call.split()[0] for call in svc.calls] == ["daemon-reload", "enable"]
    script = svc.agent.root / "runsvc.sh"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert script.owner() == "nobody"


def test_service_runs_as_who_called_sudo(svc: Service) -> None:
    assert svc.svc("install", SUDO_USER="nobody").returncode == 0
    assert "User=nobody" in (svc.home / "units" / svc.name).read_text().splitlines()


def test_service_without_any_user_runs_as_root(svc: Service) -> None:
    """The trap: under systemd or cloud-init there is no SUDO_USER."""
    assert svc.svc("install").returncode == 0
    assert "User=" in (svc.home / "units" / svc.name).read_text().splitlines()


def test_service_that_is_there_is_not_installed_again(svc: Service) -> None:
    assert svc.svc("install", "nobody").returncode == 0
    again = svc.svc("install", "nobody")
    assert again.returncode != 0
    assert "error: exists" in again.stdout + again.stderr


def test_status_of_a_dead_service_is_0(svc: Service) -> None:
    assert svc.svc("install", "nobody").returncode == 0
    assert svc.svc("status").returncode == 0
    assert svc.calls[-1].startswith("--no-pager status")


def test_uninstalling_takes_everything_away(svc: Service) -> None:
    assert svc.svc("install", "nobody").returncode == 0
    assert svc.svc("uninstall").returncode == 0
    assert svc.units == []
    assert not svc.agent.has(".service")


def test_service_script_is_for_root(configured: Installed) -> None:
    done = configured.run("./svc.sh", "status")
    assert done.code == 1
    assert "Must run as sudo" in done.stdout + done.stderr


def test_remove_refuses_while_the_service_is_installed(svc: Service, service: SimulatedAzureDevOps) -> None:
    assert svc.svc("install", "nobody").returncode == 0
    done = svc.agent.run("./config.sh", "remove", "--unattended", "--auth", "pat", "--token", service.pat)
    assert done.code == 1
    assert "service" in done.stderr
    assert svc.agent.has(".agent")


@pytest.mark.parametrize(
    ("pool", "name", "unit"),
    [
        ("gpu-pool", "a b", r"vsts.agent.127.gpu\x2dpool.a\x20b.service"),
        ("p" * 60, "n" * 60, f"vsts.agent.127.{'p' * 25}.{'n' * (80 - len('vsts.agent.127..') - 25 - len('.service'))}.service"),
    ],
    ids=["escaped", "shortened"],
)
def test_service_is_named_after_organization_pool_and_agent(
    keyed: Installed, service: SimulatedAzureDevOps, pool: str, name: str, unit: str
) -> None:
    service.add_pool(pool)
    assert keyed.configure(service, "--pool", pool, "--agent", name).code == 0
    assert unit in keyed.text("svc.sh")


# 6. run


def online(service: SimulatedAzureDevOps) -> bool:
    return [entry["status"] for entry in service.state()["agents"]] == ["online"]


def test_agent_that_is_not_configured_ends_with_2(fresh: Installed) -> None:
    assert fresh.run("./run.sh").code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_session(configured: Installed, service: SimulatedAzureDevOps, number: signal.Signals) -> None:
    with configured.running("bin/Agent.Listener", "run") as running:
        until(lambda: "Listening for Jobs" in running.said)
        assert online(service)
        running.send(number)
        assert running.wait() == 0
    assert [entry["status"] for entry in service.state()["agents"]] == ["offline"]
    # Not always the last one: the service may note the request for messages that was given up after it.
    assert [line for line in asked(service)[-2:] if line.startswith("DELETE distributedtask/pools/1/sessions/")]
    said = running.said
    markers = ["Scanning for tool capabilities.", "Connecting to the server.", ": Listening for Jobs"]
    assert [said.find(marker) for marker in markers] == sorted(said.find(marker) for marker in markers)
    assert "-1" not in [str(said.find(marker)) for marker in markers]


def test_agent_whose_token_is_in_its_credentials_runs(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("no-authorization", method="POST", path="/agents$"))
    assert keyed.configure(service).code == 0
    with keyed.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))


def test_session_names_its_agent(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
    body = body_of(service, "POST distributedtask/pools/1/sessions")
    assert body["ownerName"]
    assert body["agent"]["id"] == 1  # type: ignore[index]
    assert body["agent"]["name"] == "one"  # type: ignore[index]


def test_agent_comes_back_by_its_own_key(configured: Installed, service: SimulatedAzureDevOps) -> None:
    service.revoke(service.pat)
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
    assert service.state()["agents"][0]["id"] == 1


def test_agent_that_is_deleted_ends_with_1(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run") as running:
        until(lambda: online(service))
        assert removed(configured, service) == 0
        assert running.wait() == 1


def test_session_that_is_forbidden_ends_with_1(configured: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("forbidden", method="POST", path="/sessions$", times=0))
    done = configured.run("./run.sh", timeout=280)
    assert done.code == 1
    assert "Failed to create session." in done.stdout + done.stderr


@pytest.mark.slow
def test_killed_agent_gets_its_session_back_when_the_old_one_ends(archive: Path, made_key: str) -> None:
    ahead = 0.0
    with SimulatedAzureDevOps(poll_seconds=0.5, now=lambda: time.time() + ahead) as service, unpacked(archive, service) as found:
        found.write(".credentials_rsaparams", made_key)
        assert found.configure(service).code == 0
        with found.running("bin/Agent.Listener", "run") as first:
            until(lambda: online(service))
            first.send(signal.SIGKILL)
            first.wait()
        with found.running("bin/Agent.Listener", "run", env={"SIMULATED_AGENT_PACE": "0.1"}) as second:
            until(lambda: "A session for this agent already exists." in second.said)
            ahead = 300.0  # the old one ends
            until(lambda: "Listening for Jobs" in second.said, 120)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_session_that_never_ends_is_given_up(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run") as first:
        until(lambda: online(service))
        started = time.monotonic()
        done = configured.run("./run.sh", timeout=500)
        assert first.child.poll() is None
    assert done.code == 1
    said = done.stdout + done.stderr
    assert "A session for this agent already exists." in said
    assert "Stop retry on SessionConflictException after retried for 240 seconds." in said
    assert time.monotonic() - started > 1


def test_session_that_expired_is_made_anew(archive: Path, made_key: str) -> None:
    with SimulatedAzureDevOps(poll_seconds=0.2) as service, unpacked(archive, service) as found:
        found.write(".credentials_rsaparams", made_key)
        assert found.configure(service).code == 0
        with found.running("bin/Agent.Listener", "run"):
            until(lambda: online(service))
            service.expire_tokens()
            until(lambda: asked(service).count("POST oauth2/token") >= 3)
            assert online(service)


# 7. jobs


def finished(service: SimulatedAzureDevOps, job: int) -> str:
    until(lambda: service.job(job)["state"] == "completed")
    return str(service.job(job)["result"])


@pytest.mark.parametrize(("script", "result"), [("true", "succeeded"), ("exit 3", "failed")])
def test_job_is_taken_run_and_reported(configured: Installed, service: SimulatedAzureDevOps, script: str, result: str) -> None:
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
        job = service.queue_job("Default", script=script)
        assert finished(service, job) == result
        until(lambda: asked(service).count("DELETE distributedtask/pools/1/messages/1") == 1)


def test_job_runs_as_the_agents_user_without_the_inputs(configured: Installed, service: SimulatedAzureDevOps, tmp_path: Path) -> None:
    report = configured.root.parent / "report"
    report.touch()
    give(report)
    configured.write(".env", "FROM_ENV_FILE=yes\n")
    with configured.running("bin/Agent.Listener", "run", env={"VSTS_AGENT_INPUT_TOKEN": "secret-of-the-test"}):
        until(lambda: online(service))
        job = service.queue_job("Default", script=f"(id -un; pwd; env) >{report}")
        assert finished(service, job) == "succeeded"
    lines = report.read_text().splitlines()
    assert lines[0] == report.owner()
    assert Path(lines[1]).is_relative_to(configured.root / "_work")
    assert "FROM_ENV_FILE=yes" in lines
    assert "AGENT_NAME=one" in lines
    assert "secret-of-the-test" not in report.read_text()


def test_once_is_one_job(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("./run.sh", "--once") as running:
        until(lambda: online(service))
        job = service.queue_job("Default", script="true")
        assert finished(service, job) == "succeeded"
        assert running.wait() == 0
    assert [(entry["id"], entry["status"]) for entry in service.state()["agents"]] == [(1, "offline")]


def test_signal_cancels_the_running_job(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run") as running:
        until(lambda: online(service))
        job = service.queue_job("Default", script="sleep 300")
        until(lambda: service.job(job)["state"] == "running")
        running.send(signal.SIGINT)
        assert running.wait() == 0
    assert service.job(job)["result"] == "canceled"
    assert [entry["status"] for entry in service.state()["agents"]] == ["offline"]


def test_service_can_cancel_a_job(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
        job = service.queue_job("Default", script="sleep 300")
        until(lambda: service.job(job)["state"] == "running")
        service.cancel_job(job)
        assert finished(service, job) == "canceled"
        assert online(service)


@pytest.mark.slow
def test_lock_on_a_long_job_is_renewed(archive: Path, made_key: str) -> None:
    with SimulatedAzureDevOps(poll_seconds=2) as service, unpacked(archive, service) as found:
        found.write(".credentials_rsaparams", made_key)
        assert found.configure(service).code == 0
        with found.running("bin/Agent.Listener", "run"):
            until(lambda: online(service))
            job = service.queue_job("Default", script="sleep 300")
            until(lambda: service.job(job)["renewals"] >= 1, 120)


# 8. updates


def refreshed(
    found: Installed,
    service: SimulatedAzureDevOps,
    version: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    within: float = PATIENCE_S,
) -> int | None:
    """The exit code after an AgentRefresh, None when the agent does not end for it within so many seconds."""
    with found.running("bin/Agent.Listener", "run", *arguments, env=env) as running:
        until(lambda: online(service))
        service.refresh_agent(1, version)
        until(lambda: [line for line in asked(service) if line.startswith("DELETE distributedtask/pools/1/messages/")])
        try:
            code = running.wait(within)
        except subprocess.TimeoutExpired:
            return None
        if (found.root / "_work" / "_update.sh").exists():
            until(lambda: (found.root / "bin").is_symlink() and (found.root / "bin" / "Agent.Listener").exists())
        return code


@pytest.mark.slow
@pytest.mark.parametrize("version", OTHER_VERSIONS, ids=["newer", "older"])
@pytest.mark.parametrize(("arguments", "code"), [(("--startuptype", "service"), 3), (("--startuptype", "service", "--once"), 4)])
def test_agent_replaces_itself_by_the_wanted_version(
    configured: Installed, service: SimulatedAzureDevOps, archive: Path, version: str, arguments: tuple[str, ...], code: int
) -> None:
    service.add_package(version, archive.read_bytes())
    assert refreshed(configured, service, version, *arguments) == code
    assert (configured.root / "bin").readlink().name == f"bin.{version}"
    assert configured.run("bin/Agent.Listener", "--version").code == 0
    assert [line for line in asked(service) if line == "PUT distributedtask/pools/1/agents/1/updates"] != []


@pytest.mark.slow
def test_older_version_is_refused_where_downgrades_are_switched_off(
    configured: Installed, service: SimulatedAzureDevOps, archive: Path
) -> None:
    service.add_package(OTHER_VERSIONS[1], archive.read_bytes())
    assert refreshed(configured, service, OTHER_VERSIONS[1], env={"AZP_AGENT_DOWNGRADE_DISABLED": "true"}, within=10) is None
    assert not (configured.root / "bin").is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["no hash", "no package"])
def test_package_that_cannot_be_checked_is_not_taken(configured: Installed, service: SimulatedAzureDevOps, archive: Path, how: str) -> None:
    if how == "no hash":
        service.add_package(OTHER_VERSIONS[0], archive.read_bytes(), hashed=False)
    assert refreshed(configured, service, OTHER_VERSIONS[0], "--startuptype", "service", within=10) is None
    assert not (configured.root / "bin").is_symlink()


# 9. under a service manager


def test_service_program_gives_jobs_the_path_of_configuration(keyed: Installed, service: SimulatedAzureDevOps) -> None:
    path = f"/usr/local/cuda/bin:{environment()['PATH']}"
    assert keyed.configure(service, env={"PATH": path}).code == 0
    report = keyed.root.parent / "report"
    report.touch()
    give(report)
    with keyed.running("bin/runsvc.sh") as running:
        until(lambda: online(service))
        job = service.queue_job("Default", script=f'echo "$PATH" >{report}')
        assert finished(service, job) == "succeeded"
        running.send(signal.SIGTERM)
        assert running.wait() == 0
    assert path in report.read_text()
    assert [entry["status"] for entry in service.state()["agents"]] == ["offline"]


def test_service_program_hides_a_terminated_listener(configured: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("forbidden", method="POST", path="/sessions$", times=0))
    with configured.running("bin/runsvc.sh") as running:
        assert running.wait(280) == 0
    assert "exited with error code 1" in running.said


# 10. remove and reauth


def removed(found: Installed, service: SimulatedAzureDevOps, token: str | None = None) -> int:
    command = ("./config.sh", "remove", "--unattended", "--auth", "pat", "--token", service.pat if token is None else token)
    return found.run(*command).code


def test_remove_takes_the_agent_and_its_files(configured: Installed, service: SimulatedAzureDevOps) -> None:
    assert removed(configured, service) == 0
    assert service.state()["agents"] == []
    assert configured.left & {".agent", ".credentials", ".credentials_rsaparams"} == set()


def test_remove_needs_an_administrators_token(configured: Installed, service: SimulatedAzureDevOps) -> None:
    assert removed(configured, service, "x" * 84) == 1
    assert len(service.state()["agents"]) == 1
    assert configured.has(".agent")


def test_remove_fails_while_a_job_runs(configured: Installed, service: SimulatedAzureDevOps) -> None:
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
        job = service.queue_job("Default", script="sleep 300")
        until(lambda: service.job(job)["state"] == "running")
        assert removed(configured, service) == 1
    assert configured.has(".agent")


def test_reauth_gives_the_agent_a_new_key(configured: Installed, service: SimulatedAzureDevOps) -> None:
    before = service.state()["agents"][0]
    done = configured.run("./reauth.sh", "--unattended", "--auth", "pat", "--token", service.pat)
    assert done.code == 0, done.stdout + done.stderr
    after = service.state()["agents"][0]
    assert after["id"] == before["id"]
    assert after["key"] != before["key"]
    with configured.running("bin/Agent.Listener", "run"):
        until(lambda: online(service))
