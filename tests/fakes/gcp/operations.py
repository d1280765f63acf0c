"""Operations: how Compute Engine tells that a change is done, or why it is not."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from tests.fakes.gcp import listing
from tests.fakes.gcp.book import Document, Operation
from tests.fakes.gcp.calls import status_of
from tests.fakes.gcp.paths import url
from tests.fakes.gcp.refused import Refused, missing
from tests.fakes.gcp.request import Methods, Request

Error = Mapping[str, Any]


def begin(
    request: Request,
    kind: str,
    target: str,
    effect: Callable[[], None] | None = None,
    *,
    errors: Sequence[Error] = (),
    status: int = 0,
    scope: str = "",
    target_id: str = "",
    more: Mapping[str, Any] | None = None,
    faulty: bool = True,
    undo: Callable[[], None] | None = None,
) -> Document:
    """A new operation, as its first answer shows it. Its effect comes when it is done, and not at all with errors: then `undo` does.

    A fault of `where="operation"` is put in here, for whatever the method is, but where the caller has looked for one (not `faulty`).
    """
    book, scope = request.book, scope or request.scope
    fault = (
        None
        if errors or not faulty
        else book.faults.take("operation", request.method, request.call.zone, request.call.type, request.call.spot)
    )
    if fault is not None:
        errors, status = [error(fault.code, fault.text, fault.details)], fault.http
    now = book.clock.now()
    name = f"operation-{int(now * 1000)}-{uuid.uuid4().hex[:13]}-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:8]}"
    document: Document = {
        "kind": "compute#operation", "id": book.new_id(), "name": name, "operationType": kind, "targetLink": url(target),
        "targetId": target_id or book.new_id(), "status": "RUNNING", "user": f"goldbake@{book.project}.iam.gserviceaccount.com", "progress": 0,
        "insertTime": book.stamp(now), "startTime": book.stamp(now), "selfLink": url(f"{scope}/operations/{name}"), **(more or {}),
    }  # fmt: skip
    if request.query.get("requestId"):
        document["clientOperationId"] = request.query["requestId"]
    for word in ("zones", "regions"):
        if f"/{word}/" in scope:
            document[word[:-1]] = url(scope)
    if faulty or not request.call.operation:
        request.call.operation = name
    operation = Operation(document, now + book.operation_s)
    book.operations[f"{scope}/operations/{name}"] = operation
    first = dict(document)

    def finish() -> None:
        follow = undo if errors else effect
        if follow is not None:
            follow()
        done(request, operation, errors, status)

    if book.operation_s <= 0:
        finish()
    else:
        first["status"] = document["status"] = "PENDING"
        book.later(now + book.operation_s / 2, lambda: document.update(status="RUNNING"))
        book.later(operation.due, finish)
    return first


def done(request: Request, operation: Operation, errors: Sequence[Error], status: int = 0) -> None:
    """The operation's last state."""
    operation.done = True
    document = operation.document
    document.update(status="DONE", progress=100, endTime=request.book.stamp())
    if errors:
        status = status or status_of(str(errors[0]["code"]))
        document["error"] = {"errors": [dict(one) for one in errors]}
        document["httpErrorStatusCode"] = status
        document["httpErrorMessage"] = HTTPStatus(status).phrase.upper()


def error(code: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> Document:
    """One error of an operation."""
    found: Document = {"code": code, "message": message}
    if details:
        found["errorDetails"] = [dict(one) for one in details]
    return found


def asked_before(request: Request, asked: str) -> Document | None:
    """The operation of the same requestId. Raises Refused when it came with another request."""
    known = request.book.requests.get(request.query.get("requestId", ""))
    if known is None:
        return None
    if known[0] != asked:
        text = "The request ID was used before with another request."
        raise Refused("invalid", f"Invalid value for field 'requestId': '{request.query['requestId']}'. {text}")
    return request.book.operations[known[1]].document


def _one(request: Request) -> Operation:
    path = f"{request.scope}/operations/{request.path['operation']}"
    found = request.book.operations.get(path)
    if found is None:
        raise missing(path)
    return found


def get(request: Request) -> Document:
    return dict(_one(request).document)


def wait(request: Request) -> Document:
    """Until it is done, or `wait_s` are over. Nothing is locked meanwhile."""
    book = request.book
    with book.lock:
        operation = _one(request)
    ends = time.monotonic() + book.wait_s
    while time.monotonic() < ends:
        book.pass_time()
        if operation.done:
            break
        time.sleep(min(0.01, max(0.0, operation.due - book.clock.now())))
    with book.lock:
        return dict(operation.document)


def list_(request: Request) -> Document:
    rows = {path: one.document for path, one in request.book.operations.items() if path.startswith(f"{request.scope}/operations/")}
    return listing.page(request, rows, "compute#operationList", "Operation")


def aggregated(request: Request) -> Document:
    """The operations of every zone and region, and the global ones."""
    rows = {path: one.document for path, one in request.book.operations.items() if path.startswith(f"projects/{request.project}/")}
    scopes = (*listing.ZONAL, *listing.REGIONAL, "global")
    return listing.aggregated(request, rows, "compute#operationAggregatedList", "Operation", scopes=scopes, word="operations")


UNLOCKED = frozenset(f"compute.{scope}Operations.wait" for scope in ("zone", "region", "global"))
"""Methods that lock for themselves."""
METHODS: Methods = {
    "compute.globalOperations.aggregatedList": aggregated,
    **{
        f"compute.{scope}Operations.{name}": function
        for scope in ("zone", "region", "global")
        for name, function in (("get", get), ("wait", wait), ("list", list_))
    },
}
