"""Where goldbake keeps things: cache, state, and the folders of this checkout.

`GOLDBAKE_HOME` moves cache and state below one folder; without it they follow the platform's customs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout that this package lies in: images.yaml, image-scripts and packer are beside it."""


@dataclass(frozen=True)
class Paths:
    """The folders of one run."""

    project: Path
    cache: Path
    state: Path

    @classmethod
    def from_environment(cls, project: Path = PROJECT) -> Paths:
        """Read `GOLDBAKE_HOME`, falling back to the platform's cache and state folders."""
        home = os.environ.get("GOLDBAKE_HOME")
        if home:
            root = Path(home).expanduser().absolute()
            return cls(project, root / "cache", root / "state")
        dirs = platformdirs.PlatformDirs("goldbake", appauthor=False)
        return cls(project, Path(dirs.user_cache_dir), Path(dirs.user_state_dir))

    @property
    def images_yaml(self) -> Path:
        return self.project / "images.yaml"

    @property
    def lock_yaml(self) -> Path:
        return self.project / "images.lock.yaml"

    @property
    def scripts(self) -> Path:
        return self.project / "image-scripts"

    @property
    def templates(self) -> Path:
        return self.project / "packer" / "templates"

    @property
    def certificates(self) -> Path:
        """Those of others that firmware has to trust beside ours."""
        return self.project / "packer" / "certificates"

    @property
    def build(self) -> Path:
        return self.project / "packer" / "build"

    @property
    def tools(self) -> Path:
        """go.mod and go.sum of the programs that may be built from their modules."""
        return self.project / "packer" / "tools"

    @property
    def toolchain(self) -> Path:
        return self.cache / "toolchain"

    @property
    def downloads(self) -> Path:
        return self.cache / "downloads"

    @property
    def layers(self) -> Path:
        """Layers of local bakes; each is a folder that overlayfs can stack."""
        return self.cache / "layers"

    @property
    def work(self) -> Path:
        """What a running bake needs and what is gone when it ends."""
        return self.cache / "work"

    @property
    def artifacts(self) -> Path:
        return self.state / "artifacts"

    @property
    def records(self) -> Path:
        return self.state / "records"
