"""What belongs to a folder is found and taken away; nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from goldbake.local import leftovers
from goldbake.local.leftovers import Process, end_processes_of, has_ended, processes_of, sweep
from tests.waiting import until


def test_clean_up_ends_only_processes_that_name_the_work_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "run").mkdir(parents=True)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen([*sleep, f"{work}/run/disk.raw"])
    other = subprocess.Popen([*sleep, f"{tmp_path}/elsewhere/disk.raw"])
    try:
        found = sweep(work)
        assert ours.wait(10) == -9
        assert other.poll() is None
    finally:
        for child in (ours, other):
            child.kill()
            child.wait()
    assert any(str(ours.pid) in line for line in found)
    assert "files of run" in found
    assert list(work.iterdir()) == []


def test_clean_up_ends_the_children_of_a_session_too(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    nested = """
import pathlib, subprocess, time
child = subprocess.Popen(['sleep', '61'])
while not pathlib.Path(f'/proc/{child.pid}/cmdline').read_bytes().startswith(b'sleep'):
    time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(60)
"""
    leader = subprocess.Popen([sys.executable, "-c", nested, f"{work}/run/root"], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    with leader:
        found = sweep(work)
    assert f"process {child} (sleep)" in found
    assert child not in [process.pid for process in processes_of(Path("/"), also=[child]) if process.words]  # at most a zombie


def test_clean_up_of_nothing_finds_nothing(tmp_path: Path) -> None:
    assert sweep(tmp_path / "work") == []


@pytest.mark.slow
def test_only_named_programs_count_when_they_are_named(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "run").mkdir(parents=True)
    with (
        subprocess.Popen(["sleep", "60"]) as hidden,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"{work}/run/x"]) as reader,
    ):
        try:
            assert [process.pid for process in processes_of(work)] == [reader.pid]
            assert processes_of(work, programs=["qemu-img"]) == []
            found = end_processes_of(work, lambda: {hidden.pid} if hidden.poll() is None else set(), programs=["qemu-img"])
            assert [process.pid for process in found] == [hidden.pid]
            assert hidden.wait(10) == -9
            assert reader.poll() is None
        finally:
            reader.kill()
            hidden.kill()


def test_what_a_process_starts_while_it_is_ended_is_ended_too(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    again = "import os, subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', sys.argv[1]], start_new_session=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", again, f"{work}/run/root"], start_new_session=True):
        end_processes_of(work)
    assert processes_of(work) == []


def test_a_process_that_becomes_another_program_just_now_has_words_in_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc shows one between the steps of execve: there, and without a command line."""
    folder = tmp_path / "4711"
    folder.mkdir()
    (folder / "stat").write_text("4711 (new one)) S 1 4711 42 0 -1 4194560 " + "0 " * 40)
    (folder / "cmdline").write_bytes(b"")
    waiting = SimpleNamespace(sleep=lambda _: (folder / "cmdline").write_bytes(b"sleep\0" + b"60\0"))
    monkeypatch.setattr(leftovers, "time", waiting)
    assert leftovers._process(folder) == Process(4711, 42, b"sleep\0" + b"60\0")
    (folder / "cmdline").write_bytes(b"")
    (folder / "stat").write_text("4711 (sleep) Z 1 4711 42 0 -1 4194560 " + "0 " * 40)
    assert leftovers._process(folder) == Process(4711, 42, b"")


_LEADER_ENDS = """
import ctypes, sys, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print(flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_has_not_ended_while_one_of_its_threads_goes_on() -> None:
    """As QEMU ends: its first thread is a zombie while the others still hold its memory and its files."""
    with subprocess.Popen([sys.executable, "-c", _LEADER_ENDS], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        until(lambda: leftovers._fields(Path(f"/proc/{child.pid}"))[0] == "Z", 30)
        assert not has_ended(child.pid)
        child.kill()
        until(lambda: has_ended(child.pid), 30)  # nobody has asked for its exit code yet
    assert has_ended(child.pid)


def test_whoever_ends_processes_waits_until_they_have_let_go_of_their_files(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    slow = "import mmap, sys, time; memory = mmap.mmap(-1, 600 << 20); memory[::4096] = bytes(600 << 8); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", slow, f"{work}/run/disk.raw"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        end_processes_of(work)
        assert has_ended(child.pid)
