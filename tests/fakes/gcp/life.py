"""The life of an instance after its start: running, stopped, gone, by whoever ends it."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fakes.gcp.book import Book, Document, Event, Operation
from tests.fakes.gcp.calls import Fault
from tests.fakes.gcp.paths import last, path, url, zone_in
from tests.fakes.gcp.quotas import count

PREEMPTED = "compute.instances.preempted"
_SAID = {
    PREEMPTED: "Instance was preempted.",
    "compute.instances.hostError": "Instance terminated by Compute Engine.",
    "compute.instances.guestTerminate": "Guest OS initiated stop.",
    "compute.instances.terminateOnHostMaintenance": "Instance terminated because of host maintenance.",
    "compute.instances.instanceTerminationAction": "Instance reached the end of its run duration.",
}
"""Kinds of operations that no client asked for, as zoneOperations.list has them, with their status messages."""


def run(book: Book, where: str, seconds: int, ends: Fault | None) -> None:
    """It runs now; what watches the fake is told, and its time (in seconds; 0: for ever) begins."""
    if where not in book.tables["instances"]:  # deleted meanwhile
        return
    document, machine = book.tables["instances"][where], book.machines[where]
    if document["status"] == "TERMINATED":
        count(book, document, 1)
    machine.started += 1
    document.update(status="RUNNING", lastStartTimestamp=book.stamp())
    if seconds:
        until = book.clock.now() + seconds
        document["resourceStatus"]["scheduling"]["terminationTimestamp"] = book.stamp(until)
        book.later(until, _expiry(book, where, machine.started))
    book.tell(Event("started", last(document["zone"]), document["name"]))
    if ends is not None:
        by_system(book, where, ends.code, ends.text)


def stop(book: Book, where: str) -> None:
    """TERMINATED: disks and addresses inside the network stay, the public address goes."""
    document = book.tables["instances"][where]
    if document["status"] == "TERMINATED":
        return
    count(book, document, -1)
    document.update(status="TERMINATED", lastStopTimestamp=book.stamp())
    document["resourceStatus"]["scheduling"].pop("terminationTimestamp", None)
    for nic in document["networkInterfaces"]:
        for access in nic.get("accessConfigs", ()):
            access.pop("natIP", None)
    book.tell(Event("stopped", last(document["zone"]), document["name"]))


def delete(book: Book, where: str) -> None:
    """Gone, with the disks that go with it; the others are free."""
    document = book.tables["instances"].get(where)
    if document is None:
        return
    if document["status"] != "TERMINATED":
        count(book, document, -1)
    event = Event("deleted", last(document["zone"]), document["name"])
    del book.tables["instances"][where]
    book.machines.pop(where, None)
    book.gone.append((where, {**document, "status": "DELETED"}))
    for one in document["disks"]:
        disk = path(one.get("source", ""))
        if disk not in book.tables["disks"]:
            continue
        if one["autoDelete"]:
            del book.tables["disks"][disk]
        else:
            kept = book.tables["disks"][disk]
            kept["users"] = [user for user in kept.get("users", ()) if user != url(where)]
            if not kept["users"]:
                del kept["users"]
            kept["lastDetachTimestamp"] = book.stamp()
    book.tell(event)


def by_system(book: Book, where: str, kind: str, text: str = "") -> str:
    """End a running instance as Compute Engine itself does: stopped or deleted, as its termination action says for preemption and for the end of
    its time, else stopped. The operation that nobody asked for tells why. Returns the new state: TERMINATED, DELETED, or empty where there is none.
    """
    document = book.tables["instances"].get(where)
    if document is None or document["status"] != "RUNNING":
        return ""
    kind = kind if kind.startswith("compute.") else PREEMPTED
    _note(book, where, document, kind, text if text and kind not in _SAID else _SAID.get(kind, text))
    by_action = kind in (PREEMPTED, "compute.instances.instanceTerminationAction")
    if by_action and document["scheduling"].get("instanceTerminationAction") == "DELETE":
        delete(book, where)
        return "DELETED"
    stop(book, where)
    return "TERMINATED"


def find(book: Book, name: str) -> str:
    """The path of an instance by its name, in whatever zone. Raises KeyError."""
    for where in book.tables["instances"]:
        if where.endswith(f"/instances/{name}"):
            return where
    raise KeyError(name)


def _expiry(book: Book, where: str, number: int) -> Callable[[], None]:
    def expire() -> None:
        machine = book.machines.get(where)
        if machine is not None and machine.started == number:
            by_system(book, where, "compute.instances.instanceTerminationAction")

    return expire


def _note(book: Book, where: str, document: Document, kind: str, text: str) -> None:
    zone = f"projects/{book.project}/zones/{zone_in(where)}"
    name = f"systemevent-{int(book.clock.now() * 1000)}-{random.randrange(16**13):013x}-{random.randrange(16**8):08x}"
    now = book.stamp()
    book.operations[f"{zone}/operations/{name}"] = Operation(
        {
            "kind": "compute#operation", "id": book.new_id(), "name": name, "operationType": kind, "targetLink": url(where),
            "targetId": document["id"], "status": "DONE", "progress": 100, "user": "system", "insertTime": now, "startTime": now, "endTime": now,
            "statusMessage": text, "selfLink": url(f"{zone}/operations/{name}"), "zone": url(zone),
        },
        book.clock.now(),
        done=True,
    )  # fmt: skip
