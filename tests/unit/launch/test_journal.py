"""The journal is on disk before it is needed, and a dead holder's lock is free."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from launch.journal import Entry, Journal, State

ENTRY = Entry("l1", Cloud.LOCAL, "img", "/a", "https://x/y", "Default", 1, "goldbake", 2, 100.0, 200)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "launches")


def test_what_was_written_is_read_again(journal: Journal) -> None:
    journal.write(replace(ENTRY, options={"engine": "vm"}, instances={"i": "a"}))
    assert journal.read("l1") == replace(ENTRY, options={"engine": "vm"}, instances={"i": "a"})
    assert journal.read("l2") is None


def test_the_oldest_launch_comes_first_and_a_broken_file_is_none(journal: Journal, tmp_path: Path) -> None:
    journal.write(replace(ENTRY, launch_id="b", created=1.0))
    journal.write(replace(ENTRY, launch_id="a", created=2.0))
    (tmp_path / "launches" / "c.json").write_text('{"launch_id": "c"')
    (tmp_path / "launches" / "d.json").write_text('{"launch_id": "d", "cloud": "local", "state": "running"}')
    assert [entry.launch_id for entry in journal.all()] == ["b", "a"]


def test_instances_noted_by_many_threads_are_all_kept(journal: Journal) -> None:
    journal.write(ENTRY)
    threads = [threading.Thread(target=journal.note_instances, args=("l1", {f"i-{n}": f"agent-{n}"})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = journal.read("l1")
    assert found is not None
    assert len(found.instances) == 20


def test_an_instance_of_a_launch_whose_journal_is_gone_is_an_error(journal: Journal) -> None:
    with pytest.raises(GoldbakeError, match="journal of launch l1 is gone"):
        journal.note_instances("l1", {"i": "a"})


def test_a_launch_is_worked_on_by_one_process(journal: Journal) -> None:
    with journal.locked("l1"):
        assert journal.is_locked("l1")
        with pytest.raises(GoldbakeError, match="at work on launch l1"), journal.locked("l1"):
            pass
    assert not journal.is_locked("l1")


def test_the_lock_of_a_dead_process_is_free(journal: Journal) -> None:
    journal.write(ENTRY)
    child = os.fork()
    if child == 0:
        with journal.locked("l1"):
            os._exit(0)  # as a kill does: nothing is released by us
    os.waitpid(child, 0)
    assert not journal.is_locked("l1")
    with journal.locked("l1"):
        assert journal.read("l1") == ENTRY


def test_a_launch_that_is_forgotten_leaves_no_file(journal: Journal, tmp_path: Path) -> None:
    with journal.locked("l1"):
        journal.set_state(ENTRY, State.REMOVING)
        journal.remove("l1")
    assert list((tmp_path / "launches").iterdir()) == []


def test_whoever_looks_at_a_lock_makes_none_and_is_in_nobodys_way(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.journal._LOOK_S", 60.0)
    assert not journal.is_locked("l1")
    assert not (tmp_path / "launches").exists()
    journal.write(ENTRY)
    with journal.locked("l1"):
        pass
    with (tmp_path / "launches" / "l1.lock").open() as looked:
        fcntl.flock(looked, fcntl.LOCK_SH)  # as a look does, only longer
        threading.Timer(0.1, fcntl.flock, (looked, fcntl.LOCK_UN)).start()
        assert not journal.is_locked("l1")
        with journal.locked("l1"):
            assert journal.is_locked("l1")
