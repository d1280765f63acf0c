"""Removing things from a project of Compute Engine, in the order in which that works; what is gone already is fine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.resources import IN_USE, INSTANCE, KINDS, Kind, delete, is_gone
from launch.base import Resource

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

AT_ONCE = 32
"""Compute Engine deletes one by one; this many calls are under way at a time."""


def remove(gcp: Gcp, doomed: Sequence[Resource]) -> list[Failure]:
    """Ask for the end of everything that can go now, and return why something could not. What goes with its instance is left to that."""
    machines = {found.id for found in doomed if found.kind == INSTANCE.name}
    problems: list[Failure] = []
    for kind in KINDS:
        wanted = [
            found
            for found in doomed
            if found.kind == kind.name and not found.going and (kind is INSTANCE or found.instance_id not in machines)
        ]
        if wanted:
            with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(wanted)), thread_name_prefix="remove") as pool:
                asked = pool.map(lambda found, kind=kind: _delete(gcp, kind, found), wanted)
                problems += [problem for problem in asked if problem is not None]
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
