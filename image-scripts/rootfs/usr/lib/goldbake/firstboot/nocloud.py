"""The NoCloud forms of user-data: a folder, and a small disk called CIDATA (FAT, as goldbake makes it, or ISO 9660, as others do)."""

from __future__ import annotations

import os
import re

from . import TYPE_CHECKING, fat
from .errors import Problem
from .run import run
from .sources import Found

if TYPE_CHECKING:
    from .settings import Settings

_SMALL = 64 << 20
"""A seed disk is small; a larger one is mounted and not read as a whole."""
_MINE = 1 << 20


def folder(settings: Settings) -> Found | None:
    """The seed folder, as a container gets it."""
    paths = _paths(settings)
    data = _file(paths[0])
    if not data:
        return None
    return Found("nocloud-folder", data, _instance_id(_file(paths[1])), files=paths)


def remains(settings: Settings) -> Found:
    """Whatever there is of a seed whose user-data cannot be read any more, to be wiped."""
    device = None if os.path.exists(settings.container) else _device(settings)
    return Found("nocloud", b"", "", files=_paths(settings), device=device or "")


def disk(settings: Settings) -> Found | None:
    """The seed disk. Devices that udev has not made yet are waited for only when there is none at first sight."""
    device = _device(settings)
    if device is None:
        run([*settings.udevadm, "settle", "--timeout=10"], 15.0)
        device = _device(settings)
    if device is None:
        return None
    found = _read_fat(device) or _read_mounted(settings, device)
    user_data = found.get("user-data", b"")
    return Found("nocloud-disk", user_data, _instance_id(found.get("meta-data", b"")), device=device) if user_data else None


def _paths(settings: Settings) -> tuple[str, ...]:
    """The PAT's file first."""
    return tuple(f"{settings.seed}/{name}" for name in ("user-data", "meta-data"))


def _device(settings: Settings) -> str | None:
    for name in ("CIDATA", "cidata"):
        path = f"{settings.dev}/disk/by-label/{name}"
        if os.path.exists(path):
            return os.path.realpath(path)
    try:
        names = sorted(os.listdir(settings.block))
    except OSError:
        return None
    for name in names:
        if not name.startswith(("loop", "ram", "zram", "dm-")) and _label(f"{settings.dev}/{name}").lower() == "cidata":
            return f"{settings.dev}/{name}"
    return None


def _label(device: str) -> str:
    """The label of a FAT or ISO 9660 file system."""
    try:
        with open(device, "rb", buffering=0) as file:
            found = fat.label(file.read(512))
            if not found:
                file.seek(32768)
                head = file.read(2048)
                found = head[40:72].decode("ascii", "replace").rstrip("\0 ") if head[1:6] == b"CD001" else ""
    except OSError:  # an empty drive
        return ""
    return found


def _read_fat(device: str) -> dict[str, bytes]:
    try:
        with open(device, "rb") as file:
            disk = file.read(_SMALL + 1)
    except OSError as error:
        raise Problem("metadata", f"the seed disk cannot be read: {error.strerror}") from None
    if len(disk) > _SMALL:
        return {}
    try:
        return fat.files(disk, _MINE)
    except fat.NotFat:
        return {}


def _read_mounted(settings: Settings, device: str) -> dict[str, bytes]:
    point = f"{settings.run}/seed"
    os.makedirs(point, 0o700, exist_ok=True)
    done = run([*settings.mount, "-o", "ro,nosuid,nodev,noexec", device, point], 30.0)
    if done.code != 0:
        raise Problem("metadata", "the seed disk cannot be mounted")
    try:
        return {name: _file(f"{point}/{name}") for name in ("user-data", "meta-data")}
    finally:
        run([*settings.umount, point], 30.0)


def _instance_id(meta_data: bytes) -> str:
    """`instance-id: ID` of a file that is YAML, of which this is one line; empty when it is not there."""
    match = re.search(
        rb"^[ \t]*[\"']?instance-id[\"']?[ \t]*:[ \t]*[\"']?([A-Za-z0-9._-]+)[\"']?[ \t]*,?[ \t\r]*$", meta_data, re.MULTILINE
    )
    return match.group(1).decode("ascii") if match else ""


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MINE)
    except OSError:
        return b""
