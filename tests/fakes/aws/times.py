"""Times as moto keeps them (UTC without a zone) and as EC2 writes them."""

from __future__ import annotations

import datetime


def parsed(text: str) -> datetime.datetime:
    """From ISO 8601, as 2026-11-10T12:00:00.000Z."""
    found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found


def written(time: datetime.datetime | str) -> str:
    """As EC2 writes it."""
    if isinstance(time, str):
        return time
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
