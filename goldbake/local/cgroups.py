"""A control group per container, made by us: what runs in it is found and ended by the kernel's own list, however it hid.

systemd-nspawn with `--keep-unit` works in the group that it is started in; two in one group would share, and stop, each other's services.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from goldbake.errors import MissingError

ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
"""`sh -c ENTER sh GROUP… -- PROGRAM…`: the program, in these groups."""

_REMOVE_S = 5.0


def hierarchies(mounts: Path = Path("/proc/mounts"), home: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """Where systemd keeps its groups on this machine: the unified hierarchy, its own named one, or both.

    Only what is mounted at or below `home` counts, where systemd has them: where there are both, systemd-nspawn mounts one of them under /tmp too,
    for a moment of every start (systemd 252, src/nspawn/nspawn-cgroup.c: sync_cgroup).
    """
    found = []
    for line in mounts.read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        is_systemds = kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(","))
        if is_systemds and Path(point).is_relative_to(home):
            found.append(Path(point))
    return found


def make(name: str) -> list[Path]:
    """Make the group `name` in every hierarchy. Raises MissingError where the machine has none."""
    folders = [top / name for top in hierarchies()]
    if not folders:
        raise MissingError("this machine has no control groups for systemd", hint="mount -t cgroup2 none /sys/fs/cgroup")
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


def named(prefix: str) -> set[str]:
    """Names of the groups that begin with `prefix`."""
    return {folder.name for top in hierarchies() for folder in top.glob(f"{prefix}*") if folder.is_dir()}


def processes(name: str) -> set[int]:
    """Ids of all processes in the group and in those below it."""
    return {pid for top in hierarchies() for folder in _below(top / name) for pid in _listed(folder)}


def has_leader(name: str) -> bool:
    """Whether systemd-nspawn runs in the group: it keeps itself in one called `supervisor`. Cheap: two small files per hierarchy."""
    return any(_listed(top / name) or _listed(top / name / "supervisor") for top in hierarchies())


def remove(name: str) -> None:
    """Remove the group and those below it; the kernel needs a moment after the last process."""
    deadline = time.monotonic() + _REMOVE_S
    while not _removed(name) and time.monotonic() < deadline:
        time.sleep(0.02)


def _removed(name: str) -> bool:
    done = True
    for top in hierarchies():
        for folder in reversed(_below(top / name)):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                done = False
    return done


def _below(group: Path) -> list[Path]:
    """The group and those below it, parents first; a group may go at any moment."""
    return [Path(folder) for folder, _, _ in os.walk(group)]


def _listed(group: Path) -> set[int]:
    try:
        return {int(word) for word in (group / "cgroup.procs").read_text().split()} - {0}
    except OSError:  # it went, or is a threaded one
        return set()
