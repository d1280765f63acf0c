"""docs/reference/errors-azdo.md, from the table of errors; a test fails when it is stale.

    python -m goldbake.azdo.reference

writes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from goldbake.azdo.errors import ROWS
from goldbake.reference import Page

_INTRODUCTION = """\
Every answer but 200 with JSON is an error. Each says what, and what to do; words in capitals stand for your values, ORGANIZATION for
its URL. “Tried again: yes” means three more times by itself, after 1, 2 and 4 seconds or what the service asks for.
"""


class _Names(dict[str, str]):
    """What stands for a value on the page."""

    def __missing__(self, name: str) -> str:
        endings = {"said": ": TEXT", "meant": "", "of_pool": "", "wait": "", "wait_for": "", "pool_word": "POOL"}
        return endings.get(name, name.upper())


def _chapters() -> Iterator[str]:
    values = _Names()
    for kind, row in ROWS.items():
        yield from (
            "",
            f"## {kind}",
            "",
            f"- when: {row.when}",
            f"- what: {row.what.format_map(values)}",
            f"- hint: {row.hint.format_map(values)}",
            f"- exit code: {int(row.type.exit_code)}; tried again: {row.retry}",
        )


PAGE = Page(
    "errors-azdo.md", "Errors of Azure DevOps", "goldbake/azdo/errors.py", "goldbake.azdo.reference", _INTRODUCTION, tuple(_chapters())
)

if __name__ == "__main__":
    PAGE.write()
