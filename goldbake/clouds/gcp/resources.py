"""What a launch or a bake can have in Compute Engine: how each kind is listed, page by page, and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.api_core import exceptions
from google.cloud import compute_v1

from goldbake.clouds import tags
from goldbake.clouds.gcp.errors import AnyError, code_of

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

GLOBAL = "global"
"""The place of what has no zone."""
PREFIX = "goldbake-"
"""How the name of everything begins that a launch or a bake makes."""
PAGE = 500
"""The most that one page holds (Compute Engine API: maxResults)."""


@dataclass(frozen=True)
class Kind:
    """One kind of resource: its client, and the words of its calls."""

    name: str
    client: type[Any]
    field: str
    """Where one zone's part of an aggregated list has them, and, of what is global, nothing."""
    parameter: str
    """What its delete call calls it."""
    only_bakes: bool = False
    named: bool = False
    """Whether it may be without labels, and is found by its name."""


INSTANCE = Kind("instance", compute_v1.InstancesClient, "instances", "instance")
DISK = Kind("disk", compute_v1.DisksClient, "disks", "disk", named=True)
IMAGE = Kind("image", compute_v1.ImagesClient, "", "image", only_bakes=True)
FIREWALL = Kind("firewall rule", compute_v1.FirewallsClient, "", "firewall", named=True)

KINDS = (INSTANCE, DISK, IMAGE, FIREWALL)
"""In the order in which they can be deleted."""
GOING = frozenset({"STOPPING", "DEPROVISIONING", "DELETING"})
"""States of what Compute Engine is about to remove, or, of an instance, to stop."""
IN_USE = frozenset(
    {
        "resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "resourceNotReady", "RESOURCE_NOT_READY",
        "RESOURCE_OPERATION_RATE_EXCEEDED", "operationInProgress",
    }
)  # fmt: skip
"""Codes that pass as soon as something else is gone, or done."""
EXISTS = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS"})
"""Codes that say that there is one of this name."""


def items(gcp: Gcp, kind: Kind, wanted: str) -> Iterator[Any]:
    """What a listing shows under a filter in all zones, one page in memory at a time. Raises what the call raises."""
    client = gcp.client(kind.client)
    asked = {"project": gcp.project, "filter": wanted, "max_results": PAGE}
    if not kind.field:
        yield from client.list(request=asked)
        return
    for _, listed in client.aggregated_list(request=asked):
        yield from getattr(listed, kind.field)


def delete(gcp: Gcp, kind: Kind, name: str, place: str) -> None:
    """Ask for the end of one; its operation is not waited for. Raises what the call raises."""
    named = {"project": gcp.project, kind.parameter: name} | ({"zone": place} if kind.field else {})
    gcp.client(kind.client).delete_unary(**named)


def labelled(given: Mapping[str, str | None]) -> str:
    """A filter for labels with these values; None stands for any value."""
    return " ".join(f"(labels.{key}:*)" if value is None else f"(labels.{key} = {value})" for key, value in given.items())


def tags_of(item: Any) -> Mapping[str, str]:
    """The labels of anything that Compute Engine shows; a firewall rule has none and carries them in its description."""
    if not isinstance(item, compute_v1.Firewall):
        return dict(item.labels)
    try:
        found = json.loads(item.description)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def place_of(item: Any) -> str:
    """The zone of something, or `global`."""
    return str(getattr(item, "zone", "")).rpartition("/")[2] or GLOBAL


def is_ours(item: Any) -> bool:
    """Whether a launch or a bake made it for its own duration."""
    found = tags_of(item)
    return found.get(tags.MANAGED_BY) == tags.OWNER and tags.EXPIRES in found


def is_gone(error: AnyError) -> bool:
    """Whether the thing that a call was about does not exist any more."""
    return isinstance(error, exceptions.NotFound) or code_of(error) in ("notFound", "RESOURCE_NOT_FOUND")
