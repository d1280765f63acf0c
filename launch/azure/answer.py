"""What comes of a create call: machines that run, machines that failed → the ones to keep, and one failure for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.polling import LROPoller

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure, refused
from goldbake.clouds.azure.operations import finished, late
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from launch.azure.listing import age
from launch.azure.watch import seen
from launch.base import Place

_GOOD = "succeeded"
_LOOK_S = 5.0


def awaited(
    poller: LROPoller[Any],
    look: Callable[[], list[Any]],
    wanted: int,
    *,
    doing: str,
    place: str,
    patience: float,
    clock: Callable[[], float],
) -> None:
    """Wait for a create call: until its operation has ended, or all the machines that `look` shows run. Raises Failure.

    The rest of the operation is the start of the system, which Azure waits for up to 20 minutes: the console and the pool tell sooner and more.
    """
    deadline = clock() + patience
    while True:
        try:
            poller.wait(_LOOK_S)
        except AzureError as error:
            raise failure(error, doing=doing, place=place) from error
        if poller.done():
            finished(poller, doing=doing, place=place, patience=patience)
            return
        try:
            if sum(seen(item).state == "running" for item in look()) >= wanted:
                return
        except AzureError:
            pass  # the operation tells
        if clock() >= deadline:
            raise late(doing=doing, place=place, patience=patience)


def sorted_out(machines: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Those that were made and those that were not, each in the order in which they were begun: the same order whenever asked again."""
    good, bad = list[Any](), list[Any]()
    for item in sorted(machines, key=age):
        state = seen(item)
        is_up = state.state == "running" or (word(item.provisioning_state).lower() == _GOOD and not state.code)
        (good if is_up else bad).append(item)
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
