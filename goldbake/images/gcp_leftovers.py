"""What a bake left in Compute Engine: found by its name and labels, deleted in the order in which that works, and listed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from goldbake.clouds import tags
from goldbake.clouds.gcp import resources
from goldbake.clouds.gcp.errors import RAISED, code_of
from goldbake.clouds.gcp.resources import DISK, IMAGE, IN_USE, INSTANCE, Kind, labelled, place_of
from goldbake.clouds.gcp.session import Gcp
from goldbake.images.leftovers import until_gone

PATIENCE_S = 300.0
"""An instance with a GPU may take two minutes to end, and its disk goes only after it."""


class Left(NamedTuple):
    """Something that exists."""

    kind: Kind
    id: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.id}" + (f" in {self.place}" if self.kind.field else "")


def existing(gcp: Gcp, bake_id: str, *, images: bool) -> list[Left]:
    """Everything of a bake that exists now; `images`: also images, which have the bake's label until they are finished.

    Packer gives the disk no labels, but the instance's name, which is the bake's. The check's is another one: a disk that Packer left would be in its way.
    """
    named = f'name eq "{resources.PREFIX}{bake_id}(-check)?"'
    wanted = {INSTANCE: named, DISK: named}
    if images:
        wanted[IMAGE] = labelled({tags.BAKE: bake_id})
    return [Left(kind, item.name, place_of(item)) for kind, asked in wanted.items() for item in resources.items(gcp, kind, asked)]


def remove(gcp: Gcp, bake_id: str, pause: Callable[[float], None], *, images: bool, patience: float = PATIENCE_S) -> list[Left]:
    """Delete everything of a bake, again and again until nothing is left; returns what there still is after `patience` seconds."""
    return until_gone(lambda: existing(gcp, bake_id, images=images), lambda left: _delete(gcp, left), pause, patience)


def _delete(gcp: Gcp, left: Left) -> None:
    """Ask for the end of one thing. What is gone is fine, what is still used comes again in the next round."""
    try:
        resources.delete(gcp, left.kind, left.id, left.place)
    except RAISED as error:
        if code_of(error) not in IN_USE and not resources.is_gone(error):
            raise
