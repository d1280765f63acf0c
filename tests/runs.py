"""The order in which `./inv test` runs everything: what tells most in the least time comes first, and a failure ends it there."""

from __future__ import annotations

UNIT = ("tests/unit",)
REAL = ("tests/shell", "tests/integration")
PARALLEL = ("-n", "auto")
"""Unit tests share nothing."""
IN_PAIRS = ("-n", "2", "--dist", "loadfile")
"""The others share a machine: two at a time, those of a file one after the other, because they share a booted image or a mirror. The image
is baked once: who comes second waits for it."""

FAST = (*UNIT, "-m", "not slow", *PARALLEL)


def plan(*, fast: bool, expression: str) -> list[tuple[str, ...]]:
    """pytest's arguments, one tuple per run. Coverage is collected over all runs and judged after the last one."""
    if expression:
        return [("-k", expression, *(("-m", "not slow") if fast else ()))]
    if fast:
        return [FAST, (*REAL, "-m", "not slow", *IN_PAIRS)]
    return [
        (*FAST, "--cov", "--cov-report=", "--cov-fail-under=0"),
        (*UNIT, "-m", "slow", *PARALLEL, "--cov", "--cov-append", "--cov-report=", "--cov-fail-under=0"),
        (*REAL, *IN_PAIRS, "--cov", "--cov-append", "--cov-report=term"),
    ]
