"""What the regions of a launch have for it: the image, the instance types and the subnets. Nothing here makes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from goldbake.clouds.aws.resources import is_gone
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import NoImageError, UsageError
from launch.aws import request as requests
from launch.aws.network import subnets
from launch.aws.request import Ground
from launch.base import CloudOptions, LaunchSpec

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def regions(spec: LaunchSpec, options: CloudOptions) -> tuple[str, ...]:
    """The regions that a launch may use, best first: those that were named, or those that have the image. Raises UsageError."""
    wanted = options.regions or tuple(spec.artifacts)
    if options.subnet and len(wanted) > 1:
        if options.regions:
            raise UsageError(f"--subnet {options.subnet} is in one region", hint="name that one with --region, or leave --subnet out")
        wanted = wanted[:1]
    for region in wanted:
        if region not in spec.artifacts:
            raise UsageError(
                f"{spec.image} has no AMI in {region}",
                hint=f"it has in {', '.join(spec.artifacts) or 'none'}; `aws: copies:` in images.yaml makes more",
            )
    if not wanted:
        raise UsageError(f"{spec.artifact} does not say in which region it is", hint="bake it again: ./inv bake --cloud aws")
    return wanted


def survey(ec2: EC2Client, region: str, spec: LaunchSpec, options: CloudOptions, types: Sequence[str]) -> Ground:
    """What one region has for this launch. Raises GoldbakeError when that is not enough."""
    wanted = spec.artifacts[region]
    try:
        image = next(iter(ec2.describe_images(ImageIds=[wanted])["Images"]), None)
    except ClientError as error:
        if not is_gone(error):
            raise
        image = None
    if image is None or image.get("State") != "available":
        state = image.get("State", "unknown") if image else "not there"
        raise NoImageError(f"{wanted} in {region} is {state}", hint=f"bake it again: ./inv bake --cloud aws --image {spec.image}")
    requests.devices(image, options)
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(types)}]
    )
    offered: dict[str, set[str]] = {}
    for offer in (offer for page in pages for offer in page["InstanceTypeOfferings"]):
        offered.setdefault(offer["Location"], set()).add(offer["InstanceType"])
    if not offered:
        raise Failure(
            Scope.REGION,
            "Unsupported",
            f"{region} offers no {' or '.join(types)} in any zone",
            hint="name another type or region: --instance-type A,B,C, --region R",
        )
    fitting = [
        subnet for subnet in subnets(ec2, region, options) if subnet.zone in offered and (not options.zones or subnet.zone in options.zones)
    ]
    if not fitting:
        raise UsageError(
            f"no subnet of {region} is in a zone that offers {' or '.join(types)}"
            + (f" and is one of {', '.join(options.zones)}" if options.zones else ""),
            hint=f"zones with these types: {', '.join(sorted(offered))}",
        )
    return Ground(region, image, tuple(fitting), {subnet.zone: frozenset(offered[subnet.zone]) for subnet in fitting})
