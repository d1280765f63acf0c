"""The same work for several regions at once, where one that fails says nothing of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from goldbake.errors import GoldbakeError

T = TypeVar("T")


def in_each(regions: Sequence[str], work: Callable[[str], T], *, at_once: int) -> list[tuple[str, T | GoldbakeError]]:
    """Region and result, in the order of the regions; a region's GoldbakeError is its result. `work` is in as many as `at_once` at a time."""

    def one(region: str) -> tuple[str, T | GoldbakeError]:
        try:
            return region, work(region)
        except GoldbakeError as error:
            return region, error

    if len(regions) < 2:
        return [one(region) for region in regions]
    with ThreadPoolExecutor(max_workers=min(at_once, len(regions)), thread_name_prefix="regions") as pool:
        return list(pool.map(one, regions))
