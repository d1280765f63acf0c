"""Programs that stand in for real ones in unit tests: shell scripts on a PATH of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

TOOLS = ("sh", "cat", "chmod", "env", "mkdir", "pwd", "sleep", "touch")
"""What the scripts themselves need; nothing else of this machine is on their PATH."""


class StandIns:
    """A folder that is the whole PATH; each program notes every call: its arguments, variables and folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "bin"
        self._notes = folder / "notes"
        self.bin.mkdir(parents=True)
        self._notes.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(self.bin))

    def program(self, name: str, body: str, *, folder: Path | None = None) -> Path:
        """Make the program `name` (in `folder`, else on PATH), which runs `body` in sh."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{self.noting(name)}\n{body}\n")
        path.chmod(0o755)
        return path

    def noting(self, name: str) -> str:
        """The lines of a script that note a call."""
        note = f"{self._notes}/{name}"
        return f'printf "%s\\n" "$*" >> {note}.calls; env > {note}.env; pwd > {note}.cwd'

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of `name`, joined with spaces."""
        path = self._notes / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def env(self, name: str) -> dict[str, str]:
        """The environment of the last call of `name`."""
        pairs = (line.partition("=") for line in (self._notes / f"{name}.env").read_text().splitlines())
        return {key: value for key, _, value in pairs}

    def cwd(self, name: str) -> Path:
        """The folder in which `name` was called last."""
        return Path((self._notes / f"{name}.cwd").read_text().strip())


PACKER = """
case "$1" in
version) printf 'Packer v%s\\n' @VERSION@ ;;
plugins)
    name=${5##*/}
    at="$PACKER_PLUGIN_PATH/github.com/hashicorp/$name"
    mkdir -p "$at"
    touch "$at/packer-plugin-${name}_v@PLUGIN@_x5.0_@PLATFORM@_SHA256SUM"
    ;;
esac
"""
"""Packer that says a version and installs plugins; the words between @ are to be replaced."""

GO = """
case "$1" in
version) echo "go version go@VERSION@ linux/amd64" ;;
build)
    while [ $# -gt 0 ]; do
        case "$1" in
        -o) out=$2; shift ;;
        -ldflags) shift ;;
        build|-*) ;;
        *) programs="$programs ${1##*/}" ;;
        esac
        shift
    done
    echo "some/package"
    for name in $programs; do
        printf '#!/bin/sh\\necho "Packer v1.16.0"\\n' > "$out$name"
        chmod 755 "$out$name"
    done
    @BUILD@
    ;;
esac
"""
"""Go that builds a program of each package that it is told to."""


def packer(version: str, plugin: str = "0.0.0", platform: str = "linux_amd64") -> str:
    """The body of a Packer of `version` that installs plugins as `plugin`."""
    return PACKER.replace("@VERSION@", version).replace("@PLUGIN@", plugin).replace("@PLATFORM@", platform)


def go(version: str = "1.27.3", build: str = ":") -> str:
    """The body of a Go of `version`; `build` is what it does at the end of a build."""
    return GO.replace("@VERSION@", version).replace("@BUILD@", build)
