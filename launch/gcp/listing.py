"""Everything of goldbake's that exists in a project, page by page, by its labels, or by its name where it can have none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from goldbake.clouds import tags
from goldbake.clouds.gcp.resources import DISK, GOING, INSTANCE, KINDS, PREFIX, Kind, is_ours, items, labelled, place_of, tags_of
from goldbake.clouds.gcp.types import MachineType
from goldbake.config.model import Cloud
from goldbake.images.cloud import LIFETIME_S
from launch.base import Instance, Resource
from launch.journal import BAKE, launch_of

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

Asked = Mapping[Resource, bool]
"""What this process has asked the end of → whether that was just now, so that it is too early to ask again."""

_OF_BAKE = re.compile(rf"{PREFIX}({tags.ID})(?:-check)?")
"""The disk of a bake, which Packer makes without labels: so it is called, and it is made from an image, as no disk with data is."""


def resources(gcp: Gcp, launch_id: str | None, asked: Asked | None = None) -> Iterator[Resource]:
    """What is ours in a project, of one launch or bake or of all. `asked`: see `Asked`. Raises what the calls raise."""
    for kind in KINDS:
        if kind.only_bakes and launch_id is not None and not launch_id.startswith(BAKE):
            continue
        for item in items(gcp, kind, _filter(kind, launch_id)):
            found = _resource(kind, item, asked or {})
            if found is not None and launch_id in (None, found.launch_id):
                yield found


def instances(gcp: Gcp, launch_id: str | None) -> Iterator[Any]:
    """The instances as Compute Engine has them, stopped ones too."""
    return items(gcp, INSTANCE, _filter(INSTANCE, launch_id))


def instance(item: Any) -> Instance:
    """An instance of ours from what Compute Engine says."""
    found = tags_of(item)
    number = item.name.rpartition("-")[2]
    interface = next(iter(item.network_interfaces), None)
    outside = next((access.nat_i_p for access in interface.access_configs if access.nat_i_p), "") if interface else ""
    return Instance(
        cloud=Cloud.GCP,
        launch_id=launch_of(found),
        number=int(number) if number.isdigit() else 1,
        id=item.name,
        image=found.get(tags.IMAGE, ""),
        place=place_of(item) + (" (spot)" if item.scheduling.provisioning_model == "SPOT" else ""),
        created=_seconds(item.creation_timestamp),
        expires=tags.expires_of(found) or 0,
        address=outside or (interface.network_i_p if interface else ""),
        kind=_kind(item),
        state=item.status.lower(),
    )


def zone_of(found: Instance) -> str:
    """The zone of an instance."""
    return found.place.partition(" ")[0]


def _filter(kind: Kind, launch_id: str | None) -> str:
    if kind.named:
        begin = f"{PREFIX}{(launch_id or '').removeprefix(BAKE)}"
        return f'name eq "{begin}.*"'
    wanted: dict[str, str | None] = {tags.MANAGED_BY: tags.OWNER}
    if launch_id is None:
        wanted[tags.EXPIRES] = None  # launches and bakes have it, results of bakes do not
    elif launch_id.startswith(BAKE):
        wanted[tags.BAKE] = launch_id.removeprefix(BAKE)
    else:
        wanted[tags.LAUNCH] = launch_id
    return labelled(wanted)


def _resource(kind: Kind, item: Any, asked: Asked) -> Resource | None:
    """None for what only looks like ours."""
    found, owner = tags_of(item), _owner(kind, item)
    of_bake = _OF_BAKE.fullmatch(item.name) if kind is DISK and not found and item.source_image else None
    if of_bake:
        launch_id = f"{BAKE}{of_bake[1]}"
        expires: int | None = int(_seconds(item.creation_timestamp)) + LIFETIME_S
    elif is_ours(item):
        launch_id, expires = launch_of(found), tags.expires_of(found)
    else:
        return None
    resource = Resource(Cloud.GCP, kind.name, item.name, launch_id, expires, owner, place_of(item))
    just_asked = asked.get(resource)
    is_stopping = str(getattr(item, "status", "")) in GOING and (
        kind is not INSTANCE or just_asked is not None
    )  # a guest may stop by itself
    return replace(resource, going=is_stopping or bool(just_asked))


def _owner(kind: Kind, item: Any) -> str:
    """The instance to which something belongs."""
    if kind is INSTANCE:
        return str(item.name)
    return next((user.rpartition("/")[2] for user in item.users), "") if kind is DISK else ""


def _kind(item: Any) -> str:
    name = item.machine_type.rpartition("/")[2]
    attached = next(iter(item.guest_accelerators), None)
    bare = MachineType(name)
    if attached is None or bare.has_gpu:  # Compute Engine shows built-in GPUs here as well
        return str(bare)
    return str(MachineType(name, attached.accelerator_type.rpartition("/")[2], attached.accelerator_count))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
