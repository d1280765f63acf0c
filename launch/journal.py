"""What was asked for, on disk before the first create call: one JSON file per launch, without any secret.

The process that works on a launch holds its lock; the kernel frees it when that process dies, however it dies. A journal whose lock is
free and whose state is not `running` is what a killed process left.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import filelock

from goldbake.clouds import tags
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from goldbake.exclusive import is_held

BAKE = "bake-"
"""How the launch id of what a bake has made begins; a launch's own id has no hyphen."""

_LOOK_S = 0.5
"""How long a lock may be held by somebody who only looks whether it is: that is not being at work on the launch."""


def launch_of(found: Mapping[str, str]) -> str:
    """The launch, or `bake-ID`, whose tags these are; empty: nobody's."""
    return found.get(tags.LAUNCH) or (f"{BAKE}{found[tags.BAKE]}" if tags.BAKE in found else "")


class State(StrEnum):
    """How far a launch is."""

    CREATING = "creating"
    RUNNING = "running"
    REMOVING = "removing"
    AGENTS_LEFT = "agents-left"
    """All machines are gone; agents are still registered in the pool."""


@dataclass(frozen=True)
class Entry:
    """One launch. `created` and `expires` are seconds since 1970."""

    launch_id: str
    cloud: Cloud
    image: str
    artifact: str
    organization: str
    pool: str
    pool_id: int
    prefix: str
    count: int
    created: float
    expires: int
    state: State = State.CREATING
    simulated: bool = False
    """Whether the service was the simulated one, which may be gone by now."""
    options: dict[str, str] = field(default_factory=dict)
    """What the cloud wants to remember, as the engine of this machine."""
    instances: dict[str, str] = field(default_factory=dict)
    """Instance id → agent name."""


class Journal:
    """The folder of all launches of this user on this machine. `bakes` is the folder in which each bake that runs holds a lock."""

    def __init__(self, folder: Path, *, bakes: Path | None = None) -> None:
        self._folder = folder
        self._bakes = bakes or folder.parent / "bakes"
        self._mutex = threading.RLock()

    @contextmanager
    def locked(self, launch_id: str) -> Iterator[None]:
        """Work on a launch. Raises GoldbakeError when another process does."""
        self._lock(launch_id).parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._lock(launch_id), thread_local=False)
        try:
            lock.acquire(timeout=_LOOK_S)
        except filelock.Timeout as error:
            raise GoldbakeError(
                f"another goldbake is at work on {launch_id if launch_id.startswith(BAKE) else f'launch {launch_id}'}",
                hint="wait for it to end, or end it with Ctrl-C: it then removes what it made",
            ) from error
        try:
            yield
        finally:
            if not self._path(launch_id).exists():
                self._lock(launch_id).unlink(missing_ok=True)  # while it is held, so nobody else's is removed
            lock.release()

    def is_locked(self, launch_id: str) -> bool:
        """Whether a process is at work on this launch right now."""
        return is_held(self._lock(launch_id))

    def is_known(self, launch_id: str) -> bool:
        """Whether a launch or a bake was begun here: its entry or its lock is here."""
        return self._path(launch_id).exists() or self._lock(launch_id).exists()

    def write(self, entry: Entry) -> None:
        """Put the entry on disk, whole, before this returns."""
        path = self._path(entry.launch_id)
        partial = path.with_suffix(".partial")
        with self._mutex:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                json.dump(asdict(entry), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(self._folder)

    def note_instances(self, launch_id: str, agents: Mapping[str, str]) -> None:
        """Remember instances, each with the name of its agent; several threads may call it."""
        if not agents:
            return
        with self._mutex:
            found = self.read(launch_id)
            if found is None:
                raise GoldbakeError(
                    f"the journal of launch {launch_id} is gone from {self._folder}", hint=f"`./inv destroy --launch {launch_id}`"
                )
            self.write(replace(found, instances={**found.instances, **agents}))

    def set_state(self, entry: Entry, state: State) -> Entry:
        """Write the entry with another state."""
        changed = replace(entry, state=state)
        self.write(changed)
        return changed

    def read(self, launch_id: str) -> Entry | None:
        """The entry of a launch; None when there is none that can be read."""
        return _read(self._path(launch_id))

    def all(self) -> list[Entry]:
        """Every readable entry, oldest first."""
        found = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.created)

    def remove(self, launch_id: str) -> None:
        """Forget a launch: nothing of it is left."""
        self._path(launch_id).with_suffix(".partial").unlink(missing_ok=True)
        self._path(launch_id).unlink(missing_ok=True)

    def _path(self, launch_id: str) -> Path:
        return self._folder / f"{launch_id}.json"

    def _lock(self, launch_id: str) -> Path:
        if launch_id.startswith(BAKE):
            return self._bakes / f"{launch_id.removeprefix(BAKE)}.lock"
        return self._folder / f"{launch_id}.lock"


def _read(path: Path) -> Entry | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Entry(**{**data, "cloud": Cloud(data["cloud"]), "state": State(data["state"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
