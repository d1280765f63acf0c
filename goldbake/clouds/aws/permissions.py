"""Trying permissions without doing anything: EC2's dry runs say for each action whether these credentials may."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds import tags
from goldbake.clouds.aws import policy
from goldbake.clouds.aws.errors import code_of, failure
from goldbake.clouds.aws.policy import Purpose
from goldbake.finding import Finding

if TYPE_CHECKING:
    from goldbake.clouds.aws.session import Aws

FIX = "attach docs/reference/aws-policy.json; `.venv/bin/python -m goldbake.clouds.aws.policy {purposes}` prints the part for this"
_REFUSED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_AT_A_TIME = 8
_NOTHING = {
    "instance": "i-0123456789abcdef0",
    "image": "ami-0123456789abcdef0",
    "group": "sg-0123456789abcdef0",
    "vpc": "vpc-0123456789abcdef0",
}
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"), "group"),
    **dict.fromkeys(("ec2:CreateTags", "ec2:DeleteTags", "ec2:DeregisterImage", "ec2:DisableImageDeprecation"), "image"),
    **dict.fromkeys(("ec2:EnableImageDeprecation", "ec2:ModifyImageAttribute"), "image"),
    **dict.fromkeys(("ec2:CreateImage", "ec2:ModifyInstanceAttribute", "ec2:ModifyInstanceMetadataOptions"), "instance"),
    **dict.fromkeys(("ec2:StopInstances", "ec2:TerminateInstances"), "instance"),
}
"""On what kind of thing of ours an action can be tried."""
_TRIED = (Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR)


@dataclass(frozen=True)
class Stage:
    """What is there to try with: what is not, has an id that nothing has."""

    image: str
    instance_type: str
    vpc: str
    own: Mapping[str, str]
    """An instance, image and security group of ours."""

    def id(self, kind: str) -> str:
        return self.own.get(kind) or _NOTHING[kind]


def examine(aws: Aws, region: str, *, image: str, instance_type: str, vpc: str) -> list[Finding]:
    """Try every action of the policy in a region: a row for each that is refused, and one for all the others. Raises Failure."""
    stage = Stage(image or _NOTHING["image"], instance_type, vpc or _NOTHING["vpc"], _own(aws, region))
    calls = {**_reading(stage), **_making(stage), **_changing(stage)}
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="permissions") as pool:
        answers = dict(zip(calls, pool.map(lambda name: _try(aws, region, name, calls[name]), calls), strict=True))
    allowed = [action for action, refused in answers.items() if not refused]
    rows = [Finding("permissions", f"{len(allowed)} of {len(answers)} actions tried in {region} are allowed")]
    return rows + [_row(action, stage, said) for action, said in answers.items() if said]


def _row(action: str, stage: Stage, said: str) -> Finding:
    needed = {**policy.CHANGE, **policy.LOOK, **{name: needed for name, (needed, _, _) in policy.MAKE.items()}}[action]
    purposes = [purpose for purpose in _TRIED if purpose in needed]
    fix = FIX.replace("{purposes}", " ".join(purposes))
    if action in policy.CHANGE and _KINDS.get(action) not in stage.own:
        # Without a tag to look at, a condition by tag is never met: the very policy that is recommended answers like this.
        state = f"cannot be told before there is something of ours to try it on ({said})"
        return Finding(f"permission {action}", state, f"nothing with that policy; with one of your own: {fix}", required=False)
    return Finding(f"permission {action}", f"refused, and needed by {', '.join(purposes)}", fix)


def _try(aws: Aws, region: str, action: str, arguments: dict[str, Any]) -> str:
    """Empty when the action is allowed, else AWS's code. An error about the values came after the permission was looked at."""
    call: Callable[..., Any] = getattr(aws.ec2(region), _method(action))
    try:
        call(DryRun=True, **arguments)
    except ClientError as error:
        code = code_of(error)
        if code in _REFUSED:
            return code
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status in (401, 403) or status >= 500:  # nobody has looked at the permission
            raise failure(error, doing=f"try {action}", region=region) from error
    except BotoCoreError as error:
        raise failure(error, doing=f"try {action}", region=region) from error
    return ""


def _reading(stage: Stage) -> dict[str, dict[str, Any]]:
    more: dict[str, dict[str, Any]] = {
        "ec2:DescribeImageAttribute": {"ImageId": stage.id("image"), "Attribute": "launchPermission"},
        "ec2:GetConsoleOutput": {"InstanceId": stage.id("instance")},
    }
    return {action: more.get(action, {}) for action in policy.LOOK if action.startswith("ec2:")}


def _making(stage: Stage) -> dict[str, dict[str, Any]]:
    name = "goldbake-doctor"
    kinds = ("instance", "volume", "network-interface")
    return {
        "ec2:RunInstances": {
            "ImageId": stage.image,
            "InstanceType": stage.instance_type,
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": _tagged(*kinds),
        },
        "ec2:CreateFleet": {
            "Type": "instant",
            "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "1"}}],
            "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
            "TagSpecifications": _tagged("fleet"),
        },
        "ec2:CreateLaunchTemplate": {
            "LaunchTemplateName": name,
            "LaunchTemplateData": {"InstanceType": stage.instance_type},
            "TagSpecifications": _tagged("launch-template"),
        },
        "ec2:CreateSecurityGroup": {
            "GroupName": name,
            "Description": "tried by doctor",
            "VpcId": stage.vpc,
            "TagSpecifications": _tagged("security-group"),
        },
        "ec2:CreateKeyPair": {"KeyName": name, "TagSpecifications": _tagged("key-pair")},
        "ec2:CopyImage": {"Name": name, "SourceImageId": stage.image, "SourceRegion": "us-east-1"},
    }


def _changing(stage: Stage) -> dict[str, dict[str, Any]]:
    """Each on a resource of ours where there is one; see `_KINDS`."""
    instance, image, group = stage.id("instance"), stage.id("image"), stage.id("group")
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
    return {
        "ec2:AuthorizeSecurityGroupIngress": {"GroupId": group, "IpPermissions": [rule]},
        "ec2:CancelSpotInstanceRequests": {"SpotInstanceRequestIds": ["sir-01234567"]},
        "ec2:CreateImage": {"InstanceId": instance, "Name": "goldbake-doctor", "TagSpecifications": _tagged("image", "snapshot")},
        "ec2:CreateTags": {"Resources": [image], "Tags": [{"Key": "goldbake-checks", "Value": "none"}]},
        "ec2:DeleteKeyPair": {"KeyPairId": "key-0123456789abcdef0"},
        "ec2:DeleteLaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"},
        "ec2:DeleteNetworkInterface": {"NetworkInterfaceId": "eni-0123456789abcdef0"},
        "ec2:DeleteSecurityGroup": {"GroupId": group},
        "ec2:DeleteSnapshot": {"SnapshotId": "snap-0123456789abcdef0"},
        "ec2:DeleteTags": {"Resources": [image], "Tags": [{"Key": tags.BAKE}]},
        "ec2:DeleteVolume": {"VolumeId": "vol-0123456789abcdef0"},
        "ec2:DeregisterImage": {"ImageId": image},
        "ec2:DisableImageDeprecation": {"ImageId": image},
        "ec2:EnableImageDeprecation": {"ImageId": image, "DeprecateAt": "2099-01-01T00:00:00Z"},
        "ec2:ModifyImageAttribute": {"ImageId": image, "Description": {"Value": ""}},
        "ec2:ModifyInstanceAttribute": {"InstanceId": instance, "EnaSupport": {"Value": True}},
        "ec2:ModifyInstanceMetadataOptions": {"InstanceId": instance, "HttpEndpoint": "disabled"},
        "ec2:ModifySnapshotAttribute": {"SnapshotId": "snap-0123456789abcdef0", "Attribute": "createVolumePermission"},
        "ec2:StopInstances": {"InstanceIds": [instance]},
        "ec2:TerminateInstances": {"InstanceIds": [instance]},
    }


def _own(aws: Aws, region: str) -> dict[str, str]:
    """One instance, image and security group of ours, as far as there are any and they may be listed."""
    ours: list[Any] = [{"Name": f"tag:{tags.MANAGED_BY}", "Values": [tags.OWNER]}]
    running: list[Any] = [*ours, {"Name": "instance-state-name", "Values": ["running", "stopped"]}]
    ec2, found = aws.ec2(region), dict[str, str]()
    looks: dict[str, Callable[[], list[str]]] = {
        "instance": lambda: [
            one["InstanceId"] for group in ec2.describe_instances(Filters=running)["Reservations"] for one in group["Instances"]
        ],
        "image": lambda: [one["ImageId"] for one in ec2.describe_images(Owners=["self"], Filters=ours)["Images"]],
        "group": lambda: [one["GroupId"] for one in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]],
    }
    for kind, look in looks.items():
        try:
            names = look()
        except (BotoCoreError, ClientError):  # that this is refused has a row of its own
            continue
        if names:
            found[kind] = names[0]
    return found


def _tagged(*kinds: str) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": tags.MANAGED_BY, "Value": tags.OWNER}]} for kind in kinds]


def _method(action: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action.partition(":")[2]).lower()
