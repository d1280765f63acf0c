"""What an error of EC2 or of the SDK means. The codes are in `refusals*.py`; docs/reference/errors-aws.md is made of them."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.refusals import CAPACITY, CODES_PAGE, QUOTAS, STATES, WORDED
from goldbake.clouds.aws.refusals_access import CREDENTIALS, SDK
from goldbake.clouds.aws.refusals_requests import PASSING, REQUEST
from goldbake.clouds.failure import Failure, Refusal, refusal

GROUPS = {
    "Capacity": CAPACITY,
    "Quotas": QUOTAS,
    "Permissions and credentials": CREDENTIALS,
    "The SDK's own errors about credentials": SDK,
    "Passing": PASSING,
    "The request": REQUEST,
    "An instance that ends after it was started": STATES,
}
"""Title of a chapter of the reference page → its rows."""
ROWS: tuple[Refusal, ...] = tuple(row for rows in GROUPS.values() for row in rows)
ERRORS = {row.code: row for row in ROWS}
QUOTA_CODES = frozenset(row.code for row in QUOTAS if row.code != "PendingVerification")
"""Codes that say that a quota is used up."""

_ENCODED = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_TOO_MANY = 429


def code_of(error: BotoCoreError | ClientError) -> str:
    """The service's own word for what went wrong; the exception's name when the service was not reached."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def failure(error: BotoCoreError | ClientError, *, doing: str, region: str) -> Failure:
    """What an error of the SDK means. `doing` is what was tried, as `start a g5.xlarge`."""
    if isinstance(error, ClientError):
        said = str(error.response.get("Error", {}).get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return refused(code_of(error), said, doing=doing, region=region, status=status, operation=error.operation_name)
    names = [kind.__name__ for kind in type(error).__mro__]
    row = next((ERRORS[name] for name in names if name in ERRORS), None)
    return _failure(row, code_of(error), str(error), f"could not {doing} in {region}", region, "this")


def refused(code: str, said: str, *, doing: str, region: str, status: int = 0, operation: str = "") -> Failure:
    """What a code of EC2 with its message means, where there is no exception: a fleet's errors, the `StateReason` of an instance.

    `status` is that of HTTP; `operation` the call, as `RunInstances`.
    """
    row = next((worded.row for worded in WORDED if worded.row.code == code and worded.phrase.lower() in said.lower()), ERRORS.get(code))
    if row is None and (status >= 500 or status == _TOO_MANY):
        row = ERRORS["ServiceUnavailable"]
    named = _ACTION.search(said)
    action = named[1] if named else operation or "this"
    return _failure(row, code, said, f"AWS would not {doing} in {region}", region, action)


def _failure(row: Refusal | None, code: str, said: str, what: str, region: str, action: str) -> Failure:
    said = " ".join(_ENCODED.sub("", said).split()).rstrip(".")
    return refusal(row, code, said, what=what, values={"action": action, "region": region}, page=CODES_PAGE)
