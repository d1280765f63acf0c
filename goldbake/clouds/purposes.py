"""What `python -m` does with a cloud's table of permissions: it writes the document with all of them, or prints that of some purposes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

P = TypeVar("P", bound=StrEnum)


def write_or_print(words: Sequence[str], purposes: type[P], text: Callable[[Collection[P]], str], page: Path) -> None:
    """Print the document for the purposes that `words` name; without words write that for all into `page`. Ends the process at a word that is none."""
    unknown = [word for word in words if word not in set(purposes)]
    if unknown:
        sys.exit(f"there is no purpose {unknown[0]!r}: it is one of {', '.join(purposes)}")
    if words:
        sys.stdout.write(text([purposes(word) for word in words]))
    else:
        page.write_text(text(tuple(purposes)), encoding="utf-8")
