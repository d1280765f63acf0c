"""The reference page is that of today's tables."""

from __future__ import annotations

from pathlib import Path

from goldbake.clouds.azure.errors import ROWS
from goldbake.clouds.azure.reference import PAGE, reference, write
from goldbake.clouds.reference import filled


def test_the_written_page_is_fresh(tmp_path: Path) -> None:
    write(tmp_path / "page.md")
    fresh = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == fresh, "run python -m goldbake.clouds.azure.reference"


def test_the_page_has_every_code_with_its_meaning_and_nothing_unfilled() -> None:
    page = reference()
    for row in ROWS:
        part = page.partition(f"### {row.code}\n")[2].partition("\n### ")[0]
        assert filled(row.meaning) in part
        assert "exit code: " in part
    assert "{" not in page
