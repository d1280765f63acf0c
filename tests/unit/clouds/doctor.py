"""Looking at the rows of doctor."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from goldbake import host
from goldbake.errors import Exit, MissingError
from goldbake.finding import Finding


def failing(rows: Sequence[Finding]) -> list[Finding]:
    """Those that make doctor fail."""
    return [row for row in rows if not row.good and row.required]


def only(rows: Sequence[Finding], what: str) -> Finding:
    """The one row about something."""
    (found,) = (row for row in rows if row.what == what)
    return found


def ends(rows: Sequence[Finding]) -> tuple[Exit, str]:
    """Exit code and hint with which doctor ends at these rows."""
    with pytest.raises(MissingError) as error:
        host.require_fit(rows)
    return error.value.exit_code, error.value.hint
