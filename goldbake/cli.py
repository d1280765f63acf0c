"""What every task shares: errors become two lines and an exit code, results go to stdout, signals clean up."""

from __future__ import annotations

import errno
import functools
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, ParamSpec

from invoke.exceptions import Exit as InvokeExit
from invoke.parser.argument import Argument
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from goldbake.config.model import Cloud
from goldbake.errors import Exit, GoldbakeError, UsageError
from goldbake.interrupt import Terminated, interruptible
from goldbake.secret import redact

P = ParamSpec("P")

task = functools.partial(invoke_task, auto_shortflags=False)
"""Invoke's own decorator makes up a letter for each flag, others with each new flag: `launch -h` would be --ephemeral and start a machine."""

_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the machine that no code can foresee: disk full, quota, read-only."""


def command(body: Callable[P, None]) -> Callable[P, None]:
    """Decorate a task: GoldbakeError → `error:`/`hint:` and its exit code, Ctrl-C → 130, SIGTERM → 143.

    With `GOLDBAKE_DEBUG=1` the traceback is printed as well.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with interruptible():
                body(*args, **kwargs)
        except GoldbakeError as error:
            report(error)
            raise InvokeExit(code=int(error.exit_code)) from error
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise InvokeExit(code=int(Exit.FAILED)) from error
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            where = f": {error.filename}" if error.filename else ""
            report(GoldbakeError(f"{error.strerror}{where}", hint="free space there, or point GOLDBAKE_HOME at another disk"))
            raise InvokeExit(code=int(Exit.FAILED)) from error
        except KeyboardInterrupt as error:
            _interrupted("interrupted", 128 + signal.SIGINT, error)
        except Terminated as error:
            _interrupted(f"ended by {signal.Signals(error.signum).name}", 128 + error.signum, error)

    return run


class WordsTask(Task[Any]):
    """A task whose argument `names` takes all words that follow the task's name, none or many.

    Invoke's own positional arguments take exactly one word each, and a missing one is an error.
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments = super().get_arguments(ignore_unknown_help=ignore_unknown_help)
        count = len(words_after(self.name, sys.argv[1:]))
        return [_Words(found, count) if found.name == "names" else found for found in arguments]


def words_after(name: str, argv: list[str]) -> list[str]:
    """The words between the task `name` and the next flag."""
    if name not in argv:
        return []
    return list(itertools.takewhile(lambda word: not word.startswith("-"), argv[argv.index(name) + 1 :]))


class _Words(Argument):
    """Asks for words, as a positional argument without a value does, until it has all that there are."""

    def __init__(self, plain: Argument, count: int) -> None:
        super().__init__(names=plain.names, kind=list, help=plain.help, positional=True)
        self._count = count
        self._words: list[str] = []

    @property
    def value(self) -> list[str] | None:
        return self._words if len(self._words) >= self._count else None

    @value.setter
    def value(self, word: str) -> None:
        self._words.append(word)


def report(error: GoldbakeError) -> None:
    """Print an error as one line of what and one line of what to do, on stderr."""
    if os.environ.get("GOLDBAKE_DEBUG") == "1":
        traceback.print_exception(error)
    sys.stderr.write(redact(f"error: {error.message}\n"))
    if error.hint:
        sys.stderr.write(redact(f"hint: {error.hint}\n"))


def emit(text: str, document: Any, *, as_json: bool) -> None:
    """Print a task's result on stdout: `text` for people, or `document` as one JSON document."""
    print(json.dumps(document, indent=2, sort_keys=False) if as_json else text, flush=True)


def emit_each(results: Sequence[tuple[str, Any]], *, as_json: bool, single: bool | None = None) -> None:
    """Print one or more results, each as (text, document). JSON: one document when one was asked for (`single`), else a list."""
    if (len(results) == 1) if single is None else single:
        for text, document in results:
            emit(text, document, as_json=as_json)
    elif results or as_json:
        emit("\n\n".join(text for text, _ in results), [document for _, document in results], as_json=as_json)


def raise_worst(errors: Sequence[GoldbakeError]) -> None:
    """Report all errors but the one with the highest exit code, and raise that; nothing when there is none."""
    if not errors:
        return
    worst = max(errors, key=lambda error: error.exit_code)
    for error in errors:
        if error is not worst:
            report(error)
    raise worst


def confirmed(plan: object, text: str, document: Any, *, yes: bool, as_json: bool) -> bool:
    """Whether a plan is to be carried out: with `--yes`, or after a question on a terminal. Otherwise the plan is the result, and nothing happens."""
    if yes and plan:
        return True
    emit(text, {"plan": document}, as_json=as_json)
    if not plan:
        return False
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write("nothing was removed; add --yes to do it\n")
        return False
    sys.stderr.write("remove all of this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    sys.stderr.write("nothing was removed\n")
    return False


def words_from(text: str) -> tuple[str, ...]:
    """The words of a flag that takes several with commas: each once, in their order."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def clouds_from(text: str, *, most: int | None = None) -> tuple[Cloud, ...]:
    """The clouds that a `--cloud` flag names, separated by commas; empty means all of them.

    Raises UsageError for a word that is no cloud, or for more than `most` of them.
    """
    words = words_from(text) or tuple(Cloud)
    unknown = [word for word in words if word not in set(Cloud)]
    if unknown:
        raise UsageError(f"there is no cloud {unknown[0]!r}", hint=f"clouds: {', '.join(Cloud)}")
    if most is not None and len(words) > most:
        raise UsageError(f"--cloud takes one cloud here, not {len(words)}", hint=f"name one of {', '.join(Cloud)}")
    return tuple(Cloud(word) for word in words)


def _interrupted(what: str, code: int, error: BaseException) -> NoReturn:
    if os.environ.get("GOLDBAKE_DEBUG") == "1":
        traceback.print_exception(error)
    sys.stderr.write(f"error: {what}; everything that was started has been removed\nhint: run the same command again\n")
    raise InvokeExit(code=code) from error
