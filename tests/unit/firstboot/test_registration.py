"""Registration by config.sh: what it is given, what is sent, how it fails, and that any interruption ends with the same agent registered once."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from firstboot import register
from firstboot.explain import ERRORS
from firstboot.userdata import Input

from sim.azdo import Action, Fault, SimulatedAzureDevOps
from tests.unit.firstboot.box import Box, eventually

pytestmark = pytest.mark.slow


def config_sh(box: Box, script: str) -> None:
    """Another config.sh."""
    (box.agent / "config.sh").write_text(f"#!/bin/bash\n{script}\n")
    box.agent.chmod(0o777)


def test_from_user_data_to_an_agent_that_starts(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed(given)
    assert box.boot() == 0
    assert box.phases == ["started", "input", "probe", "register", "verify", "start", "online"]
    assert box.systemctl_calls[:2] == ["start goldbake-metadata-guard.service", "start goldbake-agent.service"]
    assert [call.partition(" ")[0] for call in box.systemctl_calls[2:]] == ["show"]  # how long the kernel took, once the agent is online
    assert [(agent["id"], agent["name"], agent["pool"]) for agent in service.state()["agents"]] == [(1, "goldbake-i-1", "Default")]


def test_r09_the_second_boot_asks_nobody(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed(given)
    assert box.boot() == 0
    before = len(service.requests)
    assert box.boot() == -1  # the condition of the unit; test_units.py holds it against the unit itself
    assert len(service.requests) == before


@contextmanager
def sampling(secret: str) -> Iterator[set[tuple[str, str]]]:
    """Every process whose arguments or environment hold the secret, as (which, program), looked at as often as possible."""
    found: set[tuple[str, str]] = set()
    ends = threading.Event()

    def look() -> None:
        while not ends.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    for which in ("cmdline", "environ"):
                        try:
                            if secret.encode() in (process / which).read_bytes():
                                found.add((which, (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
                        except OSError:
                            pass

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ends.set()
        thread.join()


def test_r10_the_pat_is_in_no_arguments_and_in_no_other_environment(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    service.fault(Fault(Action.DELAY, path="/oauth2/token", seconds=2))
    box.seed(given)
    with sampling(service.pat) as found:
        assert box.boot() == 0
    assert {which for which, _ in found} == {"environ"}, "the sampler saw nothing, or an argument"
    strangers = {program for _, program in found if "config.sh" not in program and "Agent.Listener" not in program}
    helpers = {"bash", "ldd", "grep", "id", "dirname", "ldconfig"}  # of config.sh, each for a moment, by name or by path
    assert {program for program in strangers if program.strip() and Path(program.split()[0]).name not in helpers} == set()
    assert box.holding(service.pat) == []


def test_r11_neither_pat_nor_our_variables_are_sent(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed({**given, "labels": {"RACK": "7"}})
    assert box.boot() == 0
    bodies = [request.body for request in service.requests if request.method in {"POST", "PUT"}]
    assert any('"systemCapabilities"' in body for body in bodies)
    assert not [body for body in bodies if service.pat in body]
    (agent,) = service.state()["agents"]
    assert agent["capabilities"]["RACK"] == "7"
    assert set(agent["capabilities"]) & set(register.IGNORED) == set()


def test_r12_flags_are_exactly_these(box: Box) -> None:
    given = Input()
    given.url, given.pat, given.pool, given.work = "https://dev.azure.com/foo", "s3cret", "a pool", "/mnt/w"
    expected = [
        "./config.sh",
        "--unattended",
        "--auth",
        "pat",
        "--replace",
        "--url",
        given.url,
        "--pool",
        "a pool",
        "--agent",
        "n-1",
        "--work",
        "/mnt/w",
    ]
    assert register.command(box.settings, given, "n-1", "") == expected
    given.proxy = "http://proxy:3128"
    assert register.command(box.settings, given, "n-1", "/ca.pem") == [*expected, "--proxyurl", given.proxy, "--sslcacert", "/ca.pem"]


def test_r12_the_agent_knows_every_flag(box: Box, given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """It names one that it does not know, and goes on."""
    box.seed(given)
    assert box.boot() == 0
    assert "Unrecognized" not in capsys.readouterr().out


def test_r10_config_sh_sees_only_what_it_needs(box: Box, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTS_AGENT_HTTPTRACE", "true")
    monkeypatch.setenv("AGENT_ALLOW_RUNASROOT", "1")
    config_sh(
        box, f'/usr/bin/env >"{box.agent}/seen"; umask >>"{box.agent}/seen"; id -un >>"{box.agent}/seen"; pwd >>"{box.agent}/seen"; exit 1'
    )
    box.settings.register_attempts = 1
    box.seed(given)
    assert box.boot() == ERRORS["register"].code
    *environment, umask, user, folder = (box.agent / "seen").read_text().splitlines()
    names = {line.partition("=")[0] for line in environment}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "HOME", "USER", "LOGNAME", "LANG", "VSO_AGENT_IGNORE", "VSTS_AGENT_INPUT_TOKEN"}
    assert (umask, folder) == ("0077", str(box.agent))
    assert user != "root"
    assert "/usr/local/cuda/bin" in dict(line.split("=", 1) for line in environment)["PATH"].split(":")


def test_r13_two_machines_have_two_names_and_two_keys(
    service: SimulatedAzureDevOps, given: dict[str, Any], box: Box, another_box: Box
) -> None:
    box.seed({**given, "prefix": "ci"}, instance="i-1")
    another_box.seed({**given, "prefix": "ci"}, instance="i-2")
    assert (box.boot(), another_box.boot()) == (0, 0)
    agents = service.state()["agents"]
    assert sorted(agent["name"] for agent in agents) == ["ci-i-1", "ci-i-2"]
    assert len({agent["key"] for agent in agents}) == 2


def test_r14_a_config_sh_that_hangs_is_ended_with_all_of_its_children(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]
) -> None:
    config_sh(box, f'trap "" TERM INT; sleep 300 & echo "$! $$" >>"{box.agent}/started"; sleep 300')
    box.settings.register_s = 3.0
    box.settings.register_attempts = 2
    box.seed(given)
    before = time.monotonic()
    assert box.boot() == ERRORS["register"].code
    assert time.monotonic() - before < 120  # of 300
    assert box.status["reason"] == "config.sh did not end within 3 s"
    assert box.status["attempts"] == 2
    started = (box.agent / "started").read_text().split()
    assert len(started) == 4
    assert eventually(lambda: not any(is_alive(pid) for pid in started))
    assert box.holding(service.pat) == ["var/lib/cloud/seed/nocloud/user-data"]


def is_alive(pid: str) -> bool:
    """Whether a process is there and no zombie that only waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_r14_attempts_are_counted_and_bounded(box: Box, given: dict[str, Any]) -> None:
    config_sh(box, f'echo x >>"{box.agent}/calls"; echo "Something odd happened"; exit 1')
    box.seed(given)
    assert box.boot() == ERRORS["register"].code
    assert len((box.agent / "calls").read_text().split()) == box.settings.register_attempts == box.status["attempts"]
    assert box.status["reason"] == "config.sh failed with 1: Something odd happened"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("VS30063: You are not authorized to access https://dev.azure.com.", "auth"),
        ("Access denied. Pat needs Manage permissions for pool Default to perform the action.", "permission"),
        ("Agent pool not found: 'x'", "pool"),
    ],
)
def test_r15_what_config_sh_says_is_understood(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], words: str, kind: str
) -> None:
    config_sh(box, f'echo "{words}" >&2; exit 1')
    box.seed(given)
    assert box.boot() == ERRORS[kind].code
    assert (box.status["error"], box.status["attempts"]) == (kind, 1)
    assert box.holding(service.pat) == []


def test_r15_a_pat_that_may_see_but_not_manage_pools_is_told(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.seed({**given, "pat": service.add_pat(scopes=("vso.agentpools",))})
    assert box.boot() == ERRORS["permission"].code
    assert service.state()["agents"] == []


def test_r16_killed_between_registration_and_its_end_there_is_one_agent(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service answers the token request late: the agent is known there, and nothing of it is whole here. The time of config.sh is over
    as soon as that request has come.
    """
    service.fault(Fault(Action.DELAY, path="/oauth2/token", seconds=200))

    def late() -> float:
        came = any(request.path.endswith("/oauth2/token") for request in service.requests)
        return time.monotonic() + (box.settings.register_s if came else 0.0)

    monkeypatch.setattr("firstboot.run.time", SimpleNamespace(monotonic=late))
    box.seed(given)
    assert box.boot() == 0
    assert box.status["attempts"] == 2
    agents = service.state()["agents"]
    assert [(agent["id"], agent["name"]) for agent in agents] == [(1, "goldbake-i-1")]
    assert [
        request.method for request in service.requests if request.path.endswith(("/agents", "/agents/1")) and request.method != "GET"
    ] == ["POST", "PUT"]


@pytest.mark.parametrize("name", [".credentials", ".credentials_rsaparams", ".proxy"])
def test_r16_half_a_file_of_an_earlier_attempt_is_not_used(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], name: str
) -> None:
    (box.agent / name).write_text('{"scheme": "OA')
    box.seed(given)
    assert box.boot() == 0
    assert json.loads((box.agent / ".credentials").read_text())["scheme"] == "OAuth"


def test_r17_an_agent_without_a_key_of_its_own_is_a_failure_and_wiped(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]
) -> None:
    service.fault(Fault(Action.NO_AUTHORIZATION, times=0))
    box.seed(given)
    code = box.boot()
    assert code in {ERRORS["credentials"].code, ERRORS["register"].code}
    assert not (box.agent / ".agent").exists()
    assert not (box.agent / ".credentials").exists()
    if code == ERRORS["credentials"].code:
        assert box.holding(service.pat) == []


def test_r17_credentials_that_hold_the_pat_are_found_and_wiped(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    config_sh(
        box,
        """
        echo '{"agentId": 1, "agentName": "goldbake-i-1", "poolName": "Default"}' >.agent
        echo '{}' >.credentials_rsaparams
        printf '{"scheme": "PAT", "data": {"token": "%s"}}' "$VSTS_AGENT_INPUT_TOKEN" >.credentials
        """,
    )
    box.seed(given)
    assert box.boot() == ERRORS["credentials"].code
    assert box.holding(service.pat) == []
    assert not list(box.agent.glob(".credentials*"))
    assert not (box.agent / ".agent").exists()


@pytest.mark.parametrize(
    ("agent", "credentials"),
    [
        ('{"agentId": 1', '{"scheme": "OAuth"}'),
        ('{"agentName": "goldbake-i-1"}', '{"scheme": "OAuth"}'),
        ('{"agentId": 1, "agentName": "another"}', '{"scheme": "OAuth"}'),
        ('{"agentId": 1, "agentName": "goldbake-i-1"}', ""),
        ("[]", "{}"),
    ],
)
def test_a_result_that_is_not_whole_is_tried_again(box: Box, given: dict[str, Any], agent: str, credentials: str) -> None:
    config_sh(box, f"echo '{agent}' >.agent; echo '{credentials}' >.credentials; echo '{{}}' >.credentials_rsaparams")
    box.settings.register_attempts = 2
    box.seed(given)
    assert box.boot() == ERRORS["register"].code
    assert box.status["attempts"] == 2
    assert not (box.agent / ".agent").exists()


BUSY = (Action.SERVER_ERROR, Action.RESET, Action.HTML, Action.TRUNCATED, Action.LOST)


@pytest.mark.slow
@pytest.mark.parametrize("action", BUSY)
@pytest.mark.parametrize("path", ["/agents", "/oauth2/token"])
def test_r18_a_service_that_fails_during_registration_leaves_one_agent_or_none(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], action: Action, path: str
) -> None:
    service.fault(Fault(action, path=path, times=1, method="POST"))
    box.settings.register_s = 20.0
    box.seed(given)
    assert box.boot() == 0
    assert [(agent["id"], agent["name"]) for agent in service.state()["agents"]] == [(1, "goldbake-i-1")]
    assert box.holding(service.pat) == []


def test_r20_without_the_guard_there_is_no_agent(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.write("programs/systemctl.fails", "goldbake-metadata-guard.service\n")
    box.seed(given)
    assert box.boot() == ERRORS["guard"].code
    assert (box.status["phase"], box.status["error"]) == ("failed", "guard")
    assert service.requests == []
    assert box.holding(service.pat) == []


def test_r16_a_machine_that_is_shut_down_before_the_guard_runs_goes_on_at_its_next_boot(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]
) -> None:
    box.write("programs/systemctl.fails", "goldbake-metadata-guard.service\n--quiet\n")  # nor has it failed
    box.seed(given)
    assert box.boot() == ERRORS["system"].code
    assert (box.status["phase"], box.status["error"]) == ("failed", "system")
    assert service.requests == []
    (box.root / "programs/systemctl.fails").unlink()
    assert box.boot() == 0
    assert box.status["phase"] == "online"
    assert box.holding(service.pat) == []


def test_an_agent_that_does_not_start_is_told(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.write("programs/systemctl.fails", "goldbake-agent.service\n")
    box.seed(given)
    assert box.boot() == ERRORS["agent"].code
    assert (box.status["phase"], box.status["error"], box.status["agent"]["id"]) == ("failed", "agent", 1)
    assert box.holding(service.pat) == []
    assert not (box.root / "run/goldbake/first-boot").exists()


def test_r04_the_private_key_is_closed_to_others_from_its_first_moment(box: Box, given: dict[str, Any]) -> None:
    box.seed(given)
    assert box.boot() == 0
    for name in (".credentials", ".credentials_rsaparams", ".agent"):
        assert stat.S_IMODE((box.agent / name).stat().st_mode) & 0o077 == 0


def test_r28_ephemeral_is_remembered_for_the_agents_service(box: Box, given: dict[str, Any]) -> None:
    box.seed({**given, "ephemeral": True})
    assert box.boot() == 0
    assert (box.root / "var/lib/goldbake/ephemeral").exists()


def test_r28_an_agent_for_many_jobs_is_not_ephemeral(box: Box, given: dict[str, Any]) -> None:
    box.write("var/lib/goldbake/ephemeral", "")
    box.seed(given)
    assert box.boot() == 0
    assert not (box.root / "var/lib/goldbake/ephemeral").exists()


def test_the_end_of_a_machine_is_kept_and_not_moved_by_a_second_start(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]
) -> None:
    service.fault(Fault(Action.SERVER_ERROR, times=0))
    box.settings.probe_budget_s = 0
    box.seed({**given, "ttl": 3600})
    assert box.boot() == ERRORS["service"].code
    expires = (box.root / "var/lib/goldbake/expires").read_text()
    assert abs(int(expires) - time.time() - 3600) < 60
    assert "start --no-block goldbake-ttl.service" in box.systemctl_calls
    service.clear_faults()
    time.sleep(1.1)
    assert box.boot() == 0
    assert (box.root / "var/lib/goldbake/expires").read_text() == expires
    assert sum("goldbake-ttl" in call for call in box.systemctl_calls) == 1


def test_a_ca_of_ones_own_reaches_the_whole_machine(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    box.write("etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----\nold\n-----END CERTIFICATE-----\n")
    box.seed(given)
    assert box.boot() == 0
    bundle = (box.root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert bundle.startswith("-----BEGIN CERTIFICATE-----\nold\n")
    assert bundle.count(service.ca_pem.strip()) == 1
    assert (box.root / "usr/local/share/ca-certificates/goldbake.crt").read_text().strip() == service.ca_pem.strip()
    assert json.loads((box.agent / ".certificates").read_text())


# Killed at any stage


def crashing(box: Box, stage: str, which: int) -> int:
    """Boot in a process of its own that is gone, with all that it started, when a function is entered (`NAME`) or left (`NAME left`).

    `which`: the how manieth time. Returns the boot's exit code, -1 when it was killed.
    """
    pid = os.fork()
    if pid == 0:
        wanted, _, left = stage.partition(" ")
        seen = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            code = frame.f_code
            if code.co_name == wanted and "/firstboot/" in code.co_filename and "/tests/" not in code.co_filename:
                if event == ("return" if left else "call"):
                    seen += 1
                    if seen == which:
                        os.kill(os.getpid(), signal.SIGKILL)
                return trace
            return None

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.settrace(trace)
        os._exit(box.boot())
    _, status = os.waitpid(pid, 0)
    end_config_sh(box)
    return -1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def end_config_sh(box: Box) -> None:
    """A machine that loses power takes config.sh along."""
    found = True
    while found:  # a process may start another while they are looked for
        found = False
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdigit() and (process / "cwd").readlink() == box.agent:
                    os.kill(int(process.name), signal.SIGKILL)
                    found = True
            except OSError:
                pass


STAGES = [
    *(("publish", number) for number in range(1, 8)),  # at every phase
    ("parse", 1), ("_guard", 1), ("_ask", 1), ("_ask", 2), ("forget", 1), ("write_environment", 1), ("run", 2), ("_collect", 2),
    ("verify", 1), ("persist", 1), ("wipe", 1), ("overwrite", 1), ("overwrite", 2), ("_zero", 1), ("_zero left", 1), ("_zero", 2), ("_zero left", 2), ("_flag", 1),
    ("overwrite left", 2), ("wipe left", 1), ("overwrite", 3), ("_start", 1), ("run", 3),
]  # fmt: skip


def ends_registered_once(box: Box, service: SimulatedAzureDevOps) -> None:
    """The next boot, and what it must leave."""
    assert box.boot() in {0, -1}
    assert [(agent["id"], agent["name"]) for agent in service.state()["agents"]] == [(1, "goldbake-i-1")]
    assert box.holding(service.pat) == []
    assert not (box.root / "var/lib/goldbake/unfinished").exists()
    assert json.loads((box.agent / ".credentials").read_text())["scheme"] == "OAuth"


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "which"), STAGES)
def test_r16_killed_at_any_stage_the_next_boot_ends_registered_once(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], stage: str, which: int
) -> None:
    box.seed(given)
    assert crashing(box, stage, which) == -1
    ends_registered_once(box, service)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_r16_killed_at_any_moment_the_next_boot_ends_registered_once(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], seconds: float
) -> None:
    """Within config.sh, too, which runs for most of this time; the service answers slowly so that it is always under way."""
    service.fault(Fault(Action.DELAY, path="/(agents|oauth2/token|pools)", times=0, seconds=0.1))
    box.seed(given)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.chdir(box.agent)  # so that whatever it has just forked is found by `end_config_sh`
        os._exit(box.boot())
    deadline = time.monotonic() + 30
    while "register" not in box.phases and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end_config_sh(box)
    service.clear_faults()
    ends_registered_once(box, service)
