"""One at a time: who waits says for whom, and a dead holder holds nothing."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from goldbake.errors import GoldbakeError
from goldbake.exclusive import exclusive
from goldbake.log import Progress
from goldbake.paths import PROJECT
from tests.waiting import until

HOLDER = """
import sys, time
from pathlib import Path
from goldbake.exclusive import exclusive
from goldbake.log import Progress
with exclusive(Path(sys.argv[1]), "the build", Progress()):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "toolchain" / "packer.lock"


@contextmanager
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_second_thread_waits_for_the_first_and_says_so(lock: Path, said: io.StringIO) -> None:
    order: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with exclusive(lock, "the build of packer", Progress(said)):
            inside.set()
            go.wait(60)
            order.append("first")

    def second() -> None:
        with exclusive(lock, "the build of packer", Progress(said)):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    until(lambda: "waiting" in said.getvalue(), 50)
    assert order == []
    go.set()
    for thread in threads:
        thread.join(60)
    assert order == ["first", "second"]
    assert said.getvalue().count("waiting for the build of packer") == 1
    assert f"process {os.getpid()}" in said.getvalue()


def test_another_process_is_named_with_its_id(lock: Path, said: io.StringIO) -> None:
    with (
        holder(lock) as process,
        pytest.raises(GoldbakeError, match=rf"the build is busy: process {process.pid} on \S+ holds .*packer.lock"),
    ):
        with exclusive(lock, "the build", Progress(said), timeout=0.3):
            pytest.fail("two hold the lock")
    assert f"waiting for the build: process {process.pid}" in said.getvalue()


def test_a_killed_holder_holds_nothing(lock: Path, said: io.StringIO) -> None:
    with holder(lock) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        with exclusive(lock, "the build", Progress(said), timeout=60):
            assert str(os.getpid()) in lock.with_name("packer.lock.holder").read_text()
    assert said.getvalue() == ""


def test_who_is_ending_does_not_wait(lock: Path, said: io.StringIO) -> None:
    stop = threading.Event()
    stop.set()
    with holder(lock), pytest.raises(GoldbakeError, match="was not waited for"):
        with exclusive(lock, "the build", Progress(said), stop=stop):
            pytest.fail("two hold the lock")


def test_a_failure_inside_frees_the_lock(lock: Path, said: io.StringIO) -> None:
    with pytest.raises(RuntimeError), exclusive(lock, "the build", Progress(said)):
        raise RuntimeError
    with exclusive(lock, "the build", Progress(said), timeout=0):
        pass
    assert not lock.with_name("packer.lock.holder").exists()
    assert said.getvalue() == ""


def test_a_holder_that_left_no_name_is_another_process(lock: Path, said: io.StringIO) -> None:
    with exclusive(lock, "the build", Progress(said)):
        lock.with_name("packer.lock.holder").unlink()
        with pytest.raises(GoldbakeError, match="another process holds"), exclusive(lock, "the build", Progress(said), timeout=0):
            pytest.fail("two hold the lock")


def test_who_has_just_got_the_lock_is_named_although_its_name_comes_a_moment_later(lock: Path, said: io.StringIO) -> None:
    lock.parent.mkdir()
    held = filelock.FileLock(lock, thread_local=False)
    note = lock.with_name("packer.lock.holder")
    note.touch()

    def work() -> None:
        time.sleep(0.1)
        note.write_text("process 4711 on elsewhere")
        until(said.getvalue, 50)
        held.release()

    held.acquire()
    worker = threading.Thread(target=work)
    worker.start()
    with exclusive(lock, "the build", Progress(said)):
        worker.join(60)
    assert said.getvalue() == f"waiting for the build: process 4711 on elsewhere holds {lock}\n"
