"""The simulated agent as processes: what the fidelity suite cannot ask of a real one, because only the simulated one makes it quick or safe."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sim import agent
from sim.azdo import Fault, SimulatedAzureDevOps
from tests.unit.sim.agent.conftest import VERSION
from tests.unit.sim.agent.installed import PATH, Installed, processes_in, unpacked, until

pytestmark = pytest.mark.slow

PYTHONS = sorted(
    path
    for minor in range(10, 16)
    for path in (Path(f"/usr/bin/python3.{minor}"), *Path("/root/.pyenv/versions").glob(f"3.{minor}.*/bin/python3.{minor}"))
    if os.access(path, os.X_OK)
)


def online(service: SimulatedAzureDevOps) -> bool:
    return [entry["status"] for entry in service.state()["agents"]] == ["online"]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.name)
def test_agent_works_with_every_python_that_is_here(installed: Installed, service: SimulatedAzureDevOps, python: Path) -> None:
    """It uses C modules below json, socket and ssl, which no document promises."""
    listener = (str(python), "-IS", "bin/Agent.Listener")
    flags = installed.config_command(service)[1:]
    done = installed.run(*listener, "configure", *flags, env={"VSTS_AGENT_INPUT_TOKEN": service.pat}, root=True)
    assert done.code == 0, done.stderr
    with installed.running(*listener, "run", root=True) as running:
        until(lambda: online(service))
        job = service.queue_job("Default", script="true")
        until(lambda: service.job(job)["result"] == "succeeded")
        running.send(signal.SIGTERM)
        assert running.wait() == 0


def test_certificates_are_checked_whatever_is_asked(installed: Installed, service: SimulatedAzureDevOps) -> None:
    command = ["./config.sh", "--unattended", "--auth", "pat", "--url", service.url, "--token", service.pat, "--sslskipcertvalidation"]
    done = installed.run(*command, env={"SIMULATED_AGENT_PACE": "10"})  # no try is repeated, 100 s later: it could not pass
    assert done.code == 1
    assert "certificate is not trusted" in done.stderr
    assert service.requests == []


def test_certificate_for_another_name_is_refused(installed: Installed, service: SimulatedAzureDevOps) -> None:
    done = installed.configure(service, "--url", f"https://127.0.0.2:{service.port}/demo")
    assert done.code == 1
    assert service.requests == []


def test_certificates_of_the_environment_are_trusted(installed: Installed, service: SimulatedAzureDevOps) -> None:
    command = ["./config.sh", "--unattended", "--auth", "pat", "--url", service.url, "--agent", "one", "--token", service.pat]
    assert installed.run(*command, env={"SSL_CERT_FILE": str(installed.ca)}).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a /etc/ssl/certs of its own")
def test_certificates_of_the_system_are_trusted(installed: Installed, service: SimulatedAzureDevOps) -> None:
    folder = installed.root.parent / "certificates"
    folder.mkdir(mode=0o755)
    (folder / "own.pem").write_text(service.ca_pem)
    subprocess.run(["openssl", "rehash", folder], check=True)
    command = ["./config.sh", "--unattended", "--auth", "pat", "--url", service.url, "--agent", "one", "--token", service.pat]
    inside = 'mount --bind "$0" /etc/ssl/certs && exec "$@"'
    done = installed.run(
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(folder), *command),
        root=True,
        env={"AGENT_ALLOW_RUNASROOT": "1"},
    )
    assert done.code == 0, done.stderr


@pytest.mark.parametrize(("program", "says"), [("ldconfig", "Libicu"), ("ldd", "not found")])
def test_missing_library_ends_config(installed: Installed, tmp_path_factory: pytest.TempPathFactory, program: str, says: str) -> None:
    folder = installed.root.parent / "stand-ins"
    folder.mkdir(mode=0o755)
    (folder / program).write_text("#!/bin/sh\necho 'libother.so.1 => not found'\n")
    (folder / program).chmod(0o755)
    (installed.root / "bin" / "libnative.so").write_text("")
    done = installed.run("./config.sh", "--unattended", env={"PATH": f"{folder}:{PATH}"})
    assert done.code == 1
    assert says in done.stdout
    assert installed.left == set()


def test_questions_are_asked_when_nobody_says_unattended(installed: Installed, service: SimulatedAzureDevOps) -> None:
    answers = f"not a url\n{service.url}\n\n{service.pat}\n\ntwo\n\n"
    done = installed.run("./config.sh", "--sslcacert", str(installed.ca), stdin=None, input=answers.encode())
    assert done.code == 0, done.stderr
    assert installed.json(".agent")["agentName"] == "two"
    assert done.stdout.count("Enter server URL") == 2
    assert service.pat not in done.stdout + installed.everything_written


def test_nobody_to_answer_ends_configuration(installed: Installed) -> None:
    done = installed.run("./config.sh")
    assert done.code == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--commit"], 0), (["nonsense"], 1)])
def test_other_calls_of_the_listener(installed: Installed, arguments: list[str], code: int) -> None:
    assert installed.run("bin/Agent.Listener", *arguments).code == code


@pytest.mark.parametrize("name", [".agent", ".credentials", ".credentials_rsaparams"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\0"])
def test_damaged_file_is_named_without_a_traceback(installed: Installed, service: SimulatedAzureDevOps, name: str, text: str) -> None:
    for other in (".agent", ".credentials", ".credentials_rsaparams"):
        installed.write(other, text if other == name else '{"scheme": "OAuth", "serverUrl": "https://127.0.0.1:1/x", "data": {}}')
    done = installed.run("bin/Agent.Listener", "run")
    assert done.code == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() != ""


# the service's bad days


@pytest.mark.parametrize("fault", ["server-error", "reset", "lost", "truncated", "slow", "delay"])
@pytest.mark.parametrize("path", ["/connectionData$", "/pools$", "/oauth2/token$"])
def test_moment_of_trouble_passes(installed: Installed, service: SimulatedAzureDevOps, fault: str, path: str) -> None:
    service.fault(Fault(fault, path=path, times=2 if fault in {"server-error", "reset"} else 1, seconds=0.3, status=503))
    done = installed.configure(service)
    assert done.code == 0, done.stderr
    assert len(service.state()["agents"]) == 1


def test_token_endpoint_is_asked_again_when_it_is_busy(installed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("throttled", path="/oauth2/token$"))
    service.fault(Fault("server-error", path="/oauth2/token$"))
    assert installed.configure(service).code == 0


def test_lost_answer_to_a_registration_leaves_an_agent_without_files(installed: Installed, service: SimulatedAzureDevOps) -> None:
    """The repetition meets the name that the lost attempt has taken."""
    service.fault(Fault("lost", method="POST", path="/agents$"))
    done = installed.configure(service)
    assert done.code == 1
    assert "already contains an agent" in done.stderr
    assert not installed.has(".credentials")
    assert installed.configure(service, "--replace").code == 0
    assert len(service.state()["agents"]) == 1


def test_listener_says_once_that_it_lost_the_service_and_when_it_is_back(installed: Installed, service: SimulatedAzureDevOps) -> None:
    assert installed.configure(service).code == 0
    service.fault(Fault("html", path="/messages$", times=3))
    with installed.running("bin/Agent.Listener", "run") as running:
        until(lambda: "Agent reconnected." in running.said)
        assert running.said.count("Agent connect error") == 1
        assert online(service)


def test_wrong_clock_is_waited_for(installed: Installed, service: SimulatedAzureDevOps) -> None:
    assert installed.configure(service).code == 0
    service.fault(Fault("clock-skew", path="/oauth2/token$", times=6))
    with installed.running("bin/Agent.Listener", "run") as running:
        until(lambda: online(service))
        assert "clock" in running.said


def test_signal_ends_a_listener_that_waits_for_a_session(installed: Installed, service: SimulatedAzureDevOps) -> None:
    assert installed.configure(service).code == 0
    service.fault(Fault("html", method="POST", path="/sessions$", times=0))
    with installed.running("bin/Agent.Listener", "run", env={"SIMULATED_AGENT_PACE": "10"}) as running:
        until(lambda: "Retrying until reconnected" in running.said)
        running.send(signal.SIGTERM)
        assert running.wait() == 0  # not after the 300 s until the next try


@pytest.mark.parametrize("fault", ["hang", "reset", "server-error"])
def test_service_that_fails_does_not_keep_a_listener_from_ending(installed: Installed, service: SimulatedAzureDevOps, fault: str) -> None:
    assert installed.configure(service).code == 0
    with installed.running("bin/Agent.Listener", "run") as running:
        until(lambda: "Listening for Jobs" in running.said)
        service.fault(Fault(fault, method="DELETE", path="/sessions/", times=0, seconds=300, status=503))
        running.send(signal.SIGTERM)
        assert running.wait() == 0
        assert "Traceback" not in running.said


def test_agent_that_is_deleted_between_two_polls_ends_with_1(archive: Path) -> None:
    """Its token is refused then, and so is its key; within a poll it is told that its session has expired."""
    with SimulatedAzureDevOps(poll_seconds=0) as service, unpacked(archive, service) as found:
        assert found.configure(service).code == 0
        with found.running("bin/Agent.Listener", "run") as running:
            until(lambda: online(service))
            assert found.run("./config.sh", "remove", "--unattended", "--auth", "pat", "--token", service.pat).code == 0
            assert running.wait() == 1
            assert "is not registered" in running.said


def test_service_that_is_gone_does_not_keep_a_listener_from_ending(archive: Path) -> None:
    with SimulatedAzureDevOps(poll_seconds=1) as service, unpacked(archive, service) as found:
        assert found.configure(service).code == 0
        running = found.running("bin/Agent.Listener", "run", env={"SIMULATED_AGENT_PACE": "1"})
        with running as listener:
            until(lambda: online(service))
            service.__exit__(None, None, None)
            time.sleep(0.5)
            listener.send(signal.SIGTERM)
            assert listener.wait() == 0
            assert "Traceback" not in listener.said


# the token


def test_agent_whose_service_named_no_client_lives_on_the_token(installed: Installed, service: SimulatedAzureDevOps) -> None:
    service.fault(Fault("no-authorization", method="POST", path="/agents$"))
    assert installed.configure(service).code == 0
    assert installed.json(".credentials") == {"scheme": "PAT", "data": {"token": service.pat}}
    assert installed.mode(".credentials") == 0o600


@pytest.mark.parametrize("traced", [False, True])
def test_token_is_in_the_log_only_when_requests_are_traced(installed: Installed, service: SimulatedAzureDevOps, traced: bool) -> None:
    command = installed.config_command(service, "--token", service.pat)
    done = installed.run(*command, env={"VSTS_AGENT_HTTPTRACE": "true"} if traced else {})
    assert done.code == 0
    log = "".join(path.read_text() for path in (installed.root / "_diag").iterdir())
    assert service.pat not in log + done.stdout + done.stderr
    assert ("Authorization: Basic" in log) is traced


# a proxy


@dataclass
class Tunnels:
    """A proxy that opens tunnels; `asked` are the first lines and credentials of its requests."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def tunnels() -> Iterator[Tunnels]:
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def start(run: object, *arguments: object) -> None:
        threads.append(threading.Thread(target=run, args=arguments))  # type: ignore[arg-type]
        threads[-1].start()

    def serve() -> None:
        while True:
            try:
                caller = listener.accept()[0]
            except OSError:
                return
            head = b""
            while not head.endswith(b"\r\n\r\n") and (read := caller.recv(1)):
                head += read
            if not head:
                caller.close()
                continue
            running.asked.append(head.decode())
            host, _, port = head.split()[1].decode().rpartition(":")
            target = socket.create_connection((host, int(port)))
            sockets.extend((caller, target))
            caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            start(pump, caller, target)
            start(pump, target, caller)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Tunnels(f"http://127.0.0.1:{listener.getsockname()[1]}")
        start(serve)
        try:
            yield running
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for one in sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            for thread in threads:
                thread.join()
            for one in sockets:
                one.close()


def test_proxy_of_configuration_is_used_ever_after(installed: Installed, service: SimulatedAzureDevOps) -> None:
    with tunnels() as proxy:
        account = ("--proxyusername", "u", "--proxypassword", "hunter22")
        done = installed.configure(service, "--proxyurl", proxy.url, *account)
        assert done.code == 0, done.stderr
        assert installed.text(".proxy").strip() == proxy.url
        assert stat.S_IMODE((installed.root / ".proxycredentials").stat().st_mode) == 0o600
        first = len(proxy.asked)
        assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{service.port} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dTpodW50ZXIyMg==" in proxy.asked[0]
        with installed.running("bin/Agent.Listener", "run") as running:
            until(lambda: online(service))
            running.send(signal.SIGTERM)
            running.wait()
        assert len(proxy.asked) > first
    assert "hunter22" not in "".join(path.read_text() for path in (installed.root / "_diag").iterdir())


@pytest.mark.parametrize(("name", "used"), [("VSTS_HTTP_PROXY", True), ("http_proxy", True), ("https_proxy", False)])
def test_proxy_of_the_environment(installed: Installed, service: SimulatedAzureDevOps, name: str, used: bool) -> None:
    with tunnels() as proxy:
        assert installed.configure(service, env={name: proxy.url}).code == 0
        assert (proxy.asked != []) is used


def test_exception_from_the_proxy(installed: Installed, service: SimulatedAzureDevOps) -> None:
    with tunnels() as proxy:
        assert installed.configure(service, env={"http_proxy": proxy.url, "no_proxy": "other.example,127.0.0.1"}).code == 0
        assert proxy.asked == []


# service program and updates


def test_service_program_starts_a_listener_again_that_may_succeed_later(installed: Installed) -> None:
    with installed.running("bin/runsvc.sh") as running:
        until(lambda: running.said.count("exited with error code 2") >= 2)
        running.send(signal.SIGTERM)
        assert running.wait() == 0


def test_service_program_needs_the_node_that_the_real_one_runs_on(installed: Installed) -> None:
    (installed.root / "externals" / "node24").rename(installed.root / "externals" / "node22")
    assert installed.run("bin/runsvc.sh").code == 1


@pytest.mark.slow
@pytest.mark.parametrize("program", ["./run.sh", "./run-docker.sh", "bin/runsvc.sh"])
def test_updated_agent_is_online_again_with_the_new_version(installed: Installed, service: SimulatedAzureDevOps, program: str) -> None:
    service.add_package("4.276.1", agent.pack("4.276.1"))
    assert installed.configure(service).code == 0
    with installed.running(program):
        until(lambda: online(service))
        service.refresh_agent(1, "4.276.1")
        until((installed.root / "bin").is_symlink)
        until(lambda: online(service) and service.state()["agents"][0]["version"] == "4.276.1")
        assert installed.text("bin/version") == "4.276.1\n"
        assert [path.name for path in installed.root.iterdir() if path.name.startswith("bin.")] != []
    assert (installed.root / f"bin.{VERSION}").is_dir()


def test_program_of_config_is_not_left_behind(installed: Installed, service: SimulatedAzureDevOps) -> None:
    """The children that search the key end with it, even when it fails at once."""
    assert installed.configure(service, "--sslcacert", "/nowhere").code == 1
    assert processes_in(installed.root) == []


def test_shell_programs_are_sound() -> None:
    programs = [str(path) for path in agent.FILES.rglob("*.sh")]
    done = subprocess.run(["bash", "-n", *programs], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
