"""Waiting for Compute Engine's operations, and what one that failed says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import compute_v1
from requests.exceptions import RequestException

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import failure, refused
from goldbake.clouds.gcp.refusals import NEUTRAL

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

UNFINISHED = "OPERATION_UNFINISHED"
"""Our own code for an operation that Compute Engine did not end in time."""
_WAIT_S = 150
"""A wait call answers after two minutes at the latest, whether the operation is done or not."""
_REACH = (Scope.RETRY, Scope.ZONE, Scope.REGION, Scope.ACCOUNT, Scope.REQUEST)
"""From what matters least: a quota that counts everywhere says more than a zone without machines."""


def finished(
    gcp: Gcp,
    operation: compute_v1.Operation,
    *,
    doing: str,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> compute_v1.Operation:
    """The operation when it is done. `doing` is what it does, as `start an n1-standard-4`; `patience` is in seconds.

    Raises Failure when it failed, when it is not done in time (code `OPERATION_UNFINISHED`), and when it cannot be asked about.
    """
    done = ended(gcp, operation, doing=doing, patience=patience, clock=clock, sleep=sleep)
    problems = failures(done, doing=doing)
    if problems:
        raise chief(problems)
    return done


def ended(
    gcp: Gcp,
    operation: compute_v1.Operation,
    *,
    doing: str,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> compute_v1.Operation:
    """The operation when it is done, whether it failed or not: one that starts many instances may do both. Raises Failure."""
    until = clock() + patience
    while operation.status != compute_v1.Operation.Status.DONE:
        if clock() >= until:
            raise refused(UNFINISHED, f"{operation.name} is not done after {patience:.0f} s", doing=doing, place=place_of(operation))
        asked = clock()
        try:
            operation = _wait(gcp, operation)
        except (GoogleAPIError, GoogleAuthError, RequestException) as error:
            raise failure(error, doing=doing, place=place_of(operation)) from error
        if operation.status != compute_v1.Operation.Status.DONE and clock() - asked < 1:
            sleep(1)  # the call is to wait, and did not
    return operation


def failures(operation: compute_v1.Operation, *, doing: str) -> list[Failure]:
    """What an operation that is done says went wrong, each as a Failure; empty when all went well.

    A summary, as `VM_MIN_COUNT_NOT_REACHED`, is left out where it comes with its reason.
    """
    place, project = place_of(operation), _project_of(operation)
    found = [
        refused(error.code, error.message, doing=doing, place=place, details=project | _details(error)) for error in operation.error.errors
    ]
    found = [problem for problem in found if problem.code not in NEUTRAL] or found
    if not found and operation.http_error_status_code:
        said = operation.http_error_message
        found = [refused(said.replace(" ", "_"), said, doing=doing, place=place, details=project, status=operation.http_error_status_code)]
    return found


def chief(problems: list[Failure]) -> Failure:
    """One failure for several: that which reaches farthest, with the words of all."""
    first = max(problems, key=lambda problem: _REACH.index(problem.scope))
    said = "; ".join(dict.fromkeys([first.message, *(problem.message for problem in problems)]))
    return Failure(first.scope, first.code, said, hint=first.hint, exit_code=first.exit_code)


def place_of(operation: compute_v1.Operation) -> str:
    """The zone or region of an operation, or `global`."""
    return (operation.zone or operation.region).rpartition("/")[2] or "global"


def _wait(gcp: Gcp, operation: compute_v1.Operation) -> compute_v1.Operation:
    project, name, place = gcp.project, operation.name, place_of(operation)
    if operation.zone:
        return gcp.client(compute_v1.ZoneOperationsClient).wait(project=project, zone=place, operation=name, timeout=_WAIT_S)
    if operation.region:
        return gcp.client(compute_v1.RegionOperationsClient).wait(project=project, region=place, operation=name, timeout=_WAIT_S)
    return gcp.client(compute_v1.GlobalOperationsClient).wait(project=project, operation=name, timeout=_WAIT_S)


def _project_of(operation: compute_v1.Operation) -> dict[str, str]:
    asked = re.search(r"/projects/([^/]+)/", operation.self_link or operation.target_link)
    return {"project": asked[1]} if asked else {}


def _details(error: compute_v1.Errors) -> dict[str, str]:
    found: dict[str, str] = {}
    for detail in error.error_details:
        quota: Any = detail.quota_info
        if quota.metric_name:
            found |= {"metric": quota.metric_name, "limit": f"{quota.limit:g}", "limit_name": quota.limit_name}
            found |= {"location": quota.dimensions.get("region") or quota.dimensions.get("zone") or "all regions together"}
        found |= dict(detail.error_info.metadatas)
        if detail.error_info.reason:
            found["reason"] = detail.error_info.reason
    return found
