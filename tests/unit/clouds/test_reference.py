"""The pages of errors are those of today's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from goldbake.clouds.aws import errors as aws
from goldbake.clouds.aws import reference as aws_page
from goldbake.clouds.azure import errors as azure
from goldbake.clouds.azure import reference as azure_page
from goldbake.clouds.failure import Refusal, Scope, Worded, filled, rows
from goldbake.clouds.gcp import errors as gcp
from goldbake.clouds.gcp import reference as gcp_page
from goldbake.clouds.reference import errors
from goldbake.config.model import Cloud
from goldbake.reference import FOLDER, Page

PAGES = [(aws_page.PAGE, aws.ROWS, aws.WORDED), (gcp_page.PAGE, gcp.ROWS, gcp.WORDED), (azure_page.PAGE, azure.ROWS, azure.WORDED)]


@pytest.mark.parametrize(("page", "table", "worded"), PAGES, ids=["aws", "gcp", "azure"])
class TestPage:
    def test_the_written_page_is_fresh(self, page: Page, table: Sequence[Refusal], worded: Sequence[Worded], tmp_path: Path) -> None:
        page.write(tmp_path)
        fresh = (tmp_path / page.name).read_text(encoding="utf-8")
        assert (FOLDER / page.name).read_text(encoding="utf-8") == fresh, f"run python -m {page.module}"

    def test_it_has_every_code_with_its_meaning(self, page: Page, table: Sequence[Refusal], worded: Sequence[Worded]) -> None:
        for row in table:
            part = _part(page, row.code)
            assert filled(row.meaning, {}) in part
            assert "exit code: " in part

    def test_it_has_what_every_code_means_with_certain_words(self, page: Page, table: Sequence[Refusal], worded: Sequence[Worded]) -> None:
        titles = [line.removeprefix("### ") for line in page.text().splitlines() if line.startswith("### ")]
        for one in worded:
            of_words = [
                title for title in titles if title.endswith(f", with the words “{one.phrase}”") and one.row.code in title.split(", ")
            ]
            assert len(of_words) == 1, (one.row.code, one.phrase)
            assert filled(one.row.meaning, {}) in _part(page, of_words[0])

    def test_nothing_in_it_is_unfilled(self, page: Page, table: Sequence[Refusal], worded: Sequence[Worded]) -> None:
        assert "{" not in page.text()


def test_what_codes_have_in_common_is_said_once_and_pointed_to() -> None:
    table = rows(Scope.ZONE, "here", ("Full", "It is full.", "wait"), ("FULL", "It is full.", "wait"), ("full", "It is full.", "wait"))
    words = rows(Scope.REGION, "here", *((code, "All of {region} is full.", "go elsewhere") for code in ("Full", "full")))
    page = errors(Cloud.AWS, "AWS", "Look here.\n", {"Capacity": table}, [Worded("everywhere", row) for row in words])
    assert page.text().count("All of REGION is full.") == 1
    assert [line for line in page.text().splitlines() if line.startswith("### ")] == [
        "### Full", "### Full, full, with the words “everywhere”", "### FULL", "### full",
    ]  # fmt: skip
    assert [code for code in ("Full", "FULL", "full") if "see what follows Full" in _part(page, code)] == ["full"]


def _part(page: Page, title: str) -> str:
    """What stands below a title of the page."""
    return page.text().partition(f"### {title}\n")[2].partition("\n### ")[0]
