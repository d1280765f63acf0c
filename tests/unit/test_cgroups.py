"""Control groups are found in every hierarchy that systemd uses, and a group that goes while it is read is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.errors import MissingError
from goldbake.local import cgroups

_UNIFIED = "cgroup2 {top}/fs cgroup2 rw,relatime 0 0\nproc /proc proc rw 0 0\n"
_HYBRID = (
    "cgroup {top}/cpu cgroup rw,cpu 0 0\ncgroup {top}/systemd cgroup rw,xattr,name=systemd 0 0\ncgroup2 {top}/unified cgroup2 rw 0 0\n"
    "cgroup /tmp/unifiedotnpCV cgroup2 rw 0 0\n"
)


@pytest.fixture(params=[_UNIFIED, _HYBRID], ids=["unified", "hybrid"])
def tops(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders in the place of hierarchies: what a group is made of are folders and files."""
    mounts = tmp_path / "mounts"
    mounts.write_text(request.param.format(top=tmp_path))
    found = cgroups.hierarchies(mounts, tmp_path)
    for top in found:
        top.mkdir()
    monkeypatch.setattr(cgroups, "hierarchies", lambda: found)
    return found


def _put(folder: Path, *processes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))


def test_hierarchies_are_systemds_own(tops: list[Path]) -> None:
    assert [top.name for top in tops] in (["fs"], ["systemd", "unified"])


def test_a_group_is_made_everywhere_and_found_by_its_name(tops: list[Path]) -> None:
    assert cgroups.make("goldbake-a-1") == [top / "goldbake-a-1" for top in tops]
    cgroups.make("other")
    assert cgroups.named("goldbake-a") == {"goldbake-a-1"}


def test_processes_of_a_group_are_those_of_all_below_it(tops: list[Path]) -> None:
    _put(tops[0] / "g", 0, 11)
    _put(tops[0] / "g/payload/system.slice", 12, 13)
    _put(tops[-1] / "g/supervisor", 11, 14)
    assert cgroups.processes("g") == {11, 12, 13, 14}
    assert cgroups.processes("none") == set()


def test_a_group_lives_as_long_as_its_supervisor(tops: list[Path]) -> None:
    _put(tops[0] / "g/payload", 12)
    assert not cgroups.has_leader("g")
    _put(tops[0] / "g/supervisor", 11)
    assert cgroups.has_leader("g")


def test_removing_takes_the_groups_below_first_and_none_beside(tops: list[Path]) -> None:
    for top in tops:
        (top / "g/payload/a.slice").mkdir(parents=True)
        (top / "g-2").mkdir()
    cgroups.remove("g")
    assert [sorted(path.name for path in top.iterdir()) for top in tops] == [["g-2"]] * len(tops)
    cgroups.remove("g")


def test_a_group_that_is_still_in_use_is_given_up_in_time(tops: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_REMOVE_S", 0.05)
    _put(tops[0] / "g", 1)  # a file in it stands for a process: rmdir is refused
    cgroups.remove("g")
    assert (tops[0] / "g").is_dir()


def test_a_machine_without_control_groups_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", list)
    with pytest.raises(MissingError, match="no control groups"):
        cgroups.make("g")
