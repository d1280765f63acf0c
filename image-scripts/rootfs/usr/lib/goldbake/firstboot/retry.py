"""Trying again: within a budget, with growing pauses that differ from machine to machine, and never sooner than the service asks."""

from __future__ import annotations

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from .settings import Settings


def pause(settings: Settings, attempt: int, retry_after: float) -> float:
    """Seconds before attempt number `attempt` + 1: 1, 2, 4 … 30, of which half is chance; `retry_after` when that is longer."""
    grown = min(settings.backoff_s * float(1 << min(attempt - 1, 16)), settings.backoff_max_s)
    return max(grown * (0.5 + settings.jitter() / 2), min(retry_after, settings.retry_after_max_s) * (1 + settings.jitter() / 10))
