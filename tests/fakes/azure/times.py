"""Times as Azure writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """This moment, with its zone."""
    return datetime.now(UTC).isoformat()
