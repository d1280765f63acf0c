"""What a bulkInsert's operation says: so many here, so many there, and errors of its parts → one failure for what is missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED
from goldbake.clouds.gcp.operations import chief, failures
from goldbake.clouds.gcp.refusals import NEUTRAL
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


def parts(gcp: Gcp, done: compute_v1.Operation) -> list[compute_v1.Operation]:
    """The operations of a bulkInsert's zones and instances; none where they may not be read: then nobody knows why."""
    if not done.operation_group_id:
        return []
    client = gcp.client(compute_v1.GlobalOperationsClient)
    wanted = f"operationGroupId = {done.operation_group_id}"
    try:
        listed = client.aggregated_list(request={"project": gcp.project, "filter": wanted, "max_results": 500})
        return [part for _, scope in listed for part in scope.operations if part.name != done.name]
    except RAISED:
        return []


def unseen(done: compute_v1.Operation, of: Sequence[compute_v1.Operation], names: Collection[str]) -> dict[str, str]:
    """Name → zone of the instances that the parts of a bulkInsert have made, and that no listing shows yet."""
    if done.error.errors:
        return {}  # what was made is being taken back
    made = (part for part in of if not part.error.errors and part.zone)
    found = {part.target_link.rpartition("/")[2]: part.zone.rpartition("/")[2] for part in made if "/instances/" in part.target_link}
    return {name: zone for name, zone in found.items() if name in names}


def says_why(done: compute_v1.Operation) -> bool:
    """Whether a bulkInsert's operation has errors that are more than a summary."""
    return any(error.code not in NEUTRAL for error in done.error.errors)


def shortage(
    done: compute_v1.Operation, of: Sequence[compute_v1.Operation], *, doing: str, region: str, found: int, wanted: int
) -> Failure | None:
    """Why there are fewer than `wanted`, as one failure for the region; None when there are enough.

    The operation itself knows only numbers when some could be started; why the others could not, its parts say.
    """
    if found >= wanted:
        return None
    causes = [problem for part in of for problem in failures(part, doing=doing)]
    problems = failures(done, doing=doing) if says_why(done) else causes or failures(done, doing=doing)
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
