"""Whether the instances of a launch live and what they print, for many waiting threads at the price of a few calls."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from goldbake.clouds.failure import Failure, Scope
from launch.base import Instance

LOOK_S = 5.0
"""Seconds between two looks at the states of a launch."""
APPEAR_S = 120.0
"""How long an instance may be unknown to its cloud after its create call: a cloud agrees with itself only after a while."""
CONSOLES_PER_S = 4.0
CONSOLES_AT_ONCE = 8
"""Consoles read in a second, over the whole launch, and how many at once, unless a cloud allows more. EC2 refills 20 calls a second per account
and region for all reading calls of a kind; others work there too (EC2 developer guide: request throttling)."""
CONSOLE_S = 5.0
"""The least seconds between two looks at the same console."""

GONE = "gone"
"""The state of what a cloud has shown and does not show any more."""


@dataclass(frozen=True)
class Seen:
    """An instance's state in the cloud's words, and the code and message of the reason for it."""

    state: str
    code: str = ""
    message: str = ""


class Deaths:
    """The states of all instances, launch by launch; one thread asks for all of a launch. `look` takes the launch's id; `died` says what an end means,
    None for a state of the living.
    """

    def __init__(
        self,
        look: Callable[[str], Iterable[tuple[str, Seen]]],
        died: Callable[[Instance, Seen], Failure | None],
        clock: Callable[[], float],
    ) -> None:
        self._look = look
        self._died = died
        self._clock = clock
        self._mutex = threading.Lock()
        self._launches: dict[str, _States] = {}

    def of(self, instance: Instance) -> Failure | None:
        """Why the instance does not run any more. Raises Failure when the cloud cannot be asked and asking again would not help."""
        launch = instance.launch_id
        with self._mutex:
            if launch not in self._launches:
                self._launches[launch] = _States(lambda: self._look(launch), self._clock)
        seen = self._launches[launch].of(instance.id)
        return None if seen is None else self._died(instance, seen)


class _States:
    """The states of the instances of one launch."""

    def __init__(self, look: Callable[[], Iterable[tuple[str, Seen]]], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._mutex = threading.Lock()
        self._asked: float | None = None
        self._seen: Mapping[str, Seen] = {}
        self._known: set[str] = set()
        self._first: dict[str, float] = {}

    def of(self, name: str) -> Seen | None:
        """The state of an instance; None while its cloud may only be late in showing it."""
        with self._mutex:
            now = self._clock()
            self._first.setdefault(name, now)
            if self._asked is None or now - self._asked >= LOOK_S:
                try:
                    self._seen = dict(self._look())
                    self._known |= set(self._seen)
                except Failure as error:
                    if error.scope is not Scope.RETRY:
                        raise
                self._asked = self._clock()
            seen = self._seen.get(name)
            if seen is None and name not in self._known and now - self._first[name] < APPEAR_S:
                return None
        return seen or Seen(GONE)


class Consoles:
    """The last text of each console; a look that the budget does not allow returns the text of the one before.

    `ask` reads one console: None when it cannot be read now. It raises nothing: a console explains, it decides nothing.
    """

    def __init__(
        self,
        ask: Callable[[Instance], str | None],
        clock: Callable[[], float],
        *,
        per_s: float = CONSOLES_PER_S,
        at_once: int = CONSOLES_AT_ONCE,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._per_s = per_s
        self._at_once = at_once
        self._mutex = threading.Lock()
        self._texts: dict[str, str] = {}
        self._asked: dict[str, float] = {}
        self._budget = float(at_once)
        self._filled: float | None = None

    def read(self, instance: Instance) -> str:
        """What the instance has printed, as far as is known."""
        if self._may(instance.id):
            text = self._ask(instance)
            if text is not None:
                with self._mutex:
                    self._texts[instance.id] = text
        return self._texts.get(instance.id, "")

    def _may(self, name: str) -> bool:
        with self._mutex:
            now = self._clock()
            if self._filled is not None:
                self._budget = min(self._at_once, self._budget + (now - self._filled) * self._per_s)
            self._filled = now
            self._asked.setdefault(name, -math.inf)
            turn = max(CONSOLE_S, len(self._asked) / self._per_s)  # so that each has its turn
            if self._budget < 1 or now - self._asked[name] < turn:
                return False
            self._budget -= 1
            self._asked[name] = now
            return True
