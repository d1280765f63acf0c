"""An artifact as a folder, for containers: unpacked once, mounted read-only once, shared by all instances of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from goldbake import proc
from goldbake.exclusive import exclusive
from goldbake.local import leftovers
from goldbake.local.disk import MIB, ROOT_START_MIB
from goldbake.log import Progress
from goldbake.paths import Paths

_in_process = threading.Lock()
_BUSY_S = 5.0
"""How long an overlay that was unmounted lazily a moment ago may hold a mount. Unmounted lazily itself, it would keep its loop device as long."""
_WANTED_S = 600.0
"""How long a disk is kept for the launch that has asked for it and not mounted it yet."""


class RootDisks:
    """The unpacked artifacts in the cache, and their mounts below `folder`."""

    def __init__(self, paths: Paths, folder: Path) -> None:
        self._cache = paths.cache / "disks"
        self._mounts = folder / ".images"

    def unpack(self, artifact: Path, sha256: str, progress: Progress) -> None:
        """Have the raw disk of a qcow2 in the cache; 4 s and 1.5 GB the first time. Those go that no instance uses and no launch has lately asked for."""
        raw = self._raw(sha256)
        with exclusive(self._cache / "disks.lock", "the cache of disks", progress):
            if _is_wanted(raw):
                return
            used = set(leftovers.loop_devices_of(self._cache, files=True))
            for old in self._cache.glob("*.raw*"):
                if str(old) not in used and time.time() - old.stat().st_mtime > _WANTED_S:
                    old.unlink()
            with progress.stage("unpack"):
                partial = raw.with_name(raw.name + ".partial")
                proc.run(["qemu-img", "convert", "-O", "raw", "-W", "-m", "8", artifact, partial])
                partial.replace(raw)

    def mount(self, sha256: str) -> Path:
        """The root file system of the unpacked artifact, read-only; mounted when it is not yet."""
        point = self.point(sha256)
        with self._locked():
            if not os.path.ismount(point):
                point.mkdir(parents=True, exist_ok=True)
                proc.run(["mount", "-o", f"loop,ro,noload,offset={ROOT_START_MIB * MIB}", self._raw(sha256), point])
        return point

    def release(self, sha256: str, is_used: Callable[[], bool]) -> None:
        """Unmount it, unless `is_used` says that somebody still needs it; nobody can mount it between the question and the act."""
        point = self.point(sha256)
        with self._locked():
            if is_used():
                return
            deadline = time.monotonic() + _BUSY_S
            while os.path.ismount(point):
                if proc.run(["umount", point], check=False).code == 0:
                    continue
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                else:
                    proc.run(["umount", "--lazy", point])
            for folder in (point, self._mounts):
                with contextlib.suppress(OSError):  # it is gone, or another artifact is mounted beside it
                    folder.rmdir()

    def release_unused(self, is_used: Callable[[str], bool]) -> None:
        """Take away every mount that nobody needs; `is_used` is asked with the beginning of the artifact's SHA-256."""
        for point in self.points():
            self.release(point.name, lambda point=point: is_used(point.name))  # type: ignore[misc]

    def point(self, sha256: str) -> Path:
        """Where it is mounted."""
        return self._mounts / sha256[:16]

    def points(self) -> list[Path]:
        """Everything below the folder: mounts, and folders that a killed process left without one."""
        return sorted(self._mounts.glob("*")) or ([self._mounts] if self._mounts.is_dir() else [])

    def _raw(self, sha256: str) -> Path:
        return self._cache / f"{sha256[:16]}.raw"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._cache.mkdir(parents=True, exist_ok=True)
        with _in_process, filelock.FileLock(self._cache / "mounts.lock", timeout=60, thread_local=False):
            yield


def _is_wanted(raw: Path) -> bool:
    """Whether the disk is there; it is kept for a while from now on."""
    try:
        os.utime(raw)
    except FileNotFoundError:
        return False
    return True
