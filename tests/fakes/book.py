"""What the books of all clouds have in common: what the fake remembers, and what a test may set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Generic, Self, TypeVar

E = TypeVar("E")

_KEPT = frozenset({"console_of", "address_of", "listeners", "lock"})


@dataclass(kw_only=True)
class Book(Generic[E]):
    """The doors between a cloud and the machines that a test starts for its instances. `E` is what happens to an instance there."""

    consoles: dict[str, str] = field(default_factory=dict)
    """Instance → its console."""
    console_of: Callable[[str], str | None] = lambda _: None
    """Asked for a console that is not in `consoles`."""
    address_of: Callable[[str], str | None] = lambda _: None
    """Asked for the public address of a new instance that is to have one; None: a random one."""
    listeners: list[Callable[[E], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def tell(self, event: E) -> None:
        for listener in list(self.listeners):
            listener(event)

    def forget(self) -> None:
        """Back to the beginning, but for listeners and the doors to a machine."""
        fresh = self._fresh()
        for one in fields(self):
            if one.name not in _KEPT:
                setattr(self, one.name, getattr(fresh, one.name))

    def _fresh(self) -> Self:
        """Another one, as it is at the beginning."""
        return type(self)()
