"""What a probe told about an image: one command per probe, because a command by SSH costs seconds on an emulated machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testinfra.backend.base import CommandResult
from testinfra.host import Host

PROBES = Path(__file__).parent / "probes"

_SECTION = re.compile(r"^@@begin (?P<name>\w+)\n(?P<text>.*?)\n@@end (?P=name) (?P<code>\d+)$", re.MULTILINE | re.DOTALL)

DRIVER_SOURCES = re.compile(r"nvidia-graphics-drivers|nvidia-open-gpu-kernel-modules")
"""Debian's source packages whose version is the driver's; nvidia-persistenced, -modprobe and -settings have versions of their own there."""
NVIDIA_NAMES = re.compile(r"(^|-)(lib)?nvidia(-|$)|^libnv|^libcuda|^cuda-drivers|^libxnvctrl")
"""Names of packages that an upgrade must not touch: the driver's parts and the container toolkit's."""
TOOLKIT_NAMES = re.compile(r"nvidia-container")
KERNEL_NAMES = re.compile(r"^linux-(image|headers|modules|signatures)")
DOCKER_NAMES = re.compile(r"^(docker-ce|docker-ce-cli|docker\.io|containerd|containerd\.io|runc)$")


def ask(host: Host, command: str) -> CommandResult:
    """Run a command on the host. Raises RuntimeError with ssh's own words when the host does not answer."""
    try:
        return host.run(command)
    except RuntimeError as error:
        # testinfra raises its whole result, command first: a probe is pages long and the reason comes last.
        result = error.args[0] if error.args else None
        if isinstance(result, CommandResult):
            raise RuntimeError(f"the host does not answer: {result.stderr.strip() or f'ssh ended with {result.rc}'}") from None
        raise


@dataclass(frozen=True)
class Package:
    """One installed package."""

    name: str
    version: str
    source: str

    @property
    def upstream(self) -> str:
        """The version without epoch and packaging revision, as 535.309.01 of 1:535.309.01-1~deb12u1."""
        version = self.version.partition(":")[2] or self.version
        return version.rpartition("-")[0] or version


@dataclass(frozen=True)
class KernelModule:
    """What modinfo says of one module for one kernel."""

    kernel: str
    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """The sections of one probe."""

    sections: Mapping[str, str]
    codes: Mapping[str, int]

    @classmethod
    def probe(cls, host: Host, script: str, variables: Mapping[str, str] | None = None) -> Facts:
        """Run a probe on the host; a probe that stops half-way is an error, not an empty fact."""
        head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in (variables or {}).items())
        done = ask(host, head + (PROBES / script).read_text())
        facts = cls.parse(done.stdout)
        if done.rc != 0 or not facts.sections:
            raise RuntimeError(f"the probe {script} ended with {done.rc}: {done.stderr.strip() or done.stdout.strip()[-500:]}")
        return facts

    @classmethod
    def parse(cls, text: str) -> Facts:
        found = list(_SECTION.finditer(text))
        return cls({m["name"]: m["text"] for m in found}, {m["name"]: int(m["code"]) for m in found})

    def text(self, section: str) -> str:
        return self.sections[section].strip()

    def lines(self, section: str) -> list[str]:
        return [line.strip() for line in self.sections[section].splitlines() if line.strip()]

    def table(self, section: str) -> list[list[str]]:
        """The lines of a section, each split at blanks."""
        return [line.split() for line in self.lines(section)]

    @property
    def kernels(self) -> list[str]:
        return self.lines("installed_kernels")

    @property
    def packages(self) -> list[Package]:
        """Everything that dpkg calls installed."""
        rows = [line.split("|") for line in self.lines("packages")]
        return [Package(name, version, source) for status, name, version, source in rows if status[1:2] == "i"]

    @property
    def modules(self) -> list[KernelModule]:
        found: list[tuple[str, str, dict[str, str]]] = []
        for line in self.lines("modules"):
            if line.startswith("module "):
                _, kernel, name = line.split()
                found.append((kernel, name, {}))
            else:
                key, _, value = line.partition(":")
                found[-1][2].setdefault(key, value.strip())
        return [KernelModule(*row) for row in found]

    def version_of(self, *names: str) -> str | None:
        """The upstream version of the first of these packages that is installed."""
        return next((package.upstream for package in self.packages if package.name in names), None)

    def unheld(self, names: re.Pattern[str]) -> list[str]:
        """Installed packages with such a name that an upgrade may replace."""
        holds = set(self.lines("holds"))
        return [package.name for package in self.packages if names.search(package.name) and package.name not in holds]
