"""The table of refusals → docs/reference/errors-aws.md.

    python -m goldbake.clouds.aws.reference

writes it; a test fails when it is stale.
"""

from __future__ import annotations

from pathlib import Path

from goldbake.clouds import reference as page
from goldbake.clouds.aws.errors import GROUPS
from goldbake.clouds.aws.refusals import CODES_PAGE, WORDED
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "errors-aws.md"


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
    return "\n".join([*lines, *page.chapters(GROUPS, WORDED)]) + "\n"


def write(file: Path = PAGE) -> None:
    """Write the reference page."""
    file.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write()
