"""Looking for copies of a secret: in files and folders, on whole disks, in documents, and in the command line and environment of every process.

As a program it is the sampler of processes: the secret comes in by standard input, because its own arguments are searched too.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 8 << 20


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, in base64 behind whatever user name (three alignments), and in UTF-16 as .NET keeps text."""
    plain = secret.encode()
    found = [plain, plain.decode().encode("utf-16-le")]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain)
        begin = (before * 8 + 5) // 6  # the first letter that is made of the secret alone
        end = (before + len(plain)) * 8 // 6
        found.append(encoded[begin:end])
    return found


def in_text(text: str | bytes, secret: str) -> bool:
    """Whether a text holds the secret in any form."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    return any(form in data for form in forms(secret))


def in_file(path: Path, secret: str) -> bool:
    """Whether a file or disk of any size holds the secret in any form; holes are not read."""
    wanted = forms(secret)
    overlap = max(map(len, wanted)) - 1
    with path.open("rb", buffering=0) as file:
        at, rest = _data_after(file.fileno(), 0), b""
        while at is not None:
            file.seek(at)
            data = file.read(_CHUNK)
            if not data:
                break
            if any(form in rest + data for form in wanted):
                return True
            after = at + len(data)
            at = _data_after(file.fileno(), after)
            rest = (rest + data)[-overlap:] if at == after else b""
    return False


def in_folder(folder: Path, secret: str, besides: Collection[str] = ()) -> list[str]:
    """The files below a folder, symbolic links aside, that hold the secret in their content or name; not in its subfolders `besides`."""
    found = []
    for top, folders, names in os.walk(folder):
        if Path(top) == folder:
            folders[:] = [name for name in folders if name not in besides]
        for name in names:
            path = Path(top, name)
            if secret in name:
                found.append(str(path))
            elif path.is_file() and not path.is_symlink():
                try:
                    holds = in_file(path, secret)
                except OSError as error:  # it went meanwhile, or is a namespace's and has no bytes
                    if error.errno not in (errno.ENOENT, errno.EINVAL, errno.ESPIPE):
                        raise
                    continue
                if holds:
                    found.append(str(path))
    return found


def _data_after(handle: int, at: int) -> int | None:
    """Where the next written byte is, None at the end; a file system that knows no holes has them everywhere."""
    try:
        return os.lseek(handle, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL:
            return at
        raise


@dataclass(frozen=True)
class Sighting:
    """A process that had the secret: from `first` to `last`, seconds since 1970."""

    kind: str
    """`cmdline` or `environ`."""
    pid: int
    words: str
    """Its command line, without the secret."""
    leader: str
    """The command line of the first process of its session."""
    first: float
    last: float

    @property
    def is_registration(self) -> bool:
        """config.sh, which becomes the listener, or what one of the two started."""
        return self.kind == "environ" and any(
            "config.sh" in text or "Agent.Listener configure" in text for text in (self.words, self.leader)
        )


class Sampler:
    """Reads `/proc` as fast as it can, on this host and so in all of its containers, in a process of its own."""

    def __init__(self, secret: str, pause: float) -> None:
        command = [sys.executable, __file__, str(pause)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(secret + "\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline() == "ready\n"
        self.sightings: list[Sighting] = []
        self.rounds = 0
        self.longest = 0.0
        """Seconds of the longest round, in which something may have been missed."""

    def stop(self) -> None:
        self._child.send_signal(signal.SIGTERM)
        output, _ = self._child.communicate(timeout=120)
        document: dict[str, Any] = json.loads(output)
        self.rounds, self.longest = document["rounds"], document["longest"]
        self.sightings = [Sighting(**entry) for entry in document["sightings"]]


@contextmanager
def sampler(secret: str, pause: float = 0.0) -> Iterator[Sampler]:
    """Sample while the block runs; the result is there after it."""
    found = Sampler(secret, pause)
    try:
        yield found
    finally:
        found.stop()


def _sample(secret: bytes, pause: float) -> dict[str, Any]:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    print("ready", flush=True)
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    rounds, longest = 0, 0.0
    while not stopped or not rounds:
        began = time.monotonic()
        rounds += 1
        for name in os.listdir("/proc"):  # noqa: PTH208 (this loop is to be fast)
            if not name.isdigit():
                continue
            now = time.time()
            stat, words, environ = _look(name, secret)
            for kind, data in (("cmdline", words), ("environ", environ)):
                if secret in data:
                    _note(seen, kind, int(name), now, stat, words, secret)
        longest = max(longest, time.monotonic() - began)
        time.sleep(pause)
    return {"rounds": rounds, "longest": longest, "sightings": list(seen.values())}


def _look(name: str, secret: bytes) -> tuple[bytes, bytes, bytes]:
    """Stat, words and environment of one and the same program: a process may become another between the looks."""
    while True:
        stat = _read(f"/proc/{name}/stat")  # first: it may be gone when its environment has been read
        words, environ = _read(f"/proc/{name}/cmdline"), _read(f"/proc/{name}/environ")
        if secret not in words and secret not in environ:
            return stat, words, environ
        again = _read(f"/proc/{name}/cmdline")
        if not again or (again == words and _session(_read(f"/proc/{name}/stat")) == _session(stat)):
            return stat, words, environ


def _session(stat: bytes) -> bytes:
    return b"".join(stat.rpartition(b")")[2].split()[3:4])


def _note(seen: dict[tuple[str, int], dict[str, Any]], kind: str, pid: int, now: float, stat: bytes, words: bytes, secret: bytes) -> None:
    if (kind, pid) not in seen:
        fields = stat.rpartition(b")")[2].split()
        leader = _read(f"/proc/{int(fields[3])}/cmdline") if len(fields) > 3 else b""
        text = [data.replace(secret, b"***").replace(b"\0", b" ").decode(errors="replace").strip() for data in (words, leader)]
        seen[kind, pid] = {"kind": kind, "pid": pid, "words": text[0], "leader": text[1], "first": now}
    seen[kind, pid]["last"] = now


def _read(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        data = b""
        while part := os.read(handle, 1 << 20):
            data += part
        return data
    except OSError:
        return b""
    finally:
        os.close(handle)


def _main(arguments: Sequence[str]) -> None:
    print(json.dumps(_sample(sys.stdin.readline().rstrip("\n").encode(), float(arguments[0]))))


if __name__ == "__main__":
    _main(sys.argv[1:])
