"""Processes start through one door: lists, a small environment, and an end on every path."""

import os
import signal
import sys
from pathlib import Path

import pytest

from goldbake import proc
from goldbake.errors import MissingError, ProcessError
from goldbake.local.leftovers import has_ended
from goldbake.secret import Secret
from tests.waiting import until


def test_a_child_does_not_see_our_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZP_TOKEN", "not-for-children")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-children")
    seen = proc.run(["env"]).stdout
    assert "not-for-children" not in seen
    assert "LC_ALL=C.UTF-8" in seen


def test_a_named_variable_reaches_the_child() -> None:
    assert "PKR_VAR_x=1" in proc.run(["env"], env={"PKR_VAR_x": "1"}).stdout


def test_a_failure_shows_the_last_lines_and_the_command_to_run_again() -> None:
    with pytest.raises(ProcessError, match="exited with 7") as caught:
        proc.run(["sh", "-c", "echo the reason >&2; exit 7"])
    assert "the reason" in caught.value.message
    assert caught.value.code == 7
    assert "sh -c" in caught.value.hint


def test_a_failure_does_not_show_a_secret() -> None:
    Secret("hunter2-hunter2")
    with pytest.raises(ProcessError) as caught:
        proc.run(["sh", "-c", "echo hunter2-hunter2; exit 1"])
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_program_that_is_not_there_is_a_missing_error() -> None:
    with pytest.raises(MissingError, match="no-such-program-here"):
        proc.run(["no-such-program-here"])


def test_a_program_that_outlives_its_time_is_ended() -> None:
    with pytest.raises(ProcessError, match="did not end within 0"):
        proc.run(["sleep", "30"], timeout=0.2)


def test_a_child_dies_with_its_block(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(RuntimeError), proc.started([sys.executable, "-c", script]):  # noqa: PT012
        _wait_for(mark)
        raise RuntimeError
    assert has_ended(int(mark.read_text()))


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with proc.started(["sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {mark}; wait; sleep 60"], grace=0.3):
        _wait_for(mark)
    until(lambda: has_ended(int(mark.read_text())))


def test_stream_hands_over_both_outputs_line_by_line() -> None:
    lines: list[str] = []
    proc.stream(["sh", "-c", "echo one; echo two >&2"], lines.append)
    assert lines == ["one", "two"]


def _wait_for(path: Path) -> None:
    until(lambda: path.exists() and path.read_text().strip())


def test_a_detached_program_goes_on_and_its_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os, sys, time; print(os.getpid(), os.getppid(), os.getsid(0), flush=True); time.sleep(30)"
    proc.detached([sys.executable, "-c", script], log, cwd=tmp_path)
    _wait_for(log)
    pid, parent, session = map(int, log.read_text().split())
    try:
        assert not has_ended(pid)
        assert parent != os.getpid()
        assert session == pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_detached_program_that_is_not_there_is_a_missing_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no-such-program-here"):
        proc.detached(["no-such-program-here"], tmp_path / "log")
