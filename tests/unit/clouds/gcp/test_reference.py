"""The reference page and the role are those of today's tables."""

from __future__ import annotations

from pathlib import Path

from goldbake.clouds.gcp import role
from goldbake.clouds.gcp.errors import ROWS, WORDED
from goldbake.clouds.gcp.reference import PAGE, reference, write


def test_the_written_page_is_fresh(tmp_path: Path) -> None:
    write(tmp_path / "page.md")
    assert PAGE.read_text(encoding="utf-8") == (tmp_path / "page.md").read_text(encoding="utf-8"), (
        "run python -m goldbake.clouds.gcp.reference"
    )


def test_the_page_has_every_code_with_its_words_and_nothing_unfilled() -> None:
    page = reference()
    for row in ROWS:
        assert "exit code: " in page.partition(f"### {row.code}\n")[2].partition("\n### ")[0]
    for worded in WORDED:
        assert f"### {worded.row.code}, with the words “{worded.phrase}”" in page
    assert "{" not in page


def test_the_written_role_is_fresh() -> None:
    assert role.PAGE.read_text(encoding="utf-8") == role.text(), "run python -m goldbake.clouds.gcp.role"
