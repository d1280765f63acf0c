"""What of this machine belongs to a folder: processes, mounts and loop devices; and taking all of it away again.

A folder's path in a command line is what ties a process to it: a process id in a file would be another program's after a while.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from goldbake import proc

_KILL_S = 10.0
_ENDED = ("Z", "X")
_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD in the flags of a process (include/linux/sched.h)."""
_EXEC_LOOKS, _EXEC_S = 50, 0.002
"""While a process calls execve its command line is empty: looks, and seconds between them, until it counts as one without words."""


class Process(NamedTuple):
    """A running process."""

    pid: int
    session: int
    words: bytes
    """Its command line, NUL after each argument."""

    @property
    def name(self) -> str:
        return Path(self.words.split(b"\0")[0].decode(errors="replace")).name


def processes_of(folder: Path, also: Collection[int] = (), programs: Collection[str] | None = None) -> list[Process]:
    """Processes whose command line names a path below `folder`, those of the sessions that such a process leads, and those whose ids are `also`.

    `also` is for what hides both, as the processes of a container do: see `cgroups.processes`. With `programs` a command line counts only
    when it is of one of them, so that a person who reads a log there is left alone.
    """
    marker = str(folder).encode() + b"/"
    everything = [found for found in map(_process, Path("/proc").iterdir()) if found is not None and found.pid != os.getpid()]
    marked = [process for process in everything if marker in process.words and (programs is None or process.name in programs)]
    leaders = {process.pid for process in marked if process.session == process.pid}
    found = {process.pid for process in marked} | set(also)
    return [process for process in everything if process.pid in found or process.session in leaders]


def end_processes_of(folder: Path, also: Callable[[], Collection[int]] = tuple, programs: Collection[str] | None = None) -> list[Process]:
    """Kill them and wait until they have ended, at most 10 seconds. Returns those that were found first.

    They are looked for again until there are none: a process may have started another meanwhile.
    """
    first = found = processes_of(folder, also(), programs)
    killed: set[int] = set()
    deadline = time.monotonic() + _KILL_S
    while (found or killed) and time.monotonic() < deadline:
        for process in found:
            killed.add(process.pid)
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        killed = {pid for pid in killed if not has_ended(pid)}
        found = processes_of(folder, also(), programs)
    return first


def has_ended(pid: int) -> bool:
    """Whether nothing of a process is left but its exit code.

    A process that ends gives up its memory first, and its command line with it; only then its files, their locks and its devices. Its
    first thread is a zombie already while its other threads still do so.
    """
    process = Path(f"/proc/{pid}")
    try:
        return _fields(process)[0] in _ENDED and len(list((process / "task").iterdir())) <= 1
    except OSError:
        return True


def living_in(folder: Path) -> set[int]:
    """Ids of the processes whose root is an overlay with its upper layer below `folder`: those of a container whose starter was killed.

    Nothing in their command lines names the folder.
    """
    marker = f"upperdir={folder}/"
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (process / "mountinfo").read_text(errors="replace").splitlines()
        except OSError:
            continue
        if any(line.split()[4] == "/" and marker in line for line in mounts):
            found.add(int(process.name))
    return found


def mounts_below(folder: Path) -> list[str]:
    """Mount points below `folder`, deepest first."""
    prefix = str(folder) + "/"
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((point for point in mounted if point.startswith(prefix)), key=len, reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount whatever is mounted below `folder`, deepest first."""
    for point in mounts_below(folder):
        proc.run(["umount", "--lazy", point])


def loop_devices_of(folder: Path, *, files: bool = False) -> list[str]:
    """Loop devices whose file lies below `folder`; with `files` those files instead."""
    listing = json.loads(proc.run(["losetup", "--json", "--list"]).stdout or '{"loopdevices": []}')
    of = [(str(item["name"]), str(item.get("back-file", ""))) for item in listing["loopdevices"]]
    return [file if files else name for name, file in of if file.startswith(f"{folder}/")]


def sweep(work: Path) -> list[str]:
    """Remove what a run that was killed without warning left below `work`: its processes, mounts, loop devices and files.

    Returns what was found, for the log.
    """
    if not work.exists():
        return []
    found = [f"process {process.pid} ({process.name})" for process in end_processes_of(work, lambda: living_in(work))]
    unmount_below(work)
    for device in loop_devices_of(work):
        found.append(f"loop device {device}")
        proc.run(["losetup", "--detach", device], check=False)
    leftovers = [path.name for path in work.iterdir()]
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found + [f"files of {name}" for name in leftovers]


def _process(folder: Path) -> Process | None:
    if not folder.name.isdigit():
        return None
    try:
        fields = _fields(folder)
        words = (folder / "cmdline").read_bytes()
        for _ in range(_EXEC_LOOKS):
            if words or fields[0] in _ENDED or int(fields[6]) & _KERNEL_THREAD:
                break
            time.sleep(_EXEC_S)  # it becomes another program just now, whose words are not there yet
            words = (folder / "cmdline").read_bytes()
        return Process(int(folder.name), int(fields[3]), words)
    except OSError:
        return None


def _fields(process: Path) -> list[str]:
    """State, session, flags and so on of a folder of /proc: what follows the program's name, which may hold anything between its parentheses (proc(5))."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
