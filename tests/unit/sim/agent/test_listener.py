"""A signal ends the listener whenever it comes."""

from __future__ import annotations

import select
from collections.abc import Callable

import pytest

from sim.agent.files.bin.simagent.listener import Listener, Stopped, Wake


class Interrupted(Wake):
    """A pipe during whose emptying a signal comes, before or after the last byte was read."""

    def __init__(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__()
        self._before, self._after = before, after

    def clear(self) -> None:
        self._before()
        super().clear()
        self._after()


def _nothing() -> None:
    """No signal comes."""


@pytest.mark.parametrize("late", [False, True], ids=["before the pipe is empty", "after"])
def test_a_signal_that_comes_while_the_end_of_a_job_is_seen_is_not_lost(late: bool) -> None:
    listener = Listener.__new__(Listener)  # without an agent's files
    listener._stopping = False
    listener._wake = wake = Interrupted(*((_nothing, listener.stop) if late else (listener.stop, _nothing)))
    try:
        wake.ring()  # the job has ended
        with pytest.raises(Stopped):
            listener._look()
    finally:
        wake.close()


def test_the_end_of_a_job_alone_does_not_end_the_listener() -> None:
    listener = Listener.__new__(Listener)
    listener._stopping = False
    listener._wake = wake = Wake()
    try:
        wake.ring()
        listener._look()
        assert select.select([wake.fd], [], [], 0)[0] == []
    finally:
        wake.close()
