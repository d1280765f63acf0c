"""What a long-running operation of Azure ended with: its result, or the failure that the service did not put into an error."""

from __future__ import annotations

from typing import Any, TypeVar

from azure.core.exceptions import AzureError
from azure.core.polling import LROPoller

from goldbake.clouds.azure.answers import word
from goldbake.clouds.azure.errors import failure, refused
from goldbake.clouds.azure.refusals_requests import NO_CODE
from goldbake.clouds.failure import Failure, Scope

T = TypeVar("T")

LATE = "OperationPending"
"""Our own word for an operation that has not ended within our patience; Azure may still finish it."""
_BAD = ("failed", "canceled")
_STATUS = "ProvisioningState/failed/"
"""How the code of a machine's instance view begins when it could not be made; the service's own code follows."""


def finished(poller: LROPoller[T], *, doing: str, place: str, patience: float) -> T:
    """The result of an operation, `patience` seconds at most. Raises Failure for what it ended with instead.

    An operation can also succeed with a resource that says that it failed: that is a failure too.
    """
    try:
        poller.wait(patience)
        if not poller.done():
            raise late(doing=doing, place=place, patience=patience)
        result = poller.result()
    except AzureError as error:
        raise failure(error, doing=doing, place=place) from error
    require_good(result, doing=doing, place=place)
    return result


def late(*, doing: str, place: str, patience: float) -> Failure:
    """The failure for an operation that has not ended within our patience, in seconds."""
    words = f"could not {doing} in {place}: Azure has not finished after {patience / 60:.0f} min ({LATE})"
    return Failure(Scope.ZONE, LATE, words, hint="another zone or region is tried; `./inv reap --cloud azure` removes what comes late")


def require_good(resource: Any, *, doing: str, place: str) -> None:
    """Raise Failure when a resource that the SDK shows says of itself that it failed, with the code of its instance view if it has one."""
    state = word(getattr(resource, "provisioning_state", None))
    if state.lower() not in _BAD:
        return
    view = getattr(resource, "instance_view", None)
    for status in getattr(view, "statuses", None) or ():
        if str(status.code or "").startswith(_STATUS):
            raise refused(str(status.code).removeprefix(_STATUS), str(status.message or ""), doing=doing, place=place)
    raise refused(NO_CODE, f"provisioningState is {state}", doing=doing, place=place)
