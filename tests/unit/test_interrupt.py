"""A signal ends what the main thread does, whenever it comes; what Python itself does not do is done here."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from goldbake.interrupt import Terminated, interruptible

LONG_S = 20.0
"""How long the main thread waits when nothing interrupts it."""


def _kill_other_thread(signum: int) -> None:
    """As the kernel does now and then: the signal is noted in another thread, and the main one goes on waiting."""
    threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signum)).start()


class _Destructor:
    """An interrupt within it is dropped by Python."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)


@pytest.mark.parametrize(
    ("signum", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)]
)
def test_a_wait_for_a_lock_ends_although_another_thread_got_the_signal(signum: int, raised: type[BaseException]) -> None:
    began = time.monotonic()
    threading.Timer(0.1, _kill_other_thread, (signum,)).start()
    with pytest.raises(raised), interruptible():
        threading.Event().wait(LONG_S)
    assert time.monotonic() - began < LONG_S / 2


def test_what_was_dropped_in_a_destructor_is_raised_again(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    hook = sys.unraisablehook

    @interruptible()
    def work() -> None:
        _Destructor()
        threading.Event().wait(LONG_S)

    with pytest.raises(Terminated):
        work()
    assert time.monotonic() - began < LONG_S / 2
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is hook


def test_later_signals_say_that_the_clean_up_is_running_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    @interruptible()
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.5)  # nothing is sent again: it was raised
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Terminated):
        work()
    assert capsys.readouterr().err.count("please wait") == 2


def test_nothing_of_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before, made, pipe2 = signal.getsignal(signal.SIGTERM), [], os.pipe2

    def pipe(flags: int) -> tuple[int, int]:
        made.extend(ends := pipe2(flags))
        return ends

    monkeypatch.setattr(os, "pipe2", pipe)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) != before
        assert "signals" in [thread.name for thread in threading.enumerate()]
    assert signal.getsignal(signal.SIGTERM) is before
    assert "signals" not in [thread.name for thread in threading.enumerate()]
    assert len(made) == 2
    for end in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)
    assert signal.set_wakeup_fd(-1) == -1


def test_what_was_dropped_just_before_the_end_is_raised_there() -> None:
    @interruptible()
    def work() -> None:
        _Destructor()

    for _ in range(20):
        with pytest.raises(Terminated):
            work()


def test_somebody_elses_signal_is_not_sent_again() -> None:
    alarms: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: alarms.append(number))

    @interruptible()
    def work() -> None:
        signal.raise_signal(signal.SIGALRM)
        time.sleep(0.5)
        _kill_other_thread(signal.SIGTERM)
        threading.Event().wait(LONG_S)

    try:
        with pytest.raises(Terminated):
            work()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert alarms == [signal.SIGALRM]


def test_after_an_interrupt_another_ctrl_c_is_no_error() -> None:
    """The process is about to end, and has said so."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_leaves_signals_to_the_main_one() -> None:
    found = []

    def work() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert found == [signal.getsignal(signal.SIGTERM)]
