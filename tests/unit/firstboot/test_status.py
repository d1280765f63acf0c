"""The status: for programs, for people, on the console, and never with a secret."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from firstboot import main as module
from firstboot import report, show, status
from firstboot.errors import Problem
from firstboot.explain import ERRORS, PHASES
from firstboot.settings import Settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.azdo import SimulatedAzureDevOps
from tests.unit.firstboot.box import VERSION, Box

pytestmark = pytest.mark.slow


def test_r29_the_status_has_all_that_a_watcher_needs(box: Box, given: dict[str, Any]) -> None:
    box.seed(given)
    assert box.boot() == 0
    found = box.status
    assert found["phase"] == "online"
    assert found["agent"] == {"id": 1, "name": "goldbake-i-1", "pool": "Default", "version": VERSION}
    assert (found["image"], found["organization"], found["source"], found["attempts"]) == ("gpu-agent", "demo", "nocloud-folder", 1)
    assert list(found["timings"]) == ["started", "input", "probe", "register", "verify", "start", "online"]
    assert list(found["timings"].values()) == sorted(found["timings"].values())
    path = box.root / "var/lib/goldbake/status.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_r29_every_change_is_one_line_on_the_console(box: Box, given: dict[str, Any]) -> None:
    box.seed(given)
    box.boot()
    assert box.console[-1] == box.status
    assert set(box.phases) <= set(PHASES)


def test_r29_no_status_ever_holds_the_pat(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    (box.agent / "config.sh").write_text('#!/bin/sh\necho "failed with token $VSTS_AGENT_INPUT_TOKEN"\nexit 1\n')
    box.seed(given)
    assert box.boot() == ERRORS["register"].code
    assert "failed with token ***" in box.status["reason"]
    assert service.pat not in (box.root / "dev/console").read_text()
    assert service.pat not in json.dumps(box.status)


def test_r29_nor_does_the_journal(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (box.agent / "config.sh").write_text('#!/bin/sh\necho "token $VSTS_AGENT_INPUT_TOKEN"\nexit 1\n')
    box.seed(given)
    box.boot()
    printed = capsys.readouterr().out
    assert "config.sh: token ***" in printed
    assert service.pat not in printed


def test_all_consoles_of_the_kernel_get_the_line(box: Box) -> None:
    box.write("sys/class/tty/console/active", "tty0 ttyS0\n")
    box.write("dev/tty0", "")
    box.write("dev/ttyS0", "")
    status.announce(box.settings, "goldbake-status: {}")
    assert (box.root / "dev/tty0").read_bytes() == (box.root / "dev/ttyS0").read_bytes() == b"\r\ngoldbake-status: {}\r\n"
    assert (box.root / "dev/console").read_text() == ""


def test_a_container_has_one_console(box: Box) -> None:
    box.write("sys/class/tty/console/active", "ttyS0\n")
    box.write("dev/ttyS0", "")
    box.write("run/systemd/container", "systemd-nspawn\n")
    status.announce(box.settings, "x")
    assert (box.root / "dev/console").read_bytes() == b"\r\nx\r\n"


def test_a_boot_that_stands_still_for_a_while_says_its_line_all_the_same(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(step=10)
    monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=time.sleep))
    status.announce(box.settings, "late")
    assert (box.root / "dev/console").read_text().strip() == "late"


def test_a_console_that_takes_nothing_does_not_hold_up_the_boot(box: Box) -> None:
    console = box.root / "dev/console"
    console.unlink()
    os.mkfifo(console)
    before = time.monotonic()
    status.announce(box.settings, "nobody reads")
    reader = os.open(console, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status.announce(box.settings, "x" * 1_000_000)
        assert os.read(reader, 10).endswith(b"x")
    finally:
        os.close(reader)
    assert time.monotonic() - before < 5


def test_a_machine_without_a_console_boots(box: Box, given: dict[str, Any]) -> None:
    (box.root / "dev/console").unlink()
    box.seed(given)
    assert box.boot() == 0


def test_a_mistake_of_the_program_is_a_reason_and_no_traceback(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"the value was {given['pat']}")

    monkeypatch.setattr(module, "probe", broken)
    box.seed(given)
    assert box.boot() == ERRORS["internal"].code == 1
    assert (box.status["phase"], box.status["error"]) == ("failed", "internal")
    assert re.fullmatch(r"RuntimeError at \w+\.py:\d+", box.status["reason"])
    captured = capsys.readouterr()
    assert service.pat not in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err


def test_a_status_that_cannot_be_written_does_not_stop_the_boot(
    box: Box, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    box.settings.state = "/proc/goldbake"
    assert module.main(box.settings) == 0
    assert "the status cannot be written" in capsys.readouterr().out
    assert box.phases == ["started", "not-configured"]


def test_seconds_are_since_the_kernel_started() -> None:
    uptime = Settings().uptime()
    assert abs(uptime - float(Path("/proc/uptime").read_text().split()[0])) < 5 or Path("/run/systemd/container").exists()


USER_DATA = (
    st.binary(max_size=80).map(lambda data: b'#cloud-config\n{"goldbake": ' + data)
    | st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["organization", "pat", "pool", "ttl", "labels", "x"]), st.none() | st.text(max_size=5) | st.integers(), max_size=4
    ).map(lambda given: b"#cloud-config\n" + json.dumps({"goldbake": given}).encode())
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(USER_DATA)
def test_r06_r07_whatever_a_machine_is_told_it_says_why_it_is_no_agent(box: Box, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    """The whole program, hundreds of times; the boot goes on, and no traceback is seen."""
    seed = Path(box.settings.seed)
    seed.mkdir(parents=True, exist_ok=True)
    (seed / "user-data").write_bytes(data)
    (seed / "meta-data").write_text("instance-id: i-1\n")
    box.settings.systemctl = ("false",)  # should anything be valid, it ends at the guard
    assert module.main(box.settings) in {0, 10, 27}
    found = box.status
    assert found["phase"] in {"not-configured", "failed"}
    assert found["reason"]
    assert found["phase"] != "failed" or found["error"] in {"input", "system"}
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err


# After first boot


def test_r29_after_a_reboot_the_agent_is_reported_online_again(online: Box) -> None:
    before = online.status
    online.write("proc/sys/kernel/random/boot_id", "second\n")
    assert report.main(["online"], online.settings) == 0
    assert online.status["phase"] == "online"
    assert online.status["boot"] == "second"
    assert online.status["agent"] == before["agent"]
    assert list(online.status["timings"]) == ["online"]


def test_r24_an_agent_that_stopped_for_good_is_reported(online: Box) -> None:
    online.write("programs/systemctl.fails", "--quiet\n")  # nothing else has failed
    assert report.main(["stopped"], online.settings) == 0
    assert (online.status["phase"], online.status["error"]) == ("failed", "agent")
    assert report.main(["online"], online.settings) == 0
    assert (online.status["phase"], online.status.get("error")) == ("online", None)


def test_r20_a_guard_that_fails_at_a_later_boot_is_reported(online: Box) -> None:
    assert report.main(["stopped"], online.settings) == 0
    assert (online.status["phase"], online.status["error"]) == ("failed", "guard")


def test_a_better_reason_of_the_same_boot_stays(online: Box) -> None:
    current = status.Status(online.settings)
    current.failed(Problem("gpu", "nvidia-smi lists 1 GPUs, the PCI bus has 2"))
    assert report.main(["stopped"], online.settings) == 0
    assert online.status["error"] == "gpu"
    online.write("proc/sys/kernel/random/boot_id", "second\n")
    report.main(["stopped"], online.settings)
    assert online.status["error"] != "gpu"


def test_before_registration_first_boot_itself_says_what_is_wrong(box: Box) -> None:
    assert report.main(["stopped"], box.settings) == 0
    assert not (box.root / "var/lib/goldbake/status.json").exists()


def test_first_boot_that_a_signal_ended_is_reported_with_the_phase_it_was_in(box: Box) -> None:
    status.Status(box.settings).phase("register")
    assert report.main(["crashed"], box.settings) == 0
    assert (box.status["phase"], box.status["error"]) == ("failed", "internal")
    assert box.status["reason"] == "first boot was ended in the phase register"


def test_first_boot_that_ended_before_it_said_anything_is_reported(box: Box) -> None:
    assert report.main(["crashed"], box.settings) == 0
    assert box.status["reason"] == "first boot was ended in the phase started"


def test_the_reason_that_first_boot_gave_itself_stays(box: Box) -> None:
    status.Status(box.settings).failed(Problem("internal", "KeyError at main.py:7"))
    assert report.main(["crashed"], box.settings) == 0
    assert box.status["reason"] == "KeyError at main.py:7"


def test_a_machine_tells_how_long_its_kernel_took(box: Box) -> None:
    box.write("programs/systemctl.says", "InitRDTimestampMonotonic=0\nUserspaceTimestampMonotonic=2343210\n")
    status.Status(box.settings).tell_boot()
    assert box.status["boot_seconds"] == {"userspace": 2.34}


def test_a_container_has_no_kernel_of_its_own(box: Box) -> None:
    box.write("run/systemd/container", "systemd-nspawn\n")
    current = status.Status(box.settings)
    current.phase("online")
    current.tell_boot()
    assert "boot_seconds" not in box.status


def test_an_unknown_event_is_refused(box: Box) -> None:
    assert report.main(["offline"], box.settings) == 2


# goldbake-status


def test_r29_people_read_the_status(online: Box, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert show.main([], online.settings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["phase", "online"]
    assert ["agent", "name", "goldbake-i-1"] in [line.split() for line in lines]
    assert lines[-1].split()[1:] == ["s", "online"]


def test_r29_programs_read_the_status(online: Box, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert show.main(["--json"], online.settings) == 0
    assert json.loads(capsys.readouterr().out) == online.status


def test_r29_a_failure_is_shown_with_reason_and_hint(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.seed({"organization": "foo"})
    box.boot()
    capsys.readouterr()
    assert show.main([], box.settings) == 3
    printed = capsys.readouterr().out
    assert "goldbake.pat is missing" in printed
    assert ERRORS["input"].fix in printed


def test_without_a_status_there_is_nothing_to_show(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main([], box.settings) == 4
    assert "first boot has not run" in capsys.readouterr().out
    assert show.main(["--yaml"], box.settings) == 2


def test_a_damaged_status_is_none(box: Box) -> None:
    for text in ("", "[]", '{"phase"'):
        box.write("var/lib/goldbake/status.json", text)
        assert show.main([], box.settings) == 4
