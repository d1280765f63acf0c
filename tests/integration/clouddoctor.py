"""`./inv doctor` as a person starts it, for each cloud: the line that says what is missing, what to do about it, and exit code 4.

A cloud's file gives the fixture `doctor` and makes a class of tests of `Examinations`; what only that cloud has to say is tested beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from goldbake.config.model import Cloud
from goldbake.paths import PROJECT


class Fake(Protocol):
    """What every fake of a cloud has."""

    calls: Any
    crashes: list[str]

    def environment(self) -> dict[str, str]: ...


F = TypeVar("F", bound=Fake)


@dataclass(frozen=True)
class Said:
    """What the doctor answered."""

    code: int
    rows: list[dict[str, Any]]
    stderr: str

    def row(self, what: str) -> dict[str, Any]:
        """The one row about something that has a fix."""
        (found,) = [row for row in self.rows if row["what"].startswith(what) and row["fix"]]
        return found


@dataclass(frozen=True)
class Doctor(Generic[F]):
    """Asks in a process of its own."""

    cloud: Cloud
    fake: F
    home: Path
    secret: str = ""
    """What is never said."""

    def ask(self, *words: str, without: str = "", **more: str) -> Said:
        """`without` is a variable of the fake's environment that is not set, `more` are others."""
        given = {name: value for name, value in self.fake.environment().items() if name != without}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "GOLDBAKE_HOME": str(self.home), **given, **more}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "doctor", "--cloud", self.cloud, "--json", *words],
            env=environment, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert self.fake.crashes == []
        assert not self.secret or self.secret not in done.stdout + done.stderr
        return Said(done.returncode, json.loads(done.stdout or "[]"), done.stderr)


class Examinations(ABC):
    """What every cloud's doctor finds."""

    kind: ClassVar[str]
    """A type of instance that can be had."""
    permission: ClassVar[tuple[str, str, str]]
    """The one that `forbid` takes away, how its state begins then, and the file that the fix names."""
    region: ClassVar[tuple[str, str, str]]
    """One that does not exist, how its row begins, and one that the fix offers."""
    credentials: ClassVar[tuple[str, str, str]]
    """The variable without which there are none, how their row begins, and the command that gets some."""

    @abstractmethod
    def changed(self, doctor: Doctor[Any]) -> list[str]:
        """What it has made or changed in the cloud."""

    @abstractmethod
    def forbid(self, doctor: Doctor[Any]) -> None:
        """Take away the right to start an instance."""

    def test_a_fit_account_is_called_fit_and_nothing_in_it_changes(self, doctor: Doctor[Any]) -> None:
        said = doctor.ask("--instance-type", self.kind)
        assert said.code == 0, said.stderr
        assert self.changed(doctor) == []

    def test_a_missing_permission_is_named_with_the_file_that_grants_it(self, doctor: Doctor[Any]) -> None:
        name, state, file = self.permission
        self.forbid(doctor)
        said = doctor.ask("--instance-type", self.kind)
        assert said.code == 4
        row = said.row(f"permission {name}")
        assert row["state"].startswith(state)
        assert file in row["fix"]
        assert f"permission {name}" in said.stderr

    def test_a_region_that_is_not_there_is_named_with_those_that_are(self, doctor: Doctor[Any]) -> None:
        name, what, other = self.region
        said = doctor.ask("--region", name)
        assert said.code == 4
        row = said.row(what)
        assert name in f"{row['what']}: {row['state']}"
        assert other in row["fix"]

    def test_without_credentials_the_ways_to_get_some_are_named(self, doctor: Doctor[Any]) -> None:
        variable, what, command = self.credentials
        said = doctor.ask(without=variable)
        assert said.code == 4
        assert command in said.row(what)["fix"]
        assert doctor.fake.calls == []
