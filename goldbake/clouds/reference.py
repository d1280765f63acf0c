"""A cloud's page of errors in docs/reference, from its tables of refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from goldbake.clouds.failure import Failure, Refusal, Scope, Worded, filled
from goldbake.config.model import Cloud
from goldbake.reference import Page

_REACH = {
    Scope.RETRY: "it may pass: the same call is made again",
    Scope.ZONE: "this zone: the next one is tried",
    Scope.REGION: "this region: the next one is tried",
    Scope.ACCOUNT: "the account: nothing more is tried",
    Scope.REQUEST: "the request: nothing more is tried",
}


def errors(cloud: Cloud, name: str, introduction: str, groups: Mapping[str, Sequence[Refusal]], worded: Sequence[Worded]) -> Page:
    """The page of a cloud that people call `name`. `groups` are its rows by the title of their chapter."""
    return Page(
        f"errors-{cloud}.md",
        f"Errors of {name}",
        f"goldbake/clouds/{cloud}/refusals*.py",
        f"goldbake.clouds.{cloud}.reference",
        introduction,
        tuple(_chapters(groups, worded)),
    )


def _chapters(groups: Mapping[str, Sequence[Refusal]], worded: Sequence[Worded]) -> Iterator[str]:
    """The lines of all rows, by title. What codes mean with certain words stands once, after the first of them; the others point there."""
    meanings, told = _codes(worded), dict[Worded, str]()
    for title, rows in groups.items():
        yield from ("", f"## {title}")
        for row in rows:
            own = {special: codes for special, codes in meanings.items() if row.code in codes}
            elsewhere = dict.fromkeys(told[special] for special in own if special in told)
            yield from _lines(row, row.code)
            if elsewhere:
                yield f"- with certain words: see what follows {', '.join(elsewhere)}"
            for special, codes in own.items():
                if special not in told:
                    told[special] = row.code
                    yield from _lines(special.row, f"{', '.join(codes)}, with the words “{special.phrase}”")


def _codes(worded: Sequence[Worded]) -> dict[Worded, list[str]]:
    """Words and their row without its code → the codes that mean this with these words."""
    found: dict[Worded, list[str]] = {}
    for one in worded:
        found.setdefault(replace(one, row=replace(one.row, code="")), []).append(one.row.code)
    return found


def _lines(row: Refusal, title: str) -> Iterator[str]:
    exit_code = Failure(row.scope, row.code, "", exit_code=row.exit_code).exit_code
    yield from (
        "",
        f"### {title}",
        "",
        f"- meaning: {filled(row.meaning, {})}",
        f"- reach: {_REACH[row.scope]}",
        f"- next step: {filled(row.fix, {})}",
        f"- exit code: {int(exit_code)}",
        f"- source: {row.source}",
    )
