"""docs/reference/errors-gcp.md, from the tables of refusals; a test fails when it is stale.

    python -m goldbake.clouds.gcp.reference

writes it.
"""

from __future__ import annotations

from goldbake.clouds import reference
from goldbake.clouds.gcp.errors import GROUPS, WORDED
from goldbake.clouds.gcp.refusals import CATALOGUE, PREFIXES
from goldbake.config.model import Cloud

_INTRODUCTION = f"""\
The message of an error ends with Google's own code and words; look the code up here. Compute Engine says most things in two ways: when a
request is refused at once (`quotaExceeded`), and when the operation that it started fails (`QUOTA_EXCEEDED`); both are here. Words in
capitals stand for what the error was about: PLACE is a zone or a region, PROJECT the project, PERMISSION, SERVICE, CONSTRAINT, METRIC and
LIMIT what Google named. A launch goes on where the reach says so, and ends with exit code 5 when no place is left; the exit code below is
that of a command that ends with this code.

Some codes come with suffixes that say no more, as `_WITH_DETAILS`, and are compared by their beginning: {", ".join(PREFIXES)}.
A code that is not here counts by its HTTP status: 401 as authError, 403 as forbidden, 404 as notFound, 429 as rateLimitExceeded, 500 and
above as backendError; any other ends the command with exit code 1 and Google's own words. Google's own list is at {CATALOGUE}.
"""

PAGE = reference.errors(Cloud.GCP, "Google Cloud", _INTRODUCTION, GROUPS, WORDED)

if __name__ == "__main__":
    PAGE.write()
