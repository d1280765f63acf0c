"""What all resources do alike: PUT, GET, HEAD, PATCH, DELETE, lists in pages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.fakes.azure import groups, rules, running
from tests.fakes.azure.answers import Refused, Result, no_group, not_found
from tests.fakes.azure.book import Resource, Running
from tests.fakes.azure.kinds import HANDLERS, KINDS, Ask, Kind, document
from tests.fakes.azure.pages import paged
from tests.fakes.azure.paths import identifier, is_name
from tests.fakes.azure.running import error_of


def answer(ask: Ask) -> Result:
    """Carry out a call. Raises Refused; LookupError for what the fake has no answer to."""
    handler = HANDLERS.get((ask.method, ask.target.type.lower()))
    if handler is not None:
        return handler(ask)
    kind = KINDS.get(ask.target.type.lower())
    if kind is None:
        raise LookupError(ask.target.type)
    rules.check(ask)
    if ask.target.action:
        return _act(ask, kind)
    if ask.target.is_collection:
        return _list(ask, kind)
    verbs: dict[str, Callable[[Ask, Kind], Result]] = {"GET": _get, "HEAD": _head, "PUT": _put, "PATCH": _patch, "DELETE": _delete}
    return verbs[ask.method](ask, kind)


def resource_of(ask: Ask) -> Resource:
    """The resource that a path names. Raises Refused."""
    found = ask.book.find(ask.target.path)
    if found is None:
        if groups.group(ask.book, ask.target.group) is None:
            raise no_group(ask.target.group)
        raise not_found(ask.target.type, "/".join(ask.target.names), ask.target.group)
    return found


def _get(ask: Ask, kind: Kind) -> Result:
    found = resource_of(ask)
    running.read(ask.book, found)
    found = resource_of(ask)
    if found.unseen > 0:
        found.unseen -= 1
        raise not_found(ask.target.type, "/".join(ask.target.names), ask.target.group)
    return Result(200, document(ask, found))


def _head(ask: Ask, kind: Kind) -> Result:
    return Result(204 if ask.book.find(ask.target.path) else 404)


def _list(ask: Ask, kind: Kind) -> Result:
    if ask.target.group and groups.group(ask.book, ask.target.group) is None:
        raise no_group(ask.target.group)
    above = ask.target.path.lower().rpartition("/")[0] if kind.parent else ""
    if above and ask.book.find(above) is None:
        raise not_found(ask.target.type, "/".join(ask.target.names), ask.target.group)
    found = []
    for one in ask.book.of(kind.type, ask.target.group):
        if above and not one.id.lower().startswith(f"{above}/"):
            continue
        running.read(ask.book, one)
        if one.unseen > 0:
            one.unseen -= 1
        elif ask.book.find(one.id) is one and kind.chosen(ask, one):
            found.append(one)
    shown = [document(ask, one) for one in found]
    return paged(ask, shown if ask.target.group else [_loud(one) for one in shown])


def _loud(one: dict[str, Any]) -> dict[str, Any]:
    """Lists of a whole subscription have the group's name in capitals: who compares ids must not mind."""
    head, mark, rest = str(one["id"]).partition("/resourceGroups/")
    group, slash, rest = rest.partition("/")
    return one | {"id": f"{head}{mark}{group.upper()}{slash}{rest}"} if mark and one["type"].startswith("Microsoft.Compute") else one


def _put(ask: Ask, kind: Kind) -> Result:
    book, target = ask.book, ask.target
    group = groups.group(book, target.group)
    if group is None:
        raise no_group(target.group)
    if kind.parent and book.find(target.path.rstrip("/").rpartition("/")[0].rpartition("/")[0]) is None:
        raise Refused("ParentResourceNotFound", f"Failed to perform 'write' on resource(s) of type '{kind.type}', because the parent resource "
                      f"'{'/'.join(target.names[:-1])}' could not be found.", 404)  # fmt: skip
    if group.state == "Deleting":
        raise Refused(
            "ResourceGroupBeingDeleted",
            f"The resource group '{target.group}' is in deprovisioning state and cannot perform this operation.",
            409,
        )
    if not is_name(target.name):
        raise Refused("InvalidResourceName", f"Resource name {target.name} is invalid.", 400, target=target.name)
    old = book.find(target.path)
    if old is not None and old.state == "Deleting":
        raise Refused("OperationNotAllowed", f"Operation 'Create or Update' is not allowed on '{target.name}' since it is marked for deletion. You can only retry "
                      "the Delete operation (or wait for an ongoing one to complete).", 409)  # fmt: skip
    running.require_idle(book, old or book.find(target.path.rpartition("/")[0].rpartition("/")[0]))
    _same_place(ask, old)
    new = Resource(
        identifier(target.subscription, group.name, kind.type, *target.names),
        kind.type,
        group.name,
        target.names,
        copy.deepcopy(ask.body or {}),
    )
    if old is not None:
        new.id, new.secret, new.memory, new.power, new.running = old.id, dict(old.secret), old.memory, old.power, old.running
    new.state = "Succeeded" if "PUT" in kind.instant else ("Creating" if old is None else "Updating")
    kind.make(ask, new, old)
    if old is None:
        new.unseen = book.lag
    book.add(new)
    if "PUT" in kind.instant:
        kind.begun(book, new, None)
        kind.made(book, new, None)
        return Result(ask.made(is_new=old is None, is_done=True), document(ask, new))
    return begin_making(ask, kind, new, is_new=old is None)


def begin_making(ask: Ask, kind: Kind, new: Resource, *, is_new: bool) -> Result:
    """The operation of a PUT: with the fault that waits for it, if any."""
    book = ask.book
    fault = book.faults.take(ask.call, "operation", "later", "body")
    error = error_of(fault)
    error = error or new.memory.pop("doomed", None)
    if fault is not None:
        new.memory["few"] = fault.few
    silent = fault is not None and fault.where in ("later", "body")
    kind.begun(book, new, error)

    def finish() -> None:
        if book.find(new.id) is not new:
            return
        new.state = "Failed" if error is not None else "Succeeded"
        kind.made(book, new, error)

    style = "body" if fault is not None and fault.where == "body" else ""
    operation = running.begin(book, new, "PUT", finish, error=None if silent else error, style=style, answer=lambda: document(ask, new))
    return Result(ask.made(is_new=is_new), document(ask, new), running.headers(book, operation, new, ask.version))


def _same_place(ask: Ask, old: Resource | None) -> None:
    if old is None or "location" not in old.body:
        return
    wanted = str((ask.body or {}).get("location", "")).replace(" ", "").lower()
    if wanted != old.location:
        raise Refused("InvalidResourceLocation", f"The resource '{old.name}' already exists in location '{old.location}' in resource group "
                      f"'{old.group}'. A resource with the same name cannot be created in location '{wanted}'. Please select a new resource name.", 409)  # fmt: skip


def _patch(ask: Ask, kind: Kind) -> Result:
    found = resource_of(ask)
    body = ask.body or {}
    if "tags" in body:
        found.body["tags"] = dict(body["tags"])
    kind.change(ask, found)
    fault = ask.book.faults.take(ask.call, "operation", "later", "body")
    if "PATCH" in kind.instant:
        return Result(200, document(ask, found))
    found.state = "Updating"
    error = error_of(fault)

    def finish() -> None:
        found.state = "Failed" if error is not None else "Succeeded"

    operation = running.begin(ask.book, found, "PATCH", finish, error=error, answer=lambda: document(ask, found))
    return Result(200, document(ask, found), running.headers(ask.book, operation, found, ask.version))


def _delete(ask: Ask, kind: Kind) -> Result:
    book = ask.book
    found = book.find(ask.target.path)
    if found is None:
        if groups.group(book, ask.target.group) is None:
            raise no_group(ask.target.group)
        return Result(204)
    running.require_idle(book, found)
    kind.may_go(book, found)
    fault = book.faults.take(ask.call, "operation", "later", "body")
    error = error_of(fault)
    if "DELETE" in kind.instant:
        _end(ask, kind, found)
        return Result(200)
    found.state = "Deleting"

    def finish() -> None:
        if error is not None:
            found.state = "Failed"
        elif book.find(found.id) is found:
            _end(ask, kind, found)

    operation: Running = running.begin(book, found, "DELETE", finish, error=error)
    return Result(202, None, running.headers(book, operation, found, ask.version))


def _end(ask: Ask, kind: Kind, found: Resource) -> None:
    kind.gone(ask.book, found)
    ask.book.drop(found.id)


def _act(ask: Ask, kind: Kind) -> Result:
    handler = kind.actions.get(ask.target.action.lower())
    if handler is None:
        raise LookupError(f"{kind.type}/{ask.target.action}")
    return handler(ask)


def act_long(ask: Ask, finish: Callable[[], None]) -> Result:
    """A POST that is a long-running operation."""
    found = resource_of(ask)
    error = error_of(ask.book.faults.take(ask.call, "operation", "later", "body"))

    def done() -> None:
        if error is None:
            finish()

    operation = running.begin(ask.book, found, "POST", done, error=error)
    return Result(202, None, running.headers(ask.book, operation, found, ask.version))
