"""A simulated Azure Pipelines agent, packed as a tarball of the real one's layout.

It answers what an unconfigured agent answers: its version, its refusal to run as root, and the exit codes and messages of a
configuration that lacks a value. It does not register: a machine with it can be baked and booted, not used.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

FILES = Path(__file__).parent / "files"
_PROGRAMS = ("config.sh", "run.sh", "env.sh", "bin/Agent.Listener", "bin/runsvc.sh")


def pack(version: str) -> bytes:
    """The tarball (.tar.gz) of a simulated agent that calls itself `version`; the same bytes for the same version every time."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("bin", "externals"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name in _PROGRAMS:
            _add(archive, name, (FILES / name).read_bytes(), 0o755)
        _add(archive, "license.html", b"<html><body>Simulated agent: no licence terms.</body></html>\n", 0o644)
        _add(archive, "bin/version", version.encode() + b"\n", 0o644)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream:
        stream.write(plain.getvalue())
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    archive.addfile(info, io.BytesIO(content))
