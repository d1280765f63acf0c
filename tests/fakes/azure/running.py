"""Long-running operations: how they are begun, asked after, and ended. An operation moves on whenever somebody asks for it or its resource."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import SUBSCRIPTION, Book, Resource, Running
from tests.fakes.azure.calls import Fault

_PATH = re.compile(r"/subscriptions/[^/]+/providers/[^/]+/locations/[^/]+/(operations|operationresults)/([0-9a-f-]+)$", re.I)
STYLES = {"PUT": "async", "POST": "async", "PATCH": "async", "DELETE": "location"}


def begin(
    book: Book,
    resource: Resource,
    method: str,
    finish: Callable[[], None],
    *,
    error: Refused | None = None,
    style: str = "",
    answer: Callable[[], Any] | None = None,
) -> Running:
    """Begin one. `finish` is what it does; with an `error` that is how it ends, and `finish` must take that into account."""
    interrupted(book, resource)
    style = style or book.style.get(resource.type) or book.style.get(method) or STYLES[method]
    if style == "body" and method not in ("PUT", "PATCH"):
        style = "async"
    one = Running(str(uuid.uuid4()), style, resource.id, book.polls, finish, error, answer=answer)
    book.operations[one.id] = one
    resource.running = one.id
    return one


def error_of(fault: Fault | None) -> Refused | None:
    """A fault as the error that an operation ends with."""
    if fault is None:
        return None
    return Refused(fault.code, fault.text, fault.http, details=[dict(one) for one in fault.details])


def headers(book: Book, one: Running, resource: Resource, version: str) -> dict[str, str]:
    """What leads to the operation."""
    provider, location = resource.type.partition("/")[0], resource.location or "global"
    base = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/{provider}/locations/{location}"
    found = {}
    if one.style in ("async", "both"):
        found["Azure-AsyncOperation"] = f"{base}/operations/{one.id}?api-version={version}"
    if one.style in ("location", "both"):
        found["Location"] = f"{base}/operationResults/{one.id}?api-version={version}"
    if book.retry_after is not None:
        found["Retry-After"] = str(book.retry_after)
    return found


def is_poll(path: str) -> bool:
    return _PATH.search(path) is not None


def asked(book: Book, path: str, version: str) -> Result:
    """The answer to a poll."""
    found = _PATH.search(path)
    assert found is not None
    one = book.operations.get(found[2])
    if one is None:
        raise Refused("NotFound", f"The entity was not found: {found[2]}.", 404)
    step(book, one)
    wait = {"Retry-After": str(book.retry_after)} if book.retry_after is not None else {}
    if found[1].lower() == "operations":
        body: dict[str, Any] = {"status": one.status, "name": one.id, "startTime": "2026-11-01T00:00:00+00:00"}
        if one.status == "Failed" and one.error is not None:
            body["error"] = one.error.document()
        return Result(200, body, wait if one.status == "InProgress" else {})
    if one.status == "InProgress":
        here = f"https://management.azure.com{path}?api-version={version}"
        return Result(202, None, {"Location": here, **wait})
    if one.error is not None and one.status == "Failed":
        raise one.error
    return Result(200, one.answer()) if one.answer is not None else Result(200 if book.find(one.resource) else 204)


def step(book: Book, one: Running) -> None:
    """One more reading."""
    if one.status != "InProgress":
        return
    if one.left > 0:
        one.left -= 1
        return
    end(book, one)


def end(book: Book, one: Running) -> None:
    """Let it be done, now."""
    if one.status != "InProgress":
        return
    one.status = "Failed" if one.error is not None else "Succeeded"
    resource = book.find(one.resource)
    if resource is not None and resource.running == one.id:
        resource.running = ""
    one.finish()


def read(book: Book, resource: Resource) -> None:
    """Somebody reads a resource: its operation moves on."""
    if (one := book.operations.get(resource.running)) is not None:
        step(book, one)


def require_idle(book: Book, resource: Resource | None) -> None:
    """Microsoft.Network does one thing at a time with a resource, and with what it lies in. Raises Refused; asking lets time pass."""
    while resource is not None and resource.type.startswith("Microsoft.Network/"):
        read(book, resource)
        if resource.running:
            raise Refused(
                "AnotherOperationInProgress",
                f"Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: "
                f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/locations/{resource.location}/operations/{resource.running}.",
                429,
            )
        resource = book.find(resource.id.rpartition("/")[0].rpartition("/")[0])


def interrupted(book: Book, resource: Resource) -> None:
    """A new operation takes the place of the one at work: that one ends as preempted."""
    one = book.operations.get(resource.running)
    if one is not None and one.status == "InProgress":
        one.status = "Failed"
        one.error = Refused("OperationPreempted", "The operation has been preempted by a more recent operation.", 409)
        resource.running = ""


def settle(book: Book) -> None:
    """Let everything that is at work be done, as it is a while later."""
    while waiting := [one for one in book.operations.values() if one.status == "InProgress"]:
        for one in waiting:
            end(book, one)
