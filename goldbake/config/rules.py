"""Which combinations of GPU, module, driver, system and cloud cannot work."""

from __future__ import annotations

from typing import NamedTuple

from goldbake.config.model import Image


class Problem(NamedTuple):
    """A combination that cannot work."""

    keys: tuple[str | int, ...]
    """Where in the image."""
    what: str
    fix: str


def problems(name: str, image: Image) -> list[Problem]:
    """Everything in `image` that cannot work together."""
    return []
