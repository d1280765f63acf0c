"""The gate that a machine with a GPU must pass before its agent goes online: a job on a broken GPU fails an hour later with a stranger reason."""

from __future__ import annotations

import os

from . import TYPE_CHECKING
from .errors import Problem
from .run import Done, run

if TYPE_CHECKING:
    from .settings import Settings

_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")


def count(settings: Settings) -> int:
    """NVIDIA's display and 3D controllers on the PCI bus; needs no driver."""
    found = 0
    try:
        devices = os.listdir(settings.pci)
    except OSError:
        return 0
    for device in devices:
        if _read(f"{settings.pci}/{device}/vendor") == "0x10de" and _read(f"{settings.pci}/{device}/class").startswith("0x03"):
            found += 1
    return found


def check(settings: Settings) -> dict[str, str]:
    """Wait until the driver shows every GPU; returns what the agent says of them as capabilities. Raises Problem (gpu)."""
    expected = count(settings)
    deadline = settings.monotonic() + settings.gpu_s
    loaded = run([*settings.modprobe, "nvidia"], settings.gpu_s)
    if loaded.code != 0:
        raise Problem("gpu", f"the driver does not load: {_last(loaded)}")
    while True:
        left = deadline - settings.monotonic()
        answer = run([*settings.nvidia_smi, *_QUERY], max(left, 1.0))
        rows = [[field.strip() for field in line.split(",")] for line in answer.lines] if answer.code == 0 else []
        rows = [row for row in rows if len(row) == 3]
        if len(rows) == expected:
            name, memory, driver = rows[0]
            return {"GPU_NAME": name, "GPU_COUNT": str(expected), "GPU_MEMORY_MIB": memory, "NVIDIA_DRIVER_VERSION": driver}
        if settings.monotonic() + 2.0 >= deadline:
            break
        settings.sleep(2.0)
    if answer.code == 0:
        raise Problem("gpu", f"nvidia-smi lists {len(rows)} GPUs, the PCI bus has {expected}")
    raise Problem("gpu", f"nvidia-smi fails: {_last(answer)}")


def _last(done: Done) -> str:
    if done.code is None:
        return "it did not end in time"
    return done.lines[-1][:200] if done.lines else f"exit code {done.code}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
