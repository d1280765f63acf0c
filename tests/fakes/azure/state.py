"""All that the fake holds, as a document and as a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.azure.book import SUBSCRIPTION, TENANT, Book, Resource
from tests.fakes.azure.kinds import KINDS


@dataclass(frozen=True)
class Held:
    """A resource that is there."""

    kind: str
    """Its type, as Microsoft.Compute/virtualMachines."""
    id: str
    group: str
    name: str
    location: str
    tags: dict[str, str] = field(default_factory=dict)
    state: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.group}" + (f" ({self.state})" if self.state not in ("", "Succeeded") else "")


def held(book: Book) -> list[Held]:
    """Everything that clients made, groups included; not what lies below another resource."""
    return [_held(one) for one in book.resources.values() if one.type.lower() not in KINDS or KINDS[one.type.lower()].is_tracked]


def _held(one: Resource) -> Held:
    properties = one.properties
    more: dict[str, Any] = {}
    if one.power:
        more["power"] = one.power
    if one.body.get("zones"):
        more["zones"] = list(one.body["zones"])
    if "hardwareProfile" in properties:
        more |= {
            "size": properties["hardwareProfile"].get("vmSize", ""),
            "priority": properties.get("priority", "Regular"),
            "image": one.memory.get("image", ""),
        }
    return Held(one.type, one.id, one.group, "/".join(one.names), one.location, one.tags, one.state, more)


def document(book: Book) -> dict[str, Any]:
    """The answer to `GET /_state`."""
    found = [{"id": one.id, "name": one.name, "type": one.type, "power": one.power, **one.body} for one in book.resources.values()]
    return {
        "tenant": TENANT,
        "subscription": SUBSCRIPTION,
        "resources": found,
        "operations": [{"id": one.id, "status": one.status} for one in book.operations.values()],
    }
