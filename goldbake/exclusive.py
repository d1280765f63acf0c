"""One process (and thread) at a time: a lock file whose holder can be named."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from goldbake.errors import GoldbakeError
from goldbake.log import Progress

_NAME_S = 1.0
"""How long whoever has just got the lock has to write its name, before it is told as somebody without one."""


@contextmanager
def exclusive(
    path: Path, what: str, progress: Progress, *, timeout: float | None = None, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold the lock file `path` for the block; while another holds it, say once who does and wait.

    `timeout` is in seconds, None means for ever. The kernel frees the lock of a process that died, however it died.
    Raises GoldbakeError when the time is over or `stop` is set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    note = path.with_name(path.name + ".holder")
    _acquire(lock, lambda: _holder(note), what, progress, timeout, stop)
    try:
        note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path` right now. A file that is not there is not made."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # filelock's own lock, for a moment
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _acquire(
    lock: filelock.BaseFileLock,
    holder: Callable[[], str],
    what: str,
    progress: Progress,
    timeout: float | None,
    stop: threading.Event | None,
) -> None:
    began = time.monotonic()
    asked = told = False
    while True:
        try:
            lock.acquire(timeout=0.2 if asked else 0)
            return
        except filelock.Timeout as error:
            asked, waited, name = True, time.monotonic() - began, holder()
            held = f"{name or 'another process'} holds {lock.lock_file}"
            if not told and (name or waited >= _NAME_S):
                progress.info(f"waiting for {what}: {held}")
                told = True
            if timeout is not None and waited >= timeout:
                raise GoldbakeError(f"{what} is busy: {held}", hint="wait for it to end, or end it") from error
            if stop is not None and stop.is_set():
                raise GoldbakeError(f"{what} was not waited for: this run is ending") from error


def _holder(note: Path) -> str:
    """Who holds the lock; empty while it has not said so."""
    try:
        return note.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
