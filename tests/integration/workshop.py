"""A copy of this project with an image of its own, whose layers are tiny scripts: bakes of it take seconds, and can be broken at will."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldbake.paths import PROJECT

COPIED = ("goldbake", "sim", "packer", "tests", "image-scripts", "tasks.py", "images.lock.yaml")

IMAGES_YAML = """\
images:
  tiny:
    description: An image for tests of what goes wrong
    os: debian-12
    clouds: [local]
    gpus: [t4]
    disk_gib: 4
    driver: {source: debian, version: 535.309.01, module: proprietary}
    docker: {source: debian, version: 20.10.24}
    toolkit: {source: module, version: 1.19.1}
    agent: {version: 4.275.0}
    layers:
      - name: first
        scripts: [make-first]
      - name: second
        scripts: [make-second]
"""


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    stdout: str
    stderr: str

    def document(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Workshop:
    """The copy in `project`; caches, records and artifacts in `home`."""

    project: Path
    home: Path

    def script(self, name: str, text: str) -> None:
        """Write the image-script `name`."""
        path = self.project / "image-scripts" / f"{name}.sh"
        path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{text}\n")
        path.chmod(0o755)

    @property
    def work(self) -> Path:
        return self.home / "cache" / "work"

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "invoke", "--search-root", str(self.project), *words]

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "GOLDBAKE_HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}

    def run(self, *words: str, before: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> Ended:
        """Run a task to its end; `before` is a command that the task becomes an argument of, as `unshare`."""
        done = subprocess.run(
            [*before, *self.argv(*words)], cwd=self.project, env=self.env(env), capture_output=True, text=True, check=False, timeout=900
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def bake(self, *words: str) -> Ended:
        return self.run("bake", "--no-check", "--json", *words)

    @contextmanager
    def running(self, *words: str) -> Iterator[Running]:
        """A task that runs while the block does; it is killed if it still runs at the end."""
        log = self.home / "running.log"
        with log.open("wb") as stderr:
            child = subprocess.Popen(
                self.argv(*words), cwd=self.project, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
            )
        try:
            yield Running(child, log)
        finally:
            child.kill()
            child.communicate()

    def leftovers(self) -> list[str]:
        """Whatever of a bake is still there: mounts, loop devices, processes and files of its work folder."""
        prefix = f"{self.work}/"
        mounts = [
            f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1].startswith(prefix)
        ]
        loops = [
            f"loop {line}"
            for line in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout.splitlines()
            if prefix in line
        ]
        processes = [f"process {pid}: {words}" for pid, words in commands() if prefix in words]
        processes += [f"process {folder.name} in a container" for folder in Path("/proc").glob("[0-9]*") if prefix in _root_of(folder)]
        files = [f"file {path}" for path in self.work.glob("*")] if self.work.exists() else []
        return mounts + loops + processes + files


@dataclass(frozen=True)
class Running:
    """A task that runs."""

    child: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, text: str, seconds: float = 240) -> None:
        """Until the task's standard error holds `text`."""
        deadline = time.monotonic() + seconds
        while (ended := self.child.poll() is not None) or text not in self.said():
            if ended:  # what it printed last is there by now
                assert text in self.said(), f"it ended with {self.child.returncode}:\n{self.said()}"
                return
            assert time.monotonic() < deadline, f"no {text!r} after {seconds} s:\n{self.said()}"
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, signum: signal.Signals, seconds: float = 120) -> int:
        """Send a signal; returns the exit code."""
        self.child.send_signal(signum)
        return self.wait(seconds)

    def wait(self, seconds: float = 120) -> int:
        self.child.communicate(timeout=seconds)
        return self.child.returncode


def commands() -> Iterator[tuple[int, str]]:
    """Process id and command line of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue


def _root_of(process: Path) -> str:
    """What a process's root file system is made of."""
    try:
        lines = (process / "mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.split()[4] == "/"), "")


def make(folder: Path) -> Workshop:
    """A workshop with an empty home, its scripts harmless."""
    project = folder / "project"
    project.mkdir(parents=True)
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__", "build", ".*_cache"))
        else:
            shutil.copy(source, project / name)
    (project / "images.yaml").write_text(IMAGES_YAML)
    (folder / "home").mkdir()
    workshop = Workshop(project, folder / "home")
    workshop.script("make-first", "echo first > /etc/first")
    workshop.script("make-second", "cat /etc/first > /etc/second")
    return workshop
