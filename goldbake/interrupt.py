"""Ctrl-C, SIGTERM and SIGHUP as one exception in the main thread, whatever it does just then.

Python calls a handler between two steps of the main thread. A signal that comes just before that thread waits for a lock, a program or a
file is only noted, and the waiting goes on; and what a handler raises within a destructor is dropped. Both happen to whoever presses Ctrl-C while
threads start. So a thread looks after each signal, and sends it again until it was raised where it counts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NONE = b"\0"
_LOOK_S = 0.1
"""How long the main thread gets to raise it before the signal is sent again."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; `signum` says which. Like KeyboardInterrupt it passes every `except Exception`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGTERM, SIGHUP or SIGINT of the block into an exception; later ones only say that the clean-up is running.

    Raises KeyboardInterrupt or Terminated; whoever gets it ends the process, so another Ctrl-C is nothing then. In another thread than the
    main one the block is as any other: Python leaves signals to that one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted, note = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(note, False)
    interrupts = _Interrupts(noted)
    hook, sys.unraisablehook = sys.unraisablehook, interrupts.dropped
    wakeup = signal.set_wakeup_fd(note, warn_on_full_buffer=False)
    before: dict[int, Any] = {name: signal.signal(name, interrupts.handle) for name in _CAUGHT}
    try:
        yield
    finally:
        interrupts.ignore()
        signal.set_wakeup_fd(wakeup)
        with suppress(BlockingIOError):  # full: the watcher has read what it wanted long ago
            os.write(note, _NONE)
        interrupts.join()  # it sends none any more: only now may the handlers go
        if interrupts.raised:
            before[signal.SIGINT] = signal.SIG_IGN
        for name, handler in before.items():
            signal.signal(name, handler)
        sys.unraisablehook = hook
        os.close(note)
        os.close(noted)
    if interrupts.lost is not None:
        raise interrupts.lost


class _Interrupts:
    """What became of the first signal. `noted` is where Python writes the number of each as soon as it comes, whatever the main thread does."""

    def __init__(self, noted: int) -> None:
        self.lost: BaseException | None = None
        """What was dropped and not raised again."""
        self.raised = False
        """Whether one was raised, where it counts."""
        self._noted = noted
        self._repeated = False
        self._ignored = threading.Event()
        self._hook = sys.unraisablehook
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._watcher.start()

    def handle(self, signum: int, _: FrameType | None) -> None:
        """For `signal.signal`."""
        if self._ignored.is_set():
            return
        if not self.raised:
            self.raised, self._repeated, self.lost = True, False, None
            raise KeyboardInterrupt if signum == signal.SIGINT else Terminated(signum)
        if self._repeated:
            self._repeated = False  # the first one came in time after all
        else:
            sys.stderr.write("still removing what was started, please wait …\n")

    def dropped(self, what: sys.UnraisableHookArgs) -> None:
        """For `sys.unraisablehook`."""
        if isinstance(what.exc_value, KeyboardInterrupt | Terminated):
            self.raised, self.lost = False, what.exc_value
        else:
            self._hook(what)

    def ignore(self) -> None:
        """Signals do nothing from now on."""
        self._ignored.set()

    def join(self) -> None:
        """Wait for the watcher, after it was told `_NONE`."""
        self._watcher.join()

    def _watch(self) -> None:
        numbers = {bytes([name]): name for name in _CAUGHT}
        while (noted := os.read(self._noted, 1)) not in numbers:  # others' signals are noted too
            if noted == _NONE:
                return
        while not self._ignored.wait(_LOOK_S):
            if not self.raised:
                self._repeated = True
                signal.pthread_kill(threading.main_thread().ident or 0, numbers[noted])
