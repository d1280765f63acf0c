"""Ctrl-C and SIGTERM to the real command at any moment: everything that it made is gone when it ends, with the exit code of the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from goldbake.local import leftovers
from goldbake.paths import PROJECT, Paths
from launch import service
from sim.azdo import SimulatedAzureDevOps
from tests.integration import tinyimage

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root")]


@pytest.fixture(scope="module")
def azdo() -> Iterator[SimulatedAzureDevOps]:
    with SimulatedAzureDevOps(organization="demo") as running:
        yield running


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    home = tmp_path_factory.mktemp("home")
    made = Paths(PROJECT, home / "cache", home / "state")
    tinyimage.make(made)
    return made


@contextmanager
def _launch(paths: Paths, azdo: SimulatedAzureDevOps) -> Iterator[subprocess.Popen[bytes]]:
    """A launch of three containers whose agents never come: it waits until it is interrupted. Nothing of it is there for the next test."""
    env = os.environ | {"GOLDBAKE_HOME": str(paths.state.parent), "AZP_TOKEN": azdo.pat, "AZP_URL": azdo.url}
    command = [sys.executable, "-m", "invoke", "launch", "--engine", "container", "--count", "3", "--ca", str(azdo.ca_path)]
    with subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if _left(paths):
        _reap(paths, azdo)


def _reap(paths: Paths, azdo: SimulatedAzureDevOps) -> None:
    env = os.environ | {"GOLDBAKE_HOME": str(paths.state.parent), "AZP_TOKEN": azdo.pat, "AZP_URL": azdo.url}
    subprocess.run([sys.executable, "-m", "invoke", "reap", "--yes", "--ca", str(azdo.ca_path)], cwd=PROJECT, env=env, check=True)


def _left(paths: Paths) -> list[str]:
    folder = service.instances_folder(paths)
    processes = [str(process.pid) for process in leftovers.processes_of(folder)]
    files = [str(path) for path in folder.rglob("*")] if folder.exists() else []
    journals = [entry.launch_id for entry in service.entries(paths)]
    return processes + leftovers.mounts_below(folder) + leftovers.loop_devices_of(paths.cache) + files + journals


_MOMENTS: dict[str, tuple[str, int, float]] = {
    "journal written": ("launches/*.json", 1, 0.0),
    "first folder made": ("instances/*/*", 1, 0.0),
    "first seed made": ("instances/*/*/seed/user-data", 1, 0.0),
    "first network": ("instances/*/*/slirp.log", 1, 0.0),
    "first container starts": ("instances/*/*/console.log", 1, 0.0),
    "all containers start": ("instances/*/*/console.log", 3, 0.0),
    "a moment later": ("instances/*/*/console.log", 3, 0.1),
    "waiting for agents": ("instances/*/*/console.log", 3, 1.5),
}
"""When: as soon as so many files below the state folder match, and seconds later."""


def _reach(paths: Paths, moment: str) -> None:
    pattern, count, later = _MOMENTS[moment]
    deadline = time.monotonic() + 120
    while len(list(paths.state.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{moment}: never reached"
        time.sleep(0.002)
    time.sleep(later)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("moment", list(_MOMENTS))
def test_an_interrupted_launch_leaves_nothing(paths: Paths, azdo: SimulatedAzureDevOps, signum: signal.Signals, moment: str) -> None:
    with _launch(paths, azdo) as child:
        _reach(paths, moment)
        os.killpg(child.pid, signum)  # as a terminal does: the programs that it has just started get it as well
        _, said = child.communicate(timeout=240)
        assert child.returncode == 128 + signum, said.decode()
        assert b"Traceback" not in said, said.decode()
        assert _left(paths) == [], said.decode()
    assert azdo.state()["agents"] == []


def test_a_second_ctrl_c_says_what_to_do_and_reap_does_the_rest(paths: Paths, azdo: SimulatedAzureDevOps) -> None:
    with _launch(paths, azdo) as child:
        _reach(paths, "all containers start")
        os.killpg(child.pid, signal.SIGINT)
        assert child.stderr is not None
        said = b""
        while b"removing what launch" not in said and (line := child.stderr.readline()):
            said += line
        os.killpg(child.pid, signal.SIGINT)
        said += child.stderr.read()
        assert child.wait(240) == 128 + signal.SIGINT, said.decode()
        if _left(paths):
            assert b"may have left something behind" in said
            assert b"./inv destroy --launch" in said
        _reap(paths, azdo)
        assert _left(paths) == []
