"""Pages of docs/reference that are made of tables: where they lie, and what stands at their head. A test fails for each that is stale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from goldbake.paths import PROJECT

FOLDER = PROJECT / "docs" / "reference"


@dataclass(frozen=True)
class Page:
    """A page that `python -m MODULE` writes."""

    name: str
    """Its file's."""
    title: str
    source: str
    """Where its table is."""
    module: str
    introduction: str
    chapters: Iterable[str]
    """Lines, in order."""

    def text(self) -> str:
        """The whole page."""
        origin = f"<!-- Generated from {self.source} by `python -m {self.module}`; change it there. -->"
        return "\n".join([f"# {self.title}", "", origin, "", self.introduction.rstrip("\n"), *self.chapters]) + "\n"

    def write(self, folder: Path = FOLDER) -> None:
        """Write the page into `folder`."""
        (folder / self.name).write_text(self.text(), encoding="utf-8")
