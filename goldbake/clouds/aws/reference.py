"""The table of refusals → docs/reference/errors-aws.md.

    python -m goldbake.clouds.aws.reference

writes it; a test fails when it is stale.
"""

from __future__ import annotations

from pathlib import Path

from goldbake.clouds.aws.errors import GROUPS
from goldbake.clouds.aws.refusals import CODES_PAGE, WORDED
from goldbake.clouds.failure import Failure, Refusal, Scope
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "errors-aws.md"
_REACH = {
    Scope.RETRY: "it may pass: the same call is made again",
    Scope.ZONE: "this zone: the next one is tried",
    Scope.REGION: "this region: the next one is tried",
    Scope.ACCOUNT: "the account: nothing more is tried",
    Scope.REQUEST: "the request: nothing more is tried",
}


def reference() -> str:
    """The reference page."""
    lines = [
        "# Errors of AWS",
        "",
        "<!-- Generated from goldbake/clouds/aws/refusals*.py by `python -m goldbake.clouds.aws.reference`; change it there. -->",
        "",
        "The message of an error ends with AWS's own code and words; look the code up here. ACTION stands for what was tried, as",
        "`ec2:RunInstances`, REGION for its region. A launch goes on where the reach says so, and ends with exit code 5 when no place is left;",
        "the exit code below is that of a command that ends with this code. A code that is not here ends the command with exit code 1 and AWS's",
        f"own words, or is tried again when it comes with HTTP status 429 or 500 and above; EC2's own list is at {CODES_PAGE}.",
    ]
    for title, rows in GROUPS.items():
        lines += ["", f"## {title}"]
        for row in rows:
            lines += _chapter(row, "")
            for worded in WORDED:
                if worded.row.code == row.code:
                    lines += _chapter(worded.row, worded.phrase)
    return "\n".join(lines) + "\n"


def _chapter(row: Refusal, phrase: str) -> list[str]:
    exit_code = Failure(row.scope, row.code, "", exit_code=row.exit_code).exit_code
    return [
        "",
        f"### {row.code}" + (f", with the words “{phrase}”" if phrase else ""),
        "",
        f"- meaning: {_filled(row.meaning)}",
        f"- reach: {_REACH[row.scope]}",
        f"- next step: {_filled(row.fix)}",
        f"- exit code: {int(exit_code)}",
        f"- source: {row.source}",
    ]


def _filled(text: str) -> str:
    return text.replace("{region}", "REGION").replace("{action}", "ACTION")


def write(page: Path = PAGE) -> None:
    """Write the reference page."""
    page.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write()
