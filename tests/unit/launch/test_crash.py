"""A launcher that is killed between any two external calls leaves nothing that reap does not remove, and reap touches nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from goldbake.paths import Paths
from launch import service
from launch.journal import State
from launch.service import LaunchRequest
from tests.unit.launch.conftest import reap_plan, record_image, remove, run_launch
from tests.unit.launch.crash import was_killed
from tests.unit.launch.field import PAT
from tests.unit.launch.foldercloud import FolderCloud, Steps

pytestmark = pytest.mark.slow

_NAMES = {9: "killed", 0: "finished"}


def test_a_launcher_killed_at_any_point_leaves_nothing_to_reap_twice(tmp_path: Path, request_: LaunchRequest) -> None:
    total = _steps_of_a_whole_launch(tmp_path, request_)
    assert total >= 12  # two instances with a volume each, sealed: before and after every call
    killed = 0
    for at in range(1, total + 1):
        paths, folder, foreign = _fresh(tmp_path / f"launch-{at}")
        died = was_killed(lambda at=at, paths=paths, folder=folder: run_launch(paths, FolderCloud(folder, Steps(at)), request_))
        killed += died
        _reap_leaves_only(paths, FolderCloud(folder), foreign)
    assert killed >= total - 2  # threads may make a step more or less


def test_a_reap_killed_at_any_point_is_finished_by_the_next(tmp_path: Path, request_: LaunchRequest) -> None:
    at, died = 0, True
    while died:
        at += 1
        paths, folder, foreign = _fresh(tmp_path / f"reap-{at}")
        assert was_killed(lambda paths=paths, folder=folder: run_launch(paths, FolderCloud(folder, Steps(8)), request_))
        died = was_killed(lambda at=at, paths=paths, folder=folder: _reap(paths, FolderCloud(folder, Steps(at))))
        _reap_leaves_only(paths, FolderCloud(folder), foreign)
    assert at > 8


def test_a_destroy_killed_at_any_point_is_finished_by_reap(tmp_path: Path, request_: LaunchRequest) -> None:
    at, died = 0, True
    while died:
        at += 1
        paths, folder, foreign = _fresh(tmp_path / f"destroy-{at}")
        run_launch(paths, FolderCloud(folder), request_)
        died = was_killed(lambda at=at, paths=paths, folder=folder: _destroy(paths, FolderCloud(folder, Steps(at))))
        entry = next(iter(service.entries(paths)), None)
        if entry is not None and entry.state is State.RUNNING:  # it had not begun: the launch is whole, and not reap's business
            assert not reap_plan(paths, FolderCloud(folder))
            _destroy(paths, FolderCloud(folder))
        _reap_leaves_only(paths, FolderCloud(folder), foreign)
    assert at > 10


@pytest.mark.parametrize("signum", [signal.SIGINT])
def test_an_interruption_at_any_point_leaves_nothing(tmp_path: Path, request_: LaunchRequest, signum: signal.Signals) -> None:
    total = _steps_of_a_whole_launch(tmp_path, request_)
    for at in range(1, total + 1):
        paths, folder, foreign = _fresh(tmp_path / f"interrupt-{at}")
        steps = Steps(at, lambda: os.kill(os.getpid(), signum))
        was_killed(lambda paths=paths, folder=folder, steps=steps: _interrupted(paths, FolderCloud(folder, steps), request_))
        cloud = FolderCloud(folder)
        running = [entry for entry in service.entries(paths) if entry.state is State.RUNNING]
        if running:  # the last calls were made before the signal was noticed
            _destroy(paths, cloud)
        assert cloud.names() == foreign, f"interrupted at step {at}"
        assert cloud.agent_names() == ["goldbake-theirs"]
        assert service.entries(paths) == []


def _interrupted(paths: Paths, cloud: FolderCloud, request: LaunchRequest) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_launch(paths, cloud, request)
    except KeyboardInterrupt:
        return


def _steps_of_a_whole_launch(tmp_path: Path, request: LaunchRequest) -> int:
    paths = _paths(tmp_path / "whole")
    cloud = FolderCloud(tmp_path / "whole" / "cloud")
    run_launch(paths, cloud, request)
    return cloud.steps.count


def _paths(top: Path) -> Paths:
    """A user's folders, with an image."""
    paths = Paths(top / "project", top / "cache", top / "state")
    record_image(paths)
    return paths


def _fresh(top: Path) -> tuple[Paths, Path, list[str]]:
    """A user's folders, a cloud's folder, and the things of others in it."""
    folder = top / "cloud"
    return _paths(top), folder, FolderCloud(folder).foreign()


def _reap_leaves_only(paths: Paths, cloud: FolderCloud, foreign: list[str]) -> None:
    _finish_if_it_came_up(paths, cloud)
    _reap(paths, cloud)
    assert cloud.names() == foreign
    assert cloud.agent_names() == ["goldbake-theirs"]
    assert not reap_plan(paths, cloud), "a second reap would have something to do"
    assert list(service.launches(paths).glob("*.json")) == []
    assert PAT.encode() not in b"".join(path.read_bytes() for path in paths.state.rglob("*") if path.is_file())


def _finish_if_it_came_up(paths: Paths, cloud: FolderCloud) -> None:
    """Killed after the last external call of all: the launch is complete."""
    for entry in service.entries(paths):
        if entry.state is State.RUNNING:
            assert len(cloud.instances(entry.launch_id)) == entry.count
            _destroy(paths, cloud)


def _reap(paths: Paths, cloud: FolderCloud) -> None:
    remove(paths, cloud, reap_plan(paths, cloud), cautious=True).require_nothing_left()


def _destroy(paths: Paths, cloud: FolderCloud) -> None:
    plan = service.plan_destroy(paths, [Cloud.LOCAL], None, everything=True, launchers={Cloud.LOCAL: cloud})
    remove(paths, cloud, plan).require_nothing_left()
