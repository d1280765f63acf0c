"""The status: a JSON file for programs and `goldbake-status`, and a line on every console for who watches the machine start. No secrets."""

from __future__ import annotations

import errno
import json
import os
import time

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from .errors import Problem
    from .settings import Settings

_CONSOLE_S = 3.0
"""How long a line waits for a console that is full."""


class Status:
    """What is known so far; every change is written at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.fields: dict[str, Any] = {"phase": "started", "boot": _boot_id(settings)}
        self.secrets: list[str] = []
        """Never in a status, whoever put them into a reason."""
        self.timings: dict[str, float] = {}
        self.attempts = 0
        manifest = _read(settings.manifest)
        for name in ("image", "id"):
            if isinstance(manifest.get(name), str):
                self.fields["image" if name == "image" else "image_id"] = manifest[name]
        agent = manifest.get("agent")
        self.version = str(agent.get("version", "")) if isinstance(agent, dict) else ""

    @property
    def path(self) -> str:
        return f"{self._settings.state}/status.json"

    def phase(self, name: str, **fields: Any) -> None:
        """Enter a phase (a key of `explain.PHASES`)."""
        self.fields.update(fields)
        self.fields["phase"] = name
        self.timings.setdefault(name, round(self._settings.uptime(), 2))  # of several attempts the first
        self.publish()

    def tell_boot(self) -> None:
        """How long kernel and initrd took before the first unit; told when the agent is online, because asking costs a process."""
        from .run import run

        if os.path.exists(self._settings.container):
            return
        asked = run([*self._settings.systemctl, "show", "--property=InitRDTimestampMonotonic,UserspaceTimestampMonotonic"], 30.0)
        found = dict(line.split("=", 1) for line in asked.lines if "=" in line)
        names = {"initrd": "InitRDTimestampMonotonic", "userspace": "UserspaceTimestampMonotonic"}
        seconds = {name: round(int(found[key]) / 1e6, 2) for name, key in names.items() if found.get(key, "").isdigit()}
        told = {name: value for name, value in seconds.items() if value}
        if told:
            self.fields["boot_seconds"] = told
            self.publish()

    def failed(self, problem: Problem) -> None:
        """It ends here."""
        self.trouble(problem)
        self.phase("failed")

    def trouble(self, problem: Problem) -> None:
        """What is wrong right now; the phase stays, because it is tried again."""
        self.fields.update(error=problem.kind, reason=problem.reason, hint=problem.hint)

    def fine(self) -> None:
        """What was wrong is over."""
        for name in ("error", "reason", "hint"):
            self.fields.pop(name, None)

    def publish(self) -> None:
        """Write the file and the line."""
        document = {**self.fields, "attempts": self.attempts, "timings": self.timings}
        text = json.dumps(document)
        for secret in self.secrets:
            text = text.replace(json.dumps(secret)[1:-1], "***")
        try:
            write(self.path, f"{text}\n", 0o644)
        except OSError as error:
            print(f"the status cannot be written: {error.strerror}", flush=True)
        print(f"goldbake: {self.fields['phase']}" + (f": {self.fields['reason']}" if "reason" in self.fields else ""), flush=True)
        announce(self._settings, f"goldbake-status: {text}")


def write(path: str, text: str, mode: int) -> None:
    """Put a file in place whole or not at all."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o755)
        os.chmod(folder, 0o755)
    part = f"{path}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(handle, mode)
    os.replace(part, path)


def read(settings: Settings) -> dict[str, Any]:
    """The status as it was last written; empty when there is none."""
    return _read(f"{settings.state}/status.json")


def consoles(settings: Settings) -> list[str]:
    """The devices of all consoles of the kernel; in a container its one console. /dev/console alone would be the last of them."""
    names: list[str] = []
    if not os.path.exists(settings.container):
        try:
            with open(f"{settings.tty}/console/active", encoding="ascii") as file:
                names = file.read().split()
        except (OSError, ValueError):
            pass
    found = [f"{settings.dev}/{name}" for name in names if os.path.exists(f"{settings.dev}/{name}")]
    return found or [f"{settings.dev}/console"]


def announce(settings: Settings, line: str) -> None:
    """Write a line on every console, without waiting for one that does not take it: a stuck serial line must not stop a boot."""
    for path in consoles(settings):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            continue
        try:
            _write_some(handle, f"\r\n{line}\r\n".encode())
        finally:
            os.close(handle)


def _write_some(handle: int, data: bytes) -> None:
    deadline = time.monotonic() + _CONSOLE_S
    while data:
        try:
            data = data[os.write(handle, data) :]
        except OSError as error:
            if error.errno != errno.EAGAIN or time.monotonic() >= deadline:
                return
            time.sleep(0.02)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _boot_id(settings: Settings) -> str:
    try:
        with open(f"{settings.root}/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
