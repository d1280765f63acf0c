"""What a fake was told to refuse: which fault is due, and how often it still is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Due(Protocol):
    """What every fault has."""

    @property
    def after(self) -> int:
        """So many matching calls pass first."""

    @property
    def times(self) -> int | None:
        """How many calls are refused; None: every one from then on."""


F = TypeVar("F", bound=Due)


class Faults(Generic[F]):
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._faults: list[F] = []
        self._seen: list[int] = []
        self._mutex = threading.Lock()

    def add(self, *faults: F) -> None:
        with self._mutex:
            self._faults += faults
            self._seen += [0] * len(faults)

    def clear(self) -> None:
        with self._mutex:
            self._faults.clear()
            self._seen.clear()

    def first(self, matches: Callable[[F], bool]) -> F | None:
        """The first fault that is due; every fault counts what it matches."""
        due = None
        with self._mutex:
            for index, fault in enumerate(self._faults):
                if not matches(fault):
                    continue
                seen = self._seen[index]
                if seen >= fault.after and (fault.times is None or seen < fault.after + fault.times):
                    if due is not None:
                        continue  # not its turn: it counts only what reaches it
                    due = fault
                self._seen[index] += 1
        return due
