"""What the regions of a launch have for it: the image, the machine types and the subnets. Nothing here makes anything."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.offers import near
from goldbake.clouds.gcp.resources import GLOBAL
from goldbake.clouds.gcp.types import MachineType
from goldbake.errors import Exit, NoImageError, UsageError
from launch.base import CloudOptions, LaunchSpec
from launch.gcp.network import subnet
from launch.gcp.request import Ground

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

REGION, ZONE = "CLOUDSDK_COMPUTE_REGION", "CLOUDSDK_COMPUTE_ZONE"
"""gcloud's own variables."""
_IMAGE = re.compile(r"projects/([^/]+)/global/images/([^/]+)")
_UNUSABLE = frozenset({"OBSOLETE", "DELETED"})
"""States of a deprecated image from which nothing starts any more."""


def regions(spec: LaunchSpec, options: CloudOptions) -> tuple[str, ...]:
    """The regions that a launch may use, best first: those that were named, or the one in which the image is baked. Raises UsageError."""
    if GLOBAL not in spec.artifacts:
        raise UsageError(f"{spec.artifact} is no image of Google Cloud", hint="bake one: ./inv bake --cloud gcp")
    of_zones = tuple(dict.fromkeys(region_of(zone) for zone in options.zones))
    wanted = options.regions or of_zones
    if not wanted and spec.described:
        wanted = (spec.described.gcp.region,)
    if not wanted:
        wanted = tuple(filter(None, (os.environ.get(REGION) or region_of(os.environ.get(ZONE, "")),)))
    if not wanted:
        raise UsageError(f"where is {spec.image} to be launched?", hint=f"name a region: --region us-central1, or set {REGION}")
    if options.subnet and len(wanted) > 1 and "/" in options.subnet:
        raise UsageError(f"--subnet {options.subnet} is in one region", hint="name that one with --region, or write the subnet's name only")
    return wanted


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`."""
    return zone.rpartition("-")[0]


def image(gcp: Gcp, spec: LaunchSpec) -> compute_v1.Image:
    """The image as Compute Engine has it. Raises UsageError when nothing can be started from it, and what the call raises."""
    again = f"bake it again: ./inv bake --cloud gcp --image {spec.image}"
    said = _IMAGE.fullmatch(spec.artifacts[GLOBAL])
    if said is None:
        raise UsageError(f"{spec.artifacts[GLOBAL]} is no image", hint="as projects/PROJECT/global/images/NAME")
    try:
        found = gcp.client(compute_v1.ImagesClient).get(project=said[1], image=said[2])
    except NotFound as error:
        raise NoImageError(f"{spec.artifacts[GLOBAL]} is not there", hint=again) from error
    if found.status != "READY" or found.deprecated.state in _UNUSABLE:
        state = found.deprecated.state or found.status
        raise NoImageError(f"{spec.artifacts[GLOBAL]} is {state}", hint=again)
    return found


def survey(
    gcp: Gcp,
    region: str,
    options: CloudOptions,
    kinds: Sequence[MachineType],
    *,
    image: compute_v1.Image,
    zones: Sequence[str],
    offers: Mapping[str, frozenset[MachineType]],
) -> Ground:
    """What one region has for this launch. Raises GoldbakeError when that is not enough, and what the calls raise."""
    here = tuple(zone for zone in zones if region_of(zone) == region)
    if not here:
        there = {region_of(zone) for zone in zones}
        raise UsageError(f"{region} is no region of Google Cloud, or has no zone that works", hint=f"name one of {near(region, there)}")
    offered = {zone: offers[zone] for zone in here if zone in offers}
    if not offered:
        raise _not_offered(region, kinds, sorted({region_of(zone) for zone in offers}))
    fitting = {zone: types for zone, types in offered.items() if not options.zones or zone in options.zones}
    if not fitting:
        raise UsageError(
            f"none of {', '.join(options.zones)} is a zone of {region} that offers {' or '.join(map(str, kinds))}",
            hint=f"zones with these types: {', '.join(sorted(offered))}",
        )
    return Ground(region, image, subnet(gcp, region, options), here, fitting)


def _not_offered(region: str, kinds: Sequence[MachineType], elsewhere: Sequence[str]) -> Failure:
    """What no zone of a region has; what no region has is as a rule written wrongly."""
    words = " or ".join(map(str, kinds))
    if elsewhere:
        hint = f"name another type, or a region that has it: --region {','.join(elsewhere)}"
        return Failure(Scope.REGION, "notOffered", f"{region} offers no {words} in any zone", hint=hint)
    return Failure(
        Scope.REGION,
        "notOffered",
        f"no region offers {words}",
        hint="`gcloud compute machine-types list` and `gcloud compute accelerator-types list` say what there is, as nvidia-tesla-t4",
        exit_code=Exit.USAGE,
    )
