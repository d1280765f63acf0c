"""Removing things from a project of Compute Engine, in the order in which that works; what is gone already is fine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.resources import IN_USE, INSTANCE, KINDS, Kind, delete, is_gone
from launch.base import Resource

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

AT_ONCE = 32
"""Compute Engine deletes one by one; this many calls are under way at a time."""
AGAIN_S = 30.0
"""When the end of something that is still there is asked for again: its first request may have failed after it was accepted."""


class Asked:
    """What a process has asked the end of. Compute Engine shows of most kinds nothing of it, and takes a second request as a new one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mutex = threading.Lock()  # several launches are removed at a time
        self._when: dict[Resource, float] = {}

    def note(self, found: Iterable[Resource]) -> None:
        """The end of these was asked for now."""
        noted = dict.fromkeys((replace(one, going=False) for one in found), self._clock())
        with self._mutex:
            self._when |= noted

    def now(self) -> Mapping[Resource, bool]:
        """All of them → whether it is too early to ask again."""
        with self._mutex:
            return {found: self._clock() - when < AGAIN_S for found, when in self._when.items()}


def remove(gcp: Gcp, doomed: Sequence[Resource], asked: Asked) -> list[Failure]:
    """Ask for the end of everything that can go now, and return why something could not. What goes with its instance is left to that."""
    machines = {found.id for found in doomed if found.kind == INSTANCE.name}
    problems: list[Failure] = []
    for kind in KINDS:
        wanted = [
            found
            for found in doomed
            if found.kind == kind.name and not found.going and (kind is INSTANCE or found.instance_id not in machines)
        ]
        if not wanted:
            continue
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(wanted)), thread_name_prefix="remove") as pool:
            answers = list(pool.map(lambda found, kind=kind: _delete(gcp, kind, found), wanted))
        asked.note(found for found, problem in zip(wanted, answers, strict=True) if problem is None)
        problems += [problem for problem in answers if problem is not None]
    return problems


def _delete(gcp: Gcp, kind: Kind, found: Resource) -> Failure | None:
    try:
        delete(gcp, kind, found.id, found.place)
    except RAISED as error:
        if is_gone(error):
            return None
        problem = failure(error, doing=f"delete {found.kind} {found.id}", place=found.place)
        if problem.code in IN_USE:
            return Failure(Scope.RETRY, problem.code, problem.message, hint=problem.hint)
        return problem
    return None
