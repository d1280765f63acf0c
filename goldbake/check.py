"""Runs tests/testinfra against a booted image or a mounted one, and says what held.

The checks are a pytest suite that people run by hand too, so this starts pytest as a program and reads its JUnit report.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from goldbake import proc
from goldbake.errors import GoldbakeError, MissingError, ProcessError, UsageError
from goldbake.paths import PROJECT
from goldbake.secret import redact

SUITE = PROJECT / "tests" / "testinfra"

MARKERS = ("image", "pristine", "booted", "gpu")
"""What a check needs: the image's files; its files before the first boot; the booted image; the booted image and a GPU."""

_TESTS_FAILED = 1
_NOTHING_COLLECTED = 5
_KEPT_LINES = 8
_LONGEST_LINE = 400

_ENTER = """\
set -e
root=$1 work=$2
shift 2
mount -t tmpfs -o mode=0755 goldbake-check "$work"
mkdir "$work/upper" "$work/scratch" "$work/root"
mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/scratch" goldbake-check "$work/root"
mount --rbind /dev "$work/root/dev"
mount -t proc proc "$work/root/proc"
exec "$@"
"""
"""A view of the image in memory and in a mount namespace of its own: a check can write, and the image never changes."""


@dataclass(frozen=True)
class Target:
    """What is checked: a machine reached by SSH, or the root folder of an image that is not running."""

    kind: Literal["ssh", "folder"]
    host: str = ""
    port: int = 22
    user: str = "root"
    key: Path | None = None
    """Private key; without one ssh decides by its own settings."""
    known_hosts: Path | None = None
    """The file with the one accepted host key; without one ssh decides by its own settings."""
    root: Path | None = None
    """The mounted root file system; read-only is enough."""

    @classmethod
    def ssh(cls, host: str, *, port: int = 22, user: str = "root", key: Path | None = None, known_hosts: Path | None = None) -> Target:
        return cls("ssh", host, port, user, key, known_hosts)

    @classmethod
    def folder(cls, root: Path) -> Target:
        return cls("folder", root=root)


@dataclass(frozen=True)
class FailedCheck:
    """A check that is red, and what it saw."""

    name: str
    message: str


@dataclass(frozen=True)
class CheckReport:
    """What the checks said; `digest` is the SHA-256 of names and outcomes, so equal outcomes have equal digests."""

    passed: tuple[str, ...]
    failed: tuple[FailedCheck, ...]
    skipped: tuple[str, ...]
    seconds: float
    digest: str

    def joined(self, other: CheckReport) -> CheckReport:
        """Both reports as one."""
        failed = (*self.failed, *other.failed)
        return report_of(set(self.passed) | set(other.passed), failed, set(self.skipped) | set(other.skipped), self.seconds + other.seconds)

    def document(self) -> dict[str, Any]:
        return asdict(self)


def report_of(passed: Iterable[str], failed: Iterable[FailedCheck], skipped: Iterable[str], seconds: float) -> CheckReport:
    """A report with everything in order and its digest."""
    red = tuple(sorted(failed, key=lambda check: check.name))
    outcome = {"passed": sorted(passed), "failed": [check.name for check in red], "skipped": sorted(skipped)}
    digest = hashlib.sha256(json.dumps(outcome, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return CheckReport(tuple(outcome["passed"]), red, tuple(outcome["skipped"]), round(seconds, 3), digest)


def run_checks(
    target: Target,
    expect: Mapping[str, Any],
    *,
    markers: Sequence[str] = ("image", "booted"),
    on_line: Callable[[str], None] = lambda line: None,
    stop: threading.Event | None = None,
    suite: Path = SUITE,
) -> CheckReport:
    """Run the checks that have one of `markers` and compare the target with `expect` (keys of the manifest) and its own manifest.

    Red checks are in the report. Raises UsageError for an unknown marker, MissingError when a folder is to be checked without root
    rights, GoldbakeError when the checks could not run or when none did: no check at all is never a success.
    """
    unknown = sorted(set(markers) - set(MARKERS))
    if unknown or not markers:
        raise UsageError(f"no such kind of check: {', '.join(unknown) or '(none)'}", hint=f"choose from {', '.join(MARKERS)}")
    started = time.monotonic()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goldbake-check-")))
        (work / "expect.json").write_text(json.dumps(expect, sort_keys=True))
        arguments = stack.enter_context(_reach(target, work))
        command: list[str | Path] = [
            *arguments.before, sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", "-p", "testinfra.plugin",
            "-m", " or ".join(markers), "-c", suite / "pytest.ini", f"--rootdir={suite}", f"--junitxml={work}/report.xml",
            *arguments.options, suite,
        ]  # fmt: skip
        # No other plugin that happens to be installed has a say, and loading them takes three times as long as all the rest of pytest's start.
        env = {"GOLDBAKE_EXPECT": str(work / "expect.json"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"}
        _pytest(command, on_line, env, stop)
        return _report(work / "report.xml", time.monotonic() - started)


@dataclass(frozen=True)
class _Arguments:
    before: tuple[str | Path, ...]
    options: tuple[str | Path, ...]


@contextmanager
def _reach(target: Target, work: Path) -> Iterator[_Arguments]:
    """What pytest needs to reach the target; connections are closed at the end."""
    if target.kind == "folder":
        yield _enter(target, work)
        return
    config = work / "ssh_config"
    config.write_text(ssh_config(target, work))
    options: list[str | Path] = [f"--ssh-config={config}", "--hosts=ssh://goldbake-target"]
    if target.user != "root":
        options.append("--sudo")
    try:
        yield _Arguments((), tuple(options))
    finally:
        # The shared connection outlives pytest by ControlPersist; without an open one, ssh only says so.
        proc.run(["ssh", "-F", config, "-O", "exit", "goldbake-target"], check=False)


def _enter(target: Target, work: Path) -> _Arguments:
    if target.root is None or not target.root.is_dir():
        raise UsageError(f"{target.root} is not a folder", hint="mount the image first and name the folder")
    if os.geteuid() != 0:
        raise MissingError("checking a mounted image needs root rights", hint="run the command with sudo")
    if shutil.which("unshare") is None:
        raise proc.missing("unshare")
    view = work / "view"
    view.mkdir()
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh", target.root.resolve(), view)
    return _Arguments(before, ("--connection=chroot", f"--hosts={view}/root"))


def ssh_config(target: Target, work: Path) -> str:
    """An ssh configuration with one host, `goldbake-target`; all commands share one connection."""
    lines = [
        "Host goldbake-target",
        f"  HostName {target.host}",
        f"  Port {target.port}",
        f"  User {target.user}",
        "  BatchMode yes",
        "  LogLevel ERROR",
        "  ConnectTimeout 30",
        "  ServerAliveInterval 15",
        "  ControlMaster auto",
        "  ControlPersist 60",
        f"  ControlPath {work}/ssh",
    ]
    if target.key is not None:
        lines += [f'  IdentityFile "{target.key}"', "  IdentitiesOnly yes"]
    if target.known_hosts is not None:
        lines += [f'  UserKnownHostsFile "{target.known_hosts}"', "  GlobalKnownHostsFile none", "  StrictHostKeyChecking yes"]
    return "\n".join(lines) + "\n"


def _pytest(command: list[str | Path], on_line: Callable[[str], None], env: Mapping[str, str], stop: threading.Event | None) -> None:
    try:
        proc.stream(command, on_line, env=env, stop=stop)
    except ProcessError as error:
        if error.code == _NOTHING_COLLECTED:
            raise GoldbakeError("no check was run", hint="name kinds of checks that exist: image, pristine, booted, gpu") from error
        if error.code != _TESTS_FAILED:
            raise


def _report(path: Path, seconds: float) -> CheckReport:
    if not path.exists():
        raise GoldbakeError("the checks ended without a report", hint="run them by hand: pytest tests/testinfra --hosts=ssh://root@HOST")
    passed: list[str] = []
    failed: dict[str, str] = {}
    skipped: list[str] = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = _name(case)
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        if bad is not None:
            failed[name] = redact(_message(bad))
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed.append(name)
    if not passed and not failed:
        raise GoldbakeError(f"no check was run ({len(skipped)} skipped)", hint="a skipped check says why: run with --hosts by hand and -rs")
    return report_of(passed, [FailedCheck(name, message) for name, message in failed.items()], skipped, seconds)


def _name(case: ElementTree.Element) -> str:
    """The check's own name; a file that could not even be imported has only pytest's."""
    for item in case.iter("property"):
        if item.get("name") == "check":
            return item.get("value", "")
    return f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")


def _message(bad: ElementTree.Element) -> str:
    """What was seen: the first lines that pytest marks with E, without its derivations (`+  where …`) and long values in full."""
    lines = [line[1:].strip() for line in (bad.text or "").splitlines() if line.startswith("E ")]
    kept = [line[:_LONGEST_LINE] for line in lines if line and not line.startswith("+")]
    return "\n".join(kept[:_KEPT_LINES]) or bad.get("message", "failed")[:_LONGEST_LINE]
