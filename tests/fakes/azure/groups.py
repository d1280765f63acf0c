"""Resource groups, and the lists of everything in a group or a subscription."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.fakes.azure import rules, running
from tests.fakes.azure.answers import Refused, Result, no_group
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import KINDS, Ask, handles
from tests.fakes.azure.pages import paged
from tests.fakes.azure.paths import identifier
from tests.fakes.azure.running import error_of

TYPE = "Microsoft.Resources/resourceGroups"
_TAG = re.compile(r"tagName eq '([^']*)'(?: and tagValue eq '([^']*)')?$")
_TYPE_IS = re.compile(r"resourceType eq '([^']*)'$")
_GROUP_NAME = re.compile(r"[\w().-]{0,89}[\w()-]")


def group(book: Book, name: str) -> Resource | None:
    """A group by its name; capitals do not matter."""
    return next((one for one in book.of(TYPE) if one.name.lower() == name.lower()), None)


def fits(one: Resource, text: str) -> bool:
    """Whether a $filter lets a resource through. Raises Refused for one that Resource Manager has not."""
    if not text:
        return True
    if found := _TAG.match(text):
        tags = {name.lower(): value for name, value in one.tags.items()}
        name, value = found[1].lower(), found[2]
        return name in tags and value in (None, tags[name])
    if found := _TYPE_IS.match(text):
        return one.type.lower() == found[1].lower()
    raise Refused("InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.", 400)


def _shown(one: Resource) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "type": TYPE, **one.body}


def _found(ask: Ask) -> Resource:
    found = group(ask.book, ask.target.group)
    if found is None:
        raise no_group(ask.target.group)
    return found


@handles("GET", TYPE)
def get(ask: Ask) -> Result:
    """One, or a page of all."""
    rules.check(ask)
    if ask.target.names:
        found = _found(ask)
        running.read(ask.book, found)
        return Result(200, _shown(_found(ask)))
    for one in list(ask.book.of(TYPE)):
        running.read(ask.book, one)
    return paged(ask, [_shown(one) for one in ask.book.of(TYPE) if fits(one, ask.query.get("$filter", ""))])


@handles("HEAD", TYPE)
def head(ask: Ask) -> Result:
    """204 or 404."""
    rules.check(ask)
    found = group(ask.book, ask.target.group)
    if found is not None:
        running.read(ask.book, found)
    return Result(204 if group(ask.book, ask.target.group) else 404)


@handles("PUT", TYPE)
def put(ask: Ask) -> Result:
    """Make one, or change its tags."""
    rules.check(ask)
    book, old = ask.book, group(ask.book, ask.target.group)
    if not _GROUP_NAME.fullmatch(ask.target.group):
        raise Refused("InvalidResourceGroup", f"The provided resource group name '{ask.target.group}' is not valid.", 400)
    location = require_location(str(ask.body.get("location", "")))
    if old is not None and old.state == "Deleting":
        raise Refused(
            "ResourceGroupBeingDeleted",
            f"The resource group '{ask.target.group}' is in deprovisioning state and cannot perform this operation.",
            409,
        )
    if old is not None and old.location != location:
        raise Refused(
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location '{old.location}'.",
            409,
        )
    body = {"location": location, "tags": dict(ask.body.get("tags") or {}), "properties": {"provisioningState": "Succeeded"}}
    made = Resource(identifier(ask.target.subscription, ask.target.group, TYPE), TYPE, ask.target.group, (ask.target.group,), body)
    if old is not None:
        old.body = body
        made = old
    else:
        book.add(made)
    return Result(201 if old is None else 200, _shown(made))


@handles("PATCH", TYPE)
def patch(ask: Ask) -> Result:
    """Change its tags."""
    rules.check(ask)
    found = _found(ask)
    if "tags" in ask.body:
        found.body["tags"] = dict(ask.body["tags"])
    return Result(200, _shown(found))


@handles("DELETE", TYPE)
def delete(ask: Ask) -> Result:
    """Delete it with everything in it."""
    rules.check(ask)
    book, found = ask.book, _found(ask)
    error = error_of(book.faults.take(ask.call, "operation", "later", "body")) or _blocked(book, found)
    found.state = "Deleting"

    def finish() -> None:
        if error is not None:
            found.state = "Succeeded"  # what is in it may be gone all the same
            return
        empty(book, found.name)
        book.drop(found.id)

    operation = running.begin(book, found, "DELETE", finish, error=error)
    return Result(202, None, running.headers(book, operation, found, ask.version))


def _blocked(book: Book, found: Resource) -> Refused | None:
    """What keeps a group from being deleted: something outside that uses what is in it."""
    inside = f"{found.id.lower()}/"
    for nic in book.of("Microsoft.Network/networkInterfaces"):
        subnets = [str(one["properties"]["subnet"]["id"]) for one in nic.properties["ipConfigurations"]]
        if nic.group.lower() != found.name.lower() and any(one.lower().startswith(inside) for one in subnets):
            inner = {"code": "InUseSubnetCannotBeDeleted", "message": f"Subnet {subnets[0]} is in use by {nic.id} and cannot be deleted."}
            return Refused("ResourceGroupDeletionBlocked", f"Deletion of resource group '{found.name}' failed as resources with identifiers "
                           f"'{subnets[0].partition('/providers/')[2]}' could not be deleted.", 409, details=[inner])  # fmt: skip
    return None


def empty(book: Book, name: str) -> None:
    """Take all that is in a group away: machines first, so that what they hold is free."""
    inside = [one for one in book.resources.values() if one.group.lower() == name.lower() and one.type != TYPE]
    for one in sorted(inside, key=lambda one: not one.type.startswith("Microsoft.Compute/virtualMachines")):
        if book.find(one.id) is one:
            KINDS[one.type.lower()].gone(book, one)
            book.drop(one.id)


@handles("GET", "resources")
def resources(ask: Ask) -> Result:
    """Everything that has a location and tags: of a group or of the subscription."""
    if ask.target.group:
        _found(ask)
    inside = [
        one
        for one in list(ask.book.resources.values())
        if one.type != TYPE and KINDS[one.type.lower()].is_tracked and ask.target.group.lower() in ("", one.group.lower())
    ]
    for one in inside:
        running.read(ask.book, one)
    inside = [one for one in inside if ask.book.find(one.id) is one and one.unseen == 0]
    return paged(ask, [_expanded(one, ask.query.get("$expand", "")) for one in inside if fits(one, ask.query.get("$filter", ""))])


_COMMON = ("location", "tags", "sku", "plan", "kind", "identity", "zones", "managedBy")


def _expanded(one: Resource, expand: str) -> dict[str, Any]:
    """As lists of resources show them: without their properties."""
    shown: dict[str, Any] = {"id": one.id, "name": "/".join(one.names), "type": one.type}
    shown |= {name: one.body[name] for name in _COMMON if one.body.get(name) and name != "zones"}
    extra: dict[str, Callable[[], Any]] = {
        "provisioningState": lambda: one.state or "Succeeded",
        "createdTime": lambda: one.properties.get("timeCreated", "2026-11-01T00:00:00+00:00"),
        "changedTime": lambda: "2026-11-01T00:00:00+00:00",
    }
    return shown | {name: made() for name, made in extra.items() if name in _words(expand)}


def _words(text: str) -> Iterable[str]:
    return [word.strip() for word in text.split(",")]
