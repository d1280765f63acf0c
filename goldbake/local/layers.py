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

    Only processes whose command line names a path below `work` are ended. Returns what was found, for the log.
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
    shutil.rmtree(work)
    return found + [f"files of {name}" for name in leftovers]


def _processes_of(work: Path) -> list[tuple[int, str]]:
    found = []
    marker = str(work).encode() + b"/"
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker in words:
            found.append((int(folder.name), Path(words.split(b"\0")[0].decode(errors="replace")).name))
    return found


def _loop_devices_of(work: Path) -> list[str]:
    listing = json.loads(proc.run(["losetup", "--json", "--list"]).stdout or '{"loopdevices": []}')
    return [item["name"] for item in listing["loopdevices"] if str(item.get("back-file", "")).startswith(f"{work}/")]
