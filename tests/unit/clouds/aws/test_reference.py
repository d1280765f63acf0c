"""The reference page and the policy are those of today's tables."""

from __future__ import annotations

import json
from pathlib import Path

from goldbake.clouds.aws import policy
from goldbake.clouds.aws.errors import ROWS
from goldbake.clouds.aws.reference import PAGE, reference, write


def test_the_written_page_is_fresh(tmp_path: Path) -> None:
    write(tmp_path / "page.md")
    assert PAGE.read_text(encoding="utf-8") == (tmp_path / "page.md").read_text(encoding="utf-8"), (
        "run python -m goldbake.clouds.aws.reference"
    )


def test_the_page_has_every_code_with_its_meaning_and_nothing_unfilled() -> None:
    page = reference()
    for row in ROWS:
        part = page.partition(f"### {row.code}\n")[2].partition("\n### ")[0]
        assert row.meaning.replace("{action}", "ACTION") in part
        assert "exit code: " in part
    assert "{" not in page


def test_the_written_policy_is_fresh() -> None:
    assert json.loads(policy.PAGE.read_text(encoding="utf-8")) == policy.document(), "run python -m goldbake.clouds.aws.policy"
