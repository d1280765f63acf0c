"""The linters are part of the tests, so that the gate needs one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goldbake.paths import PROJECT

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
BENCH = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "goldbake" / "bench").glob("*.sh"))
AGENT = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "sim" / "agent" / "files").rglob("*.sh"))
IN_THE_IMAGE = sorted(
    str(path.relative_to(PROJECT))
    for path in (PROJECT / "image-scripts" / "rootfs" / "usr").rglob("goldbake/*")
    if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh\n", b"#!/bin/bash\n"))
)
SCRIPTS = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "image-scripts").glob("*.sh"))


@pytest.mark.parametrize(
    "argv",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("lint-imports",),
        ("shellcheck", "-x", "-P", "image-scripts", *SCRIPTS),
        ("shellcheck", "inv", ".ci/run", *BENCH),
        ("shellcheck", "-e", "SC1091,SC2329", *AGENT),  # files beside it that only exist once it is configured; functions that traps call
        ("shellcheck", *IN_THE_IMAGE),
    ],
    ids=lambda argv: " ".join(argv[:2]),
)
@pytest.mark.timeout(1200)  # mypy has to read everything anew
def test_linter_has_nothing_to_say(argv: tuple[str, ...]) -> None:
    done = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
