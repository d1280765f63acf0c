"""A simulated Azure Pipelines agent, packed as a tarball of the real one's layout.

It registers, shows its key, runs jobs and updates itself against the simulated service (`sim.azdo`), with the inputs, files, messages, exit
codes and traps of the real agent, written from their public description. What it does stands in `files/bin/simagent`.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

FILES = Path(__file__).parent / "files"
_PROGRAMS = frozenset(("Agent.Listener",))


def pack(version: str) -> bytes:
    """The tarball (.tar.gz) of a simulated agent that calls itself `version`; the same bytes for the same version every time."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(FILES.rglob("*")):
            if "__pycache__" in path.parts:
                continue
            name = str(path.relative_to(FILES))
            if path.is_dir():
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(folder)
            else:
                _add(archive, name, path.read_bytes(), 0o755 if path.suffix == ".sh" or path.name in _PROGRAMS else 0o644)
        _add(archive, "bin/version", version.encode() + b"\n", 0o644)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream:
        stream.write(plain.getvalue())
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    archive.addfile(info, io.BytesIO(content))
