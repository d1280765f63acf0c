"""The NoCloud seed of a local instance: a small disk for a VM, a folder for a container. It holds the PAT until first boot wipes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from goldbake import proc
from goldbake.secret import Secret

LABEL = "CIDATA"
_DISK_BYTES = 160 * 1024
"""The smallest floppy that mformat knows; the user-data has 16 KiB at most."""


def meta_data(instance_id: str) -> str:
    """The second file of a seed."""
    return f"instance-id: {instance_id}\nlocal-hostname: {instance_id}\n"


def make_disk(path: Path, instance_id: str, user_data: Secret) -> None:
    """Write a FAT disk. The user-data goes into mcopy's standard input: it is in no argument, environment or file but this one."""
    with _private(path) as file:
        file.truncate(_DISK_BYTES)
    proc.run(["mformat", "-i", path, "-f", "160", "-v", LABEL, "::"])
    proc.run(["mcopy", "-i", path, "-", "::user-data"], input=user_data.reveal())
    proc.run(["mcopy", "-i", path, "-", "::meta-data"], input=meta_data(instance_id))


def make_folder(path: Path, instance_id: str, user_data: Secret) -> None:
    """Write the two files."""
    path.mkdir(mode=0o700)
    with _private(path / "meta-data") as file:
        file.write(meta_data(instance_id).encode())
    with _private(path / "user-data") as file:
        file.write(user_data.reveal().encode())


def is_clean(path: Path) -> bool:
    """Whether nothing is left in a seed, disk or folder."""
    if path.is_dir():
        return not any(path.iterdir())
    return not path.exists() or not any(path.read_bytes())


def wipe(path: Path) -> None:
    """Zeros over everything in a seed; what is no disk is unlinked as well."""
    for file in [path] if path.is_file() else list(path.glob("*")):
        with file.open("r+b", buffering=0) as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            content.write(bytes(size))
            os.fsync(content.fileno())
        if file != path:
            file.unlink()


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
