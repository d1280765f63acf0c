"""One create call at one place: waiting for it, what it came to, and nothing of a failed one stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachine, VirtualMachineScaleSet

from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.operations import finished, require_good
from goldbake.clouds.azure.quotas import explained
from goldbake.clouds.azure.refusals_requests import NO_CODE
from goldbake.clouds.azure.resources import MACHINE, SET, Kind, delete, id_of, is_gone
from goldbake.clouds.azure.session import PATIENCE_S, waits_for
from goldbake.clouds.failure import Failure, Scope
from launch.azure import answer as answers
from launch.azure import listing
from launch.base import Place

if TYPE_CHECKING:
    from goldbake.clouds.azure.session import Azure

_CREATE_S = 1800.0
"""Longest wait for a create call until its machines run."""
_DISCARD_S = 600.0
_LOOKS_S = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Try:
    """What is to be made: so many machines of a size, as one VM or one scale set of this name."""

    group: str
    name: str
    kind: Kind
    """A VM or a scale set."""
    size: str
    place: Place
    count: int = 1

    @property
    def doing(self) -> str:
        return f"start a {self.size}" if self.kind is MACHINE else f"start {self.count} × {self.size}"


def _refused(error: AzureError, what: Try) -> Failure:
    """Why a create call was refused. A region that asks for a longer wait than ours is left: asked again in a moment, it only says the same."""
    found = failure(error, doing=what.doing, place=str(what.place))
    wait = waits_for(error)
    if found.scope is not Scope.RETRY or wait <= PATIENCE_S:
        return found
    minutes = f"{wait / 60:.0f} min"
    return Failure(
        Scope.REGION,
        found.code,
        f"{found.message}; it asks to wait {minutes}",
        hint=f"run the same command in {minutes}, or name another --region",
    )


class Tries:
    """The create calls of a launcher; `warn` tells what could not be cleared away."""

    def __init__(self, azure: Azure, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._azure = azure
        self._clock = clock
        self._warn = warn

    def one(self, what: Try, body: dict[str, Any]) -> Any:
        """The VM, as Azure shows it once it runs. Raises Failure, with nothing left."""
        calls = self._azure.client(ComputeManagementClient).virtual_machines
        try:
            self._await(what, calls.begin_create_or_update(what.group, what.name, VirtualMachine(body)))
            item = calls.get(what.group, what.name, expand="instanceView")
            require_good(item, doing=what.doing, place=str(what.place))
        except AzureError as error:
            raise self._left(what, _refused(error, what)) from error
        except Failure as found:
            raise self._left(what, self._told(what, found)) from found
        return item

    def many(self, what: Try, body: dict[str, Any]) -> tuple[list[Any], Failure | None]:
        """The VMs of a scale set that run, and why there are fewer than were asked for. Raises Failure, with nothing left, when there are none."""
        calls, said = self._azure.client(ComputeManagementClient).virtual_machine_scale_sets, None
        try:
            self._await(what, calls.begin_create_or_update(what.group, what.name, VirtualMachineScaleSet(body)))
        except AzureError as error:
            raise self._left(what, _refused(error, what)) from error
        except Failure as found:
            said = found
        good, bad = answers.sorted_out(self._of_set(what, 0 if said else what.count))
        missing = answers.shortage(good, bad, what.count, what.place, what.size, said)
        if missing is None:
            return good, None
        if not good:
            raise self._left(what, missing)
        for item in bad:
            self._discard(what, MACHINE, str(item.name))
        return good, self._noticed(what, missing)

    def _await(self, what: Try, poller: Any) -> None:
        def look() -> list[Any]:
            return listing.made(self._azure, what.group, what.name, what.kind)

        answers.awaited(poller, look, what.count, doing=what.doing, place=str(what.place), patience=_CREATE_S, clock=self._clock)

    def _of_set(self, what: Try, wanted: int) -> list[Any]:
        """The VMs of a scale set, with their states; looks again for a while when Azure does not list as many as it has made. Raises Failure."""
        found = list[Any]()
        for pause in _LOOKS_S:
            try:
                found = listing.made(self._azure, what.group, what.name, SET)
            except AzureError as error:
                raise failure(error, doing="look at what was started", place=str(what.place)) from error
            if len(found) >= wanted:
                break
            threading.Event().wait(pause)
        return found

    def _told(self, what: Try, found: Failure) -> Failure:
        """An operation may fail without saying why: then the machine tells."""
        if found.code != NO_CODE:
            return found
        try:
            for item in listing.made(self._azure, what.group, what.name, MACHINE):
                require_good(item, doing=what.doing, place=str(what.place))
        except AzureError:
            return found
        except Failure as better:
            return better
        return found

    def _left(self, what: Try, found: Failure) -> Failure:
        """Nothing of a failed try stays, since Azure keeps a machine that it could not place. Returns the failure with what is known of it.

        What ends the whole launch is removed with it.
        """
        if found.scope not in (Scope.ACCOUNT, Scope.REQUEST):
            self._discard(what, what.kind, what.name)
        return self._noticed(what, found)

    def _discard(self, what: Try, kind: Kind, name: str) -> None:
        """Remove what is not wanted; if this fails, destroy finds it."""
        doing = f"delete the {kind.name} {name}, which failed"
        try:
            poller = delete(self._azure, kind, id_of(kind, self._azure.subscription, what.group, name))
            finished(poller, doing=doing, place=str(what.place), patience=_DISCARD_S)
        except AzureError as error:
            if not is_gone(error):
                self._warn(f"{failure(error, doing=doing, place=str(what.place)).message}; destroy will")
        except Failure as error:
            self._warn(f"{error.message}; destroy will")

    def _noticed(self, what: Try, found: Failure) -> Failure:
        """The failure with what is known about its cause; a quota is named with its value."""
        return explained(self._azure, found, region=what.place.region, types=[what.size], spot=what.place.spot, count=what.count)
