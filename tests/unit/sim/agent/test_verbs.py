"""The verbs inside this process: the way of one agent from configuration to removal, with what each step leaves in memory and on disk."""

from __future__ import annotations

import signal
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.agent.files.bin.simagent import cli, network, store, wire
from sim.agent.files.bin.simagent.errors import AgentError
from sim.agent.files.bin.simagent.rsa import EXPONENT, prime
from sim.agent.files.bin.simagent.stream import Stream
from sim.azdo import Fault, SimulatedAzureDevOps
from tests.unit.sim.agent.conftest import VERSION
from tests.unit.sim.agent.installed import until

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns when threads are there


@pytest.fixture
def folder(archive: Path, tmp_path: Path, service: SimulatedAzureDevOps, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An unpacked agent in which the verbs can work; signals and folder are ours again afterwards."""
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (tmp_path / "ca.pem").write_text(service.ca_pem)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMULATED_AGENT_PACE", "0.01")
    for name in ("http_proxy", "VSTS_HTTP_PROXY", "VSTS_AGENT_HTTPTRACE", "AZP_AGENT_DOWNGRADE_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def configure(folder: Path, service: SimulatedAzureDevOps) -> list[str]:
    return [
        *("configure", "--unattended", "--auth", "pat", "--url", service.url, "--token", service.pat),
        *("--agent", "one", "--pool", "Default", "--sslcacert", str(folder / "ca.pem")),
    ]


def test_way_of_an_agent(folder: Path, service: SimulatedAzureDevOps, configure: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    account = ["--auth", "pat", "--token", service.pat]
    assert cli.main(configure, str(folder)) == 0
    assert cli.main(configure, str(folder)) == 1
    job: list[int] = []

    def queue() -> None:
        until(lambda: service.state()["agents"][0]["status"] == "online")
        job.append(service.queue_job("Default", script="echo from the job"))

    other = threading.Thread(target=queue)
    other.start()
    assert cli.main(["run", "--once"], str(folder)) == 0
    other.join()
    assert service.job(job[0])["result"] == "succeeded"
    assert (folder / "_diag" / f"Job_{job[0]}.log").read_text() == "from the job\n"
    before = service.state()["agents"][0]["key"]
    assert cli.main(["reauth", "--unattended", *account], str(folder)) == 0
    assert service.state()["agents"][0]["key"] != before
    assert cli.main(["remove", "--unattended", *account], str(folder)) == 0
    assert service.state()["agents"] == []
    assert cli.main(["remove", "--unattended", *account], str(folder)) == 0
    assert cli.main(["run"], str(folder)) == 2
    said = capfd.readouterr()
    assert "already configured" in said.err
    assert "Skipping removing agent from the server" in said.out
    assert service.pat not in said.out + said.err


def test_version_loads_every_module(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"], str(folder)) == 0
    assert capfd.readouterr().out == f"{VERSION}\n"


def test_replacement_after_a_crash(folder: Path, service: SimulatedAzureDevOps, configure: list[str]) -> None:
    service.fault(Fault("clock-skew", path="/oauth2/token$", times=0))
    assert cli.main(configure, str(folder)) == 1
    service.clear_faults()
    service.fault(Fault("server-error", method="PUT", path="/agents/1$", times=1))
    assert cli.main([*configure, "--replace"], str(folder)) == 0
    assert len(service.state()["agents"]) == 1


def test_update_that_fails_leaves_the_agent_online(folder: Path, service: SimulatedAzureDevOps, configure: list[str]) -> None:
    assert cli.main(configure, str(folder)) == 0
    said: list[str] = []

    def refresh() -> None:
        until(lambda: service.state()["agents"][0]["status"] == "online")
        service.refresh_agent(1, "99.0.0")
        until(lambda: [line for line in service.requests if line.path.endswith("/updates")])
        said.append(service.state()["agents"][0]["status"])
        service.queue_job("Default", script="exit 1")

    other = threading.Thread(target=refresh)
    other.start()
    assert cli.main(["run", "--once"], str(folder)) == 0
    other.join()
    assert said == ["online"]
    assert service.job(1)["result"] == "failed"


def test_files_of_the_network_are_read_again(folder: Path) -> None:
    files = store.Store(str(folder))
    files.write(store.PROXY, "http://proxy.example:3128\n")
    files.save(store.PROXY_CREDENTIALS, {"username": "u", "password": "p"}, private=True)
    files.write(store.PROXY_BYPASS, r"^https?://direct\.")
    files.save(store.CERTIFICATES, {"CACert": "/ca.pem"})
    found = network.Network.of_files(files, {"http_proxy": "http://other.example"})
    proxy = found.proxy(wire.Url("https://dev.azure.com/demo"))
    assert proxy is not None
    assert (proxy.url.origin, proxy.authorization) == ("http://proxy.example:3128", "Basic dTpw")
    assert found.proxy(wire.Url("https://direct.example/demo")) is None
    assert found.ca_file == "/ca.pem"


@pytest.mark.parametrize(("exceptions", "direct"), [("example.com", True), (".example.com", True), ("ample.com", False), ("", False)])
def test_exceptions_of_the_environment_mean_whole_names(folder: Path, exceptions: str, direct: bool) -> None:
    environ = {"http_proxy": "http://proxy.example", "no_proxy": exceptions}
    found = network.Network.of_files(store.Store(str(folder)), environ)
    assert (found.proxy(wire.Url("https://dev.example.com:8443/x")) is None) is direct


def test_proxy_that_is_no_url_is_named(folder: Path) -> None:
    with pytest.raises(AgentError, match="proxyurl"):
        network.Network("proxy.example:3128").proxy(wire.Url("https://dev.azure.com"))


def test_prime_is_one_of_1024_bits() -> None:
    number = prime()
    assert number.bit_length() == 1024
    assert pow(7, number - 1, number) == 1
    assert number % EXPONENT != 1


def test_line_without_an_end_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = Stream("127.0.0.1", listener.getsockname()[1], 10.0)
        try:
            with listener.accept()[0] as caller:
                sender = threading.Thread(target=caller.sendall, args=(b"x" * 200_000,))
                sender.start()
                with pytest.raises(ValueError, match="too long"):
                    stream.line()
                stream.limit(5.0)
                sender.join()
        finally:
            stream.close()
