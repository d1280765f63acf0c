"""One process at a time: a lock file whose holder can be named."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from goldbake.errors import GoldbakeError
from goldbake.log import Progress


@contextmanager
def exclusive(path: Path, what: str, progress: Progress, *, timeout: float = -1.0) -> Iterator[None]:
    """Hold the lock file `path` for the block; while another holds it, say once who does and wait.

    `timeout` is in seconds, negative means for ever. The kernel frees the lock of a process that died, however it died.
    Raises GoldbakeError when the time is over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    note = path.with_name(path.name + ".holder")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        progress.info(f"waiting for {what}: {_holder(note)} holds {path}")
        try:
            lock.acquire(timeout=timeout)
        except filelock.Timeout as error:
            raise GoldbakeError(
                f"{what} is still busy after {timeout:.0f} s: {_holder(note)} holds {path}", hint="wait for it to end, or end it"
            ) from error
    try:
        note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
