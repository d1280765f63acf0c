"""A Packer that builds and checks as the real one with its plugin does, by the same calls to a cloud, in this process."""

from __future__ import annotations

import json
import shlex
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goldbake.check import FailedCheck, report_of
from goldbake.errors import BakeError
from goldbake.packer import Value

Failing = Callable[[Mapping[str, Value]], None]


class PackerStandIn(ABC):
    """`builds` are the variables of every build in order; what is to go wrong is set by a test. A cloud adds the calls of its plugin."""

    def __init__(self) -> None:
        self.builds: list[dict[str, Value]] = []
        self.environments: list[dict[str, str]] = []
        self.red: tuple[FailedCheck, ...] = ()
        self.leaves = False
        """It ends without removing what it has made."""
        self.provision: Failing = lambda variables: None
        """Called while the instance runs."""
        self.artifact_id: str | None = None
        """What the manifest says instead of the image."""

    @abstractmethod
    def start(self, variables: Mapping[str, Value]) -> None:
        """Start the instance and what goes with it."""

    @abstractmethod
    def image(self, variables: Mapping[str, Value]) -> Mapping[str, Any]:
        """Make the image; returns what the manifest says of it."""

    @abstractmethod
    def end(self) -> None:
        """Remove all but the image."""

    def version(self) -> str:
        return "1.16.0"

    def build(
        self,
        folder: Path,
        variables: Mapping[str, Value],
        on_line: Callable[[str], None],
        *,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        grace: float = 0,
    ) -> None:
        assert list(folder.glob("*.pkr.hcl"))
        self.builds.append(dict(variables))
        self.environments.append(dict(env or {}))
        try:
            self.start(variables)
            self.provision(variables)
            if variables.get("checking"):
                self._check(variables)
            else:
                self._made(variables)
        finally:
            if not self.leaves:
                self.end()

    def refused(self, said: str) -> BakeError:
        """What `goldbake.packer` makes of a plugin's last line."""
        return BakeError(f"packer could not build (packer exited with 1); its last lines:\n    ==> {said}", hint="again")

    def _made(self, variables: Mapping[str, Value]) -> None:
        told = dict(self.image(variables))
        inputs = json.loads((Path(str(variables["files_dir"])) / "manifest.json").read_text())
        inside = inputs | {"kernels": ["6.1.0-50-cloud-amd64"], "packages": {"git": "2.39"}}
        Path(str(variables["image_manifest"])).write_text(json.dumps(inside, indent=2) + "\n")
        if self.artifact_id is not None:
            told["artifact_id"] = self.artifact_id
        runs = [{"packer_run_uuid": "old", "artifact_id": "old"}, {"packer_run_uuid": "new", **told}]
        Path(str(variables["manifest_file"])).write_text(json.dumps({"builds": runs, "last_run_uuid": "new"}))

    def _check(self, variables: Mapping[str, Value]) -> None:
        words = shlex.split(str(variables["check_command"]))
        folder = Path(words[words.index("--folder") + 1])
        assert folder.stat().st_mode & 0o077 == 0
        assert json.loads((folder / "expect.json").read_text())["kernels"]
        report = report_of(["agent.is_there"], self.red, [], 1.0)
        (folder / "report.json").write_text(json.dumps(report.document()))
