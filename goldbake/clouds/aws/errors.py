"""What EC2 refuses, as data: how far each code reaches, what it means, what to do. docs/reference/errors-aws.md is made of it."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.failure import Failure, Refusal, Scope
from goldbake.errors import Exit

_KARPENTER = "aws/karpenter-provider-aws, pkg/errors/errors.go"

ROWS: tuple[Refusal, ...] = (
    Refusal(
        "InsufficientInstanceCapacity",
        Scope.ZONE,
        "AWS has no free machine of this type in this zone.",
        "allow more zones or types: --instance-type A,B,C, or --spot",
        _KARPENTER,
    ),
)
ERRORS = {row.code: row for row in ROWS}


def code_of(error: BotoCoreError | ClientError) -> str:
    """The service's own word for what went wrong; the exception's name when the service was not reached."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else type(error).__name__


def failure(error: BotoCoreError | ClientError, *, doing: str, region: str) -> Failure:
    """What an error of the SDK means. `doing` is what was tried, as `start a g5.xlarge`."""
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", "")) if isinstance(error, ClientError) else str(error)
    row = ERRORS.get(code)
    if row is None:
        return Failure(Scope.REQUEST, code, f"AWS would not {doing} in {region}: {said} ({code})", exit_code=Exit.FAILED)
    return Failure(
        row.scope, code, f"AWS would not {doing} in {region}: {row.meaning} ({code}: {said})", hint=row.fix, exit_code=row.exit_code
    )
