"""The methods of compute.instances, but for bulkInsert."""

from __future__ import annotations

import json

from tests.fakes.gcp import life, listing, operations, start
from tests.fakes.gcp.book import Document, Event
from tests.fakes.gcp.labels import set_labels, stale
from tests.fakes.gcp.paths import last
from tests.fakes.gcp.refused import Broken, Refused, missing
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.gcp.understood import INSTANCE, refuse_others

CONSOLE_BYTES = 1024 * 1024


def insert(request: Request) -> Document:
    """One instance. Raises Refused for what is refused at once; a quota or a stock-out is in the operation."""
    book, asked = request.book, json.dumps([request.method, request.path, request.body], sort_keys=True)
    if (known := operations.asked_before(request, asked)) is not None:
        return known
    if template := {"sourceInstanceTemplate", "sourceMachineImage"} & request.query.keys():
        raise Broken(f"the fake has no {min(template)}")
    refuse_others(request.body, INSTANCE)
    wanted = start.plan(request, request.path["zone"], request.body, str(request.body["name"]))
    errors, status, ends = start.outcome(request, wanted)
    if not errors:
        start.place(request, wanted)
    answer = operations.begin(
        request, "insert", wanted.path, lambda: life.run(book, wanted.path, wanted.seconds, ends),
        errors=errors, status=status, target_id=wanted.document["id"], faulty=False,
    )  # fmt: skip
    if "requestId" in request.query:
        book.requests[request.query["requestId"]] = (asked, f"{request.scope}/operations/{answer['name']}")
    return answer


def get(request: Request) -> Document:
    """One instance; a new one that no listing has yet is not found either. Raises Refused."""
    path, row = request.find(request.path["instance"])
    machine = request.book.machines[path]
    if machine.unseen > 0:
        machine.unseen -= 1
        raise missing(path)
    return row


def list_(request: Request) -> Document:
    rows = {path: row for path, row in _seen(request).items() if path.startswith(f"{request.scope}/")}
    return listing.page(request, rows, "compute#instanceList", "Instance")


def aggregated(request: Request) -> Document:
    rows = {path: row for path, row in _seen(request).items() if path.startswith(f"projects/{request.project}/")}
    return listing.aggregated(request, rows, "compute#instanceAggregatedList", "Instance")


def delete(request: Request) -> Document:
    path, row = request.find(request.path["instance"])
    if row["deletionProtection"]:
        raise Refused(
            "invalidUsage", f"Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion: {path}'.", 400
        )
    before = row["status"]
    if request.book.operation_s > 0:
        row["status"] = "STOPPING"
    return operations.begin(
        request, "delete", path, lambda: life.delete(request.book, path), target_id=row["id"], undo=lambda: row.update(status=before)
    )


def stop(request: Request) -> Document:
    path, row = request.find(request.path["instance"])
    return operations.begin(request, "stop", path, lambda: life.stop(request.book, path), target_id=row["id"])


def start_(request: Request) -> Document:
    path, row = request.find(request.path["instance"])
    seconds = int(row["scheduling"].get("maxRunDuration", {}).get("seconds", 0))

    def effect() -> None:
        if row["status"] == "TERMINATED":
            life.run(request.book, path, seconds, None)

    return operations.begin(request, "start", path, effect, target_id=row["id"])


def reset(request: Request) -> Document:
    path, row = request.find(request.path["instance"])
    if row["status"] != "RUNNING":
        raise Refused("resourceNotReady", f"The resource '{path}' is not ready", 400)
    event = Event("reset", last(row["zone"]), row["name"])
    return operations.begin(request, "reset", path, lambda: request.book.tell(event), target_id=row["id"])


def set_metadata(request: Request) -> Document:
    """Replace all metadata. Raises Refused when it was changed by another since it was read."""
    path, row = request.find(request.path["instance"])
    if request.body.get("fingerprint") != row["metadata"]["fingerprint"]:
        raise stale("Supplied fingerprint does not match current metadata fingerprint.")
    changed = start.metadata_of(request.book, request.body)

    def effect() -> None:
        row["metadata"] = changed
        request.book.tell(Event("metadata", last(row["zone"]), row["name"]))

    return operations.begin(request, "setMetadata", path, effect, target_id=row["id"])


def serial_port(request: Request) -> Document:
    """The console from a byte on; what is older than the last mebibyte is gone."""
    path, row = request.find(request.path["instance"])
    if row["status"] in ("TERMINATED", "PROVISIONING", "STAGING"):
        raise Refused("resourceNotReady", f"The resource '{path}' is not ready", 400)
    text = request.book.consoles.get(row["name"])
    text = (request.book.console_of(row["name"]) or "") if text is None else text
    whole = text.encode() if request.query.get("port", "1") == "1" else b""
    oldest, first = max(0, len(whole) - CONSOLE_BYTES), int(request.query.get("start", 0))
    first = max(oldest, len(whole) + first) if first < 0 else max(oldest, first)
    return {
        "kind": "compute#serialPortOutput", "contents": whole[first:].decode(errors="replace"), "start": str(first),
        "next": str(max(first, len(whole))), "selfLink": f"{row['selfLink']}/serialPort",
    }  # fmt: skip


def _seen(request: Request) -> dict[str, Document]:
    """The instances that this listing has already heard of."""
    book, found = request.book, {}
    for path, row in book.tables["instances"].items():
        machine = book.machines[path]
        if machine.unseen > 0:
            machine.unseen -= 1
        else:
            found[path] = row
    return found


METHODS: Methods = {
    "compute.instances.insert": insert,
    "compute.instances.get": get,
    "compute.instances.list": list_,
    "compute.instances.aggregatedList": aggregated,
    "compute.instances.delete": delete,
    "compute.instances.stop": stop,
    "compute.instances.start": start_,
    "compute.instances.reset": reset,
    "compute.instances.setMetadata": set_metadata,
    "compute.instances.setLabels": set_labels,
    "compute.instances.getSerialPortOutput": serial_port,
}
