"""Several launches are removed at a time: each by itself, and none is forgotten when one fails or somebody has had enough."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from goldbake.log import Progress
from goldbake.paths import Paths
from launch import removal, service
from launch.base import Resource
from launch.registry import journal_of
from launch.request import LaunchRequest
from tests.unit.launch.foldercloud import FolderCloud, FolderDirectory


class _Shared(FolderCloud):
    """A cloud of others, in which a removal of a launch begins only when as many have begun as `together` says."""

    together: threading.Barrier | None = None
    keeps = ""
    """The launch whose things it does not delete."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, shared=True)
        self.refused = threading.Event()
        """Set when somebody has asked for those."""

    def delete(self, resources: Sequence[Resource]) -> None:
        if self.together is not None:
            self.together.wait(60)
        if self.keeps and any(found.launch_id == self.keeps for found in resources):
            self.refused.set()
            raise Failure(Scope.ACCOUNT, "Denied", f"{self.keeps} may not be deleted", hint="unlock it")
        super().delete(resources)


@pytest.fixture
def shared(tmp_path: Path, paths: Paths, request_: LaunchRequest) -> _Shared:
    """Three launches of two instances each."""
    found = _Shared(tmp_path / "shared")
    for name in ("l1", "l2", "l3"):
        service.launch(
            paths,
            Progress(io.StringIO()),
            request_,
            launcher=found,
            directory=nullcontext(FolderDirectory(found)),
            new_id=lambda name=name: name,
        )
    return found


def _remove(paths: Paths, cloud: FolderCloud, said: io.StringIO, **more: object) -> service.RemovalReport:
    plan = service.plan_destroy(paths, [Cloud.LOCAL], None, everything=True, launchers={Cloud.LOCAL: cloud})
    opener = FolderDirectory(cloud)
    return removal.carry_out(
        plan,
        journal_of(paths),
        {Cloud.LOCAL: cloud},
        lambda _: nullcontext(opener),
        Progress(said),
        **more,  # type: ignore[arg-type]
    )


def test_launches_in_a_cloud_go_at_the_same_time(paths: Paths, shared: _Shared) -> None:
    shared.together = threading.Barrier(3)
    report = _remove(paths, shared, io.StringIO())
    report.require_nothing_left()
    assert sorted(report.launches) == ["l1", "l2", "l3"]
    assert len(report.agents) == 6
    assert shared.names() == []
    assert service.entries(paths) == []


def test_one_that_cannot_be_removed_does_not_hold_up_the_others(paths: Paths, shared: _Shared) -> None:
    shared.keeps, shared.removal_s = "l2", 0.05
    said = io.StringIO()
    report = _remove(paths, shared, said)
    assert {name.split("-")[-2] for name in shared.names()} == {"l2"}
    assert len(report.left) == 4
    assert "l2 may not be deleted" in said.getvalue()
    ends = re.findall(r"^remove (\w+) (done|failed)", said.getvalue(), re.MULTILINE)
    assert sorted(ends) == [("l1", "done"), ("l2", "failed"), ("l3", "done")]
    assert [entry.launch_id for entry in service.entries(paths)] == ["l2"]


def test_what_the_cloud_refuses_for_good_is_told_once_and_not_asked_for_until_the_time_is_over(paths: Paths, shared: _Shared) -> None:
    shared.keeps, shared.removal_s = "l2", 1800.0
    said, now = io.StringIO(), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    report = _remove(paths, shared, said, clock=lambda: now[0], sleep=sleep)
    assert 60 <= now[0] < 120
    assert said.getvalue().count("l2 may not be deleted") == 1
    with pytest.raises(GoldbakeError, match="4 things could not be removed") as caught:
        report.require_nothing_left()
    assert caught.value.hint == "unlock it; run the same command again: `./inv destroy --launch l2 --yes`", (
        "the one of which something is left"
    )


def test_an_interrupt_ends_all_and_the_next_removal_finishes_them(paths: Paths, shared: _Shared) -> None:
    shared.keeps, said = "l2", io.StringIO()

    def enough(_: float) -> None:
        assert shared.refused.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _remove(paths, shared, said, sleep=enough)
    assert "launch l2 is only half removed" in said.getvalue()
    shared.keeps = ""
    _remove(paths, shared, io.StringIO()).require_nothing_left()
    assert shared.names() == []
    assert service.entries(paths) == []
