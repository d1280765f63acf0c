"""The reference page is that of today's table."""

from __future__ import annotations

from pathlib import Path
from string import Formatter

import pytest

from goldbake.azdo.answers import Asked
from goldbake.azdo.errors import ROWS, Kind
from goldbake.azdo.reference import PAGE
from goldbake.errors import GoldbakeError
from goldbake.reference import FOLDER


def test_the_written_page_is_fresh(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    fresh = (tmp_path / PAGE.name).read_text(encoding="utf-8")
    assert (FOLDER / PAGE.name).read_text(encoding="utf-8") == fresh, "run python -m goldbake.azdo.reference"


def test_the_page_has_every_kind_with_its_exit_code() -> None:
    for kind, row in ROWS.items():
        part = PAGE.text().partition(f"## {kind}\n")[2].partition("\n## ")[0]
        assert f"exit code: {int(row.type.exit_code)};" in part
        assert row.when in part
        assert "{" not in part


@pytest.mark.parametrize("kind", Kind)
def test_every_error_is_an_error_of_ours_with_a_hint(kind: Kind) -> None:
    row = ROWS[kind]
    names = {name for text in (row.what, row.hint) for _, name, _, _ in Formatter().parse(text) if name}
    error = Asked("GET", "_apis", "https://dev.azure.com/foo", "gpu").error(kind, **dict.fromkeys(names, "VALUE"))
    assert isinstance(error, GoldbakeError)
    assert error.message
    assert error.hint
    assert not error.message.endswith(".")
