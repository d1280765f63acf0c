"""What every script has in common: how it begins, what it says of itself, and how it ends when it is called wrongly."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from goldbake.paths import PROJECT
from tests.shell.conftest import Mirror
from tests.shell.machine import UPLOADED, Machine
from tests.shell.test_inputs import CHECKED

SCRIPTS = sorted((PROJECT / "image-scripts").glob("*.sh"))
VARIABLE = re.compile(r"\bGOLDBAKE_[A-Z0-9_]+")
OF_THE_BAKE = {"GOLDBAKE_SCRIPTS"}
"""Checked by lib/common.sh for all."""

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def named(inputs: str) -> set[str]:
    """The variables that an Inputs paragraph names."""
    return set(VARIABLE.findall(inputs))


def header(script: Path) -> dict[str, str]:
    """The paragraphs of a script's first comment, by their word."""
    parts: dict[str, str] = {}
    word = ""
    for line in script.read_text().splitlines()[1:]:
        if not line.startswith("#"):
            break
        found = re.match(r"# (Purpose|Inputs|Effect): *(.*)", line)
        word, text = (found[1], found[2]) if found else (word, line.lstrip("# "))
        parts[word] = f"{parts.get(word, '')} {text}".strip()
    return parts


@every_script
def test_a_script_says_its_purpose_inputs_and_effect(script: Path) -> None:
    parts = header(script)
    assert list(parts) == ["Purpose", "Inputs", "Effect"]
    assert all(parts.values())


@every_script
def test_a_script_names_all_variables_that_it_reads(script: Path) -> None:
    code = "\n".join(line for line in script.read_text().splitlines() if not line.startswith("#"))
    assert set(VARIABLE.findall(code)) - OF_THE_BAKE == named(header(script)["Inputs"])


@every_script
def test_a_script_checks_all_variables_that_it_reads(script: Path) -> None:
    code = "\n".join(line for line in script.read_text().splitlines() if not line.startswith("#"))
    checked = set(re.findall(r"\bneed (GOLDBAKE_[A-Z0-9_]+)", code))
    assert set(VARIABLE.findall(code)) - OF_THE_BAKE == checked


@every_script
def test_a_wrong_value_of_each_variable_is_tried(script: Path) -> None:
    # GOLDBAKE_FILES is a folder that the templates name themselves.
    assert named(header(script)["Inputs"]) - {"GOLDBAKE_FILES"} == {name for name, _ in CHECKED.get(script.stem, ())}


@every_script
def test_a_bake_sets_all_variables_of_a_script(script: Path, mirror: Mirror) -> None:
    for variables in mirror.inputs.values():
        assert named(header(script)["Inputs"]) <= variables.keys() | {"GOLDBAKE_FILES"}


@every_script
def test_a_script_is_strict_and_can_be_run(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert script.stat().st_mode & 0o111


@every_script
def test_a_script_needs_the_uploaded_folder(script: Path) -> None:
    done = subprocess.run(["bash", script], env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "GOLDBAKE_SCRIPTS" in done.stderr


def test_scripts_are_for_root(machine: Machine) -> None:
    script = f"{UPLOADED}/scripts/disable-nouveau.sh"
    ended = machine.run("setpriv", "--reuid=65534", "env", f"GOLDBAKE_SCRIPTS={UPLOADED}/scripts", "bash", script)
    assert ended.code == 1
    assert "error: scripts run as root" in ended.output
    assert machine.changes() == []
