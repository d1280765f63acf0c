"""What every task shares: errors, exit codes, signals, results."""

from __future__ import annotations

import errno
import json
import os
import signal
from typing import Any

import pytest
from invoke import Collection, Context, Program, Task, task
from invoke.exceptions import Exit

import tasks
from goldbake import cli
from goldbake.config.model import Cloud
from goldbake.errors import CapacityError, ChecksFailed, ConfigError, GoldbakeError, MissingError, UsageError
from goldbake.secret import Secret


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GoldbakeError("what"), 1),
        (UsageError("what"), 2),
        (ConfigError("what"), 2),
        (ChecksFailed("what"), 3),
        (MissingError("what"), 4),
        (CapacityError("what"), 5),
    ],
)
def test_error_ends_the_task_with_its_exit_code(error: GoldbakeError, code: int) -> None:
    @cli.command
    def task() -> None:
        raise error

    with pytest.raises(Exit) as ended:
        task()
    assert ended.value.code == code


def test_error_is_one_line_of_what_and_one_of_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.command
    def task() -> None:
        raise GoldbakeError("the disk is full", hint="free 3 GB")

    with pytest.raises(Exit):
        task()
    assert capsys.readouterr().err == "error: the disk is full\nhint: free 3 GB\n"


def test_traceback_is_shown_only_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDBAKE_DEBUG", "1")
    cli.report(GoldbakeError("what"))
    assert "GoldbakeError: what" in capsys.readouterr().err


def test_secret_in_an_error_is_blanked(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret("s3cret-token-value")
    cli.report(GoldbakeError(f"refused: {secret.reveal()}"))
    assert secret.reveal() not in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_unwinds_the_task_and_gives_the_shells_code(signum: signal.Signals, code: int) -> None:
    cleaned: list[bool] = []

    @cli.command
    def task() -> None:
        try:
            os.kill(os.getpid(), signum)
            signal.pause()
        finally:
            cleaned.append(True)

    with pytest.raises(Exit) as ended:
        task()
    assert ended.value.code == code
    assert cleaned == [True]


def test_second_signal_does_not_stop_the_clean_up(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned: list[bool] = []

    @cli.command
    def task() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)

    with pytest.raises(Exit):
        task()
    assert cleaned == [True]
    assert "please wait" in capsys.readouterr().err


def test_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli.command(lambda: None)()
    assert signal.getsignal(signal.SIGTERM) is before


def test_full_disk_is_an_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @cli.command
    def task() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/disk.raw")

    with pytest.raises(Exit):
        task()
    said = capsys.readouterr().err
    assert said.startswith("error: No space left on device: /cache/disk.raw\nhint: ")
    assert "Traceback" not in said


def test_other_errors_of_the_system_are_not_hidden() -> None:
    @cli.command
    def task() -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "/x")

    with pytest.raises(FileNotFoundError):
        task()


def test_result_is_text_or_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    cli.emit("for people", {"a": 1}, as_json=False)
    cli.emit("for people", {"a": 1}, as_json=True)
    text, _, document = capsys.readouterr().out.partition("\n")
    assert text == "for people"
    assert json.loads(document) == {"a": 1}


@pytest.mark.parametrize(("text", "clouds"), [("", tuple(Cloud)), ("aws", (Cloud.AWS,)), ("gcp, local", (Cloud.GCP, Cloud.LOCAL))])
def test_cloud_flag_names_clouds(text: str, clouds: tuple[Cloud, ...]) -> None:
    assert cli.clouds_from(text) == clouds


@pytest.mark.parametrize(("text", "named"), [("ibm", "'ibm'"), ("aws,gcp", "not 2")])
def test_cloud_flag_that_cannot_be_is_refused(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        cli.clouds_from(text, most=1)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["pin"], []),
        (["pin", "a", "b=1"], ["a", "b=1"]),
        (["pin", "a", "--json"], ["a"]),
        (["--echo", "pin", "a"], ["a"]),
        (["images", "--json"], []),
    ],
)
def test_words_after_a_task_are_its_names(argv: list[str], words: list[str]) -> None:
    assert cli.words_after("pin", argv) == words


@pytest.mark.parametrize("words", [[], ["a"], ["a", "b=1"]])
def test_task_takes_as_many_names_as_there_are(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[list[str], bool]] = []

    @task(klass=cli.WordsTask, positional=["names"], iterable=["names"])
    def pin(c: Context, names: list[str], json: bool = False) -> None:
        got.append((names, json))

    argv = ["inv", "pin", *words, "--json"]
    monkeypatch.setattr("sys.argv", argv)
    Program(namespace=Collection(pin)).run(argv, exit=False)
    assert got == [(words, True)]


def test_the_highest_exit_code_of_several_clouds_is_raised_and_the_others_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    cli.raise_worst([])
    with pytest.raises(MissingError, match="no credentials"):
        cli.raise_worst([UsageError("no such image"), MissingError("no credentials"), GoldbakeError("odd")])
    assert capsys.readouterr().err == "error: no such image\nerror: odd\n"


@pytest.mark.parametrize(
    ("results", "single", "printed"),
    [
        ([("one", {"a": 1})], None, {"a": 1}),
        ([("one", {"a": 1}), ("two", {"b": 2})], None, [{"a": 1}, {"b": 2}]),
        ([("one", {"a": 1})], False, [{"a": 1}]),
        ([], False, []),
    ],
)
def test_json_is_one_document_for_one_cloud_and_a_list_for_several(
    capsys: pytest.CaptureFixture[str], results: list[tuple[str, object]], single: bool | None, printed: object
) -> None:
    cli.emit_each(results, as_json=True, single=single)
    assert json.loads(capsys.readouterr().out) == printed


def test_a_single_cloud_that_failed_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    cli.emit_each([], as_json=True, single=True)
    assert capsys.readouterr().out == ""


def test_no_flag_has_a_letter_that_the_next_flag_may_take_away() -> None:
    """`launch -h` is the help of launch, as a person expects, and starts nothing."""
    letters = {name: [flag for argument in found.get_arguments() for flag in argument.names if len(flag) == 1] for name, found in _tasks()}
    assert {name: found for name, found in letters.items() if found} == {"test": ["k"]}


def test_asking_for_the_help_of_a_task_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Program(namespace=tasks.namespace).run("inv launch -h")
    assert not ended.value.code
    assert "--ephemeral" in capsys.readouterr().out


def _tasks() -> list[tuple[str, Task[Any]]]:
    return [(name, tasks.namespace[name]) for name in tasks.namespace.task_names]
