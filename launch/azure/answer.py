"""What came of a scale set: machines that run, machines that failed → the ones to keep, and one failure for the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import refused
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from launch.azure.listing import age
from launch.azure.watch import seen
from launch.base import Place

_GOOD = "succeeded"


def sorted_out(machines: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Those that were made and those that were not, each in the order in which they were begun: the same order whenever asked again."""
    good, bad = list[Any](), list[Any]()
    for item in sorted(machines, key=age):
        (good if word(item.provisioning_state).lower() == _GOOD else bad).append(item)
    return good, bad


def shortage(good: Sequence[Any], bad: Sequence[Any], wanted: int, place: Place, kind: str, said: Failure | None) -> Failure | None:
    """Why there are fewer than `wanted`, as one failure; None when there are enough. `said` is what the operation ended with.

    A set can also succeed with machines that say of themselves that they failed: then theirs is the reason.
    """
    missing = wanted - len(good)
    if missing <= 0:
        return None
    if said is not None:
        return said
    doing = f"start {missing} of {wanted} × {kind}"
    for item in bad:
        state = seen(item)
        if state.code:
            return refused(state.code, state.message, doing=doing, place=str(place))
    return Failure(
        Scope.ZONE,
        "AllocationFailed",
        f"Azure would not {doing} in {place}, and does not say why",
        hint="allow more sizes, zones or regions: --instance-type A,B,C",
        exit_code=Exit.CAPACITY,
    )
