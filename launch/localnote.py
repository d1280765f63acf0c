"""What the folder of a local instance says about it: its note, its console, its names."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from goldbake.config.model import Cloud
from launch.base import Instance

_CONSOLE_BYTES = 256 * 1024


class Engine(StrEnum):
    """How this machine runs an instance."""

    VM = "vm"
    CONTAINER = "container"


@dataclass(frozen=True)
class Note:
    """What an instance's folder says about it: the four tags, and what its removal needs. On disk before anything starts."""

    tags: dict[str, str]
    number: int
    engine: Engine
    sha256: str
    created: float
    reach: str = ""
    gpus: list[str] = field(default_factory=list)
    online: bool = False

    @property
    def expires(self) -> int:
        return int(self.tags["goldbake-expires"])


NOTE = "instance.json"


def within(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing when it has gone."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def id_of(folder: Path) -> str:
    """The instance's id: the launch and its number."""
    return f"{folder.parent.name}-{folder.name}"


def group_of(folder: Path) -> str:
    """The name of its control group."""
    return f"goldbake-{id_of(folder)}"


def instance_of(folder: Path, note: Note) -> Instance:
    """The instance as everybody else knows it."""
    return Instance(
        cloud=Cloud.LOCAL,
        launch_id=folder.parent.name,
        number=note.number,
        id=id_of(folder),
        image=note.tags["goldbake-image"],
        place="local",
        created=note.created,
        expires=note.expires,
        reach=note.reach,
        kind=note.engine.value,
    )


def write(folder: Path, note: Note) -> None:
    """Put the note on disk, whole, before this returns."""
    partial = folder / f"{NOTE}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(asdict(note), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / NOTE)


def read(folder: Path) -> Note | None:
    """The note; None when there is none that can be read."""
    try:
        data: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return Note(**{**data, "engine": Engine(data["engine"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def console_of(folder: Path) -> str:
    """The end of what the instance has printed."""
    try:
        with (folder / "console.log").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _CONSOLE_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
