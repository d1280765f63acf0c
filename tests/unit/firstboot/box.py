"""A machine in a folder: the first-boot program with all paths below it, a packed simulated agent, and stand-ins for systemctl and nvidia-smi."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firstboot.main import main
from firstboot.settings import Settings

from sim import agent

VERSION = "4.275.0"
USER = "nobody"
"""Who registers when the tests run as root; config.sh refuses root."""

_TARBALL = agent.pack(VERSION)
_SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"{here}/systemctl.calls"
[ "$1" != show ] || [ ! -e "{here}/systemctl.says" ] || cat "{here}/systemctl.says"
[ ! -e "{here}/systemctl.fails" ] || ! grep -qF -- "$2" "{here}/systemctl.fails"
"""


class Box:
    """One machine. `settings` may be changed before `boot`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for path in (
            "opt/azure-pipelines-agent",
            "home/agent",
            "run",
            "dev",
            "sys/class/tty/console",
            "sys/class/dmi/id",
            "sys/class/block",
            "programs",
        ):
            (folder / path).mkdir(parents=True)
        (folder / "dev/console").touch()
        self._manifest()
        self.settings = Settings(str(folder))
        self.settings.agent_user = USER if os.geteuid() == 0 else None
        self.settings.systemctl = (self.program("systemctl", _SYSTEMCTL.format(here=folder / "programs")),)
        self.settings.udevadm = ("true",)
        self.settings.backoff_s = 0.01
        self.settings.backoff_max_s = 0.02
        self.slept: list[float] = []
        self.settings.sleep = self.slept.append
        with tarfile.open(fileobj=io.BytesIO(_TARBALL)) as archive:
            archive.extractall(self.agent, filter="tar")
        if os.geteuid() == 0:
            for path in [self.agent, *self.agent.rglob("*")]:
                shutil.chown(path, USER)

    @property
    def agent(self) -> Path:
        return self.root / "opt/azure-pipelines-agent"

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "var/lib/goldbake/status.json").read_text())
        return found

    @property
    def console(self) -> list[dict[str, Any]]:
        """What a watcher of the console read."""
        mark = "goldbake-status: "
        lines = (self.root / "dev/console").read_text().splitlines()
        return [json.loads(line.removeprefix(mark)) for line in lines if line.startswith(mark)]

    @property
    def phases(self) -> list[str]:
        return [entry["phase"] for entry in self.console]

    @property
    def systemctl_calls(self) -> list[str]:
        path = self.root / "programs/systemctl.calls"
        return path.read_text().splitlines() if path.exists() else []

    def program(self, name: str, text: str) -> str:
        path = self.root / "programs" / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def seed(self, goldbake: Mapping[str, Any] | None = None, *, text: str | None = None, instance: str = "i-1") -> None:
        """Put user-data where a container finds it."""
        folder = Path(self.settings.seed)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "user-data").write_text(text if text is not None else "#cloud-config\n" + json.dumps({"goldbake": goldbake}))
        (folder / "meta-data").write_text(f"instance-id: {instance}\nlocal-hostname: {instance}\n")

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def boot(self) -> int:
        """Run the program as its unit does; returns its exit code."""
        if self.agent.joinpath(".agent").exists() and not (self.root / "var/lib/goldbake/unfinished").exists():
            return -1  # the unit's condition
        return main(self.settings)

    def holding(self, secret: str) -> list[str]:
        """Files below the root that hold a secret."""
        found = []
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes():
                found.append(str(path.relative_to(self.root)))
        return found

    def _manifest(self) -> None:
        self.write("usr/share/goldbake/manifest.json", json.dumps({"image": "gpu-agent", "agent": {"version": VERSION}}))


def eventually(condition: Callable[[], object], timeout: float = 60.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
