"""Where organization, pool and PAT come from, and that the PAT goes nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldbake import proc
from goldbake.azdo import credentials
from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.errors import Exit, MissingError
from goldbake.secret import Secret

TOKEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst"


@pytest.fixture
def warnings() -> list[str]:
    return []


def _file(folder: Path, text: str | bytes, mode: int = 0o600) -> str:
    path = folder / "pat"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


def test_the_token_comes_from_the_environment_and_leaves_it(monkeypatch: pytest.MonkeyPatch, warnings: list[str]) -> None:
    monkeypatch.setenv("AZP_TOKEN", TOKEN)
    assert credentials.pat(warnings.append) == Secret(TOKEN)
    assert "AZP_TOKEN" not in os.environ
    shown = proc.run(["env"]).stdout + subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert TOKEN not in shown
    assert warnings == []


def test_the_token_is_remembered_for_the_next_task(monkeypatch: pytest.MonkeyPatch, warnings: list[str]) -> None:
    monkeypatch.setenv("AZP_TOKEN", TOKEN)
    assert credentials.pat(warnings.append) == credentials.pat(warnings.append) == Secret(TOKEN)
    assert credentials.is_configured()


def test_the_token_wins_over_the_file(tmp_path: Path, warnings: list[str]) -> None:
    environ = {"AZP_TOKEN": TOKEN, "AZP_TOKEN_FILE": _file(tmp_path, "other")}
    assert credentials.pat(warnings.append, environ=environ) == Secret(TOKEN)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_newline_at_the_end_is_trimmed(tmp_path: Path, warnings: list[str], end: str) -> None:
    assert credentials.pat(warnings.append, environ={"AZP_TOKEN_FILE": _file(tmp_path, TOKEN + end)}) == Secret(TOKEN)
    assert warnings == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_told_with_the_fix(tmp_path: Path, warnings: list[str], mode: int) -> None:
    path = _file(tmp_path, TOKEN, mode)
    credentials.pat(warnings.append, environ={"AZP_TOKEN_FILE": path})
    assert warnings == [f"others may read the PAT in {path} (mode {mode:04o}); run `chmod 600 {path}`"]


def test_a_pipe_can_bring_the_token(warnings: list[str]) -> None:
    """`AZP_TOKEN_FILE=<(pass show azure) ./inv launch`: nobody else reads a pipe of this process."""
    reader, writer = os.pipe()
    os.write(writer, TOKEN.encode())
    os.close(writer)
    os.fchmod(reader, 0o644)  # a mode that says nothing here
    assert credentials.pat(warnings.append, environ={"AZP_TOKEN_FILE": f"/dev/fd/{reader}"}) == Secret(TOKEN)
    os.close(reader)
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("\n", "it is empty"),
        (f" {TOKEN}", "control characters, spaces"),
        (f"{TOKEN}\n{TOKEN}", "control characters"),
        (f"{TOKEN}\x00", "control characters"),
        (f"{TOKEN}\x1b[2J", "control characters"),
        (f"{TOKEN}é", "letters that no PAT has"),
        (f'"{TOKEN}"', "quotes around it"),
        ("x" * 8193, "far too long"),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(tmp_path: Path, warnings: list[str], text: str, problem: str) -> None:
    path = _file(tmp_path, text)
    for environ, source in (({"AZP_TOKEN": text}, "AZP_TOKEN:"), ({"AZP_TOKEN_FILE": path}, f"AZP_TOKEN_FILE ({path}):")):
        with pytest.raises(MissingError, match=problem) as caught:
            credentials.pat(warnings.append, environ=environ, organization="https://dev.azure.com/foo")
        assert source in caught.value.message
        assert "https://dev.azure.com/foo/_usersSettings/tokens" in caught.value.hint
        assert TOKEN not in caught.value.message + caught.value.hint
        assert caught.value.message.isprintable()
    assert credentials._taken == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, warnings: list[str]) -> None:
    for path, problem in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (Path(_file(tmp_path, b"\xff\xfe")), "no text"),
    ):
        with pytest.raises(AzureDevOpsError, match=problem) as caught:
            credentials.pat(warnings.append, environ={"AZP_TOKEN_FILE": str(path)})
        assert caught.value.kind is Kind.PAT_UNUSABLE
        assert str(path) in caught.value.message


def test_without_any_source_both_variables_are_named(warnings: list[str]) -> None:
    with pytest.raises(MissingError, match="AZP_TOKEN nor AZP_TOKEN_FILE") as caught:
        credentials.pat(warnings.append, environ={})
    assert caught.value.exit_code is Exit.MISSING
    assert "Agent Pools (Read & manage)" in caught.value.hint


def test_what_is_typed_is_taken(warnings: list[str]) -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return TOKEN

    assert credentials.pat(warnings.append, organization="https://dev.azure.com/foo", ask=ask, environ={}) == Secret(TOKEN)
    assert asked == ["PAT for https://dev.azure.com/foo: "]


def test_an_end_of_input_at_the_prompt_is_told(warnings: list[str]) -> None:
    def ask(prompt: str) -> str:
        raise EOFError

    with pytest.raises(MissingError, match="what was typed: it is empty"):
        credentials.pat(warnings.append, ask=ask, environ={})


def test_a_terminal_is_asked_and_shows_nothing() -> None:
    program = "from goldbake.azdo import credentials; print('length', len(credentials.pat(print).reveal()))"
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("AZP_")}
    child = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    seen = b""
    typed = False
    while True:
        try:
            piece = os.read(ours, 1024)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        seen += piece
        if b"PAT for" in seen and not typed:
            os.write(ours, TOKEN.encode() + b"\n")
            typed = True
    os.close(ours)
    assert child.wait(60) == 0, seen
    assert f"length {len(TOKEN)}".encode() in seen
    assert TOKEN.encode() not in seen


def test_flags_win_over_variables() -> None:
    environ = {"AZP_URL": "https://dev.azure.com/env", "AZP_POOL": "env"}
    assert credentials.organization("flag", environ) == "https://dev.azure.com/flag"
    assert credentials.organization("", environ) == "https://dev.azure.com/env"
    assert credentials.pool("flag", environ) == "flag"
    assert credentials.pool("", environ) == "env"
    assert credentials.pool("", {}) == credentials.pool(" ", {"AZP_POOL": " "}) == "Default"


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, False), ({"AZP_TOKEN": ""}, True), ({"AZP_TOKEN_FILE": "x"}, True), ({"AZP_TOKEN_FILE": ""}, False)]
)
def test_whether_a_pat_is_configured_is_seen_without_reading_it(environ: dict[str, str], expected: bool) -> None:
    assert credentials.is_configured(environ) is expected


@given(st.text(min_size=6) | st.from_regex(r"[!-~]{6,100}[\r\n]*", fullmatch=True))
def test_every_text_is_a_secret_or_an_error_that_does_not_repeat_it(text: str) -> None:
    value, message = _taken(text)
    assert bool(value) is not bool(message)
    assert value.isascii()
    assert value.isprintable()
    assert text.startswith(value)
    assert text not in message or text in _taken("\0" * 6)[1], "what is said of every unusable one may be a text too"


def _taken(text: str) -> tuple[str, str]:
    """The PAT that is made of a text, or why none is."""
    credentials._taken.clear()
    try:
        return credentials.pat(print, environ={"AZP_TOKEN": text}).reveal(), ""
    except AzureDevOpsError as error:
        return "", error.message
    finally:
        credentials._taken.clear()
