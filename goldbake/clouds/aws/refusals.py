"""The table behind `errors.py`: the codes of EC2 and of the SDK, how far each reaches, what it means, what to do.

`{region}` and `{action}` in a text stand for what was tried. docs/reference/errors-aws.md is made of this.
"""

from __future__ import annotations

from dataclasses import dataclass

from goldbake.clouds.failure import Refusal, Scope
from goldbake.errors import Exit

CODES_PAGE = "https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html"
_KARPENTER = "aws/karpenter-provider-aws, pkg/errors/errors.go"
_STATES = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html"
_COMMON = "https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html"
_SPOT = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"
_FLEET = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleetError.html"
_BOTOCORE = "botocore, botocore/exceptions.py"

MORE = "allow more zones or types: --instance-type A,B,C, or another --region"
AGAIN = "nothing: it is tried again; run the same command later if that was not enough"
REPORT = "report this with the command that was run"
POLICY = "add it to their policy (docs/reference/aws-policy.json has all that is needed); `./inv doctor --cloud aws` tries each"
SIGN_IN = "sign in again (`aws sso login`, `aws login`), or replace the keys; `aws sts get-caller-identity` must work"
CLOCK = "set this machine's clock: `timedatectl set-ntp true`; AWS allows a difference of 5 minutes"
NETWORK = "check the region's name, the network and HTTPS_PROXY; `./inv doctor --cloud aws` shows which region answers"
QUOTAS_PAGE = "https://{region}.console.aws.amazon.com/servicequotas/home/services/{service}/quotas"


@dataclass(frozen=True)
class Worded:
    """What a code that means several things means when the message has `phrase`."""

    phrase: str
    row: Refusal


def _rows(scope: Scope, source: str, *rows: tuple[str, str, str], exit_code: Exit | None = None) -> tuple[Refusal, ...]:
    return tuple(Refusal(code, scope, meaning, fix, source, exit_code) for code, meaning, fix in rows)


def _quota(service: str) -> str:
    return "raise it at " + QUOTAS_PAGE.replace("{service}", service) + ", or use another --region"


CAPACITY = (
    *_rows(
        Scope.ZONE,
        _KARPENTER,
        ("InsufficientInstanceCapacity", "AWS has no free machine of this type in this zone.", MORE),
        ("UnfulfillableCapacity", "AWS has no free machine for this part of a fleet.", MORE),
        ("InsufficientFreeAddressesInSubnet", "The subnet has no free address.", "remove what is not needed, or name another --subnet"),
        ("Unsupported", "This zone does not offer this type, or not in this form.", MORE),
        ("ReservationCapacityExceeded", "The capacity reservation is used up.", MORE),
    ),
    *_rows(
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
    *_rows(
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
    *_rows(
        Scope.REGION,
        _KARPENTER,
        ("VcpuLimitExceeded", "The quota for running instances of this family, counted in vCPUs, is used up.", _quota("ec2")),
        ("InstanceLimitExceeded", "The quota for running instances of this type is used up.", _quota("ec2")),
        ("MaxSpotInstanceCountExceeded", "The quota for spot instances of this family, counted in vCPUs, is used up.", _quota("ec2")),
        ("MaxFleetCountExceeded", "The account has as many fleets in this region as it may.", _quota("ec2")),
    ),
    *_rows(
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

CREDENTIALS = (
    *_rows(
        Scope.ACCOUNT,
        CODES_PAGE,
        ("UnauthorizedOperation", "These credentials have no permission for {action}.", POLICY),
        (
            "AuthFailure",
            "AWS does not accept these credentials, or the region is not enabled for the account.",
            SIGN_IN + "; regions are enabled at https://console.aws.amazon.com/billing/home#/account",
        ),
        (
            "OptInRequired",
            "The account has not subscribed to this service, this region or this AMI of the Marketplace.",
            "enable the region at https://console.aws.amazon.com/billing/home#/account, or accept the terms on the AMI's page",
        ),
        ("Blocked", "AWS has blocked the account.", "open a case at https://console.aws.amazon.com/support"),
        (
            "OperationNotPermitted",
            "A setting of the account or of the resource does not permit {action}.",
            "the words of AWS name the setting, as block public access for AMIs",
        ),
    ),
    *_rows(
        Scope.ACCOUNT,
        _COMMON,
        ("AccessDenied", "These credentials have no permission for {action}.", POLICY),
        ("AccessDeniedException", "These credentials have no permission for {action}.", POLICY),
        ("NotAuthorized", "These credentials have no permission for {action}.", POLICY),
        ("ExpiredToken", "The credentials' session has expired.", SIGN_IN),
        ("ExpiredTokenException", "The credentials' session has expired.", SIGN_IN),
        ("InvalidClientTokenId", "AWS does not know this access key: it is mistyped, deactivated or deleted.", SIGN_IN),
        ("UnrecognizedClientException", "AWS does not know this access key or session token.", SIGN_IN),
        ("InvalidToken", "The session token is malformed or not that of this access key.", SIGN_IN),
        ("InvalidIdentityToken", "The identity token of the web identity is not accepted.", SIGN_IN),
        ("MissingAuthenticationToken", "The request came without credentials.", SIGN_IN),
        ("MissingAuthenticationTokenException", "The request came without credentials.", SIGN_IN),
        ("IncompleteSignature", "The signature is incomplete: the secret key, or a proxy that changes requests.", SIGN_IN),
        (
            "SignatureDoesNotMatch",
            "The secret access key is not that of this access key, or this machine's clock is wrong.",
            f"{SIGN_IN}; {CLOCK}",
        ),
        (
            "InvalidSignatureException",
            "The secret access key is not that of this access key, or this machine's clock is wrong.",
            f"{SIGN_IN}; {CLOCK}",
        ),
        ("RequestExpired", "This machine's clock is wrong, or the credentials' session has expired.", f"{CLOCK}; {SIGN_IN}"),
        ("RequestTimeTooSkewed", "This machine's clock is wrong.", CLOCK),
        (
            "SubscriptionRequiredException",
            "The account has no subscription to this service.",
            "finish the account's sign-up at https://portal.aws.amazon.com",
        ),
        (
            "RegionDisabledException",
            "The region is not enabled for this account.",
            "enable it at https://console.aws.amazon.com/billing/home#/account",
        ),
    ),
)

PASSING = (
    *_rows(
        Scope.RETRY,
        CODES_PAGE,
        ("RequestLimitExceeded", "AWS asks for fewer calls in a second.", AGAIN),
        ("Throttling", "AWS asks for fewer calls in a second.", AGAIN),
        ("ThrottlingException", "AWS asks for fewer calls in a second.", AGAIN),
        ("TooManyRequestsException", "AWS asks for fewer calls in a second.", AGAIN),
        ("RequestThrottled", "AWS asks for fewer calls in a second.", AGAIN),
        ("EC2ThrottledException", "AWS asks for fewer calls in a second.", AGAIN),
        ("InternalError", "EC2 has a fault of its own.", AGAIN),
        ("InternalFailure", "EC2 has a fault of its own.", AGAIN),
        ("ServerInternal", "EC2 has a fault of its own.", AGAIN),
        ("ServiceUnavailable", "EC2 is overloaded or down.", AGAIN),
        ("ServiceUnavailableException", "The service is overloaded or down.", AGAIN),
        ("ServiceException", "The service has a fault of its own.", AGAIN),
        ("Unavailable", "EC2 is overloaded or down.", AGAIN),
        ("ConcurrentTagAccess", "Somebody else changes the same tags just now.", AGAIN),
        ("ConcurrentSnapshotLimitExceeded", "As many snapshots are being made as is allowed at a time.", AGAIN),
        ("SnapshotCreationPerVolumeRateExceeded", "Snapshots of one volume need 15 seconds between them.", AGAIN),
        ("InvalidInstanceID.NotFound", "EC2 does not know this instance yet, or no more.", AGAIN),
        ("InvalidGroup.NotFound", "The security group is not there yet, or has just been removed.", AGAIN),
        ("InvalidGroup.Duplicate", "Somebody else made the same security group at the same time.", AGAIN),
        ("InvalidPermission.Duplicate", "The rule is in the security group already.", AGAIN),
        ("InvalidGroup.InUse", "The security group is still used by an interface or a rule.", AGAIN),
        ("DependencyViolation", "Something that depends on it is still there.", AGAIN),
        ("VolumeInUse", "The volume is still attached.", AGAIN),
        ("InvalidNetworkInterface.InUse", "The network interface is still attached.", AGAIN),
        ("InvalidSnapshot.InUse", "The snapshot still belongs to an AMI.", AGAIN),
        ("IncorrectState", "The resource is still on its way to another state.", AGAIN),
        ("IncorrectInstanceState", "The instance is still on its way to another state.", AGAIN),
        ("InvalidAMIID.Unavailable", "The AMI is not ready yet, or has failed.", AGAIN),
        ("InvalidLaunchTemplateId.NotFound", "The launch template is not there yet, or no more.", AGAIN),
        ("InvalidLaunchTemplateId.VersionNotFound", "The launch template's version is not there yet.", AGAIN),
        ("InvalidLaunchTemplateName.NotFoundException", "The launch template is not there yet, or no more.", AGAIN),
        ("InvalidLaunchTemplateName.AlreadyExistsException", "An earlier try has left a launch template of this name.", AGAIN),
        ("InvalidVolume.NotFound", "EC2 does not know this volume yet, or no more.", AGAIN),
        ("InvalidNetworkInterfaceID.NotFound", "EC2 does not know this network interface yet, or no more.", AGAIN),
        ("InvalidSpotInstanceRequestID.NotFound", "EC2 does not know this spot request yet, or no more.", AGAIN),
        ("InvalidSnapshot.NotFound", "EC2 does not know this snapshot yet, or no more.", AGAIN),
    ),
    *_rows(
        Scope.RETRY,
        _BOTOCORE,
        ("EndpointConnectionError", "AWS cannot be reached there: no route, or there is no such region.", NETWORK),
        ("ConnectTimeoutError", "AWS does not answer: no route, or something drops the packets.", NETWORK),
        ("ReadTimeoutError", "AWS took the request and did not answer in time.", AGAIN),
        ("ConnectionClosedError", "The connection ended before an answer.", AGAIN),
        ("ProxyConnectionError", "The proxy of HTTPS_PROXY cannot be reached, or refuses.", "check HTTPS_PROXY and NO_PROXY"),
        ("ConnectionError", "The connection to AWS failed.", NETWORK),
        ("HTTPClientError", "The connection to AWS failed.", NETWORK),
        ("IncompleteReadError", "The answer ended too early.", AGAIN),
    ),
)

REQUEST = (
    *_rows(
        Scope.REQUEST,
        CODES_PAGE,
        (
            "InvalidParameterValue",
            "A value of the request is not accepted.",
            "AWS's words name it: correct that flag or key of images.yaml",
        ),
        ("InvalidParameter", "A value of the request is not accepted.", "AWS's words name it: correct that flag or key of images.yaml"),
        ("InvalidParameterCombination", "Two values of the request exclude each other.", "AWS's words name them: change one"),
        ("InvalidParameterDependency", "Two values of the request exclude each other.", "AWS's words name them: change one"),
        ("InvalidRequest", "The request is not accepted.", "AWS's words say why: change that flag or key of images.yaml"),
        ("InvalidInput", "A value of the request is not accepted.", "AWS's words name it: correct that flag or key of images.yaml"),
        (
            "UnsupportedOperation",
            "This combination of type, image and options does not exist.",
            "choose another --instance-type, or leave out the option",
        ),
        ("UnsupportedInstanceAttribute", "The instance does not have what was asked for.", "choose another --instance-type"),
        (
            "InvalidInstanceType",
            "There is no such instance type in this region.",
            "see `aws ec2 describe-instance-types --region {region}`",
        ),
        (
            "InvalidAMIID.NotFound",
            "There is no such AMI in this region, or not for this account.",
            "see `./inv images --cloud aws`; copy it: `aws.copies` in images.yaml",
        ),
        ("InvalidAMIID.Malformed", "That is no AMI id.", "an AMI id looks like ami-0123456789abcdef0; see `./inv images --cloud aws`"),
        ("InvalidAMIName.Duplicate", "The account has an AMI of this name.", "remove it, or bake again: a new bake has a new name"),
        ("InvalidAMIName.Malformed", "That is no name for an AMI.", "rename the image in images.yaml"),
        (
            "InvalidAMIAttributeItemValue",
            "There is no such account, or it cannot be shared with.",
            "correct the account numbers in images.yaml",
        ),
        ("InvalidUserID.Malformed", "That is no account number.", "an account number has 12 digits: correct images.yaml"),
        ("InvalidSubnetID.NotFound", "There is no such subnet in this region.", "see `aws ec2 describe-subnets --region {region}`"),
        ("InvalidSubnet", "The subnet cannot be used for this.", "name another --subnet"),
        ("InvalidVpcID.NotFound", "There is no such VPC in this region.", "see `aws ec2 describe-vpcs --region {region}`"),
        ("VPCIdNotSpecified", "The region has no default VPC.", "`aws ec2 create-default-vpc --region {region}`, or name a subnet"),
        ("InvalidGroupId.Malformed", "That is no security group.", REPORT),
        ("InvalidGroup.Malformed", "That is no security group.", REPORT),
        ("InvalidPermission.Malformed", "The rule is not accepted.", "--ssh-from takes an address block, as 203.0.113.7/32"),
        ("SecurityGroupsPerInstanceLimitExceeded", "An instance cannot have that many security groups.", REPORT),
        ("RulesPerSecurityGroupLimitExceeded", "A security group cannot have that many rules.", "name fewer address blocks"),
        (
            "InvalidKeyPair.NotFound",
            "There is no key pair of this name in this region.",
            "see `aws ec2 describe-key-pairs --region {region}`",
        ),
        (
            "InvalidKeyPair.Duplicate",
            "The account has a key pair of this name.",
            "`./inv reap --cloud aws` removes what an earlier run has left",
        ),
        ("InvalidKeyPair.Format", "That is no public key.", "EC2 takes RSA and ED25519 keys"),
        ("InvalidKey.Format", "That is no public key.", "EC2 takes RSA and ED25519 keys"),
        (
            "InvalidZone.NotFound",
            "There is no such zone, or not for this account.",
            "see `aws ec2 describe-availability-zones --region {region}`",
        ),
        (
            "InvalidAvailabilityZone",
            "There is no such zone, or not for this account.",
            "see `aws ec2 describe-availability-zones --region {region}`",
        ),
        (
            "InvalidUserData.Malformed",
            "EC2 does not take the user-data: 16 KiB is the most.",
            "shorten --label and the certificates of --ca",
        ),
        (
            "InvalidBlockDeviceMapping",
            "The disk is not accepted: it cannot be smaller than the AMI's.",
            "a larger disk, or none of your own",
        ),
        ("InvalidFleetConfiguration", "The fleet's description is not accepted.", "choose another --instance-type"),
        ("InvalidFleetConfig", "The fleet's description is not accepted.", "choose another --instance-type"),
        ("InvalidTargetCapacitySpecification", "The fleet cannot be that large.", "a smaller --count"),
        ("InvalidLaunchTemplateId.Malformed", "That is no launch template.", REPORT),
        ("InvalidSnapshot.Malformed", "That is no snapshot.", REPORT),
        ("InvalidInstanceID.Malformed", "That is no instance.", REPORT),
        ("ResourceCountExceeded", "That is more than one request may ask for.", "a smaller --count"),
        ("InstanceCreditSpecification.NotSupported", "The type has no CPU credits.", REPORT),
        ("TagLimitExceeded", "A resource cannot have more than 50 tags.", "fewer tags in images.yaml"),
        ("InvalidTagKey.Malformed", "That is no key for a tag.", "correct the tags in images.yaml"),
        ("EncryptedVolumesNotSupported", "This type has no encrypted disks.", "choose another --instance-type"),
        (
            "InvalidKmsKey.NotFound",
            "There is no such KMS key in this region.",
            "correct the key in images.yaml; it must exist in each region",
        ),
        (
            "KMSKeyNotAccessibleFault",
            "The KMS key cannot be used with these credentials.",
            "allow kms:CreateGrant and kms:DescribeKey in the key's policy",
        ),
        ("InvalidFilter", "EC2 does not know this filter.", REPORT),
        ("FilterLimitExceeded", "The request has too many filter values.", REPORT),
        ("InvalidPaginationToken", "The page of a listing has expired.", "run the same command again"),
        ("InvalidRegionError", "That is no name of a region.", "a region is called like us-east-1: correct --region or AWS_REGION"),
        ("ServiceNotInRegionError", "This region does not have the service.", "choose another --region"),
        ("NoRegionError", "No region is said.", "--region, AWS_REGION, or `aws configure set region us-east-1`"),
        ("NoSuchResourceException", "Service Quotas does not know this quota here.", "see " + QUOTAS_PAGE.replace("{service}", "ec2")),
    ),
    *_rows(
        Scope.REQUEST,
        CODES_PAGE,
        ("IdempotentParameterMismatch", "The same client token was used for another request.", REPORT),
        ("MissingParameter", "A value is missing in the request.", REPORT),
        ("UnknownParameter", "EC2 does not know a value of the request.", REPORT),
        ("InvalidAction", "The endpoint does not know this call.", "AWS_ENDPOINT_URL may lead to something that is not EC2"),
        ("MalformedQueryString", "The request is malformed.", REPORT),
        ("ValidationError", "The request is not accepted.", REPORT),
        exit_code=Exit.FAILED,
    ),
    *_rows(
        Scope.REQUEST,
        _BOTOCORE,
        ("ParamValidationError", "The SDK does not send this request: a value has the wrong form.", "the message names it"),
        ("InvalidEndpointConfigurationError", "The endpoint's configuration cannot work.", "see AWS_ENDPOINT_URL and ~/.aws/config"),
    ),
    *_rows(
        Scope.REQUEST,
        _BOTOCORE,
        ("SSLError", "The certificate of AWS is not trusted here.", "set AWS_CA_BUNDLE to your company's certificates"),
        ("WaiterError", "The wait ended without the wanted state.", "run the same command again: it continues"),
        exit_code=Exit.FAILED,
    ),
)

SDK = _rows(
    Scope.ACCOUNT,
    _BOTOCORE,
    ("NoCredentialsError", "There are no AWS credentials.", "run `aws configure` or `aws sso login`, or set AWS_PROFILE"),
    ("PartialCredentialsError", "Half of the AWS credentials is missing.", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"),
    (
        "CredentialRetrievalError",
        "The program or role that gives the credentials failed.",
        "see credential_process and role_arn in ~/.aws/config",
    ),
    ("MetadataRetrievalError", "This machine's metadata service gives no credentials.", "attach an instance profile, or set AWS_PROFILE"),
    ("ProfileNotFound", "There is no such profile.", "see `aws configure list-profiles`, and AWS_PROFILE"),
    ("ConfigParseError", "~/.aws/config or ~/.aws/credentials cannot be read.", "correct the file that is named"),
    ("ConfigNotFound", "The configuration file is not there.", "see AWS_CONFIG_FILE"),
    ("InvalidConfigError", "The profile cannot work.", "correct ~/.aws/config"),
    ("TokenRetrievalError", "The sign-in of IAM Identity Center has expired.", "run `aws sso login`"),
    ("UnauthorizedSSOTokenError", "The sign-in of IAM Identity Center has expired.", "run `aws sso login`"),
    ("SSOTokenLoadError", "There is no sign-in of IAM Identity Center here.", "run `aws sso login`"),
    ("SSOError", "The sign-in of IAM Identity Center does not work.", "run `aws sso login`"),
    ("LoginRefreshRequired", "The sign-in has expired.", "run `aws login`"),
    ("LoginError", "The sign-in does not work.", "run `aws login`"),
    ("NoAuthTokenError", "There is no token for this call.", "run `aws sso login`"),
    ("UnknownCredentialError", "The profile names a source of credentials that the SDK does not know.", "correct ~/.aws/config"),
    ("RefreshWithMFAUnsupportedError", "A session with MFA cannot be renewed without a person.", "sign in again"),
    ("MissingDependencyException", "The SDK lacks a part that the profile needs.", "pip install 'botocore[crt]' in .venv"),
)

STATES = (
    *_rows(
        Scope.ZONE,
        _STATES,
        ("Server.InsufficientInstanceCapacity", "AWS took the request, and had no free machine of this type in this zone.", MORE),
        ("Server.InternalError", "The start of the machine failed inside AWS.", MORE),
        ("Server.ScheduledStop", "AWS took the machine out of service.", "launch again"),
    ),
    *_rows(
        Scope.ZONE,
        _SPOT,
        ("Server.SpotInstanceTermination", "AWS needed the spot capacity back.", "launch again, or without --spot"),
        ("Server.SpotInstanceShutdown", "AWS needed the spot capacity back.", "launch again, or without --spot"),
    ),
    *_rows(
        Scope.REGION,
        _STATES,
        ("Client.VolumeLimitExceeded", "The quota for volumes, or for their storage, is used up.", _quota("ebs")),
    ),
    *_rows(
        Scope.ACCOUNT,
        _STATES,
        (
            "Client.InternalError",
            "The machine could not start: as a rule its disk is encrypted with a KMS key that may not be used.",
            "allow kms:CreateGrant, kms:Decrypt and kms:DescribeKey in the key's policy",
        ),
        ("Client.InvalidSnapshot.NotFound", "The AMI's snapshot is gone.", "bake again: `./inv bake --cloud aws`"),
    ),
    *_rows(
        Scope.REQUEST,
        _STATES,
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
        Refusal("InvalidFleetConfiguration", Scope.ZONE, "This zone does not offer this type.", MORE, _FLEET),
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
    Worded("Signature expired", Refusal("SignatureDoesNotMatch", Scope.ACCOUNT, "This machine's clock is slow.", CLOCK, _COMMON)),
    Worded("Signature not yet current", Refusal("SignatureDoesNotMatch", Scope.ACCOUNT, "This machine's clock is fast.", CLOCK, _COMMON)),
    Worded("Signature expired", Refusal("InvalidSignatureException", Scope.ACCOUNT, "This machine's clock is slow.", CLOCK, _COMMON)),
    Worded(
        "Signature not yet current", Refusal("InvalidSignatureException", Scope.ACCOUNT, "This machine's clock is fast.", CLOCK, _COMMON)
    ),
)

GROUPS = {
    "Capacity": CAPACITY,
    "Quotas": QUOTAS,
    "Permissions and credentials": CREDENTIALS,
    "The SDK's own errors about credentials": SDK,
    "Passing": PASSING,
    "The request": REQUEST,
    "An instance that ends after it was started": STATES,
}
"""Title of a chapter of the reference page → its rows."""
