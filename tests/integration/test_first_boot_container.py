"""First boot on running machines: containers of the baked image, with the simulated service, started, killed, broken, and started again."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.config.model import Cloud
from goldbake.local import network
from goldbake.log import Progress
from goldbake.secret import Secret
from launch import service
from launch.agents import azure_devops
from sim import agent as simulated_agent
from sim.azdo.faults import Action, Fault
from tests.integration import machines as field
from tests.integration.conftest import BakedImage
from tests.integration.machines import AGENT, FAST, Machine, Machines, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SESSION_S = 4.0
"""How long the service holds the session of an agent that says nothing; 5 minutes at the real one."""

QUICK_RESTART = """\
[Service]
RestartSec=200ms
"""


@pytest.fixture
def machines(baked_image: BakedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    with field.machines(baked_image.record, tmp_path, monkeypatch, session_timeout=SESSION_S) as found:
        yield found


@dataclass
class Clocked:
    """Machines whose service has a clock that a test turns; a session of an agent that says nothing lives 5 minutes by it."""

    machines: Machines
    turn: Callable[[float], None]

    def end_sessions(self) -> None:
        self.turn(300.0)


@pytest.fixture
def clocked(baked_image: BakedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocked]:
    ahead: list[float] = []
    with field.machines(baked_image.record, tmp_path, monkeypatch, now=lambda: time.time() + sum(ahead)) as found:
        yield Clocked(found, ahead.append)


@pytest.fixture(scope="module")
def running(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One machine that is online, for tests that only look."""
    with pytest.MonkeyPatch.context() as patch:
        with field.machines(baked_image.record, tmp_path_factory.mktemp("running"), patch) as found:
            _, (machine,) = found.launch(labels={**FAST, "RACK": "7", "GPU_CLASS": "none of them"})
            machine.wait_online()
            yield machine


def _requests(machine: Machine, method: str, ending: str) -> list[Any]:
    """What the service was asked, by method and end of the path."""
    return [request for request in machine.azdo.requests if request.method == method and re.search(ending, request.path)]


def _failed(machine: Machine) -> dict[str, Any]:
    """The status with which first boot gives up."""
    status: dict[str, Any] = until("a failure", lambda: machine.status.get("phase") == "failed" and machine.status)
    return status


def _job(machine: Machine, script: str) -> tuple[str, str]:
    """Run a job on the machine's agent; its result and what it printed."""
    request = machine.azdo.queue_job("Default", script=script)
    until("the job is done", lambda: machine.azdo.job(request)["state"] == "completed")
    log = machine.root / AGENT.lstrip("/") / f"_diag/Job_{request}.log"
    return machine.azdo.job(request)["result"], log.read_text() if log.exists() else ""


def _quick_restart(root: Path) -> None:
    folder = root / "etc/systemd/system/goldbake-agent.service.d"
    folder.mkdir()
    (folder / "quick.conf").write_text(QUICK_RESTART)


# --- what a running machine is like


def test_r22_path_of_jobs_and_labels_arrive_as_capabilities(running: Machine) -> None:
    capabilities = running.agent["capabilities"]
    folders = capabilities["PATH"].split(":")
    assert folders[:2] == ["/usr/local/cuda/bin", "/usr/local/nvidia/bin"]
    assert (running.root / AGENT.lstrip("/") / ".path").read_text().strip() == capabilities["PATH"]
    assert (capabilities["RACK"], capabilities["GPU_CLASS"]) == ("7", "none of them")
    request = running.azdo.queue_job("Default", demands=["RACK -equals 7"], script='echo "$PATH" | grep -q ^/usr/local/cuda/bin')
    until("the job is done", lambda: running.azdo.job(request)["state"] == "completed")
    assert running.azdo.job(request)["result"] == "succeeded"


def test_r11_no_capability_is_ours_or_systemds(running: Machine) -> None:
    capabilities = running.agent["capabilities"]
    assert not [name for name in capabilities if re.match(r"VSTS_|VSO_|AZP_|NOTIFY|INVOCATION|JOURNAL|SYSTEMD|LISTEN|CREDENTIALS", name)]


def test_r23_the_service_and_its_jobs_run_as_the_agents_user(running: Machine) -> None:
    assert running.run("systemctl show -p User --value goldbake-agent.service").stdout == "agent\n"
    main = running.run("systemctl show -p MainPID --value goldbake-agent.service").stdout.strip()
    owners = running.run(f"ps -o user= --pid {main} --ppid {main}").stdout.split()
    assert len(owners) >= 2  # the wrapper and the listener
    assert set(owners) == {"agent"}
    assert _job(running, "id -un; id -u") == ("succeeded", f"agent\n{running.run('id -u agent').stdout}")


def test_r29_the_status_is_a_file_for_all_and_a_line_on_the_console(running: Machine) -> None:
    path = running.root / "var/lib/goldbake/status.json"
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o644, 0)
    status = json.loads(path.read_text())
    assert running.statuses[-1] == status
    agent = running.agent
    assert status["phase"] == "online"
    assert status["agent"] == {"id": agent["id"], "name": running.name, "pool": "Default", "version": agent["version"]}
    assert (status["attempts"], status["organization"], status["source"]) == (1, "demo", "nocloud-folder")
    assert list(status["timings"]) == ["started", "input", "probe", "register", "verify", "start", "online"]
    assert list(status["timings"].values()) == sorted(status["timings"].values())
    assert running.phases == list(status["timings"])
    assert not {"error", "reason", "hint"} & set(status)


def test_r29_whoever_is_on_the_machine_can_ask_for_the_status(running: Machine) -> None:
    result, said = _job(running, "goldbake-status --json")
    assert result == "succeeded"
    assert json.loads(said)["phase"] == "online"
    assert "phase         online" in running.run("goldbake-status").stdout


def test_r09_the_boot_reaches_running_and_no_unit_has_failed(running: Machine) -> None:
    assert _is_running(running)


# --- killed


def _phase(name: str) -> Callable[[Machine], bool]:
    return lambda machine: name in machine.phases


def _asked(method: str, ending: str) -> Callable[[Machine], bool]:
    """A request came that will not be answered in time."""
    return lambda machine: any(request.fault for request in _requests(machine, method, ending))


STAGES: dict[str, tuple[Fault | None, Callable[[Machine], bool]]] = {
    "started": (None, _phase("started")),
    "input": (None, _phase("input")),
    "probe": (Fault(Action.HANG, "GET", "/connectionData$", seconds=60), _asked("GET", "/connectionData$")),
    "register": (Fault(Action.HANG, "POST", "/agents$", seconds=60), _asked("POST", "/agents$")),
    "registered, not answered": (Fault(Action.DELAY, "POST", "/agents$", seconds=60), _asked("POST", "/agents$")),
    "registered, no token": (Fault(Action.DELAY, "POST", "/oauth2/token$", seconds=60), _asked("POST", "/oauth2/token$")),
    "verify": (None, _phase("verify")),
    "start": (None, _phase("start")),
}
"""Where the machine is killed: a fault that holds it there, if one can, and how to see that it is there."""


@pytest.mark.parametrize("stage", STAGES)
def test_r16_killed_at_a_stage_of_first_boot_it_is_registered_once(machines: Machines, stage: str) -> None:
    fault, reached = STAGES[stage]
    if fault:
        machines.azdo.fault(fault)
    machine = machines.start()
    until(f"the stage {stage}", lambda: reached(machine), pause=0.001)
    machine.cut_power()
    before = [agent["id"] for agent in machine.agents]
    assert len(before) == (1 if "registered" in stage or stage in ("verify", "start") else len(before))
    machines.azdo.clear_faults()
    machine.start()
    machine.wait_online()
    assert [agent["id"] for agent in machine.agents] == (before or [1])
    assert [agent["id"] for agent in machines.azdo.state()["agents"]] == [machine.status["agent"]["id"]]
    assert list((machine.folder / "seed").iterdir()) == []
    assert not (machine.root / "var/lib/goldbake/unfinished").exists()
    assert _job(machine, "true")[0] == "succeeded"


def test_r09_r25_r26_cut_off_with_its_pat_revoked_it_comes_back_by_its_own_key(clocked: Clocked) -> None:
    machines = clocked.machines
    _, (machine,) = machines.launch()
    before, image_asked = machine.agent, len(machines.azdo.requests)
    machines.azdo.revoke(machines.azdo.pat)
    machine.restart()
    # The session that the dead listener left is in the way for a while.
    until("a conflict", lambda: 409 in [request.status for request in _requests(machine, "POST", "/sessions$")])
    clocked.end_sessions()
    machine.wait_online()
    assert {**machine.agent, "statusChanges": 0, "statusChangedOn": 0} == {**before, "statusChanges": 0, "statusChangedOn": 0}
    since = machines.azdo.requests[image_asked:]
    assert not [request for request in since if request.headers.get("authorization", "").startswith("Basic")]
    assert machine.run("systemctl show -p ConditionResult --value goldbake-firstboot.service").stdout == "no\n"
    assert machine.phases == ["online"]
    assert list(machine.status["timings"]) == ["online"]
    assert _job(machine, "true")[0] == "succeeded"


def test_r25_an_orderly_end_is_told_to_the_service(clocked: Clocked) -> None:
    machines = clocked.machines
    _, (machine,) = machines.launch()
    assert _requests(machine, "DELETE", "/sessions/[^/]+$") == []
    assert machine.shut_down() < 90  # what systemd gives the agent
    (told,) = _requests(machine, "DELETE", "/sessions/[^/]+$")
    assert told.status == 204
    assert machine.agent["status"] == "offline"
    assert machines.azdo.state()["sessions"] == []


def test_r13_eight_machines_are_eight_agents_and_one_destroy_removes_all(clocked: Clocked) -> None:
    machines = clocked.machines
    report, found = machines.launch(count=8)
    agents = machines.azdo.state()["agents"]
    assert {agent["name"] for agent in agents} == {f"goldbake-{report.launch_id}-{number}" for number in range(1, 9)}
    assert {agent["status"] for agent in agents} == {"online"}
    moduli = {json.loads(_file(machine, f"{AGENT}/.credentials_rsaparams"))["modulus"] for machine in found}
    assert len(moduli) == len({agent["key"] for agent in agents}) == 8
    assert len({_file(machine, "/etc/machine-id") for machine in found} - {"", "uninitialized\n"}) == 8
    assert len({agent["capabilities"]["Agent.ComputerName"] for agent in agents}) == 8
    plan = service.plan_destroy(machines.paths, [Cloud.LOCAL], report.launch_id)
    removed = service.destroy(machines.paths, machines.progress, plan, Secret(machines.azdo.pat), ca=machines.azdo.ca_path)
    removed.require_nothing_left()
    assert len(removed.agents) == 8
    assert machines.azdo.state()["agents"] == []
    assert machines.launcher().resources() == []
    assert service.entries(machines.paths) == []


def _file(machine: Machine, path: str) -> str:
    return (machine.root / path.lstrip("/")).read_text(encoding="utf-8-sig")


# --- the metadata service

METADATA = ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16")
ELSEWHERE = ("192.0.2.10", "2001:db8::10")
"""Addresses beside it, at the same place, that are not blocked: they show that the way there works."""

SERVER = """
import socket
with socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    while True:
        link, _ = server.accept()
        with link:
            link.settimeout(30)
            try:
                link.recv(4096)
                link.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nrole-credentials")
            except OSError:
                pass
"""
ASK = """
import socket, sys
for address in sys.argv[1:]:
    try:
        with socket.create_connection((address, 80), timeout=30) as link:
            link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while part := link.recv(4096):
                answer += part
            print(address, "open" if b"role-credentials" in answer else "odd")
    except ConnectionRefusedError:
        print(address, "refused")
    except OSError as error:
        print(address, error)
"""
OPEN = "".join(f"{address} open\n" for address in METADATA + ELSEWHERE)
BLOCKED = "".join(f"{address} refused\n" for address in METADATA) + "".join(f"{address} open\n" for address in ELSEWHERE)


@contextmanager
def _metadata_service(machine: Machine, folder: Path) -> Iterator[Path]:
    """A metadata service one hop away from the machine, and behind the machine a container that reaches it only through it; yields the
    container's network.
    """
    service_side, container_side = folder / "metadata", folder / "container"
    for file in (service_side, container_side):
        network.make_namespace(file)
    try:
        _connect(machine.netns, service_side, "203.0.113.1/30", "203.0.113.2/30", "2001:db8:1::1/64", "2001:db8:1::2/64", "m")
        _connect(machine.netns, container_side, "198.51.100.1/30", "198.51.100.2/30", "2001:db8:2::1/64", "2001:db8:2::2/64", "c")
        for address in METADATA + ELSEWHERE:
            bits = 128 if ":" in address else 32
            _ip(service_side, "address", "add", f"{address}/{bits}", "dev", "lo", *(["nodad"] if bits == 128 else []))
            _ip(machine.netns, "route", "add", f"{address}/{bits}", "via", "2001:db8:1::2" if bits == 128 else "203.0.113.2")
        for file, four, six in ((service_side, "203.0.113.1", "2001:db8:1::1"), (container_side, "198.51.100.1", "2001:db8:2::1")):
            _ip(file, "route", "add", "default", "via", four)
            _ip(file, "-6", "route", "add", "default", "via", six)
        forward = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"
        proc.run(["nsenter", f"--net={machine.netns}", "sh", "-c", forward])
        server = ["nsenter", f"--net={service_side}", "python3", "-c", SERVER]
        with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                yield container_side
            finally:
                child.kill()
    finally:
        for file in (service_side, container_side):
            proc.run(["umount", file])


def _connect(near: Path, far: Path, near_four: str, far_four: str, near_six: str, far_six: str, name: str) -> None:
    _ip(near, "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
    _ip(near, "link", "set", f"{name}1", "netns", str(far))
    for file, device, four, six in ((near, f"{name}0", near_four, near_six), (far, f"{name}1", far_four, far_six)):
        _ip(file, "address", "add", four, "dev", device)
        _ip(file, "address", "add", six, "dev", device, "nodad")
        _ip(file, "link", "set", device, "up")


def _ip(file: Path, *words: str) -> None:
    proc.run(["nsenter", f"--net={file}", "ip", *words])


def _reaches(machine: Machine, user: str) -> str:
    asked = f"python3 -c {_quoted(ASK)} {' '.join(METADATA + ELSEWHERE)}"
    return machine.run(asked if user == "root" else f"runuser -u {user} -- {asked}").stdout


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_r20_jobs_and_containers_cannot_read_the_metadata_service_and_root_can(clocked: Clocked, tmp_path: Path) -> None:
    _, (machine,) = clocked.machines.launch()
    with _metadata_service(machine, tmp_path) as container:

        def from_container() -> str:
            return proc.run(["nsenter", f"--net={container}", "python3", "-c", ASK, *METADATA, *ELSEWHERE]).stdout

        def flush() -> None:
            proc.run(["nsenter", f"--net={machine.netns}", "chroot", machine.root, "nft", "flush", "ruleset"])

        assert _reaches(machine, "root") == OPEN
        assert _reaches(machine, "agent") == BLOCKED
        assert _job(machine, f"python3 -c {_quoted(ASK)} {' '.join(METADATA + ELSEWHERE)}") == ("succeeded", BLOCKED)
        assert from_container() == BLOCKED
        machine.cut_power()
        clocked.end_sessions()
        flush()  # the machine's network outlives it here: without this its old rules would still be there
        assert from_container() == OPEN
        machine.start()
        machine.wait_online()
        assert _reaches(machine, "root") == OPEN
        assert _reaches(machine, "agent") == BLOCKED
        assert from_container() == BLOCKED
        flush()
        assert _reaches(machine, "agent") == OPEN  # it was the rules


def test_r20_without_the_rules_there_is_no_agent(machines: Machines) -> None:
    rules = "usr/lib/goldbake/metadata-guard.nft"

    def spoil(root: Path) -> None:
        (root / rules).write_text("table inet goldbake { nonsense }\n")

    machine = machines.start(prepare=spoil)
    status = _failed(machine)
    assert (status["error"], "metadata service" in status["reason"]) == ("guard", True)
    assert "goldbake-metadata-guard" in status["hint"]
    assert machines.azdo.state()["agents"] == []
    assert _state(machine, "goldbake-agent.service") == "inactive"
    assert list((machine.folder / "seed").iterdir()) == []


def test_r20_without_the_rules_the_agent_does_not_come_back(machines: Machines) -> None:
    _, (machine,) = machines.launch()
    rules = machine.root / "usr/lib/goldbake/metadata-guard.nft"
    machine.cut_power()
    until("the service notices", lambda: machine.agent["status"] == "offline")
    good = rules.read_text()
    rules.write_text("table inet goldbake { nonsense }\n")
    machine.start()
    status = _failed(machine)
    assert status["error"] == "guard"
    assert machine.status_file == status
    assert machine.agent["status"] == "offline"
    assert _state(machine, "goldbake-agent.service") != "active"
    rules.write_text(good)
    machine.restart()
    machine.wait_online()


# --- GPUs

MODPROBE = """\
#!/bin/sh
if [ -e /etc/gpu-is-broken ]; then
    echo "modprobe: ERROR: could not insert 'nvidia': No such device" >&2
    exit 1
fi
"""
NVIDIA_SMI = """\
#!/bin/sh
if [ ! -e /run/driver-was-late ]; then
    touch /run/driver-was-late
    echo "Failed to initialize NVML: Driver/library version mismatch"
    exit 18
fi
echo "NVIDIA L4, 23034, 550.54.15"
echo "NVIDIA L4, 23034, 550.54.15"
"""


def _two_gpus(folder: Path) -> list[str]:
    """What the machine's PCI bus shows: two GPUs, the sound device of one, and a network card."""
    bus = folder / "pci"
    for name, vendor, kind in (
        ("0000:01:00.0", "0x10de", "0x030200"),
        ("0000:01:00.1", "0x10de", "0x040300"),
        ("0000:02:00.0", "0x10de", "0x030000"),
        ("0000:03:00.0", "0x1af4", "0x020000"),
    ):
        (bus / name).mkdir(parents=True)
        (bus / name / "vendor").write_text(f"{vendor}\n")
        (bus / name / "class").write_text(f"{kind}\n")
    return [f"{bus}:/sys/bus/pci/devices"]


def _driver(root: Path) -> None:
    for name, text in (("modprobe", MODPROBE), ("nvidia-smi", NVIDIA_SMI)):
        program = root / "usr/local/sbin" / name
        program.write_text(text)
        program.chmod(0o755)


def test_r21_a_broken_gpu_leaves_no_agent_and_says_why(machines: Machines, tmp_path: Path) -> None:
    def broken(root: Path) -> None:
        _driver(root)
        (root / "etc/gpu-is-broken").touch()

    machine = machines.start(prepare=broken, binds=_two_gpus(tmp_path))
    status = _failed(machine)
    assert (status["error"], status["reason"]) == (
        "gpu",
        "the driver does not load: modprobe: ERROR: could not insert 'nvidia': No such device",
    )
    assert machine.status_file == status
    assert machines.azdo.state()["agents"] == []
    assert _state(machine, "goldbake-agent.service") == "inactive"
    assert list((machine.folder / "seed").iterdir()) == []


def test_r21_r22_the_agent_is_online_only_after_its_gpus_at_every_boot(machines: Machines, tmp_path: Path) -> None:
    machine = machines.start(prepare=_driver, binds=_two_gpus(tmp_path))
    timings = machine.wait_online()["timings"]
    assert list(timings) == ["started", "input", "probe", "gpu", "register", "verify", "start", "online"]
    assert timings["register"] - timings["gpu"] > 1.9  # the driver that was late was waited for
    capabilities = machine.agent["capabilities"]
    found = {name: value for name, value in capabilities.items() if name.startswith(("GPU_", "NVIDIA_DRIVER"))}
    assert found == {
        "GPU_NAME": "NVIDIA L4",
        "GPU_COUNT": "2",
        "GPU_MEMORY_MIB": "23034",
        "NVIDIA_DRIVER_VERSION": "550.54.15",
    }
    broken = machine.root / "etc/gpu-is-broken"
    machine.cut_power()
    until("the service notices", lambda: machine.agent["status"] == "offline")
    broken.touch()
    machine.start()
    status = _failed(machine)
    assert (status["error"], "could not insert" in status["reason"]) == ("gpu", True)
    assert _state(machine, "goldbake-agent.service") != "active"
    assert machine.agent["status"] == "offline"
    broken.unlink()
    machine.restart()
    machine.wait_online()


# --- supervision


def test_r24_a_listener_that_is_killed_is_started_again(machines: Machines) -> None:
    machine = machines.start(prepare=_quick_restart)
    machine.wait_online()
    before = machine.agent["id"]
    killed = _listener(machine)
    os.kill(killed, signal.SIGKILL)
    until("another listener", lambda: _listener(machine, missing_ok=True) not in (0, killed))
    until("online again", lambda: machine.is_online and _state(machine, "goldbake-agent.service") == "active")
    assert machine.agent["id"] == before
    assert int(machine.run("systemctl show -p NRestarts --value goldbake-agent.service").stdout) >= 1
    assert machine.status_file["phase"] == "online"


def test_r24_r25_a_session_that_stays_in_the_way_is_outlived(clocked: Clocked) -> None:
    """The listener gives up after 4 minutes, here 2.4 s, and ends with 1; the session that a killed one left lives longer."""
    machine = clocked.machines.start(prepare=_quick_restart, labels={"SIMULATED_AGENT_PACE": "0.01"})
    machine.wait_online()
    os.kill(_listener(machine), signal.SIGKILL)
    until("a listener that gave up", lambda: "after retried for 240 seconds" in _journal(machine), pause=0.2)
    clocked.end_sessions()
    until("online again", lambda: machine.is_online and _state(machine, "goldbake-agent.service") == "active")
    until("the journal says why", lambda: "status=1/FAILURE" in _journal(machine))


def test_r24_an_agent_that_the_service_does_not_know_ends_as_failed_and_says_so(machines: Machines) -> None:
    machine = machines.start(prepare=_quick_restart)
    agent = machine.wait_online()["agent"]
    with azure_devops(machines.azdo.url, Secret(machines.azdo.pat), ca=machines.azdo.ca_path, progress=Progress()) as directory:
        directory.remove(1, agent["id"])
    status = _failed(machine)
    assert (status["error"], status["reason"]) == ("agent", "the agent's service has stopped for good")
    assert "journalctl -u goldbake-agent" in status["hint"]
    assert _state(machine, "goldbake-agent.service") == "failed"
    until("the journal says why", lambda: "status=1/FAILURE" in _journal(machine))
    assert machines.azdo.state()["agents"] == []


def test_r27_an_older_version_is_refused_and_a_newer_one_is_taken(clocked: Clocked) -> None:
    machines = clocked.machines  # an agent that unpacks a new version does not ask for messages for seconds
    machine = machines.start()
    agent = machine.wait_online()["agent"]
    machines.azdo.add_package("3.1.0", simulated_agent.pack("3.1.0"))
    machines.azdo.refresh_agent(agent["id"], "3.1.0")
    (told,) = until("its answer", lambda: _requests(machine, "PUT", f"/agents/{agent['id']}/updates$"))
    assert told.query["currentstate"] == "Agent downgrade disabled."
    assert _job(machine, "true")[0] == "succeeded"
    assert _version(machine) == agent["version"]
    machines.azdo.add_package("4.999.0", simulated_agent.pack("4.999.0"))
    machines.azdo.refresh_agent(agent["id"], "4.999.0")
    until("the new version", lambda: _version(machine) == "4.999.0")
    until("online again", lambda: machine.is_online and len(_requests(machine, "POST", "/sessions$")) > 1)
    assert _job(machine, "true")[0] == "succeeded"
    assert machine.agent["id"] == agent["id"]
    assert _state(machine, "goldbake-agent.service") == "active"
    assert machine.run("systemctl show -p NRestarts --value goldbake-agent.service").stdout == "0\n"


def test_r28_one_job_then_off_and_the_reaper_takes_the_offline_agent_only(clocked: Clocked) -> None:
    machines = clocked.machines
    report, (once,) = machines.launch(ephemeral=True, ttl=600)
    _, (other,) = machines.launch(ttl=86400)
    with azure_devops(machines.azdo.url, Secret(machines.azdo.pat), ca=machines.azdo.ca_path, progress=Progress()) as directory:
        request = machines.azdo.queue_job("Default", demands=[f"Agent.Name -equals {once.name}"])
        once.wait_off()
        assert machines.azdo.job(request)["result"] == "succeeded"
        until("the service notices", lambda: once.agent["status"] == "offline")
        assert sorted(found.name for found in directory.agents(1).values()) == sorted([once.name, other.name])
    assert [instance.state for instance in service.instances(machines.paths, [Cloud.LOCAL])] == ["stopped", "running"]
    assert not service.plan_reap(machines.paths, [Cloud.LOCAL])
    _reap(machines, report.expires + 1.0)
    assert once.agents == []
    assert other.is_online
    assert [instance.id for instance in service.instances(machines.paths, [Cloud.LOCAL])] == [other.instance.id]


@pytest.mark.parametrize("called", ["online", "busy"])
def test_r28_the_reaper_leaves_an_agent_that_the_service_calls_online_or_busy(
    baked_image: BakedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    """Its machine is past its time and dead, and the service still waits for it or its job: that agent is the service's to give up."""
    monkeypatch.setattr("launch.removal._AGENTS_S", 0.5)
    with field.machines(baked_image.record, tmp_path, monkeypatch, session_timeout=300.0) as machines:
        report, (machine,) = machines.launch(ttl=600)
        if called == "busy":
            request = machines.azdo.queue_job("Default", script="sleep 600")
            until("the job runs", lambda: machines.azdo.job(request)["state"] == "running")
        machine.cut_power()
        plan = service.plan_reap(machines.paths, [Cloud.LOCAL], now=lambda: report.expires + 1.0)
        left = service.reap(machines.paths, machines.progress, plan, Secret(machines.azdo.pat), ca=machines.azdo.ca_path)
        assert left.agents_left == {machine.name: f"the service calls it {called}"}
        assert machine.is_online
        assert machines.launcher().resources() == []  # of the machine nothing is left all the same
        assert [entry.launch_id for entry in service.entries(machines.paths)] == [report.launch_id]  # and the next reap goes on


def test_r28_a_machine_whose_time_is_over_powers_itself_off(machines: Machines) -> None:
    machine = machines.start(ttl=60)
    machine.wait_online()
    machine.wait_off()
    until("the service notices", lambda: machine.agent["status"] == "offline")
    machine.start()
    until("it starts again", lambda: machine.console)
    machine.wait_off()  # and does not come back to life


def _reap(machines: Machines, now: float) -> None:
    plan = service.plan_reap(machines.paths, [Cloud.LOCAL], now=lambda: now)
    service.reap(machines.paths, machines.progress, plan, Secret(machines.azdo.pat), ca=machines.azdo.ca_path).require_nothing_left()


def _listener(machine: Machine, *, missing_ok: bool = False) -> int:
    """The listener's process id on this host; 0 when there is none."""
    for process in machine.processes:
        if b"Agent.Listener\0run" in process.words:
            return process.pid
    assert missing_ok, "there is no listener"
    return 0


def _state(machine: Machine, unit: str) -> str:
    return machine.run(f"systemctl show -p ActiveState --value {unit}").stdout.strip()


def _journal(machine: Machine) -> str:
    return machine.run("journalctl -u goldbake-agent --no-pager").stdout


def _version(machine: Machine) -> str:
    return machine.run(f"cat {AGENT}/bin/version", check=False).stdout.strip()


# --- input that cannot be used

GOOD = '{"organization": "demo", "pat": "S3cretS3cret"}'
BAD_INPUT = {
    "no JSON": ('#cloud-config\n{"goldbake": {"organization": "demo", "pat": "S3cretS3cret"', "failed", "user-data is not JSON"),
    "a key that is not known": (
        '#cloud-config\n{"goldbake": {"organization": "demo", "pat": "S3cretS3cret", "pasword": "S3cretS3cret"}}',
        "failed",
        "goldbake has an unknown key pasword",
    ),
    "control characters": (
        '#cloud-config\n{"goldbake": {"organization": "demo", "pat": "S3cret\\u0007S3cret"}}',
        "failed",
        "goldbake.pat has control characters",
    ),
    "too large": (f'#cloud-config\n{{"goldbake": {GOOD}}}' + " " * 16384, "failed", "user-data is larger than 16384 bytes"),
    "somebody else's": ("#!/bin/sh\necho hello\n", "not-configured", "the user-data (nocloud-folder) is not goldbake's"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_r06_r07_bad_input_is_named_and_the_machine_runs(machines: Machines, case: str) -> None:
    text, phase, reason = BAD_INPUT[case]
    machine = machines.start(user_data=text)
    until("an end", lambda: machine.status.get("phase") == phase)
    assert machine.status["reason"].startswith(reason)
    assert machine.status.get("error") == ("input" if phase == "failed" else None)
    assert _is_running(machine)
    assert _state(machine, "goldbake-agent.service") == "inactive"
    assert "Traceback" not in machine.console + machine.run("journalctl --no-pager").stdout
    assert "S3cret" not in machine.console + machine.run("journalctl --no-pager --output=export --all").stdout
    assert machines.azdo.requests == []
    seed = list((machine.folder / "seed").iterdir())
    assert (seed == []) == (phase == "failed")  # what is not ours stays


def _is_running(machine: Machine) -> bool:
    """Whether the boot has come to its end with no unit failed."""
    until("the boot's end", lambda: not machine.run("systemctl list-jobs --no-legend").stdout.strip(), pause=0.2)
    failed = machine.run("systemctl list-units --failed --no-legend --plain").stdout
    state = machine.run("systemctl is-system-running", check=False).stdout.strip()
    assert (failed, state) == ("", "running")
    return True
