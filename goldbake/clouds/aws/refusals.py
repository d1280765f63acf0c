"""The codes of EC2 about capacity, quotas and instances that end: how far each reaches, what it means, what to do.

`{region}` and `{action}` in a text stand for what was tried. `errors.py` puts the tables together, docs/reference/errors-aws.md is made of them.
"""

from __future__ import annotations

from goldbake.clouds.failure import Refusal, Scope, Worded, rows
from goldbake.errors import Exit

CODES_PAGE = "https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html"
KARPENTER = "aws/karpenter-provider-aws, pkg/errors/errors.go"
STATE_REASON = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html"
COMMON = "https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html"
SPOT = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"
FLEET = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleetError.html"
BOTOCORE = "botocore, botocore/exceptions.py"

MORE = "allow more zones or types: --instance-type A,B,C, or another --region"
AGAIN = "nothing: it is tried again; run the same command later if that was not enough"
REPORT = "report this with the command that was run"
POLICY = "add it to their policy (docs/reference/aws-policy.json has all that is needed); `./inv doctor --cloud aws` tries each"
SIGN_IN = "sign in again (`aws sso login`, `aws login`), or replace the keys; `aws sts get-caller-identity` must work"
CLOCK = "set this machine's clock: `timedatectl set-ntp true`; AWS allows a difference of 5 minutes"
NETWORK = "check the region's name, the network and HTTPS_PROXY; `./inv doctor --cloud aws` shows which region answers"
QUOTAS_PAGE = "https://{region}.console.aws.amazon.com/servicequotas/home/services/{service}/quotas"


def _quota(service: str) -> str:
    return "raise it at " + QUOTAS_PAGE.replace("{service}", service) + ", or use another --region"


CAPACITY = (
    *rows(
        Scope.ZONE,
        KARPENTER,
        ("InsufficientInstanceCapacity", "AWS has no free machine of this type in this zone.", MORE),
        ("UnfulfillableCapacity", "AWS has no free machine for this part of a fleet.", MORE),
        ("InsufficientFreeAddressesInSubnet", "The subnet has no free address.", "remove what is not needed, or name another --subnet"),
        ("Unsupported", "This zone does not offer this type, or not in this form.", MORE),
        ("ReservationCapacityExceeded", "The capacity reservation is used up.", MORE),
    ),
    *rows(
        Scope.ZONE,
        CODES_PAGE,
        ("InsufficientCapacity", "AWS has no free capacity for this request in this zone.", MORE),
        ("InsufficientHostCapacity", "AWS has no free host for this type in this zone.", MORE),
        ("InsufficientReservedInstanceCapacity", "AWS has no free machine for a reserved instance in this zone.", MORE),
        ("InsufficientVolumeCapacity", "AWS has no free storage of this kind in this zone.", MORE),
        (
            "IdempotentInstanceTerminated",
            "An earlier call with the same client token started this instance, and it has ended.",
            "nothing: another zone is tried; run the command again for a new launch",
        ),
        ("SpotMaxPriceTooLow", "The spot price here is above the highest price that the request allows.", MORE),
    ),
    *rows(
        Scope.REGION,
        CODES_PAGE,
        (
            "InsufficientAddressCapacity",
            "AWS has no free public address in this region.",
            "launch without --public-ip, or in another --region",
        ),
    ),
)

QUOTAS = (
    *rows(
        Scope.REGION,
        KARPENTER,
        ("VcpuLimitExceeded", "The quota for running instances of this family, counted in vCPUs, is used up.", _quota("ec2")),
        ("InstanceLimitExceeded", "The quota for running instances of this type is used up.", _quota("ec2")),
        ("MaxSpotInstanceCountExceeded", "The quota for spot instances of this family, counted in vCPUs, is used up.", _quota("ec2")),
        ("MaxFleetCountExceeded", "The account has as many fleets in this region as it may.", _quota("ec2")),
    ),
    *rows(
        Scope.REGION,
        CODES_PAGE,
        ("MaxSpotFleetRequestCountExceeded", "The account has as many spot fleets in this region as it may.", _quota("ec2")),
        ("VolumeLimitExceeded", "The quota for volumes, or for their storage, is used up.", _quota("ebs")),
        ("MaxIOPSLimitExceeded", "The quota for provisioned IOPS is used up.", _quota("ebs")),
        ("SnapshotLimitExceeded", "The account has as many snapshots in this region as it may.", _quota("ebs")),
        ("NetworkInterfaceLimitExceeded", "The account has as many network interfaces in this region as it may.", _quota("vpc")),
        ("AddressLimitExceeded", "The account has as many elastic addresses in this region as it may.", _quota("ec2")),
        ("SecurityGroupLimitExceeded", "The account has as many security groups in this region as it may.", _quota("vpc")),
        ("ResourceLimitExceeded", "A limit of EC2 is reached, as that of copies of snapshots under way.", _quota("ec2")),
        (
            "PendingVerification",
            "AWS validates the account's access to this region, as it does at a first use; it takes minutes as a rule, 4 hours at most, and"
            " a mail says when it is done.",
            "run the same command later or in another --region; after 4 hours write to aws-verification@amazon.com",
        ),
    ),
)

STATES = (
    *rows(
        Scope.ZONE,
        STATE_REASON,
        ("Server.InsufficientInstanceCapacity", "AWS took the request, and had no free machine of this type in this zone.", MORE),
        ("Server.InternalError", "The start of the machine failed inside AWS.", MORE),
        ("Server.ScheduledStop", "AWS took the machine out of service.", "launch again"),
    ),
    *rows(
        Scope.ZONE,
        SPOT,
        ("Server.SpotInstanceTermination", "AWS needed the spot capacity back.", "launch again, or without --spot"),
        ("Server.SpotInstanceShutdown", "AWS needed the spot capacity back.", "launch again, or without --spot"),
    ),
    *rows(
        Scope.REGION,
        STATE_REASON,
        ("Client.VolumeLimitExceeded", "The quota for volumes, or for their storage, is used up.", _quota("ebs")),
    ),
    *rows(
        Scope.ACCOUNT,
        STATE_REASON,
        (
            "Client.InternalError",
            "The machine could not start: as a rule its disk is encrypted with a KMS key that may not be used.",
            "allow kms:CreateGrant, kms:Decrypt and kms:DescribeKey in the key's policy",
        ),
        ("Client.InvalidSnapshot.NotFound", "The AMI's snapshot is gone.", "bake again: `./inv bake --cloud aws`"),
    ),
    *rows(
        Scope.REQUEST,
        STATE_REASON,
        (
            "Client.InstanceInitiatedShutdown",
            "The machine shut itself down: its time was over, or its first boot gave up.",
            "the console says why; a longer life: --ttl",
        ),
        ("Client.UserInitiatedShutdown", "Somebody ended the machine.", "see CloudTrail for who called TerminateInstances; launch again"),
        ("Client.UserInitiatedHibernate", "Somebody sent the machine to sleep.", "launch again"),
        ("Client.InstanceTerminated", "Somebody ended the machine while an AMI was made of it.", "bake again"),
        exit_code=Exit.FAILED,
    ),
)

WORDED = (
    Worded(
        "Not authorized for images",
        Refusal(
            "AuthFailure", Scope.ACCOUNT, "The AMI is not shared with this account.", "let its owner share it, or bake your own", CODES_PAGE
        ),
    ),
    Worded(
        "is not supported in your requested Availability Zone",
        Refusal("InvalidFleetConfiguration", Scope.ZONE, "This zone does not offer this type.", MORE, FLEET),
    ),
    Worded(
        "boot mode",
        Refusal(
            "Unsupported", Scope.REQUEST, "The type cannot start an AMI of this boot mode.", "choose another --instance-type", CODES_PAGE
        ),
    ),
    Worded(
        "Enhanced networking",
        Refusal("Unsupported", Scope.REQUEST, "The type needs an AMI with ENA.", "bake again: goldbake's AMIs have it", CODES_PAGE),
    ),
    Worded(
        "explicit deny",
        Refusal(
            "UnauthorizedOperation",
            Scope.ACCOUNT,
            "A policy forbids {action} to these credentials.",
            "the words of AWS name the kind of policy; one of the organization (SCP) only its administrators can change",
            CODES_PAGE,
        ),
    ),
    Worded(
        "disableApiTermination",
        Refusal(
            "OperationNotPermitted",
            Scope.REQUEST,
            "The instance is protected from being terminated.",
            "`aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id ID --region {region}`",
            CODES_PAGE,
            Exit.FAILED,
        ),
    ),
    Worded(
        "Invalid IAM Instance Profile",
        Refusal(
            "InvalidParameterValue",
            Scope.REQUEST,
            "There is no such instance profile.",
            "see `aws iam list-instance-profiles`; a new one needs some seconds",
            CODES_PAGE,
        ),
    ),
    Worded("Signature expired", Refusal("SignatureDoesNotMatch", Scope.ACCOUNT, "This machine's clock is slow.", CLOCK, COMMON)),
    Worded("Signature not yet current", Refusal("SignatureDoesNotMatch", Scope.ACCOUNT, "This machine's clock is fast.", CLOCK, COMMON)),
    Worded("Signature expired", Refusal("InvalidSignatureException", Scope.ACCOUNT, "This machine's clock is slow.", CLOCK, COMMON)),
    Worded(
        "Signature not yet current", Refusal("InvalidSignatureException", Scope.ACCOUNT, "This machine's clock is fast.", CLOCK, COMMON)
    ),
)
