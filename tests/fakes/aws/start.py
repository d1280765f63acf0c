"""Starting instances: what EC2 refuses, fills in and remembers, where moto only makes objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.spot_requests import LaunchSpecification, SpotInstanceRequest
from moto.ec2.utils import random_spot_request_id

from tests.fakes.aws.answers import Refused
from tests.fakes.aws.book import BOOK

USER_DATA_MAX = 16384


def zone_of(backend: Any, parameters: Mapping[str, Any]) -> str:
    """Where this would start: the zone of its subnet, the one named, else the first of the region. Raises Refused."""
    nics = parameters.get("NetworkInterfaces") or [{}]
    subnet = parameters.get("SubnetId") or nics[0].get("SubnetId")
    if subnet:
        for by_zone in backend.subnets.values():
            if subnet in by_zone:
                return str(by_zone[subnet].availability_zone)
        raise Refused("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    return str((parameters.get("Placement") or {}).get("AvailabilityZone") or f"{backend.region_name}a")


def is_spot(parameters: Mapping[str, Any]) -> bool:
    return bool((parameters.get("InstanceMarketOptions") or {}).get("MarketType") == "spot")


def with_template(backend: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with those of the launch template that they name."""
    wanted = parameters.get("LaunchTemplate") or {}
    if not wanted:
        return dict(parameters)
    data = template_data(backend, wanted)
    tags = data.pop("TagSpecifications", []) + list(parameters.get("TagSpecifications", []))
    merged = {**data, **{key: value for key, value in parameters.items() if key != "LaunchTemplate"}}
    return {**merged, "TagSpecifications": tags}


def template_data(backend: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a launch template says, as RunInstances would be told it."""
    if wanted.get("LaunchTemplateId"):
        template = backend.get_launch_template(wanted["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(wanted.get("LaunchTemplateName"))
    data: dict[str, Any] = deepcopy(
        {key: value for key, value in template.get_version(wanted.get("Version", "$Default")).data.items() if value is not None}
    )
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])
    data["TagSpecifications"] = [one for one in data.get("TagSpecifications", []) if one["ResourceType"] != "launch-template"]
    return data


def refuse_nonsense(backend: Any, parameters: Mapping[str, Any], zone: str) -> None:
    """What EC2 would not take. Raises Refused, or moto's own errors."""
    image, kind = parameters.get("ImageId"), parameters.get("InstanceType", "m1.small")
    if not image:
        raise Refused("MissingParameter", "The request must contain the parameter ImageId")
    if image not in backend.amis:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
    if kind not in INSTANCE_TYPES:
        raise Refused("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    if backend.amis[image].architecture not in INSTANCE_TYPES[kind].get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"]):
        raise Refused("InvalidParameterValue", f"The architecture of the image does not match that of the instance type {kind}.")
    offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(backend.region_name, [])
    if (zone, kind) in BOOK.withheld or not any(one["Location"] == zone and one["InstanceType"] == kind for one in offered):
        text = f"Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone})."
        raise Refused("Unsupported", text)
    nics = parameters.get("NetworkInterfaces") or []
    for group in [*parameters.get("SecurityGroupIds", []), *(group for nic in nics for group in nic.get("Groups", []))]:
        if backend.get_security_group_from_id(group) is None:
            raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    if nics and (parameters.get("SecurityGroupIds") or parameters.get("SubnetId")):
        text = "Network interfaces and an instance-level security groups may not be specified on the same request"
        raise Refused("InvalidParameterCombination", text)
    if parameters.get("KeyName") and parameters["KeyName"] not in backend.key_pairs:
        raise Refused("InvalidKeyPair.NotFound", f"The key pair '{parameters['KeyName']}' does not exist")
    if len(str(parameters.get("UserData", ""))) * 3 // 4 > USER_DATA_MAX + 2:
        raise Refused("InvalidParameterValue", "User data is limited to 16384 bytes")


def room(zone: str, kind: str, spot: bool, least: int, most: int) -> int:
    """How many of these can start. Raises Refused when there is no room for `least`."""
    left = BOOK.capacity.get((zone, kind, spot), most)
    if left < least:
        text = f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone})."
        raise Refused("InsufficientInstanceCapacity", text)
    count = min(left, most)
    if (zone, kind, spot) in BOOK.capacity:
        BOOK.capacity[zone, kind, spot] = left - count
    return count


def filled_in(backend: Any, parameters: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The parameters as moto needs them: its count is MinCount, and the root disk is the image's unless it is said otherwise."""
    image = backend.amis[parameters["ImageId"]]
    given = {one["DeviceName"]: dict(one) for one in parameters.get("BlockDeviceMappings", []) if "DeviceName" in one}
    mappings = []
    for own in image.block_device_mappings:
        asked = given.pop(own["DeviceName"], {})
        disk = {**own["Ebs"], **asked.get("Ebs", {})}
        if disk["VolumeSize"] < own["Ebs"]["VolumeSize"]:
            text = f"Volume of size {disk['VolumeSize']}GB is smaller than snapshot '{disk['SnapshotId']}', expect size >= {own['Ebs']['VolumeSize']}GB"
            raise Refused("InvalidBlockDeviceMapping", text)
        disk["Encrypted"] = bool(disk.get("Encrypted")) or bool(own["Ebs"]["Encrypted"])
        mappings.append({"DeviceName": own["DeviceName"], "Ebs": disk})
    mappings += list(given.values())
    changed = {**parameters, "MinCount": count, "MaxCount": count, "BlockDeviceMappings": deepcopy(mappings)}
    changed.pop("LaunchTemplate", None)
    return changed


def finish(backend: Any, instance: Any, parameters: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]]) -> None:
    """What moto leaves out of a new instance: the interface's tags and end, the disk's speed, the spot request, its address."""
    implicit = not parameters.get("NetworkInterfaces")
    if not instance.security_groups and 0 in instance.nics:
        instance.security_groups = list(instance.nics[0].group_set)
    for nic in instance.nics.values():
        nic.delete_on_termination = nic.delete_on_termination or implicit
        nic.add_tags(dict(tags.get("network-interface", {})))
        if nic.public_ip and (address := BOOK.address_of(instance.id)):
            nic.public_ip = address
    asked = {one["DeviceName"]: one.get("Ebs", {}) for one in parameters.get("BlockDeviceMappings", [])}
    for device, disk in instance.block_device_mapping.items():
        volume, wanted = backend.get_volume(disk.volume_id), asked.get(device, {})
        volume.iops = wanted.get("Iops") or volume.iops
        volume.throughput = wanted.get("Throughput") or (125 if volume.volume_type == "gp3" else None)
        volume.volume_initialization_rate = wanted.get("VolumeInitializationRate")
    if is_spot(parameters):
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = _spot_request(backend, instance, parameters, dict(tags.get("spot-instances-request", {}))).id
    if BOOK.lag:
        BOOK.unseen[instance.id] = BOOK.lag


def _spot_request(backend: Any, instance: Any, parameters: Mapping[str, Any], tags: dict[str, str]) -> Any:
    """moto's own would start a second instance."""
    options = (parameters.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
    request: Any = object.__new__(SpotInstanceRequest)
    request.__dict__.update(
        ec2_backend=backend,
        id=random_spot_request_id(),
        launch_specification=LaunchSpecification(
            None, None, instance.image_id, instance.key_name, instance.instance_type, instance.availability_zone, False, instance.subnet_id
        ),
        state="active",
        _status_code="fulfilled",
        status_message="Your Spot request is fulfilled.",
        price=options.get("MaxPrice", "1.000000"),
        type=options.get("SpotInstanceType", "one-time"),
        valid_from=None,
        valid_until=None,
        launch_group=None,
        availability_zone_group=None,
        instance_interruption_behaviour=options.get("InstanceInterruptionBehavior", "terminate"),
        user_data=None,
        spot_fleet_id=None,
        launch_spec=None,
        all_tags={},
        instance=instance,
    )
    backend.spot_instance_requests[request.id] = request
    request.add_tags(tags)
    return request


def asked_before(region: str, action: str, parameters: Mapping[str, Any]) -> Any:
    """What the same client token was answered before, None when it is new. Raises Refused when it came with other parameters."""
    token = parameters.get("ClientToken")
    if not token:
        return None
    found = BOOK.tokens.get((region, action, token))
    if found is None:
        return None
    if found[0] != _digest(parameters):
        text = "The client token you have provided is associated with a resource that is already deleted, or with other parameters."
        raise Refused("IdempotentParameterMismatch", text)
    return found[1]


def remember(region: str, action: str, parameters: Mapping[str, Any], answer: Any) -> None:
    if parameters.get("ClientToken"):
        BOOK.tokens[region, action, str(parameters["ClientToken"])] = (_digest(parameters), answer)


def _digest(parameters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode()).hexdigest()
