"""The metadata of a running instance: its user-data goes once the agent is online."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import RAISED, failure
from goldbake.clouds.gcp.operations import finished
from launch.base import Instance
from launch.gcp.listing import zone_of
from launch.gcp.request import USER_DATA

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

_TRIES = 5
_PATIENCE_S = 120.0
_CONFLICT = frozenset({"conditionNotMet", "CONDITION_NOT_MET", "conflict"})
"""Codes that say that somebody else, as Google's own guest agent, has changed the metadata since they were read."""


def remove_user_data(gcp: Gcp, instance: Instance) -> None:
    """Take the user-data of an instance away, and leave all else as it is. Raises Failure."""
    for last in range(_TRIES, 0, -1):
        try:
            _remove(gcp, instance)
        except Failure as error:
            if last == 1 or not (error.code in _CONFLICT or error.scope is Scope.RETRY):
                raise
        else:
            return


def _remove(gcp: Gcp, instance: Instance) -> None:
    doing, zone = f"remove the user-data of {instance.id}", zone_of(instance)
    client = gcp.client(compute_v1.InstancesClient)
    try:
        metadata = client.get(project=gcp.project, zone=zone, instance=instance.id).metadata
        kept = [item for item in metadata.items if item.key != USER_DATA]
        if len(kept) == len(metadata.items):
            return
        changed = compute_v1.Metadata(fingerprint=metadata.fingerprint, items=kept)
        operation = client.set_metadata_unary(project=gcp.project, zone=zone, instance=instance.id, metadata_resource=changed)
    except RAISED as error:
        raise failure(error, doing=doing, place=zone) from error
    finished(gcp, operation, doing=doing, patience=_PATIENCE_S)
