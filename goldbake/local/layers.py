"""Layers of local bakes on disk: one folder per fingerprint, stacked by overlayfs, kept until pruned.

<cache>/layers/<fingerprint>/root    what this layer adds
<cache>/layers/<fingerprint>/done    written last: without it the layer does not exist
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple

from goldbake import proc
from goldbake.local import container


class Layers:
    """The store of layers below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, fingerprint: str) -> bool:
        return (self._folder / fingerprint / "done").exists()

    def root(self, fingerprint: str) -> Path:
        """The folder of a finished layer."""
        return self._folder / fingerprint / "root"

    def seconds(self, fingerprint: str) -> float:
        """How long this layer took when it was made."""
        return float(json.loads((self._folder / fingerprint / "done").read_text())["seconds"])

    def keep(self, fingerprint: str, made: Path, seconds: float) -> None:
        """Take over the folder `made` (same file system) as the layer `fingerprint`."""
        target = self._folder / fingerprint
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        made.rename(target / "root")
        (target / "done").write_text(json.dumps({"seconds": round(seconds, 3)}) + "\n")


def clean_up_after_killed_runs(work: Path) -> list[str]:
    """Remove what a run that was killed without warning left below `work`: its processes, mounts, loop devices and files.

    Only processes whose command line names a path below `work`, and their sessions, are ended. Returns what was found, for the log.
    """
    if not work.exists():
        return []
    found = [f"process {pid} ({name})" for pid, name in _processes_of(work)]
    for pid, _ in _processes_of(work):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + 10
    while _processes_of(work) and time.monotonic() < deadline:
        time.sleep(0.1)
    container.unmount_below(work)
    for device in _loop_devices_of(work):
        found.append(f"loop device {device}")
        proc.run(["losetup", "--detach", device], check=False)
    leftovers = [path.name for path in work.iterdir()]
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found + [f"files of {name}" for name in leftovers]


def _processes_of(work: Path) -> list[tuple[int, str]]:
    """Processes whose command line names a path below `work`, and those of the sessions that such a process leads."""
    marker = str(work).encode() + b"/"
    all_processes = [found for found in map(_process, Path("/proc").iterdir()) if found is not None and found.pid != os.getpid()]
    marked = [process for process in all_processes if marker in process.words]
    leaders = {process.pid for process in marked if process.session == process.pid}
    others = [process for process in all_processes if process.session in leaders and process not in marked]
    return [(process.pid, process.name) for process in marked + others]


class _Process(NamedTuple):
    pid: int
    session: int
    words: bytes

    @property
    def name(self) -> str:
        return Path(self.words.split(b"\0")[0].decode(errors="replace")).name


def _process(folder: Path) -> _Process | None:
    if not folder.name.isdigit():
        return None
    try:
        # The program's name, in parentheses, may hold anything; session is the fourth field after it (proc(5)).
        session = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
        return _Process(int(folder.name), session, (folder / "cmdline").read_bytes())
    except OSError:
        return None


def _loop_devices_of(work: Path) -> list[str]:
    listing = json.loads(proc.run(["losetup", "--json", "--list"]).stdout or '{"loopdevices": []}')
    return [item["name"] for item in listing["loopdevices"] if str(item.get("back-file", "")).startswith(f"{work}/")]
