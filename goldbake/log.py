"""Progress for people, on stderr; stdout stays free for the result.

On a terminal the running stage is one live line (name, seconds, last output line); on a pipe each event is a plain line.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from goldbake.secret import redact

_REFRESH_S = 0.25
_HEARTBEAT_S = 30.0


class Progress:
    """Prints what happens; safe to use from several threads.

    `clock` is monotonic seconds. A stage that says nothing for 30 s repeats its name on a pipe, so that a log shows life.
    """

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._lock = threading.Lock()
        self._live: dict[str, tuple[float, str]] = {}
        self._drawn = 0
        terminal = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colour = terminal and not os.environ.get("NO_COLOR")
        self.is_live = self.colour

    def info(self, text: str) -> None:
        """One line of progress."""
        self._print(text)

    def warn(self, text: str) -> None:
        """One line that a reader must not miss."""
        self._print(self._paint("33", "warning: ") + text)

    def detail(self, stage: str, line: str) -> None:
        """The last line that a running stage printed: part of the live line, not kept."""
        with self._lock:
            if stage in self._live:
                self._live[stage] = (self._live[stage][0], redact(line.strip()))

    @contextmanager
    def stage(self, name: str, seconds: dict[str, float] | None = None) -> Iterator[None]:
        """Announce a stage, keep its line alive, and print its seconds when it ends; they go into `seconds` when it succeeds."""
        started = self._clock()
        with self._lock:
            self._live[name] = (started, "")
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, stop), daemon=True)
        if not self.is_live:
            self._print(f"{name} …")
        ticker.start()
        mark = self._paint("31", "failed")
        try:
            yield
            mark = self._paint("32", "done")
            if seconds is not None:
                seconds[name] = round(self._clock() - started, 3)
        finally:
            stop.set()
            ticker.join()
            with self._lock:
                self._live.pop(name, None)
            self._print(f"{name} {mark} ({self._clock() - started:.1f} s)")

    def _tick(self, name: str, stop: threading.Event) -> None:
        beat = _REFRESH_S if self.is_live else _HEARTBEAT_S
        while not stop.wait(beat):
            if self.is_live:
                with self._lock:
                    self._draw()
            else:
                started, line = self._live.get(name, (self._clock(), ""))
                self._print(f"{name} … {self._clock() - started:.0f} s: {line}" if line else f"{name} … {self._clock() - started:.0f} s")

    def _print(self, text: str) -> None:
        with self._lock:
            self._erase()
            self._stream.write(redact(text) + "\n")
            self._draw()
            self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self.is_live:
            return
        self._erase()
        width = _columns(self._stream)
        for name, (started, line) in self._live.items():
            text = f"{name} {self._clock() - started:5.1f} s  {line}"
            self._stream.write(text[: width - 1] + "\n")
            self._drawn += 1
        self._stream.flush()

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
