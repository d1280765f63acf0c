"""What EC2 Fleet answers: instances here and there, and an error for each override that had none → instances and one failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from goldbake.clouds.aws.errors import refused
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from launch.aws.request import Ground

_WIDTH = tuple(Scope)
"""From narrow to wide, as the enumeration has them."""


def started(answer: Any) -> Iterator[tuple[str, str, str]]:
    """Id, type and subnet of every instance, by id: the same order whenever the same answer comes."""
    found = []
    for group in answer.get("Instances", []):
        subnet = group.get("LaunchTemplateAndOverrides", {}).get("Overrides", {}).get("SubnetId", "")
        found += [(name, group.get("InstanceType", ""), subnet) for name in group.get("InstanceIds", [])]
    yield from sorted(found)


def shortage(answer: Any, ground: Ground, types: Sequence[str], wanted: int) -> Failure | None:
    """Why there are fewer than `wanted`, as one failure for the place; None when there are enough.

    What one override was refused says nothing of another place, so a wrong request counts only when every override calls it one, and
    asking again helps only when that is so for every one.
    """
    missing = wanted - len(list(started(answer)))
    if missing <= 0:
        return None
    doing = f"start {missing} of {wanted} × {' or '.join(types)}"
    errors = answer.get("Errors", [])
    if not errors:
        return Failure(
            Scope.REGION,
            "UnfulfillableCapacity",
            f"AWS would not {doing} in {ground.region}, and does not say why",
            hint="allow more types or regions: --instance-type A,B,C",
            exit_code=Exit.CAPACITY,
        )
    found = [
        (refused(error["ErrorCode"], error.get("ErrorMessage", ""), doing=doing, region=ground.region, operation="RunInstances"), error)
        for error in errors
    ]
    chief = _chief([failed for failed, _ in found])
    where: dict[str, list[str]] = {}
    for failed, error in found:
        named = _named(error, ground)
        if named and named not in where.setdefault(failed.code, []):
            where[failed.code].append(named)
    rest = "; ".join(f"{code}: {', '.join(names)}" for code, names in where.items() if names)
    return Failure(chief.scope, chief.code, chief.message + (f" [{rest}]" if rest else ""), hint=chief.hint, exit_code=chief.exit_code)


def _chief(found: Sequence[Failure]) -> Failure:
    elsewhere = [failed for failed in found if failed.scope in (Scope.ZONE, Scope.REGION)]
    return max(elsewhere or found, key=lambda failed: _WIDTH.index(failed.scope))


def _named(error: Mapping[str, Any], ground: Ground) -> str:
    override = error.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    zone = next((subnet.zone for subnet in ground.subnets if subnet.id == override.get("SubnetId")), override.get("AvailabilityZone", ""))
    return " in ".join(filter(None, (override.get("InstanceType", ""), zone)))
