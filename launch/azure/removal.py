"""Removing things from Azure, in the order in which that works, whole groups first; what is gone already is fine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.operations import LATE, finished
from goldbake.clouds.azure.resources import GROUP, MACHINE, NAMED, SET, delete, is_gone, parts
from goldbake.clouds.failure import Failure, Scope
from launch.base import Resource

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

AT_ONCE = 16
PATIENCE_S = 60.0
"""How long one deletion is waited for, to hear why it fails: a lock is told only then. A group takes minutes, and is listed until it is gone."""


def remove(azure: Azure, doomed: Sequence[Resource]) -> list[Failure]:
    """Ask for the end of everything that can go now, and return why something could not. What goes with a group or a set is left to that."""
    groups = {_place(found) for found in doomed if found.kind == GROUP.name}
    alone = [found for found in doomed if found.kind == GROUP.name or _place(found) not in groups]
    known = [found for found in alone if found.kind in NAMED]
    problems = [_unknown(found) for found in alone if found.kind not in NAMED]
    phase = min((NAMED[found.kind].phase for found in known), default=0)
    sets = tuple(f"{parts(found.id).name}_" for found in known if found.kind == SET.name)
    now = [
        found
        for found in known
        if NAMED[found.kind].phase == phase
        and not found.going
        and not (found.kind == MACHINE.name and parts(found.id).name.startswith(sets))
    ]
    if not now:
        return problems
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(now)), thread_name_prefix="remove") as pool:
        return problems + [problem for problem in pool.map(lambda found: _end(azure, found), now) if problem is not None]


def _end(azure: Azure, found: Resource) -> Failure | None:
    """Why one thing does not go; None when it does, or is about to."""
    doing = f"delete the {found.kind} {parts(found.id).name}"
    try:
        finished(delete(azure, NAMED[found.kind], found.id), doing=doing, place=found.place, patience=PATIENCE_S)
    except AzureError as error:
        return None if is_gone(error) else failure(error, doing=doing, place=found.place)
    except Failure as error:
        return None if error.code == LATE else error
    return None


def _place(found: Resource) -> tuple[str, str]:
    of = parts(found.id)
    return of.subscription.lower(), of.group.lower()


def _unknown(found: Resource) -> Failure:
    return Failure(
        Scope.REQUEST,
        "unknown-kind",
        f"{found} has goldbake's tags, and goldbake makes nothing of this kind",
        hint=f"if it is not needed: az resource delete --ids {found.id}",
    )
