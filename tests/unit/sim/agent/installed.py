"""An agent unpacked for a user without rights, whichever agent it is; its programs run as real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.azdo import SimulatedAzureDevOps

USER, GROUP = "nobody", "nogroup"
PATH = "/usr/local/bin:/usr/bin:/bin"
PACE = "0.01"
"""How much faster than the real agent a simulated one waits; the real one does not know this variable."""
RUN_S = 60.0
"""Seconds that a program which does its work and ends may take."""
PATIENCE_S = float(os.environ.get("GOLDBAKE_AGENT_PATIENCE", "60"))
"""Seconds until something that was waited for counts as not happening."""


@dataclass(frozen=True)
class Done:
    """How a program ended: negative codes are signals."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Running:
    """A program that runs; `pid` is its own, not that of the program that changed the user."""

    child: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def said(self) -> str:
        """Everything that it has printed, on both outputs."""
        return self.output.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Its exit code."""
        return self.child.wait(seconds)


@dataclass(frozen=True)
class Installed:
    """An unpacked agent; `root` is its folder."""

    root: Path
    ca: Path
    unpacked: frozenset[str] = field(default_factory=frozenset)

    def run(self, *command: str, env: Mapping[str, str] | None = None, root: bool = False, timeout: float = RUN_S, **more: Any) -> Done:
        """Run a program of the agent in its folder to the end."""
        done = subprocess.run(  # noqa: PLW1510 (it stands in the dictionary)
            _as_user(command, root),
            **{
                "cwd": self.root,
                "env": environment(env),
                "stdin": subprocess.DEVNULL,
                "capture_output": True,
                "timeout": timeout,
                "check": False,
                **more,
            },
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    @contextmanager
    def running(self, *command: str, env: Mapping[str, str] | None = None, root: bool = False) -> Iterator[Running]:
        """A program of the agent, in a group of its own that is gone when the block ends."""
        output = self.root.parent / f"output-{time.monotonic_ns()}"
        with output.open("wb") as file:
            child = subprocess.Popen(
                _as_user(command, root),
                cwd=self.root,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield Running(child, output)
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()

    def configure(
        self, service: SimulatedAzureDevOps, *more: str, env: Mapping[str, str] | None = None, token: str | None = None, **options: Any
    ) -> Done:
        """config.sh as the first boot calls it: the token by environment, everything else by flags."""
        command = self.config_command(service, *more)
        return self.run(*command, env={"VSTS_AGENT_INPUT_TOKEN": service.pat if token is None else token, **(env or {})}, **options)

    def config_command(self, service: SimulatedAzureDevOps, *more: str) -> list[str]:
        given = {argument for argument in more if argument.startswith("--")}
        defaults = {
            "--auth": "pat",
            "--url": service.url,
            "--pool": "Default",
            "--agent": "one",
            "--work": "_work",
            "--sslcacert": str(self.ca),
        }
        flags = [part for name, value in defaults.items() if name not in given for part in (name, value)]
        return ["./config.sh", "--unattended", *flags, *more]

    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    def text(self, name: str) -> str:
        return (self.root / name).read_text()

    def json(self, name: str) -> dict[str, Any]:
        document = json.loads((self.root / name).read_text(encoding="utf-8-sig"))
        assert isinstance(document, dict)
        return document

    def write(self, name: str, text: str) -> None:
        """A file of the agent's user."""
        path = self.root / name
        path.write_text(text)
        give(path)

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.root / name).stat().st_mode)

    @property
    def left(self) -> set[str]:
        """The names in the folder that were not in the tarball."""
        return {path.name for path in self.root.iterdir()} - self.unpacked

    @property
    def everything_written(self) -> str:
        """All text in files that were not in the tarball."""
        paths = [path for name in self.left for path in [self.root / name, *(self.root / name).rglob("*")] if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in paths)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program of the agent sees: nothing of this session's environment."""
    return {"PATH": PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "SIMULATED_AGENT_PACE": PACE, **(more or {})}


def give(path: Path) -> None:
    """Hand a file or folder to the agent's user, if this session may."""
    if os.geteuid() == 0:
        shutil.chown(path, USER, GROUP)


@contextmanager
def unpacked(archive: Path, service: SimulatedAzureDevOps) -> Iterator[Installed]:
    """The agent of a tarball in a folder that its user can reach, gone when the block ends."""
    home = Path(tempfile.mkdtemp(prefix="agent-"))
    try:
        home.chmod(0o755)
        root = home / "agent"
        root.mkdir(mode=0o755)
        subprocess.run(["tar", "--extract", "--no-same-owner", "--file", archive, "--directory", root], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "--recursive", f"{USER}:{GROUP}", root], check=True)
        ca = home / "ca.pem"
        ca.write_text(service.ca_pem)
        yield Installed(root, ca, frozenset(path.name for path in root.iterdir()))
    finally:
        end_processes_in(home)
        shutil.rmtree(home)


def processes_in(folder: Path) -> list[int]:
    """Processes that work in `folder` or below it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink().is_relative_to(folder):
                found.append(int(path.parent.name))
        except OSError:  # it has ended, or is not ours to see
            pass
    return found


def end_processes_in(folder: Path) -> None:
    """End what is left there: jobs of a killed agent, and what an update has started; both have sessions of their own."""
    while left := processes_in(folder):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {seconds} s"
        time.sleep(0.01)


def _as_user(command: tuple[str, ...], root: bool) -> list[str]:
    if root or os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid", USER, "--regid", GROUP, "--clear-groups", "--", *command]
