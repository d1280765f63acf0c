"""Lists in pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.fakes.azure.answers import Result
from tests.fakes.azure.kinds import Ask


def paged(ask: Ask, found: list[Any]) -> Result:
    """One page of a list, and where the next one is."""
    size = min(int(ask.query.get("$top") or ask.book.page), ask.book.page)
    start = int(ask.query.get("$skiptoken") or 0)
    body: dict[str, Any] = {"value": found[start : start + size]}
    if start + size < len(found):
        query = {**ask.query, "$skiptoken": str(start + size)}
        body["nextLink"] = f"https://management.azure.com{ask.call.path}?{urlencode(query)}"
    return Result(200, body)
