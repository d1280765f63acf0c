"""The chapters of a cloud's reference page of errors, from its tables of refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from goldbake.clouds.failure import Failure, Refusal, Scope, Worded

_REACH = {
    Scope.RETRY: "it may pass: the same call is made again",
    Scope.ZONE: "this zone: the next one is tried",
    Scope.REGION: "this region: the next one is tried",
    Scope.ACCOUNT: "the account: nothing more is tried",
    Scope.REQUEST: "the request: nothing more is tried",
}


def chapters(groups: Mapping[str, Sequence[Refusal]], worded: Sequence[Worded]) -> Iterator[str]:
    """The lines of all rows, by title; after a row those of the same code with certain words."""
    for title, rows in groups.items():
        yield from ("", f"## {title}")
        for row in rows:
            yield from _chapter(row, "")
            for special in worded:
                if special.row.code == row.code:
                    yield from _chapter(special.row, special.phrase)


def filled(text: str) -> str:
    """A text of a table as the page shows it: `{region}` as REGION."""
    return re.sub(r"\{([a-z_]+)\}", lambda name: name[1].upper(), text)


def _chapter(row: Refusal, phrase: str) -> Iterator[str]:
    exit_code = Failure(row.scope, row.code, "", exit_code=row.exit_code).exit_code
    yield from (
        "",
        f"### {row.code}" + (f", with the words “{phrase}”" if phrase else ""),
        "",
        f"- meaning: {filled(row.meaning)}",
        f"- reach: {_REACH[row.scope]}",
        f"- next step: {filled(row.fix)}",
        f"- exit code: {int(exit_code)}",
        f"- source: {row.source}",
    )
