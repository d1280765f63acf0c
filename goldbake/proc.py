"""The only door through which a process starts.

Arguments are lists, never shell text. A child gets a small environment (PATH, HOME, locale, proxy and certificate names) plus what the
caller names, so no token of this process reaches a program that has no business with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from goldbake.errors import MissingError, ProcessError
from goldbake.secret import redact

PASSED_ON = (
    "PATH", "HOME", "TERM", "TMPDIR", "USER", "LOGNAME",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOFLAGS", "GOTOOLCHAIN",
)  # fmt: skip
"""Names of environment variables that every child may see: none of them is a credential of ours."""

_KEPT_LINES = 40
_STOP_S = 20.0


@dataclass(frozen=True)
class Result:
    """What a finished program left: exit code and its two outputs as text."""

    code: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: the names of `PASSED_ON`, a fixed locale, and `extra`."""
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    sbin = "/usr/local/sbin:/usr/sbin:/sbin"
    env["PATH"] = f"{env.get('PATH', '/usr/bin:/bin')}:{sbin}"
    env["LC_ALL"] = "C.UTF-8"
    env.update(extra or {})
    return env


def find(program: str) -> Path | None:
    """Where `program` is on PATH (the sbin folders included), or None."""
    found = shutil.which(program, path=environment()["PATH"])
    return Path(found) if found else None


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> Result:
    """Run a program to its end and return what it printed.

    Raises MissingError when it is not installed, ProcessError when it fails (`check`) or outlives `timeout` seconds.
    """
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(  # noqa: PLW1510 (failure() below has the output)
            command,
            env=environment(env),
            cwd=cwd,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=timeout,
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}),
        )
    except FileNotFoundError as error:
        raise missing(command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{command[0]} did not end within {timeout:.0f} s", hint=f"it was: {shown(command)}") from error
    if check and done.returncode != 0:
        raise failure(command, done.returncode, done.stderr.strip() or done.stdout.strip())
    return Result(done.returncode, done.stdout, done.stderr)


def stream(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop: threading.Event | None = None,
    grace: float = _STOP_S,
) -> None:
    """Run a program and hand each line that it prints (both outputs) to `on_line`.

    When this process is interrupted, or `stop` is set, the program gets SIGTERM, `grace` seconds, then SIGKILL. Raises ProcessError.
    """
    command = [str(part) for part in argv]
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    with started(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, grace=grace) as child:
        watcher = _watch(child, stop, grace) if stop is not None else None
        assert child.stdout is not None
        for raw in child.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            tail.append(line)
            on_line(line)
        code = child.wait()
        if watcher is not None:
            watcher.join()
    if code != 0:
        raise failure(command, code, "\n".join(tail))


@contextmanager
def started(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    grace: float = _STOP_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """A running program in a process group of its own; it is gone when the block ends, however it ends.

    A terminal's Ctrl-C does not reach it directly: it gets SIGTERM from here, `grace` seconds, then SIGKILL.
    """
    command = [str(part) for part in argv]
    try:
        child = subprocess.Popen(command, env=environment(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)
    except FileNotFoundError as error:
        raise missing(command[0]) from error
    try:
        yield child
    finally:
        stop_child(child, grace)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # what was not yet written has no reader any more
                    pass


def detached(argv: Sequence[str | Path], log: Path, *, cwd: Path | None = None) -> None:
    """Start a program that goes on after this process, in a session of its own; what it prints goes to `log`.

    Nothing here waits for it or knows its id: it is found by its command line. Raises MissingError when it is not installed.
    """
    command = [str(part) for part in argv]
    if find(command[0]) is None:
        raise missing(command[0])
    with log.open("ab") as output:
        subprocess.run(
            ["setsid", "--fork", *command],
            env=environment(),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # at once: a terminal's Ctrl-C would reach it until it has one by itself
            check=True,
        )


def stop_child(child: subprocess.Popen[bytes], grace: float = _STOP_S) -> None:
    """End `child`: SIGTERM, up to `grace` seconds, then SIGKILL to its whole group."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def shown(command: Sequence[str]) -> str:
    """The command as a person can paste it, secrets blanked."""
    return redact(shlex.join(command))


def failure(command: Sequence[str], code: int, output: str) -> ProcessError:
    """The error of a program that ended with `code`."""
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    last = redact(output).strip()
    text = f"{Path(command[0]).name} {how}"
    if last:
        text += ":\n" + "\n".join("    " + line for line in last.splitlines()[-_KEPT_LINES:])
    return ProcessError(text, hint=f"run it by hand: {shown(command)}", code=code, output=last)


def missing(program: str) -> MissingError:
    """The error of a program that is not installed."""
    return MissingError(f"{program} is not installed", hint="run `./inv doctor` to see what is missing and how to get it")


def _watch(child: subprocess.Popen[bytes], stop: threading.Event, grace: float) -> threading.Thread:
    def wait() -> None:
        while child.poll() is None:
            if stop.wait(0.2):
                stop_child(child, grace)
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
