"""What a bulkInsert's operation says: so many here, so many there, and errors of its parts → one failure for what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.operations import chief, failures
from goldbake.errors import Exit

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

LIVING = frozenset({"PROVISIONING", "STAGING", "RUNNING", "PENDING", "REPAIRING"})
"""States of instances that run or are about to; what a bulkInsert takes back is STOPPING for a while."""


def started(done: compute_v1.Operation, shown: Sequence[compute_v1.Instance], names: Sequence[str]) -> list[compute_v1.Instance]:
    """Those of the instances shown that a bulkInsert has made and left, in the order of their names in the call.

    What it takes back is shown for a while as well. When it has made all of them, one that does not run has ended since.
    """
    ours = {item.name: item for item in shown}
    if done.error.errors or len(ours.keys() & set(names)) < len(names):
        ours = {name: item for name, item in ours.items() if item.status in LIVING}
    return [ours[name] for name in names if name in ours]


def shortage(gcp: Gcp, done: compute_v1.Operation, *, doing: str, region: str, found: int, wanted: int) -> Failure | None:
    """Why there are fewer than `wanted`, as one failure for the region; None when there are enough.

    The operation itself knows only numbers when some could be started; why the others could not, the operations of its group say.
    """
    if found >= wanted:
        return None
    problems = failures(done, doing=doing) or [problem for part in _parts(gcp, done) for problem in failures(part, doing=doing)]
    if problems:
        return chief(problems)
    counted = ", ".join(
        f"{place.removeprefix('zones/')}: {status.created_vm_count} of {status.target_vm_count}"
        for place, status in sorted(done.instances_bulk_insert_operation_metadata.per_location_status.items())
    )
    return Failure(
        Scope.REGION,
        "VM_MIN_COUNT_NOT_REACHED",
        f"Google would not {doing} in {region}: it started {found} of {wanted}"
        + (f" ({counted})" if counted else "")
        + ", and does not say why",
        hint="allow more types or regions: --instance-type A,B, --region A,B",
        exit_code=Exit.CAPACITY,
    )


def _parts(gcp: Gcp, done: compute_v1.Operation) -> Iterator[compute_v1.Operation]:
    """The operations of a bulkInsert's zones and instances."""
    if not done.operation_group_id:
        return
    client = gcp.client(compute_v1.GlobalOperationsClient)
    wanted = f"operationGroupId = {done.operation_group_id}"
    for _, listed in client.aggregated_list(request={"project": gcp.project, "filter": wanted, "max_results": 500}):
        yield from (part for part in listed.operations if part.name != done.name)
