"""Deleting what a bake has left until nothing is listed any more, the same in every cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 5.0


def until_gone(look: Callable[[], list[T]], delete: Callable[[T], None], pause: Callable[[float], None], patience: float) -> list[T]:
    """Delete everything that `look` finds, again and again; returns what there still is after `patience` seconds.

    What is still in use comes again in the next round, so `delete` passes over that, and over what is gone.
    """
    left = look()
    for _ in range(int(patience / _POLL_S)):
        if not left:
            break
        for one in left:
            delete(one)
        left = look()
        if left:
            pause(_POLL_S)
    return left
