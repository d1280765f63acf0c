"""What Compute Engine tells of a running instance: why it ended, and what it has printed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope, death
from goldbake.clouds.gcp.errors import ERRORS, RAISED, failure, refused
from launch.base import Instance
from launch.gcp.answer import LIVING
from launch.gcp.listing import zone_of
from launch.observe import Seen

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

_ENDS = ("compute.instances.", "stop", "delete", "suspend", "reset")
"""How the types of operations begin that end an instance; those that Google itself begins are called `compute.instances.…`."""
_BEGINS = frozenset({"compute.instances.automaticRestart", "compute.instances.migrateOnHostMaintenance"})
_SERIAL_PORT = 1


def died(instance: Instance, seen: Seen) -> Failure | None:
    """What the end of an instance means. None while it lives."""
    if seen.state in LIVING:
        return None
    what = f"{instance.id} in {instance.place} is {seen.state.lower()}"
    found = refused(seen.code, seen.message, doing="", place=zone_of(instance))
    return death(ERRORS.get(seen.code), seen.code, seen.message, what=what, cloud="Google", found=found)


def reason(gcp: Gcp, instance: Instance, seen: Seen) -> Seen:
    """The state with what ended the instance: an instance does not say it, the operations of its zone do, even when it is gone."""
    zone = zone_of(instance)
    wanted = f'targetLink eq ".*/zones/{zone}/instances/{instance.id}"'
    try:
        found = [
            operation
            for operation in gcp.client(compute_v1.ZoneOperationsClient).list(
                request={"project": gcp.project, "zone": zone, "filter": wanted, "max_results": 500}
            )
            if operation.operation_type.startswith(_ENDS) and operation.operation_type not in _BEGINS
        ]
    except RAISED:
        return seen  # it is dead, with or without a reason
    last = max(found, key=lambda operation: operation.insert_time, default=None)
    return Seen(seen.state, last.operation_type, last.status_message) if last else seen


class ConsoleReader:
    """Reads on where the last look at a console ended; `gcp` gives the project of an instance."""

    def __init__(self, gcp: Callable[[Instance], Gcp]) -> None:
        self._gcp = gcp
        self._texts: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._denied = False
        self._mutex = threading.Lock()

    def __call__(self, instance: Instance) -> str | None:
        if self._denied:
            return None
        gcp = self._gcp(instance)
        try:
            output = gcp.client(compute_v1.InstancesClient).get_serial_port_output(
                request={
                    "project": gcp.project,
                    "zone": zone_of(instance),
                    "instance": instance.id,
                    "port": _SERIAL_PORT,
                    "start": self._next.get(instance.id, 0),
                }
            )
        except RAISED as error:
            self._denied = failure(error, doing="read a console", place=zone_of(instance)).scope is Scope.ACCOUNT
            return None
        with self._mutex:
            self._next[instance.id] = output.next_
            self._texts[instance.id] = self._texts.get(instance.id, "") + output.contents
            return self._texts[instance.id]
