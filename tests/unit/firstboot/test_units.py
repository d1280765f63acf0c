"""The units and what belongs to them: what systemd itself reads from them, and what stands in the documentation."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from firstboot.explain import ERRORS, PHASES
from firstboot.settings import Settings
from firstboot.userdata import KEYS

from goldbake import proc
from goldbake.paths import PROJECT
from tests.unit.firstboot import reference

ROOTFS = PROJECT / "image-scripts/rootfs"
UNITS = ROOTFS / "usr/lib/systemd/system"
PROGRAMS = ROOTFS / "usr/lib/goldbake"
NAMES = ("firstboot", "firstboot-crashed", "agent", "agent-stopped", "gpu-gate", "metadata-guard", "ttl", "hostkeys")


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each with all of its values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / f"goldbake-{name}.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def words(name: str, key: str) -> set[str]:
    return set(" ".join(unit(name).get(key, [])).split())


@pytest.mark.parametrize("name", NAMES)
def test_systemd_understands_every_line(name: str) -> None:
    if proc.find("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{UNITS}:", "LC_ALL": "C"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", UNITS / f"goldbake-{name}.service"],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith(("goldbake-", str(UNITS))) or "rdering cycle" in line]
    assert [line for line in complaints if "is not executable" not in line] == []  # the programs are not on this machine


def test_r09_first_boot_waits_for_network_and_time_and_runs_until_it_is_done() -> None:
    assert words("firstboot", "After") >= {"network-online.target", "time-sync.target"}
    assert words("firstboot", "Wants") >= {"network-online.target", "time-sync.target"}
    # Either is enough: not registered yet, or registered and the PAT not yet wiped.
    assert unit("firstboot")["ConditionPathExists"] == ["|!/opt/azure-pipelines-agent/.agent", "|/var/lib/goldbake/unfinished"]


def test_r06_the_boot_does_not_wait_for_first_boot() -> None:
    """With default dependencies multi-user.target would come after both."""
    for name in ("firstboot", "agent"):
        assert unit(name)["DefaultDependencies"] == ["no"]
        assert unit(name)["Conflicts"] == ["shutdown.target"]
        assert "shutdown.target" in words(name, "Before")


def test_r06_bad_input_does_not_degrade_the_machine() -> None:
    assert words("firstboot", "SuccessExitStatus") == {str(found.code) for name, found in ERRORS.items() if name != "internal"}
    assert ERRORS["internal"].code == 1


def test_r14_first_boot_ends_within_the_units_time() -> None:
    settings = Settings()
    longest = settings.metadata_budget_s + settings.probe_budget_s + settings.register_s + settings.gpu_s * 2 + settings.start_s + 240
    assert unit("firstboot")["TimeoutStartSec"] == ["45min"]
    assert longest < 45 * 60
    assert unit("agent")["TimeoutStartSec"] == ["10min"]
    assert settings.start_s > 10 * 60


def test_r04_registration_has_a_closed_umask_and_no_core_dumps() -> None:
    assert unit("firstboot")["UMask"] == ["0077"]
    assert unit("firstboot")["LimitCORE"] == ["0"]
    assert unit("firstboot")["NoNewPrivileges"] == ["yes"]


def test_r20_the_agent_needs_the_guard_and_the_gate() -> None:
    needed = {"goldbake-metadata-guard.service", "goldbake-gpu-gate.service"}
    assert words("agent", "Requires") >= needed
    assert words("agent", "After") >= needed
    assert "docker.service" in words("metadata-guard", "Before")
    assert unit("metadata-guard")["ExecStart"] == ["/usr/sbin/nft -f /usr/lib/goldbake/metadata-guard.nft"]


def test_r20_the_guard_names_the_metadata_services_of_all_clouds_in_both_directions() -> None:
    rules = (PROGRAMS / "metadata-guard.nft").read_text()
    settings = Settings()
    for url in (*settings.aws, *settings.gcp, *settings.azure):
        assert url.partition("://")[2].strip("[]") in rules
    assert re.search(r"hook output .*?meta skuid \"agent\" jump jobs", rules, re.DOTALL)
    assert re.search(r"hook forward .*?jump jobs", rules, re.DOTALL)


def test_r21_the_gate_is_for_later_boots_of_machines_with_a_gpu() -> None:
    assert unit("gpu-gate")["ExecCondition"] == ["/usr/lib/goldbake/has-nvidia-device gpu"]
    assert unit("gpu-gate")["ConditionPathExists"] == ["/opt/azure-pipelines-agent/.agent", "!/run/goldbake/gpu-healthy"]


def test_r23_the_agent_runs_as_its_own_user() -> None:
    assert unit("agent")["User"] == ["agent"] == [Settings().agent_user]


def test_r24_the_agent_is_supervised() -> None:
    agent = unit("agent")
    assert "network-online.target" in words("agent", "After") & words("agent", "Wants")
    assert (agent["Type"], agent["Restart"], agent["OnFailure"]) == (["notify"], ["always"], ["goldbake-agent-stopped.service"])
    assert agent["StartLimitBurst"] == ["10"]
    assert set(agent["ConditionPathExists"]) == {"/opt/azure-pipelines-agent/.agent", "!/var/lib/goldbake/unfinished"}


def test_r25_the_agent_has_time_to_end_its_session() -> None:
    """A session is deleted within 30 s; the network is still there, because the agent came after it."""
    assert int(unit("agent")["TimeoutStopSec"][0]) >= 60
    assert unit("agent")["KillMode"] == ["mixed"]
    assert "network.target" in words("agent", "After")


def test_r27_the_agent_does_not_go_back_to_an_older_version() -> None:
    assert "AZP_AGENT_DOWNGRADE_DISABLED=true" in words("agent", "Environment")


def test_r28_the_end_of_the_one_job_is_no_failure() -> None:
    assert unit("agent")["SuccessExitStatus"] == unit("agent")["RestartPreventExitStatus"] == ["64"]


@pytest.mark.parametrize("name", ["AGENT_ALLOW_RUNASROOT", "VSS_ALLOW_UNSAFE_BASICAUTH", "VSTS_AGENT_HTTPTRACE"])
def test_r04_safety_switches_are_set_nowhere(name: str) -> None:
    files = [path for path in ROOTFS.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert [path for path in files if f"{name}=" in path.read_text()] == []


# The programs in shell


def script(name: str, *arguments: str, tmp_path: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program with stand-ins that say what they were called with."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("systemctl", "systemd-run"):
        (tools / tool).write_text(f'#!/bin/sh\necho "{tool} $*"\n')
        (tools / tool).chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", PROGRAMS / f"goldbake-{name}", *arguments],
        env={"PATH": path, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_machine_whose_time_is_to_come_gets_a_timer(tmp_path: Path) -> None:
    expires = int(time.time()) + 3600
    (tmp_path / "expires").write_text(f"{expires}\n")
    done = script("ttl", str(tmp_path / "expires"), tmp_path=tmp_path)
    assert done.returncode == 0
    assert f"--on-calendar=@{expires}" in done.stdout
    assert done.stdout.startswith("systemd-run ")
    assert done.stdout.endswith("systemctl --no-block poweroff\n")


def test_a_machine_whose_time_is_over_is_powered_off(tmp_path: Path) -> None:
    (tmp_path / "expires").write_text("1000000000\n")
    assert script("ttl", str(tmp_path / "expires"), tmp_path=tmp_path).stdout == "systemctl --no-block poweroff\n"


@pytest.mark.parametrize("text", ["\n", "soon\n", "12; reboot\n"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "expires").write_text(text)
    done = script("ttl", str(tmp_path / "expires"), tmp_path=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no time" in done.stderr


@pytest.mark.parametrize(("status", "printed"), [("64", "systemctl --no-block poweroff\n"), ("0", ""), ("1", ""), ("", "")])
def test_r28_a_machine_is_powered_off_after_its_one_job_only(tmp_path: Path, status: str, printed: str) -> None:
    done = script("agent-event", "ended", tmp_path=tmp_path, environment={"EXIT_STATUS": status})
    assert (done.returncode, done.stdout) == (0, printed)


def test_an_unknown_event_of_the_agent_is_refused(tmp_path: Path) -> None:
    assert script("agent-event", tmp_path=tmp_path).returncode == 2


# Python, as it is in an image


def test_the_program_needs_nothing_that_is_slow_to_import() -> None:
    """Each of these costs an emulated machine a tenth of a second and more."""
    code = f"import sys; sys.path.insert(0, {str(PROGRAMS)!r}); import firstboot.main, ssl; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-IS", "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert (
        set(loaded)
        & {"pathlib", "typing", "dataclasses", "http.client", "email", "urllib.parse", "argparse", "logging", "random", "tempfile"}
        == set()
    )


@pytest.mark.parametrize("program", ["usr/lib/goldbake/goldbake-firstboot", "usr/lib/goldbake/goldbake-report", "usr/bin/goldbake-status"])
def test_the_programs_start_isolated(program: str) -> None:
    assert (ROOTFS / program).read_text().startswith("#!/usr/bin/python3 -IS\n")
    assert (ROOTFS / program).stat().st_mode & 0o111


def test_the_modules_are_those_of_python_3_10() -> None:
    """ast.parse knows the grammar of older versions."""
    for path in (PROGRAMS / "firstboot").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 10))


# Documentation


def test_the_reference_is_fresh() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run python -m tests.unit.firstboot.reference"


def test_the_reference_names_everything() -> None:
    page = reference.page()
    assert [name for name in (*ERRORS, *PHASES, *KEYS) if f"| `{name}` |" not in page] == []
