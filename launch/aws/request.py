"""What the create calls of EC2 say: the same machine by RunInstances and by EC2 Fleet. Nothing here calls anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldbake.clouds.aws.resources import tag_list
from goldbake.errors import UsageError
from launch.aws.network import Subnet
from launch.base import CloudOptions, LaunchSpec, Place

WARM_UP = range(100, 301)
"""MiB/s that EC2 takes as VolumeInitializationRate (EBS user guide: provisioned rate for volume initialization)."""


@dataclass(frozen=True)
class Ground:
    """What a launch finds in one region."""

    region: str
    image: Mapping[str, Any]
    """The AMI, as DescribeImages has it."""
    subnets: tuple[Subnet, ...]
    offered: Mapping[str, frozenset[str]]
    """Zone → those of the launch's instance types that it has."""

    @property
    def vpc(self) -> str:
        return self.subnets[0].vpc

    def subnet(self, zone: str) -> Subnet:
        return next(subnet for subnet in self.subnets if subnet.zone == zone)


def token(spec: LaunchSpec, numbers: Sequence[int], place: Place, answered: int) -> str:
    """The client token of a create call: EC2 answers a second call with the same one by what the first made.

    `answered` counts the calls for the same numbers and place that EC2 has answered: after an answer "none", the next call is a new one.
    """
    said = f"{spec.launch_id} {','.join(map(str, numbers))} {place.region} {place.zone} {place.spot} {answered}"
    return hashlib.sha256(said.encode()).hexdigest()  # 64 characters, the most that EC2 takes


def devices(image: Mapping[str, Any], options: CloudOptions) -> list[dict[str, Any]]:
    """Every disk of the image, to be deleted with its instance; the root disk as large as asked for. Raises UsageError."""
    if options.warm_up_mib_s and options.warm_up_mib_s not in WARM_UP:
        raise UsageError(f"--warm-up {options.warm_up_mib_s} cannot be", hint=f"{WARM_UP[0]} to {WARM_UP[-1]} MiB/s, or leave it out")
    found = []
    for mapping in image.get("BlockDeviceMappings", []):
        if "Ebs" not in mapping:
            continue  # an instance store: it is the instance's own
        ebs: dict[str, Any] = {"DeleteOnTermination": True}
        if mapping["DeviceName"] == image.get("RootDeviceName"):
            least = int(mapping["Ebs"].get("VolumeSize", 0))
            if options.disk_gib and options.disk_gib < least:
                raise UsageError(f"--disk {options.disk_gib} is smaller than the image's {least} GiB", hint=f"--disk {least} or more")
            if size := options.disk_gib or least:
                ebs["VolumeSize"] = size
            if options.warm_up_mib_s:
                ebs["VolumeInitializationRate"] = options.warm_up_mib_s
        found.append({"DeviceName": mapping["DeviceName"], "Ebs": ebs})
    return found


def run_instances(
    spec: LaunchSpec, options: CloudOptions, ground: Ground, group: str, place: Place, instance_type: str, client_token: str
) -> dict[str, Any]:
    """One instance by RunInstances."""
    said = _machine(spec, options, ground, group, spot=place.spot, subnet=ground.subnet(place.zone).id)
    said |= {"InstanceType": instance_type, "MinCount": 1, "MaxCount": 1, "ClientToken": client_token, "UserData": spec.user_data.reveal()}
    if place.spot:
        once = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        said["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": once}
    return said


def launch_template(spec: LaunchSpec, options: CloudOptions, ground: Ground, group: str, place: Place, name: str) -> dict[str, Any]:
    """The template that a fleet needs; it carries the launch's tags itself, so that reap finds one whose launcher was killed."""
    data = _machine(spec, options, ground, group, spot=place.spot)
    data["UserData"] = base64.b64encode(spec.user_data.reveal().encode()).decode()
    own = [{"ResourceType": "launch-template", "Tags": tag_list(spec.tags())}]
    return {"LaunchTemplateName": name, "LaunchTemplateData": data, "TagSpecifications": own}


def create_fleet(
    spec: LaunchSpec, types: Sequence[str], ground: Ground, place: Place, template: str, count: int, client_token: str
) -> dict[str, Any]:
    """As many instances as there are, of any of the types and in any of the zones, at once; EC2 forgets the fleet when it has answered."""
    overrides = [
        {"InstanceType": name, "SubnetId": subnet.id, "Priority": float(rank)}
        for rank, name in enumerate(types)
        for subnet in ground.subnets
        if name in ground.offered.get(subnet.zone, ())
    ]
    said: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": client_token,
        "LaunchTemplateConfigs": [
            {"LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "1"}, "Overrides": overrides},
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": "spot" if place.spot else "on-demand",
        },
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": tag_list(spec.tags())}],
    }
    if place.spot:
        strategy = "capacity-optimized-prioritized" if len(types) > 1 else "capacity-optimized"
        said["SpotOptions"] = {"AllocationStrategy": strategy, "InstanceInterruptionBehavior": "terminate"}
    else:
        said["OnDemandOptions"] = {"AllocationStrategy": "prioritized" if len(types) > 1 else "lowest-price"}
    return said


def _machine(spec: LaunchSpec, options: CloudOptions, ground: Ground, group: str, *, spot: bool, subnet: str = "") -> dict[str, Any]:
    """What both ways have in common."""
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "Groups": [group],
        "AssociatePublicIpAddress": options.public_address,
        "DeleteOnTermination": True,
    }
    if subnet:
        interface["SubnetId"] = subnet
    kinds = ["instance", "volume", "network-interface", *(["spot-instances-request"] if spot else [])]
    named = spec.tags() | {"Name": f"{spec.prefix}-{spec.launch_id}"}
    said: dict[str, Any] = {
        "ImageId": ground.image["ImageId"],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "disabled",
        },
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": devices(ground.image, options),
        "TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(named)} for kind in kinds],
    }
    if options.key:
        said["KeyName"] = options.key
    if options.identity:
        said["IamInstanceProfile"] = {"Arn" if options.identity.startswith("arn:") else "Name": options.identity}
    return said
