"""goldbake-agent: the program of the agent's unit, run against the simulated service as systemd would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from goldbake.paths import PROJECT
from sim.azdo import SimulatedAzureDevOps
from tests.unit.firstboot.box import USER, Box, eventually

pytestmark = pytest.mark.slow  # the agent itself runs

WRAPPER = PROJECT / "image-scripts/rootfs/usr/lib/goldbake/goldbake-agent"


class Service:
    """The agent's service under way; `lines` fills as it prints."""

    def __init__(self, child: subprocess.Popen[str], notified: socket.socket) -> None:
        self.child = child
        self.notified = notified
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        self.lines.extend(iter(self.child.stdout.readline, ""))

    def ready(self, timeout: float = 60.0) -> str:
        """The message to systemd. Raises TimeoutError."""
        self.notified.settimeout(timeout)
        return self.notified.recv(4096).decode()

    def wait(self, timeout: float = 60.0) -> int:
        code = self.child.wait(timeout)
        self._reader.join(60)
        return code

    def end(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


@contextmanager
def started(box: Box, *, environment: dict[str, str] | None = None) -> Iterator[Service]:
    """The wrapper as its unit starts it."""
    state = box.root / "var/lib/goldbake"
    path = box.root / "notify"
    user: dict[str, Any] = {"user": USER} if os.geteuid() == 0 else {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        path.unlink(missing_ok=True)
        notified.bind(str(path))
        path.chmod(0o777)
        child = subprocess.Popen(
            [WRAPPER, box.agent, state],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"HOME": str(box.settings.agent_home), "PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(path), **(environment or {})},
            start_new_session=True,
            **user,
        )
        service = Service(child, notified)
        try:
            yield service
        finally:
            service.end()


@pytest.fixture
def registered(box: Box, given: dict[str, Any]) -> Box:
    box.seed(given)
    assert box.boot() == 0
    return box


def test_r23_readiness_is_told_when_the_agent_listens(registered: Box, service: SimulatedAzureDevOps) -> None:
    with started(registered) as running:
        assert "READY=1" in running.ready()
        assert [agent["status"] for agent in service.state()["agents"]] == ["online"]


def test_r25_sigterm_ends_the_session_at_the_service(registered: Box, service: SimulatedAzureDevOps) -> None:
    with started(registered) as running:
        running.ready()
        assert len(service.state()["sessions"]) == 1
        running.child.send_signal(signal.SIGTERM)
        assert running.wait() == 0
        assert service.state()["sessions"] == []
    assert any(request.method == "DELETE" and "/sessions/" in request.path for request in service.requests)


def test_r25_sigterm_to_all_of_the_service_ends_the_session_too(registered: Box, service: SimulatedAzureDevOps) -> None:
    with started(registered) as running:
        running.ready()
        os.killpg(running.child.pid, signal.SIGTERM)
        assert running.wait() == 0
        assert eventually(lambda: service.state()["sessions"] == [])


def test_r25_killed_without_a_word_it_waits_for_its_old_session_to_end(box: Box) -> None:
    ahead = 0.0
    with SimulatedAzureDevOps(now=lambda: time.time() + ahead) as service:
        box.seed({"organization": service.url, "pat": service.pat, "ca": service.ca_pem})
        assert box.boot() == 0
        with started(box) as running:
            running.ready()
        assert len(service.state()["sessions"]) == 1
        with started(box, environment={"SIMULATED_AGENT_PACE": "0.05"}) as running:
            assert eventually(lambda: any("already exists" in line for line in running.lines))
            ahead = 300.0  # the old session ends
            assert "READY=1" in running.ready()
        assert len(service.state()["sessions"]) == 1


def test_r24_a_session_that_never_ends_fails_the_service(registered: Box, service: SimulatedAzureDevOps) -> None:
    """The agent gives up after 4 minutes, here a hundredth of that; the unit then starts it again."""
    with started(registered) as running:
        running.ready()
    with started(registered, environment={"SIMULATED_AGENT_PACE": "0.01"}) as running:
        assert running.wait() == 1
    assert any("SessionConflict" in line for line in running.lines)
    assert len(service.state()["sessions"]) == 1


def test_the_listener_cannot_speak_to_systemd(box: Box) -> None:
    replace(box, 'echo "socket ${NOTIFY_SOCKET-none}"; exit 1')
    with started(box) as running:
        running.wait()
    assert running.lines == ["socket none\n"]


def test_r26_the_agent_comes_back_by_its_own_key_when_the_pat_is_revoked(registered: Box, service: SimulatedAzureDevOps) -> None:
    service.revoke(service.pat)
    for _ in range(2):
        with started(registered) as running:
            assert "READY=1" in running.ready()
            running.child.send_signal(signal.SIGTERM)
            assert running.wait() == 0
    assert [agent["id"] for agent in service.state()["agents"]] == [1]


def test_r22_path_of_the_jobs_has_cuda_and_labels_are_capabilities(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed({**given, "labels": {"RACK": "b 7", "TEAM": "x=y"}})
    assert box.boot() == 0
    with started(box) as running:
        running.ready()
        (agent,) = service.state()["agents"]
        assert "/usr/local/cuda/bin" in agent["capabilities"]["PATH"].split(":")
        assert (agent["capabilities"]["RACK"], agent["capabilities"]["TEAM"]) == ("b 7", "x=y")
        assert not [name for name in agent["capabilities"] if "TOKEN" in name or "NOTIFY" in name or "AZP" in name]


def test_r25_a_listener_that_did_not_hear_the_first_time_is_asked_once_more(box: Box) -> None:
    """As one that is asked to stop in the moment in which it starts."""
    replace(box, "trap '[ -e asked ] && exit 0; touch asked' INT; echo 'Listening for Jobs'; while :; do sleep 0.1; done")
    with started(box) as running:
        running.ready()
        running.child.send_signal(signal.SIGTERM)
        assert running.wait() == 0


@pytest.mark.parametrize("code", [1, 2, 7])
def test_r24_a_listener_that_fails_fails_the_service(box: Box, code: int) -> None:
    replace(box, f"echo 'Agent listener has a problem'; exit {code}")
    with started(box) as running:
        assert running.wait() == code
    assert "Agent listener has a problem\n" in running.lines


def test_r24_a_listener_that_ends_by_itself_without_failure_ends_the_service(box: Box) -> None:
    replace(box, "exit 0")
    with started(box) as running:
        assert running.wait() == 0


def test_r27_a_listener_that_updates_itself_is_started_again(box: Box) -> None:
    replace(box, "[ ! -e updated ] || { echo updated; exit 5; }; touch updated; exit 3")
    with started(box) as running:
        assert running.wait() == 5
    assert running.lines == ["the agent updates itself\n", "updated\n"]


def test_r28_an_ephemeral_agent_gets_once_and_ends_with_a_code_of_its_own(box: Box) -> None:
    box.write("var/lib/goldbake/ephemeral", "")
    replace(box, 'echo "$*"; exit 0')
    with started(box) as running:
        assert running.wait() == 64
    assert running.lines == ["run --startuptype service --once\n"]


def test_r28_an_ephemeral_agent_that_fails_has_not_done_its_job(box: Box) -> None:
    box.write("var/lib/goldbake/ephemeral", "")
    replace(box, "exit 1")
    with started(box) as running:
        assert running.wait() == 1


def test_r28_an_ephemeral_agent_does_one_job(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed({**given, "ephemeral": True})
    assert box.boot() == 0
    with started(box) as running:
        running.ready()
        job = service.queue_job("Default")
        assert running.wait() == 64
        assert service.job(job)["result"] == "succeeded"


def test_what_a_job_left_running_does_not_keep_the_service(box: Box) -> None:
    replace(box, "sleep 60 & exit 7")
    with started(box) as running:
        before = time.monotonic()
        assert running.child.wait(60) == 7
        assert time.monotonic() - before < 40  # of 60


def test_sigterm_before_the_listener_listens_ends_it(box: Box) -> None:
    replace(box, "trap 'echo interrupted; exit 0' INT; echo here; while :; do sleep 0.1; done")
    with started(box) as running:
        assert eventually(lambda: running.lines)
        running.child.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    assert running.lines == ["here\n", "interrupted\n"]


def test_an_agent_that_was_never_configured_fails_the_service(box: Box) -> None:
    with started(box) as running:
        assert running.wait() == 1


def replace(box: Box, script: str) -> None:
    """A listener that does what `script` says."""
    listener = box.agent / "bin/Agent.Listener"
    listener.write_text(f"#!/bin/bash\n{script}\n")
    (box.agent / ".path").write_text("/usr/bin:/bin")
    box.agent.chmod(0o777)


def test_the_program_is_one_that_bash_can_read() -> None:
    done: Sequence[str] = subprocess.run(["bash", "-n", WRAPPER], check=True, capture_output=True, text=True).stderr.splitlines()
    assert done == []
    assert Path(WRAPPER).stat().st_mode & 0o111
