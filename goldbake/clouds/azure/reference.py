"""docs/reference/errors-azure.md, from the tables of refusals; a test fails when it is stale.

    python -m goldbake.clouds.azure.reference

writes it.
"""

from __future__ import annotations

from goldbake.clouds import reference
from goldbake.clouds.azure.errors import GROUPS
from goldbake.clouds.azure.refusals import CODES_PAGE, COMPUTE_PAGE, WORDED
from goldbake.config.model import Cloud

_INTRODUCTION = f"""\
The message of an error ends with Azure's own code and words; look the code up here. The same code can come at once, or minutes later from the
operation that it ended, and often inside others: the innermost one that says something is shown. ACTION stands for what was tried, as
`Microsoft.Compute/virtualMachines/write`, SCOPE for where, SUBSCRIPTION for /subscriptions/ID, GROUP for a resource group, PROVIDER for a
namespace as `Microsoft.Compute`, REGION for the region, WHO for the object id of who asked. A launch goes on where the reach says so, and ends
with exit code 5 when no place is left; the exit code below is that of a command that ends with this code. A code that is not here ends the
command with exit code 1 and Azure's own words, or is tried again when it comes with HTTP status 429 or 500 and above. Azure's own lists:
{CODES_PAGE} and {COMPUTE_PAGE}.
"""

PAGE = reference.errors(Cloud.AZURE, "Azure", _INTRODUCTION, GROUPS, WORDED)

if __name__ == "__main__":
    PAGE.write()
