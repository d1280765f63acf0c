"""The demo as people start it; what is left afterwards is looked for here by other means than its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from goldbake.local import cgroups
from goldbake.paths import PROJECT, Paths
from goldbake.records import Records
from tests.integration.conftest import BakedImage

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root")]

ORDER = ["asked for", "kernel", "first boot", "registered", "online", "job succeeded", "destroyed"]
"""`created`, the end of the create call, is beside them: a container's first process runs before that call ends, a VM's kernel after it."""


def _demo(*words: str) -> subprocess.CompletedProcess[str]:
    """`./inv demo`, in whatever environment the tests run in."""
    return subprocess.run(
        [PROJECT / "inv", "demo", "--engine", "container", *words], text=True, capture_output=True, check=False, timeout=600, cwd="/"
    )


def _left(paths: Paths, said: str) -> list[str]:
    """What this machine has of the launch that the demo names: processes, mounts, control groups, loop devices, files."""
    named = re.search(r"^remove (\w+)", said, re.MULTILINE)
    assert named, said
    folder = paths.state / "instances"
    marker = f"{folder}/".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if marker in words:
            found.append(f"process {process.name}: {words!r}")
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    found += sorted(cgroups.named(f"goldbake-{named[1]}"))
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = backing.read_text().strip()
        except OSError:
            continue
        if str(paths.cache / "disks") in file:
            found.append(f"{backing.parts[3]}: {file}")
    if folder.exists():
        found += [str(path) for path in folder.rglob("*")]
    launches = paths.state / "launches"
    return found + ([str(path) for path in launches.glob("*.json")] if launches.exists() else [])


@pytest.fixture
def paths(baked_image: BakedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home of its own that knows the baked image: other tests start machines at the same time, and the demo looks at all of its home."""
    monkeypatch.setenv("GOLDBAKE_HOME", str(tmp_path))
    found = Paths.from_environment()
    Records(found.records).add(baked_image.record)
    return found


def _assert_order(marks: list[str]) -> None:
    assert [mark for mark in marks if mark != "created"] == ORDER
    assert marks.index("asked for") < marks.index("created") < marks.index("online")


def test_the_demo_shows_the_whole_way_and_leaves_nothing(paths: Paths) -> None:
    done = _demo("--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    _assert_order([mark["what"] for mark in document["timeline"]])
    seconds = [mark["seconds"] for mark in document["timeline"]]
    assert seconds[0] == 0
    assert seconds == sorted(seconds)
    assert "agents in pool Default" in document["nothing_left"]
    assert _left(paths, done.stderr) == []
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("paths")
def test_people_read_a_timeline() -> None:
    done = _demo()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    timeline, proof = lines[: lines.index("")], lines[lines.index("") + 1 :]
    _assert_order([re.sub(r"^ *[0-9.]+ s +", "", line) for line in timeline])
    assert proof
    assert all(line.startswith("nothing left: ") for line in proof)


def test_a_demo_that_is_interrupted_leaves_nothing(paths: Paths) -> None:
    with subprocess.Popen(
        [PROJECT / "inv", "demo", "--engine", "container"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
    ) as child:
        assert child.stderr is not None
        assert child.stdout is not None
        errors = ""
        for line in child.stderr:
            errors += line
            if line == "job …\n":  # the agent is online
                child.send_signal(2)
        output = child.stdout.read()
        child.wait(120)
    assert child.returncode not in (0, None)
    assert output == ""
    assert "Traceback" not in errors
    assert _left(paths, errors) == []
