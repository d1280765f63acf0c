"""Progress on a pipe and on a terminal."""

from __future__ import annotations

import io
import os
import pty
import threading
from pathlib import Path

import pytest

from goldbake.log import Progress
from goldbake.secret import Secret


def test_stage_on_a_pipe_is_two_plain_lines() -> None:
    stream = io.StringIO()
    ticks = iter([10.0, 12.5, 12.5, 12.5])
    with Progress(stream, clock=lambda: next(ticks)).stage("disk"):
        pass
    assert stream.getvalue() == "disk …\ndisk done (2.5 s)\n"


def test_stage_that_fails_says_so_and_lets_the_error_through() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError), Progress(stream).stage("disk"):
        raise RuntimeError
    assert "disk failed (" in stream.getvalue()


def test_seconds_are_kept_of_stages_that_succeed_only() -> None:
    seconds: dict[str, float] = {}
    progress = Progress(io.StringIO())
    with progress.stage("good", seconds):
        pass
    with pytest.raises(RuntimeError), progress.stage("bad", seconds):
        raise RuntimeError
    assert list(seconds) == ["good"]


def test_long_stage_on_a_pipe_shows_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldbake.log._HEARTBEAT_S", 0.01)
    stream = io.StringIO()
    seen = threading.Event()
    write = stream.write

    def watch(text: str) -> int:
        if "the last line" in text:
            seen.set()
        return write(text)

    monkeypatch.setattr(stream, "write", watch)
    progress = Progress(stream, clock=lambda: 0.0)
    with progress.stage("base"):
        progress.detail("base", "the last line")
        assert seen.wait(60)
    assert "base … 0 s: the last line" in stream.getvalue()


def test_secret_never_reaches_the_stream() -> None:
    secret = Secret("very-secret-token")
    stream = io.StringIO()
    progress = Progress(stream)
    progress.info(f"using {secret.reveal()}")
    progress.warn(f"refused {secret.reveal()}")
    assert secret.reveal() not in stream.getvalue()
    assert "using" in stream.getvalue()


def _terminal_output(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> str:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        progress = Progress(stream)
        with progress.stage("disk"):
            progress.detail("disk", "writing")
            progress.info("a line that stays")
    text = b""
    try:
        while part := os.read(leader, 65536):
            text += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    return text.decode()


def test_terminal_gets_a_live_line_that_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _terminal_output(monkeypatch, {"TERM": "xterm"})
    assert "writing" in shown
    assert "\x1b[1A\x1b[J" in shown
    assert shown.rstrip().endswith("s)")


def test_no_color_gives_plain_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _terminal_output(monkeypatch, {"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in shown


def test_dumb_terminal_gives_plain_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "\x1b" not in _terminal_output(monkeypatch, {"TERM": "dumb"})
