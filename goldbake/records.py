"""What was baked: one JSON file per artifact, and the rule that a changed or missing artifact is never offered."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from goldbake.config.model import Cloud


class Stat(BaseModel):
    """A file's identity when its SHA-256 was taken: while it is the same, the file is not read again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stat:
        info = path.stat()
        return cls(size=info.st_size, mtime_ns=info.st_mtime_ns, ctime_ns=info.st_ctime_ns, inode=info.st_ino)


class Checks(BaseModel):
    """How the checks of an image ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: int
    failed: int
    digest: str
    """SHA-256 of the whole report."""


class ImageRecord(BaseModel):
    """What we know of one artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    cloud: Cloud
    artifact: str
    """AMI id, GCE image, gallery version, or the path of a qcow2."""
    sha256: str
    """Of the artifact; of the manifest inside it where the artifact is in a cloud, which shows nobody its bytes."""
    size_bytes: int
    """Bytes of the file; in a cloud the size of the image's disk."""
    fingerprint: str
    agent: str
    """`microsoft` or `simulated`: the latter can only be launched against the simulated service."""
    versions: dict[str, str]
    seconds: dict[str, float]
    """Seconds per stage of the bake that made it; `total` is wall time."""
    checks: Checks | None
    """None when it was baked with `--no-check`."""
    created: str
    """UTC, ISO 8601."""
    manifest: str
    """Path of the manifest beside the artifact."""
    stat: Stat | None = None
    region: str = ""
    """Where the artifact is at home, as the cloud names it; empty on this machine."""
    base: str = ""
    """The exact base image that it was made from."""
    copies: dict[str, str] = {}
    """Other region → the artifact there, once it is complete."""
    published: dict[str, str] = {}
    """Region → digest of the sharing and the deprecation that were carried out there."""

    @property
    def artifacts(self) -> dict[str, str]:
        """Region → artifact, home first."""
        return {self.region: self.artifact} | self.copies

    def document(self, *, reused: bool) -> dict[str, Any]:
        """The JSON document of the outer contract."""
        data = self.model_dump(mode="json", exclude={"stat", "published"})
        data["reused"] = reused
        return data


class Records:
    """The store: `<state>/records/<image>/<cloud>/<fingerprint>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, record: ImageRecord) -> None:
        """Write a record, replacing the one of the same fingerprint; readers never see half a file."""
        path = self._path(record.image, record.cloud, record.fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        partial.write_text(record.model_dump_json(indent=2) + "\n")
        partial.replace(path)

    def all(self) -> list[ImageRecord]:
        """Every readable record, newest first."""
        return sorted(self._read(self._folder.glob("*/*/*.json")), key=lambda record: record.created, reverse=True)

    def find(self, image: str, cloud: Cloud, fingerprint: str) -> ImageRecord | None:
        """The record of exactly this content, when its artifact is still what was recorded."""
        path = self._path(image, cloud, fingerprint)
        return next((record for record in self._read([path]) if self.usable(record)), None)

    def newest(self, image: str, cloud: Cloud) -> ImageRecord | None:
        """The newest record of an image whose artifact is still what was recorded."""
        return next((record for record in self.all() if record.image == image and record.cloud == cloud and self.usable(record)), None)

    def usable(self, record: ImageRecord) -> bool:
        """Whether a local artifact is there and unchanged. Reads the whole file only when its identity changed since the last time."""
        if record.cloud is not Cloud.LOCAL:
            return True
        path = Path(record.artifact)
        if not path.is_file():
            return False
        now = Stat.of(path)
        if record.stat == now:
            return True
        if now.size != record.size_bytes or sha256_of(path) != record.sha256:
            return False
        self.add(record.model_copy(update={"stat": now}))
        return True

    def _path(self, image: str, cloud: Cloud, fingerprint: str) -> Path:
        return self._folder / image / cloud.value / f"{fingerprint[:16]}.json"

    @staticmethod
    def _read(paths: Any) -> Iterator[ImageRecord]:
        for path in paths:
            try:
                yield ImageRecord.model_validate_json(path.read_bytes())
            except (OSError, ValidationError, json.JSONDecodeError):
                continue  # a record from another version of goldbake, or none: its image is baked again


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return hashlib.file_digest(file, "sha256").hexdigest()
