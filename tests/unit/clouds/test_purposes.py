"""The documents with the permissions that commands need: policy and roles."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from goldbake.clouds.aws import policy
from goldbake.clouds.azure import role as azure
from goldbake.clouds.gcp import role as gcp
from goldbake.clouds.purposes import write_or_print

TABLES = pytest.mark.parametrize("table", [policy, azure, gcp], ids=["aws", "azure", "gcp"])


@TABLES
def test_the_written_document_is_fresh(table: ModuleType, tmp_path: Path) -> None:
    write_or_print([], table.Purpose, table.text, tmp_path / "fresh")
    assert table.PAGE.read_text(encoding="utf-8") == (tmp_path / "fresh").read_text(encoding="utf-8"), f"run python -m {table.__name__}"


@TABLES
def test_a_part_is_printed(table: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    table._main(["destroy"])
    assert capsys.readouterr().out == table.text([table.Purpose.DESTROY])
    assert table.text([table.Purpose.DESTROY]) != table.text()


@TABLES
def test_a_word_that_is_no_purpose_is_refused(table: ModuleType) -> None:
    with pytest.raises(SystemExit, match="there is no purpose 'lunch'"):
        table._main(["lunch"])
