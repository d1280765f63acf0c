"""The codes of Azure about capacity, quotas and machines that do not come up: how far each reaches, what it means, what to do.

`{region}`, `{action}`, `{scope}`, `{subscription}`, `{group}`, `{who}`, `{provider}`, `{policy}` and `{assignment}` in a text stand for what
the refusal is about. `errors.py` puts the tables together, docs/reference/errors-azure.md is made of them.
"""

from __future__ import annotations

from goldbake.clouds.azure.shortage import PAGE
from goldbake.clouds.failure import Refusal, Scope, Worded, rows
from goldbake.errors import Exit

CODES_PAGE = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors"
COMPUTE_PAGE = "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages"
LISTED = "the list of Resource Manager's codes in Microsoft's own package armerror"
SKU_PAGE = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-sku-not-available"
QUOTA_PAGE = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-resource-quota"
KARPENTER = "Azure/karpenter-provider-azure, pkg/providers/instance/offerings"
SKYPILOT = "skypilot-org/skypilot, its handler of Azure's errors"

MORE = "allow more zones or sizes: --instance-type A,B,C, or another --region"
AGAIN = "nothing: it is tried again; run the same command later if that was not enough"
REPORT = "report this with the command that was run"
SIZES = "`az vm list-skus --location {region} --resource-type virtualMachines --output table` lists sizes with their restrictions"
RAISE = f"ask for more at {PAGE}, or use another --region: every region has its own"

CAPACITY = (
    *rows(
        Scope.ZONE,
        KARPENTER,
        ("ZonalAllocationFailed", "Azure has no free machine of this size in this zone.", MORE),
        (
            "OverconstrainedZonalAllocationRequest",
            "Azure has no machine in this zone that meets all that was asked for (size, disk, networking).",
            MORE,
        ),
    ),
    *rows(
        Scope.ZONE,
        CODES_PAGE,
        ("AvailabilityZoneNotSupported", "This zone does not exist here, or does not offer this size.", MORE),
    ),
    *rows(
        Scope.REGION,
        KARPENTER,
        ("AllocationFailed", "Azure has no free machine of this size in this region.", MORE),
        (
            "OverconstrainedAllocationRequest",
            "Azure has no machine in this region that meets all that was asked for (size, disk, networking).",
            MORE,
        ),
        (
            "SkuNotAvailable",
            "The subscription may not use this size here, or Azure has none free; for spot the latter.",
            f"{MORE}; {SIZES}; a restriction of the subscription is lifted at https://aka.ms/azureskunotavailable",
        ),
    ),
    *rows(
        Scope.REGION,
        CODES_PAGE,
        ("LocationNotAvailableForResourceType", "This region does not offer this kind of resource.", "another --region"),
        ("LocationNotSupportAvailabilityZones", "This region has no availability zones.", "leave --zone out, or another --region"),
        (
            "RequestDisallowedByAzure",
            "Azure lets this subscription use only certain regions, as it does with trial and student subscriptions.",
            "another --region; the portal shows those that are allowed when a machine is made by hand",
        ),
    ),
)

QUOTAS = (
    *rows(
        Scope.REGION,
        QUOTA_PAGE,
        ("QuotaExceeded", "A quota of the subscription in this region is used up.", RAISE),
        (
            "ResourceQuotaExceeded",
            "The subscription has as many resources of this kind as it may.",
            "delete what is not needed: `./inv reap --cloud azure`",
        ),
        (
            "ResourceCountExceedsLimitDueToTemplate",
            "The resource group would hold more resources of this kind than it may.",
            "several launches instead of one: each has a group of its own",
        ),
        (
            "PublicIPCountLimitReached",
            "The subscription has as many public addresses in this region as it may.",
            "launch without --public-ip, or " + RAISE,
        ),
        (
            "IPv4StandardSkuPublicIpCountLimitReached",
            "The subscription has as many public addresses in this region as it may.",
            "launch without --public-ip, or " + RAISE,
        ),
        (
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Azure makes no public addresses of the Basic kind any more.",
            "use the template of goldbake, which asks for the Standard kind",
        ),
        ("NetworkInterfaceCountLimitReached", "The subscription has as many network interfaces in this region as it may.", RAISE),
    ),
    *rows(
        Scope.REGION,
        LISTED,
        (
            "StandardSkuPublicIPCountLimitReached",
            "The subscription has as many public addresses in this region as it may.",
            "launch without --public-ip, or " + RAISE,
        ),
        (
            "PublicIPCountLimitExceededByVMScaleSet",
            "The scale set would need more public addresses than the subscription may have in this region.",
            "launch without --public-ip, or " + RAISE,
        ),
        (
            "ResourceGroupQuotaExceeded",
            "The subscription has as many resource groups as it may.",
            "`./inv reap --cloud azure`, then delete others",
        ),
        (
            "VnetCountLimitReached",
            "The subscription has as many virtual networks in this region as it may.",
            "name one that exists: --subnet; or " + RAISE,
        ),
        (
            "SubnetIsFull",
            "The subnet has no free address; Azure keeps five of each for itself.",
            "remove what is not needed, or name another --subnet",
        ),
    ),
)

MACHINES = (
    *rows(
        Scope.ZONE,
        COMPUTE_PAGE,
        ("OSProvisioningInternalError", "The start of the machine failed inside Azure.", MORE),
        ("VMStartTimedOut", "The machine did not start in the time that Azure gives it.", MORE),
        ("DiskProcessingError", "Azure could not make the machine's disk.", MORE),
        ("DiskPreparationError", "Azure could not make the machine's disk.", MORE),
    ),
    *rows(
        Scope.REQUEST,
        COMPUTE_PAGE,
        (
            "OSProvisioningTimedOut",
            "The system did not tell Azure in time that it is up; it may come up all the same.",
            "the boot log says why (portal → the machine → Boot diagnostics); bake again if the image does not boot",
        ),
        ("OSProvisioningClientError", "The system refused what Azure asks of it at its first start.", "the boot log says why; bake again"),
        (
            "VMExtensionProvisioningError",
            "An extension failed; goldbake installs none, so a policy added it.",
            "see the policies of the subscription",
        ),
        (
            "VMExtensionProvisioningTimeout",
            "An extension did not end; goldbake installs none, so a policy added it.",
            "see the policies of the subscription",
        ),
        (
            "VMExtensionHandlerNonTransientError",
            "An extension failed; goldbake installs none, so a policy added it.",
            "see the policies of the subscription",
        ),
        (
            "VMExtensionManagementInternalError",
            "An extension failed inside Azure; goldbake installs none, so a policy added it.",
            "run the same command again",
        ),
        (
            "VMAgentStatusCommunicationError",
            "The machine's agent does not reach Azure.",
            "let the subnet reach 168.63.129.16, Azure's own address in it",
        ),
        exit_code=Exit.FAILED,
    ),
)


def _quota(code: str, phrase: str, meaning: str) -> Worded:
    return Worded(phrase, Refusal(code, Scope.REGION, meaning, RAISE, QUOTA_PAGE))


def _passing(code: str, phrase: str, meaning: str) -> Worded:
    return Worded(phrase, Refusal(code, Scope.RETRY, meaning, AGAIN, COMPUTE_PAGE))


def _request(code: str, phrase: str, meaning: str, fix: str, source: str = COMPUTE_PAGE) -> Worded:
    return Worded(phrase, Refusal(code, Scope.REQUEST, meaning, fix, source))


_SPOT_QUOTA = "The quota for spot machines of this region, all sizes together, counted in vCPUs, is used up."
_REGIONAL_QUOTA = "The quota of this region for all sizes together, counted in vCPUs, is used up."
_FAMILY_QUOTA = "The quota of this region for this family of sizes, counted in vCPUs, is used up; that of a family with GPUs begins at 0."
_DISK_SMALL = "The disk is smaller than the image's: {action} needs at least that."
_SMALL_FIX = "a larger --disk, or none of your own"
_TRUSTED = "The size or the image cannot start with Trusted Launch (Secure Boot, vTPM)."
_TRUSTED_FIX = "another --instance-type, or bake an image without it: azure.security: standard in images.yaml"
_MUST_TRUST = "The image definition starts machines with Trusted Launch only."
_MUST_TRUST_FIX = "bake it with azure.security: trusted-launch in images.yaml, or into another azure.definition"
_GENERATION = "The size cannot start an image of this generation; goldbake's images are of generation 2."
_OFFERED = "This region does not offer this size."

WORDED = (
    *(
        worded
        for code in ("OperationNotAllowed", "QuotaExceeded")
        for worded in (
            _quota(code, "LowPriorityCores", _SPOT_QUOTA),
            _quota(code, "Low-priority", _SPOT_QUOTA),
            _quota(code, "Total Regional", _REGIONAL_QUOTA),
            _quota(code, "quota limits of Core", _REGIONAL_QUOTA),
            _quota(code, "Family", _FAMILY_QUOTA),
        )
        if not (code == "OperationNotAllowed" and worded.phrase == "Family")
    ),
    _quota("OperationNotAllowed", "Family Cores quota", _FAMILY_QUOTA),
    _quota("OperationNotAllowed", "exceeding approved", "A quota of the subscription in this region is used up."),
    _quota("OperationNotAllowed", "exceeding quota limit", "A quota of the subscription in this region is used up."),
    _passing("OperationNotAllowed", "in progress", "Another change of the same resource is under way."),
    _passing("OperationNotAllowed", "marked for deletion", "The resource is being deleted."),
    _passing("OperationNotAllowed", "until Image has been successfully created", "The image is not ready yet."),
    _passing("OperationNotAllowed", "is attached to", "The disk still belongs to a machine that is being deleted."),
    _passing("Conflict", "in progress", "Another change of the same resource is under way."),
    _request("OperationNotAllowed", "smaller than the size", _DISK_SMALL.replace("{action}", "the machine"), _SMALL_FIX),
    _request("InvalidParameter", "smaller than the size", _DISK_SMALL.replace("{action}", "the machine"), _SMALL_FIX),
    Worded("is not available in the current region", Refusal("InvalidParameter", Scope.REGION, _OFFERED, f"{MORE}; {SIZES}", COMPUTE_PAGE)),
    *(
        worded
        for code in ("InvalidParameter", "BadRequest", "OperationNotAllowed")
        for worded in (
            _request(code, "only supports creation of VMs", _MUST_TRUST, _MUST_TRUST_FIX),
            _request(code, "TrustedLaunch", _TRUSTED, _TRUSTED_FIX),
            _request(code, "Trusted Launch", _TRUSTED, _TRUSTED_FIX),
            _request(code, "securityType", _TRUSTED, _TRUSTED_FIX),
            _request(code, "Hypervisor Generation", _GENERATION, "another --instance-type"),
        )
    ),
    Worded(
        "Capacity Restrictions",
        Refusal("SkuNotAvailable", Scope.REGION, "Azure has no free machine of this size in this region.", MORE, KARPENTER),
    ),
    Worded(
        "is not available in",
        Refusal(
            "GalleryImageNotFound",
            Scope.REGION,
            "The image version is not in this region; just after a bake its copy may still be under way.",
            "`./inv images --cloud azure` shows its regions; azure.copies in images.yaml adds one",
            "terraform-azurerm-caf#852 and cloud-api-adaptor#1709, which have the words",
        ),
    ),
    Worded(
        "is not authorized to access linked subscription",
        Refusal(
            "LinkedAuthorizationFailed",
            Scope.ACCOUNT,
            "Something that the request uses lies in a subscription of another directory (tenant).",
            "name one of the same directory: --subnet, --identity, or the gallery of the image",
            "azure-cli#27299, which has the words",
        ),
    ),
    Worded(
        "cannot be purchased",
        Refusal(
            "ResourcePurchaseValidationFailed",
            Scope.ACCOUNT,
            "The subscription may not buy this offer of the Marketplace, because of its country or its way of payment.",
            "use another base image: those of goldbake cost nothing",
            "https://learn.microsoft.com/azure/virtual-machines/linux/cli-ps-findimage",
        ),
    ),
    Worded(
        "Allowed locations",
        Refusal(
            "RequestDisallowedByPolicy",
            Scope.REGION,
            "The policy {policy} (assignment {assignment}) does not allow this region.",
            "another --region, or ask those who keep the policy",
            "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy",
        ),
    ),
    Worded(
        "failed to retrieve a token from the included credentials",
        Refusal(
            "ClientAuthenticationError",
            Scope.ACCOUNT,
            "There are no credentials of Azure here.",
            "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
            "azure-identity, its chain of credentials",
        ),
    ),
    Worded(
        "Unable to get authority configuration",
        Refusal(
            "ClientAuthenticationError",
            Scope.ACCOUNT,
            "There is no such directory (tenant), or its sign-in does not answer.",
            "correct AZURE_TENANT_ID; if it is right, run the same command later",
            "msal, authority.py",
        ),
    ),
    Worded(
        "CERTIFICATE_VERIFY_FAILED",
        Refusal(
            "ServiceRequestError",
            Scope.REQUEST,
            "The certificate of Azure is not trusted here.",
            "set REQUESTS_CA_BUNDLE to your company's certificates",
            "azure-core, azure/core/exceptions.py",
            Exit.FAILED,
        ),
    ),
    Worded(
        "proxy",
        Refusal(
            "ServiceRequestError",
            Scope.RETRY,
            "The proxy of HTTPS_PROXY cannot be reached, or refuses.",
            "check HTTPS_PROXY and NO_PROXY",
            "azure-core, azure/core/exceptions.py",
        ),
    ),
)
