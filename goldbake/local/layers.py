"""Layers of local bakes on disk: one folder per fingerprint, stacked by overlayfs, kept until pruned.

<cache>/layers/<fingerprint>/root    what this layer adds
<cache>/layers/<fingerprint>/done    written last: without it the layer does not exist
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path


class Layers:
    """The store of layers below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, fingerprint: str) -> bool:
        return (self._folder / fingerprint / "done").exists()

    def root(self, fingerprint: str) -> Path:
        """The folder of a finished layer."""
        return self._folder / fingerprint / "root"

    def seconds(self, fingerprint: str) -> float:
        """How long this layer took when it was made."""
        return float(json.loads((self._folder / fingerprint / "done").read_text())["seconds"])

    def keep(self, fingerprint: str, made: Path, seconds: float) -> None:
        """Take over the folder `made` (same file system) as the layer `fingerprint`."""
        target = self._folder / fingerprint
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        made.rename(target / "root")
        (target / "done").write_text(json.dumps({"seconds": round(seconds, 3)}) + "\n")
