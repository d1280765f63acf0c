"""The table of errors → docs/reference/errors-azdo.md.

    python -m goldbake.azdo.reference

writes it; a test fails when it is stale.
"""

from __future__ import annotations

from pathlib import Path

from goldbake.azdo.errors import ROWS
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "errors-azdo.md"


def reference() -> str:
    """The reference page."""
    lines = [
        "# Errors of Azure DevOps",
        "",
        "<!-- Generated from goldbake/azdo/errors.py by `python -m goldbake.azdo.reference`; change it there. -->",
        "",
        "Every answer but 200 with JSON is an error. Each says what, and what to do; words in capitals stand for your values, ORGANIZATION for",
        "its URL. “Tried again: yes” means three more times by itself, after 1, 2 and 4 seconds or what the service asks for.",
    ]
    for kind, row in ROWS.items():
        values = _Names()
        lines += [
            "",
            f"## {kind}",
            "",
            f"- when: {row.when}",
            f"- what: {row.what.format_map(values)}",
            f"- hint: {row.hint.format_map(values)}",
            f"- exit code: {int(row.type.exit_code)}; tried again: {row.retry}",
        ]
    return "\n".join(lines) + "\n"


class _Names(dict[str, str]):
    """What stands for a value on the reference page."""

    def __missing__(self, name: str) -> str:
        endings = {"said": ": TEXT", "meant": "", "of_pool": "", "wait": "", "wait_for": "", "pool_word": "POOL"}
        return endings.get(name, name.upper())


def write(page: Path = PAGE) -> None:
    """Write the reference page."""
    page.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write()
