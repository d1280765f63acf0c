"""Removing things from one region of EC2, in the order in which that works; what is gone already is fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import failure
from goldbake.clouds.aws.resources import GROUP, IN_USE, INSTANCE, KINDS, ONE_BY_ONE, SPOT, is_gone
from goldbake.clouds.failure import Failure, Scope
from launch.base import Resource

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

BATCH = 100
"""Instances that one call ends. EC2 takes 1000 and recommends smaller batches."""


def remove(ec2: EC2Client, region: str, doomed: Sequence[Resource]) -> list[Failure]:
    """Ask for the end of everything that can go now, and return why something could not. What goes with its instance is left to that."""
    of_kind = {kind.name: [found for found in doomed if found.kind == kind.name and not found.going] for kind in KINDS}
    machines = {found.id for found in doomed if found.kind == INSTANCE.name}
    problems = _in_batches(ec2.cancel_spot_instance_requests, "SpotInstanceRequestIds", of_kind[SPOT.name], region)
    problems += _in_batches(ec2.terminate_instances, "InstanceIds", of_kind[INSTANCE.name], region)
    for kind, (operation, parameter) in ONE_BY_ONE.items():
        if kind == GROUP.name and machines:
            continue  # their interfaces hold it
        for found in of_kind[kind]:
            if found.instance_id in machines:
                continue  # DeleteOnTermination takes it
            try:
                getattr(ec2, operation)(**{parameter: found.id})
            except (BotoCoreError, ClientError) as error:
                if not is_gone(error):
                    problems.append(_problem(error, f"delete {found.kind} {found.id}", region))
    return problems


def _in_batches(call: Callable[..., Any], parameter: str, doomed: Sequence[Resource], region: str) -> list[Failure]:
    problems = []
    for at in range(0, len(doomed), BATCH):
        batch = doomed[at : at + BATCH]
        try:
            _in_halves(call, parameter, [found.id for found in batch])
        except (BotoCoreError, ClientError) as error:
            named = str(batch[0]) if len(batch) == 1 else f"{len(batch)} × {batch[0].kind}"
            problems.append(_problem(error, f"end {named}", region))
    return problems


def _in_halves(call: Callable[..., Any], parameter: str, ids: Sequence[str]) -> None:
    """One call for many; EC2 refuses the whole call when one of them is gone, so that one is found by halving."""
    try:
        call(**{parameter: list(ids)})
    except ClientError as error:
        if not is_gone(error):
            raise
        if len(ids) > 1:
            middle = len(ids) // 2
            _in_halves(call, parameter, ids[:middle])
            _in_halves(call, parameter, ids[middle:])


def _problem(error: BotoCoreError | ClientError, doing: str, region: str) -> Failure:
    found = failure(error, doing=doing, region=region)
    if found.code in IN_USE:
        return Failure(Scope.RETRY, found.code, found.message, hint=found.hint)
    return found
