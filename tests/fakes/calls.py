"""What was asked of a fake, and what it was told to refuse: what the calls and faults of all clouds have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, Generic, Self, TypeVar


@dataclass
class Call:
    """One request."""

    number: int
    _: KW_ONLY
    code: str = ""
    """The error that was answered; empty: none. `dropped`: no answer at all."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Fault:
    """An answer instead of the real one. What is left at its default matches everything."""

    code: str
    _: KW_ONLY
    after: int = 0
    """So many matching calls pass first."""
    times: int | None = 1
    """How many calls are refused; None: every one from then on."""
    message: str = ""
    status: int = 0
    """0: as the cloud answers this code, else 400."""
    done: bool = False
    """The call is carried out, and only its answer is replaced."""
    drop: bool = False
    """The connection ends without an answer."""

    @property
    def text(self) -> str:
        return self.message or f"The fake was told to answer {self.code}."

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """From JSON. Raises ValueError for a key that is none."""
        unknown = document.keys() - {each.name for each in fields(cls)}
        if unknown or "code" not in document:
            raise ValueError(f"a fault has a code and no {', '.join(sorted(unknown)) or 'other way'}")
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
        return cls(**given)


F = TypeVar("F", bound=Fault)


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
