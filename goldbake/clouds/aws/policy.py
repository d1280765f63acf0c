"""The permissions that each command needs, and the smallest IAM policy with all of them.

    python -m goldbake.clouds.aws.policy                 writes docs/reference/aws-policy.json; a test fails when it is stale
    python -m goldbake.clouds.aws.policy launch destroy  prints the policy of these commands only

What is made must carry `managed-by = goldbake` from its create call on, and only what carries it can be changed or removed: with this policy not
even a fault of ours touches anything else. Sources: the Service Authorization Reference of EC2, and what plugin amazon 1.8.2 calls.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from goldbake.clouds import tags
from goldbake.clouds.purposes import write_or_print
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "aws-policy.json"


class Purpose(StrEnum):
    """What a permission is for."""

    BAKE = "bake"
    """Packer's amazon-ebs, the check, copies, sharing, deprecation; and `check`, `images`."""
    LAUNCH = "launch"
    DESTROY = "destroy"
    """And reap, instances, and the clean-up after a launch or a bake that failed."""
    DOCTOR = "doctor"
    SESSION_MANAGER = "session-manager"
    """A bake with `aws.communicator: session-manager`."""
    PROFILE = "profile"
    """A bake with `aws.instance_profile`, a launch with `--identity`."""
    ENCRYPT = "encrypt"
    """A bake with `aws.encrypt`, and launches of its image: the key's own policy may be needed as well."""


_BAKE, _LAUNCH, _DESTROY, _DOCTOR = Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR
_ALL = (_BAKE, _LAUNCH, _DESTROY, _DOCTOR)

LOOK: Mapping[str, Collection[Purpose]] = {
    "ec2:DescribeAvailabilityZones": (_BAKE, _LAUNCH, _DOCTOR),
    "ec2:DescribeImageAttribute": (_BAKE,),
    "ec2:DescribeImages": _ALL,
    "ec2:DescribeInstanceStatus": (_BAKE,),
    "ec2:DescribeInstanceTypeOfferings": (_BAKE, _LAUNCH, _DOCTOR),
    "ec2:DescribeInstanceTypes": (_BAKE, _LAUNCH, _DOCTOR),
    "ec2:DescribeInstances": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeKeyPairs": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeLaunchTemplates": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeNetworkInterfaces": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeRegions": _ALL,
    "ec2:DescribeRouteTables": (_BAKE, _LAUNCH),
    "ec2:DescribeSecurityGroups": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeSnapshots": (_BAKE, _DESTROY),
    "ec2:DescribeSpotInstanceRequests": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeSubnets": (_BAKE, _LAUNCH, _DOCTOR),
    "ec2:DescribeTags": (_BAKE,),
    "ec2:DescribeVolumes": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DescribeVpcs": (_BAKE, _LAUNCH, _DOCTOR),
    "ec2:GetConsoleOutput": (_BAKE, _LAUNCH),
    "servicequotas:GetServiceQuota": (_BAKE, _LAUNCH, _DOCTOR),
    "servicequotas:GetAWSDefaultServiceQuota": (_BAKE, _LAUNCH, _DOCTOR),
}
"""What only reads."""

MAKE: Mapping[str, tuple[Collection[Purpose], tuple[str, ...], tuple[str, ...]]] = {
    "ec2:RunInstances": (
        (_BAKE, _LAUNCH),
        ("instance", "network-interface", "spot-instances-request", "volume"),
        ("image", "key-pair", "launch-template", "security-group", "snapshot", "subnet"),
    ),
    "ec2:CreateFleet": (
        (_BAKE, _LAUNCH),
        ("fleet", "instance", "network-interface", "spot-instances-request", "volume"),
        ("image", "key-pair", "launch-template", "security-group", "snapshot", "subnet"),
    ),
    "ec2:CreateLaunchTemplate": ((_BAKE, _LAUNCH), ("launch-template",), ()),
    "ec2:CreateSecurityGroup": ((_BAKE, _LAUNCH), ("security-group",), ("vpc",)),
    "ec2:CreateKeyPair": ((_BAKE,), ("key-pair",), ()),
    "ec2:CreateImage": ((_BAKE,), ("image", "snapshot"), ()),
    "ec2:CopyImage": ((_BAKE,), (), ("image", "snapshot")),
}
"""What makes something: action → who needs it, the kinds of resource that must get our tag with it, and those that it only uses."""

CHANGE: Mapping[str, Collection[Purpose]] = {
    "ec2:AuthorizeSecurityGroupIngress": (_BAKE, _LAUNCH),
    "ec2:CancelSpotInstanceRequests": (_DESTROY,),
    "ec2:CreateImage": (_BAKE,),
    "ec2:CreateTags": (_BAKE,),
    "ec2:DeleteKeyPair": (_BAKE, _DESTROY),
    "ec2:DeleteLaunchTemplate": (_BAKE, _LAUNCH, _DESTROY),
    "ec2:DeleteNetworkInterface": (_DESTROY,),
    "ec2:DeleteSecurityGroup": (_BAKE, _DESTROY),
    "ec2:DeleteSnapshot": (_BAKE, _DESTROY),
    "ec2:DeleteTags": (_BAKE,),
    "ec2:DeleteVolume": (_BAKE, _DESTROY),
    "ec2:DeregisterImage": (_BAKE, _DESTROY),
    "ec2:DisableImageDeprecation": (_BAKE,),
    "ec2:EnableImageDeprecation": (_BAKE,),
    "ec2:ModifyImageAttribute": (_BAKE,),
    "ec2:ModifyInstanceAttribute": (_BAKE,),
    "ec2:ModifyInstanceMetadataOptions": (_LAUNCH,),
    "ec2:ModifySnapshotAttribute": (_BAKE,),
    "ec2:StopInstances": (_BAKE,),
    "ec2:TerminateInstances": (_BAKE, _LAUNCH, _DESTROY),
}
"""What changes or removes something: only what carries our tag."""

_OURS = {tags.MANAGED_BY: tags.OWNER}


def actions(purposes: Collection[Purpose] = tuple(Purpose)) -> frozenset[str]:
    """Every action that the policy allows for these purposes; sts:GetCallerIdentity needs no permission."""
    return frozenset(action for statement in document(purposes)["Statement"] for action in statement["Action"])


def document(purposes: Collection[Purpose] = tuple(Purpose)) -> dict[str, Any]:
    """The IAM policy."""
    wanted = set(purposes)
    make = {action: (born, used) for action, (needed, born, used) in MAKE.items() if wanted & set(needed)}
    statements = [_allow("Look", _needed(LOOK, wanted))]
    for action, (born, used) in make.items():
        name = action.partition(":")[2]
        if born:
            statements.append(_allow(f"{name}Tagged", [action], _arns(born), {"StringEquals": _keys("aws:RequestTag")}))
        if used:
            statements.append(_allow(f"{name}From", [action], _arns(used)))
    if make:
        births = sorted(action.partition(":")[2] for action in make)
        statements.append(_allow("TagAtBirth", ["ec2:CreateTags"], ["*"], {"StringEquals": {"ec2:CreateAction": births}}))
        linked = {"StringEquals": {"iam:AWSServiceName": ["ec2fleet.amazonaws.com", "spot.amazonaws.com"]}}
        statements.append(_allow("FirstSpotOrFleet", ["iam:CreateServiceLinkedRole"], ["arn:aws:iam::*:role/aws-service-role/*"], linked))
    statements.append(_allow("ChangeOnlyOurs", _needed(CHANGE, wanted), ["*"], {"StringEquals": _keys("aws:ResourceTag")}))
    if Purpose.PROFILE in wanted:
        passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        statements.append(_allow("UseInstanceProfile", ["iam:GetInstanceProfile"], ["arn:aws:iam::*:instance-profile/*"]))
        statements.append(_allow("PassRole", ["iam:PassRole"], ["arn:aws:iam::*:role/*"], passed))
    if Purpose.ENCRYPT in wanted:
        through = {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}}
        key = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"]
        statements.append(_allow("UseKey", key, ["arn:aws:kms:*:*:key/*"], through))
    if Purpose.SESSION_MANAGER in wanted:
        statements += _session_manager()
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement["Action"]]}


def text(purposes: Collection[Purpose] = tuple(Purpose)) -> str:
    """The same as the text of a file."""
    return json.dumps(document(purposes), indent=2) + "\n"


def _session_manager() -> list[dict[str, Any]]:
    ours = {"StringEquals": {f"ssm:resourceTag/{tags.MANAGED_BY}": tags.OWNER}}
    own = {"StringLike": {"ssm:resourceTag/aws:ssmmessages:session-id": ["${aws:userid}"]}}
    return [
        _allow("SessionWithOurs", ["ssm:StartSession"], ["arn:aws:ec2:*:*:instance/*"], ours),
        _allow("SessionByPort", ["ssm:StartSession"], ["arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession"]),
        _allow("EndOwnSession", ["ssm:ResumeSession", "ssm:TerminateSession"], ["arn:aws:ssm:*:*:session/*"], own),
    ]


def _needed(table: Mapping[str, Collection[Purpose]], wanted: Collection[Purpose]) -> list[str]:
    return sorted(action for action, needed in table.items() if set(needed) & set(wanted))


def _arns(kinds: Collection[str]) -> list[str]:
    return [f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds]


def _keys(prefix: str) -> dict[str, str]:
    return {f"{prefix}/{key}": value for key, value in _OURS.items()}


def _allow(name: str, allowed: list[str], resources: list[str] | None = None, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": name, "Effect": "Allow", "Action": allowed, "Resource": resources or ["*"]}
    return statement | ({"Condition": condition} if condition else {})


def _main(words: Sequence[str]) -> None:
    write_or_print(words, Purpose, text, PAGE)


if __name__ == "__main__":
    _main(sys.argv[1:])
