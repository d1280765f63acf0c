"""What a bake left in Azure: found by its tag over the subscription, deleted in the order in which that works, and listed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from azure.core.exceptions import AzureError

from goldbake.clouds import tags
from goldbake.clouds.azure.errors import failure
from goldbake.clouds.azure.resources import GROUP, VERSION, Kind, delete, groups, is_going, is_gone, kind_of, parts, tagged
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.failure import Scope
from goldbake.images.leftovers import until_gone

PATIENCE_S = 900.0
"""A resource group goes after everything in it, which takes minutes."""


class Left(NamedTuple):
    """Something that exists."""

    kind: Kind
    id: str
    going: bool
    """Whether its end was asked for already."""

    def __str__(self) -> str:
        return f"{self.kind.name} {parts(self.id).name}"


def existing(azure: Azure, bake_id: str, *, images: bool) -> list[Left]:
    """Everything of a bake that exists now, in the order of its end; `images`: also image versions, which have the bake's tag until they are
    finished. What lies in a group of the bake goes with the group and is not listed.
    """
    found = [Left(GROUP, item.id, is_going(item)) for item in groups(azure, tags.BAKE, bake_id)]
    whole = {parts(left.id).group.lower() for left in found}
    for item in tagged(azure, tags.BAKE, bake_id):
        kind = kind_of(item)
        if kind is None or parts(item.id).group.lower() in whole or (kind is VERSION and not images):
            continue
        found.append(Left(kind, item.id, is_going(item)))
    return sorted(found, key=lambda left: left.kind.phase)


def remove(azure: Azure, bake_id: str, pause: Callable[[float], None], *, images: bool, patience: float = PATIENCE_S) -> list[Left]:
    """Delete everything of a bake, again and again until nothing is left; returns what there still is after `patience` seconds."""
    return until_gone(lambda: existing(azure, bake_id, images=images), lambda left: _delete(azure, left), pause, patience)


def _delete(azure: Azure, left: Left) -> None:
    """Ask for the end of one thing, unless that was done. What is gone is fine, what is still used comes again in the next round."""
    if left.going:
        return
    try:
        delete(azure, left.kind, left.id)
    except AzureError as error:
        if not is_gone(error) and failure(error, doing=f"delete {left}", place="Azure").scope is not Scope.RETRY:
            raise
