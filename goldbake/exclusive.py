"""One process (and thread) at a time: a lock file whose holder can be named."""

from __future__ import annotations

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


def _acquire(
    lock: filelock.BaseFileLock,
    holder: Callable[[], str],
    what: str,
    progress: Progress,
    timeout: float | None,
    stop: threading.Event | None,
) -> None:
    began = time.monotonic()
    told = False
    while True:
        try:
            lock.acquire(timeout=0.2 if told else 0)
            return
        except filelock.Timeout as error:
            if not told:
                progress.info(f"waiting for {what}: {holder()} holds {lock.lock_file}")
                told = True
            if timeout is not None and time.monotonic() - began >= timeout:
                raise GoldbakeError(f"{what} is busy: {holder()} holds {lock.lock_file}", hint="wait for it to end, or end it") from error
            if stop is not None and stop.is_set():
                raise GoldbakeError(f"{what} was not waited for: this run is ending") from error


def _holder(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
