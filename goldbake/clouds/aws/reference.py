"""docs/reference/errors-aws.md, from the tables of refusals; a test fails when it is stale.

    python -m goldbake.clouds.aws.reference

writes it.
"""

from __future__ import annotations

from goldbake.clouds import reference
from goldbake.clouds.aws.errors import GROUPS
from goldbake.clouds.aws.refusals import CODES_PAGE, WORDED
from goldbake.config.model import Cloud

_INTRODUCTION = f"""\
The message of an error ends with AWS's own code and words; look the code up here. ACTION stands for what was tried, as
`ec2:RunInstances`, REGION for its region. A launch goes on where the reach says so, and ends with exit code 5 when no place is left;
the exit code below is that of a command that ends with this code. A code that is not here ends the command with exit code 1 and AWS's
own words, or is tried again when it comes with HTTP status 429 or 500 and above; EC2's own list is at {CODES_PAGE}.
"""

PAGE = reference.errors(Cloud.AWS, "AWS", _INTRODUCTION, GROUPS, WORDED)

if __name__ == "__main__":
    PAGE.write()
