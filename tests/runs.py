"""The order in which `./inv test` runs everything: what tells most in the least time comes first, and a failure ends it there."""

from __future__ import annotations

UNIT = ("tests/unit",)
REAL = ("tests/shell", "tests/integration")
PARALLEL = ("-n", "auto")
"""Unit tests share nothing; the others share one baked image, one machine and the mirror of their session."""

FAST = (*UNIT, "-m", "not slow", *PARALLEL)


def plan(*, fast: bool, expression: str) -> list[tuple[str, ...]]:
    """pytest's arguments, one tuple per run. Coverage is collected over all runs and judged after the last one."""
    if expression:
        return [("-k", expression, *(("-m", "not slow") if fast else ()))]
    if fast:
        return [FAST, (*REAL, "-m", "not slow")]
    return [
        (*FAST, "--cov", "--cov-report=", "--cov-fail-under=0"),
        (*UNIT, "-m", "slow", *PARALLEL, "--cov", "--cov-append", "--cov-report=", "--cov-fail-under=0"),
        (*REAL, "--cov", "--cov-append", "--cov-report=term"),
    ]
