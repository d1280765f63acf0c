"""The tarball of the simulated agent."""

from __future__ import annotations

import ast
import io
import sys
import tarfile
from pathlib import Path

import pytest

from sim import agent

TEXTS = sorted(path for path in agent.FILES.rglob("*.py"))


def members(version: str = "4.275.0") -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(agent.pack(version))) as opened:
        return {member.name: member for member in opened.getmembers()}


def test_the_same_version_is_the_same_bytes() -> None:
    assert agent.pack("4.275.0") == agent.pack("4.275.0")
    assert agent.pack("4.275.0") != agent.pack("4.275.1")


def test_names_are_unique_and_folders_come_before_their_files() -> None:
    with tarfile.open(fileobj=io.BytesIO(agent.pack("4.275.0"))) as opened:
        names = opened.getnames()
    assert len(names) == len(set(names))
    assert [name for at, name in enumerate(names) if "/" in name and name.rpartition("/")[0] not in names[:at]] == []


def test_nothing_of_this_machine_is_in_it() -> None:
    found = members()
    assert [name for name in found if "__pycache__" in name or name.startswith("/") or ".." in name] == []
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {(0, 0, "", 0)}


def test_programs_can_be_started_and_nothing_else() -> None:
    started = {name for name, member in members().items() if member.isfile() and member.mode == 0o755}
    assert started == {
        "config.sh",
        "run.sh",
        "run-docker.sh",
        "reauth.sh",
        "env.sh",
        "bin/Agent.Listener",
        "bin/runsvc.sh",
    }


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_module_is_for_python_3_10_and_needs_its_library_only(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text, feature_version=(3, 10))
    names = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module
    }
    assert names <= set(sys.stdlib_module_names)
    assert names & {"argparse", "dataclasses", "pathlib", "http", "urllib3", "uuid"} == set()
