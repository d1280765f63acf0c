"""Files in the root folder of a small FAT disk, as mtools and mkfs.vfat make it; read without the kernel, so that no module is loaded for it."""

from __future__ import annotations

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FREE, _DELETED, _LONG, _FOLDER, _LABEL = 0x00, 0xE5, 0x0F, 0x10, 0x08


class NotFat(ValueError):
    """No FAT file system, or a damaged one."""


def label(boot: bytes) -> str:
    """The label in the first sector, empty when it is no FAT file system."""
    if len(boot) < 512 or boot[510:512] != b"\x55\xaa":
        return ""
    for at, kind in ((38, 43), (66, 71)):
        if boot[at] in (0x28, 0x29) and boot[kind + 11 : kind + 14] == b"FAT":
            return boot[kind : kind + 11].decode("ascii", "replace").strip()
    return ""


def files(disk: bytes, limit: int = 1 << 20) -> dict[str, bytes]:
    """Content by name of the files in the root folder, names in lower case, each cut at `limit`. Raises NotFat."""
    try:
        return {name.lower(): content for name, content in _Disk(disk, limit).root()}
    except (IndexError, ZeroDivisionError, ValueError) as error:
        raise NotFat(str(error)) from error


class _Disk:
    def __init__(self, disk: bytes, limit: int) -> None:
        if len(disk) < 512 or disk[510:512] != b"\x55\xaa":
            raise NotFat("no boot sector")
        self._disk = disk
        self._limit = limit
        self._sector = self._number(11, 2)
        self._cluster = disk[13] * self._sector
        reserved = self._number(14, 2)
        entries = self._number(17, 2)
        size = self._number(22, 2) or self._number(36, 4)
        self._fat = reserved * self._sector
        folder = self._fat + disk[16] * size * self._sector
        if self._sector not in (512, 1024, 2048, 4096) or not self._cluster or not size:
            raise NotFat("no file system")
        sectors = self._number(19, 2) or self._number(32, 4)
        if sectors * self._sector > len(disk):
            raise NotFat("it breaks off")
        self._data = folder + -(-entries * 32 // self._sector) * self._sector
        clusters = (sectors * self._sector - self._data) // self._cluster
        self._bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
        # FAT32 keeps its root folder in clusters, the others in a place of its own.
        self._folder = self._chain(self._number(44, 4), 1 << 20) if self._bits == 32 else disk[folder : self._data]

    def root(self) -> Iterator[tuple[str, bytes]]:
        long = ""
        for at in range(0, len(self._folder) - 31, 32):
            entry = self._folder[at : at + 32]
            if entry[0] == _FREE:
                return
            if entry[0] == _DELETED:
                long = ""
            elif entry[11] == _LONG:
                part = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le", "replace")
                long = part.partition("\0")[0].rstrip("\uffff") + long
            elif entry[11] & (_FOLDER | _LABEL):
                long = ""
            else:
                name, kind = entry[0:8].decode("ascii", "replace").strip(), entry[8:11].decode("ascii", "replace").strip()
                size = int.from_bytes(entry[28:32], "little")
                first = int.from_bytes(entry[26:28], "little") + ((int.from_bytes(entry[20:22], "little") << 16) if self._bits == 32 else 0)
                yield long or (f"{name}.{kind}" if kind else name), self._chain(first, min(size, self._limit)) if size else b""
                long = ""

    def _chain(self, cluster: int, size: int) -> bytes:
        """The content that begins at `cluster`, `size` bytes or what there is."""
        found = b""
        last = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self._bits]
        while 2 <= cluster < last and len(found) < size:
            at = self._data + (cluster - 2) * self._cluster
            block = self._disk[at : at + self._cluster]
            if not block:
                raise NotFat("a file lies beyond the end of the disk")
            found += block
            cluster = self._next(cluster)
        return found[:size]

    def _next(self, cluster: int) -> int:
        if self._bits == 12:
            pair = self._number(self._fat + cluster * 3 // 2, 2)
            return pair >> 4 if cluster & 1 else pair & 0xFFF
        width = self._bits // 8
        return self._number(self._fat + cluster * width, width) & 0x0FFFFFFF

    def _number(self, at: int, width: int) -> int:
        if at + width > len(self._disk):
            raise NotFat("it breaks off")
        return int.from_bytes(self._disk[at : at + width], "little")
