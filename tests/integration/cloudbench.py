"""The measurements of many instances of a cloud, with few of them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from goldbake.bench import many
from goldbake.bench.many import Bench
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths

Call = dict[str, Any]
"""The document of a request, as a fake has it."""


class Measure(Protocol):
    """`measure` of a cloud's module in goldbake.bench."""

    def __call__(self, paths: Paths, progress: Progress, *, count: int, rounds: int, machines: int) -> dict[str, float]: ...


class Fake(Protocol):
    """What every fake of a cloud has."""

    calls: Any
    """The requests so far, each with a `document` and its error's `code`."""

    def held(self) -> Sequence[Any]: ...


def measured(measure: Measure, folder: Path) -> dict[str, float]:
    """What is measured with three instances, and two in each region before the reap. The environment stays as it is."""
    before = dict(os.environ)
    found = measure(_trial(folder), Progress(io.StringIO()), count=3, rounds=1, machines=2)
    assert found["calls"] > 10
    assert found["ratio"] == found["launch_s"] / found["bare_calls_s"]
    assert dict(os.environ) == before
    return found


def replayed(bench: Bench, fake: Fake, folder: Path) -> tuple[list[Call], list[Call]]:
    """The calls of a launch of three instances, and the bare calls made of them. None of these is refused, and nothing is left of what they make."""
    many.record(bench, trial := _trial(folder))
    held = fake.held()
    fake.calls.clear()
    many.launched(bench, trial, Progress(io.StringIO()), 3)
    log = [call.document() for call in fake.calls]
    fake.calls.clear()
    bench.replay(log)
    assert {call.code for call in fake.calls} == {""}
    assert fake.held() == held
    return log, [call.document() for call in fake.calls]


def _trial(folder: Path) -> Paths:
    return Paths(PROJECT, folder / "cache", folder / "state")
