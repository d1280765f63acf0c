"""The codes of Azure about single requests: what may pass, and what no place would take; see `refusals`."""

from __future__ import annotations

from goldbake.clouds.azure.refusals import AGAIN, CODES_PAGE, COMPUTE_PAGE, LISTED, REPORT
from goldbake.clouds.failure import Scope, rows
from goldbake.errors import Exit

NO_CODE = "ProvisioningFailed"
"""Our own word for an operation or a resource of which Azure only says that it failed."""
THROTTLING = "https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling"
NETWORK_PAGE = "https://learn.microsoft.com/troubleshoot/azure/virtual-network/virtual-network-troubleshoot-cannot-delete-vnet"
GALLERIES = "https://learn.microsoft.com/azure/virtual-machines/troubleshooting-shared-images"
CORE = "azure-core, azure/core/exceptions.py"
POLLING = "azure-core, azure/core/polling: an operation can say Failed and nothing else"

NETWORK = "check the network and HTTPS_PROXY; `./inv doctor --cloud azure` shows whether Azure answers"
IMAGES = "`./inv images --cloud azure` shows what is baked, and in which regions"

PASSING = (
    *rows(
        Scope.RETRY,
        THROTTLING,
        ("TooManyRequests", "Azure asks for fewer calls.", AGAIN),
        ("SubscriptionRequestsThrottled", "Azure asks for fewer calls.", AGAIN),
        ("ResourceCollectionRequestsThrottled", "Azure asks for fewer calls.", AGAIN),
        ("OperationPreempted", "A newer change of the same resource took the place of this one.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        CODES_PAGE,
        ("AnotherOperationInProgress", "Another change of the same resource is under way.", AGAIN),
        ("Conflict", "The resource is not in a state for this just now.", AGAIN),
        ("ConflictingConcurrentWriteNotAllowed", "Somebody else changes the same resource just now.", AGAIN),
        ("RetryableError", "Azure asks to try again.", AGAIN),
        ("RetryableErrorDueToAnotherOperation", "Another change of the same resource is under way.", AGAIN),
        ("PreconditionFailed", "Somebody else has changed the resource in between.", AGAIN),
        ("InternalServerError", "Azure has a fault of its own.", AGAIN),
        ("InternalError", "Azure has a fault of its own.", AGAIN),
        ("ServiceUnavailable", "Azure is overloaded or down.", AGAIN),
        ("ServerTimeout", "Azure did not finish in time.", AGAIN),
        ("GatewayTimeout", "Azure did not finish in time.", AGAIN),
        ("RequestTimeout", "Azure did not finish in time.", AGAIN),
        ("ResourceGroupBeingDeleted", "The resource group is being deleted.", AGAIN),
        ("DeploymentActive", "A deployment of this name is still running.", AGAIN),
        ("ResourceNotFound", "Azure does not know this resource yet, or no more.", AGAIN),
        ("NotFound", "Azure does not know this resource yet, or no more.", AGAIN),
        ("ReferencedResourceNotProvisioned", "Something that the request uses is not ready yet.", AGAIN),
        ("InvalidResourceReference", "Something that the request uses does not exist yet, or no more.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        COMPUTE_PAGE,
        ("InternalExecutionError", "Azure's compute service has a fault of its own.", AGAIN),
        ("InternalOperationError", "Azure's compute service has a fault of its own.", AGAIN),
        ("InternalDiskManagementError", "Azure's disk service has a fault of its own.", AGAIN),
        ("NetworkingInternalOperationError", "Azure's network service has a fault of its own.", AGAIN),
        ("DiagnosticsOperationInternalError", "Azure could not set up the boot log.", AGAIN),
        ("DiskImageNotReady", "The image is not ready yet.", AGAIN),
        ("ResourceUpdateBlockedOnPlatformUpdate", "Azure updates its own service just now.", AGAIN),
        ("AttachDiskWhileBeingDetached", "The disk is still being taken from another machine.", AGAIN),
        ("VMRedeploymentTimedOut", "Azure did not move the machine in time.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        NETWORK_PAGE,
        (
            "NicReservedForAnotherVm",
            "The network interface is still kept for a machine that failed; Azure frees it after 3 minutes.",
            AGAIN,
        ),
        ("NicInUse", "The network interface is still attached.", AGAIN),
        ("InUseSubnetCannotBeDeleted", "Something in the subnet is still there.", AGAIN),
        ("InUseNetworkSecurityGroupCannotBeDeleted", "Something that uses the network security group is still there.", AGAIN),
        ("PublicIPAddressCannotBeDeleted", "The address is still attached.", AGAIN),
        ("InUseNatGatewayCannotBeDeleted", "A subnet still uses the NAT gateway.", AGAIN),
        ("NatGatewayInUseBySubnet", "A subnet still uses the NAT gateway.", AGAIN),
        ("CannotDeleteResource", "Something that depends on it is still there.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        LISTED,
        ("Throttled", "Azure asks for fewer calls.", AGAIN),
        ("Canceled", "A newer change of the same resource took the place of this one.", AGAIN),
        ("CanceledAndSupersededDueToAnotherOperation", "A newer change of the same resource took the place of this one.", AGAIN),
        ("ResourceGroupDeletionBlocked", "Something in the resource group does not go yet.", AGAIN),
        ("ResourceGroupDeletionTimeout", "The resource group was not gone in time.", AGAIN),
        ("NetworkSecurityGroupInUseByVirtualMachineScaleSet", "A scale set still uses the network security group.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        CORE,
        ("ServiceRequestError", "Azure cannot be reached.", NETWORK),
        ("ServiceRequestTimeoutError", "Azure does not answer: no route, or something drops the packets.", NETWORK),
        ("ServiceResponseError", "The connection ended before an answer.", AGAIN),
        ("ServiceResponseTimeoutError", "Azure took the request and did not answer in time.", AGAIN),
        ("IncompleteReadError", "The answer ended too early.", AGAIN),
        ("DecodeError", "The answer is none that Azure gives: as a rule a proxy's own page.", "check HTTPS_PROXY and NO_PROXY"),
    ),
)

REQUEST = (
    *rows(
        Scope.REQUEST,
        COMPUTE_PAGE,
        ("InvalidParameter", "A value of the request is not accepted.", "Azure's words name it: correct that flag or key of images.yaml"),
        (
            "OperationNotAllowed",
            "The resource or the subscription does not allow this.",
            "Azure's words say why: change that flag or key of images.yaml",
        ),
        (
            "PropertyChangeNotAllowed",
            "Something exists under this name that cannot be changed into what is wanted.",
            "remove it (`./inv reap --cloud azure`), and run the same command again",
        ),
        (
            "NotSupported",
            "This combination of size, image and options does not exist.",
            "choose another --instance-type, or leave out the option",
        ),
        ("VHDSizeInvalid", "The size of the disk is not accepted.", "correct --disk or disk_gib in images.yaml"),
        ("ConflictingUserInput", "Two values of the request exclude each other.", "Azure's words name them: change one"),
        ("InvalidAccountType", "That is no kind of disk.", REPORT),
    ),
    *rows(
        Scope.REQUEST,
        GALLERIES,
        ("ImageNotFound", "There is no such image.", IMAGES),
        (
            "PlatformImageNotFound",
            "There is no such image of the Marketplace in this region.",
            "`az vm image list --all --location {region} --publisher PUBLISHER --offer OFFER --output table`",
        ),
        (
            "GalleryImageNotFound",
            "There is no such image version, or it is not replicated to this region.",
            IMAGES + "; azure.copies in images.yaml replicates it",
        ),
        (
            "ParentResourceNotFound",
            "What this belongs to does not exist, as the gallery of an image.",
            "the how-to docs/how-to/azure.md makes the gallery",
        ),
    ),
    *rows(
        Scope.REQUEST,
        CODES_PAGE,
        ("BadRequest", "The request is not accepted.", "Azure's words say why: change that flag or key of images.yaml"),
        ("InvalidRequestFormat", "The request is not accepted.", "Azure's words say why: change that flag or key of images.yaml"),
        ("InvalidRequestContent", "The request is not accepted.", "Azure's words say why: change that flag or key of images.yaml"),
        ("InvalidRequestParameters", "The request is not accepted.", "Azure's words say why: change that flag or key of images.yaml"),
        ("InvalidResource", "The request is not accepted.", "Azure's words say why: change that flag or key of images.yaml"),
        ("InvalidResourceName", "That is no name for this kind of resource.", "rename it in images.yaml"),
        ("InvalidResourceGroup", "That is no name of a resource group.", "correct --resource-group or azure.resource_group in images.yaml"),
        ("InvalidResourceGroupLocation", "The resource group exists in another region.", "name another --resource-group"),
        ("InvalidResourceLocation", "A resource of this name exists in another region.", "another name, or that region"),
        (
            "InvalidResourceId",
            "That is no name of a resource: it begins with /subscriptions/.",
            "correct --subnet, --identity or --artifact",
        ),
        (
            "LinkedInvalidPropertyId",
            "That is no name of a resource: it begins with /subscriptions/.",
            "correct --subnet, --identity or --artifact",
        ),
        (
            "ResourceGroupNotFound",
            "There is no such resource group.",
            "`az group create --name GROUP --location {region}`, or correct the name",
        ),
        ("LocationRequired", "No region is said.", "--region, or azure.location in images.yaml"),
        (
            "NoRegisteredProviderFound",
            "There is no such region, or it does not offer this.",
            "`az account list-locations --output table` lists regions: a region is called like eastus",
        ),
        ("SubnetsNotInSameVnet", "The subnets lie in different networks.", "name one --subnet"),
        ("SecurityRuleInvalidAddressPrefix", "That is no address block.", "--ssh-from takes one, as 203.0.113.7/32"),
        ("InvalidTagNameCharacters", "That is no key for a tag.", "correct the tags in images.yaml"),
    ),
    *rows(
        Scope.REQUEST,
        CODES_PAGE,
        ("InvalidApiVersionParameter", "Azure does not know the version of the call.", REPORT),
        ("InvalidTemplate", "The template is not accepted.", REPORT),
        ("TooManyRedirectsError", "The answers lead in a circle: as a rule a proxy's.", "check HTTPS_PROXY and NO_PROXY"),
        ("HttpResponseError", "The answer is none that Azure gives: as a rule a proxy's own page.", "check HTTPS_PROXY and NO_PROXY"),
        exit_code=Exit.FAILED,
    ),
    *rows(
        Scope.REQUEST,
        LISTED,
        ("ReservedResourceName", "The name holds a word that Azure keeps for itself.", "rename it in images.yaml"),
        (
            "ResourceNotPermittedOnDelegatedSubnet",
            "The subnet is kept for another service of Azure.",
            "name another --subnet, without a delegation",
        ),
        (
            "VnetAddressSpacesOverlap",
            "The network's addresses are those of another network beside it.",
            "name a network that is there: --subnet",
        ),
    ),
    *rows(
        Scope.ZONE,
        POLLING,
        (
            NO_CODE,
            "Azure took the request, and then only said that it failed.",
            "another zone or region is tried; the portal's activity log has more",
        ),
    ),
)

WRAPPERS = rows(
    Scope.REQUEST,
    CODES_PAGE,
    (
        "DeploymentFailed",
        "A part of the template could not be made; Azure gave no reason inside.",
        "see the deployment in the portal: resource group → Deployments",
    ),
    ("InvalidTemplateDeployment", "The template cannot work; Azure gave no reason inside.", REPORT),
    (
        "ResourceDeploymentFailure",
        "A resource could not be made; Azure gave no reason inside.",
        "see the activity log of its resource group in the portal",
    ),
    (
        "ResourceOperationFailure",
        "A resource could not be made; Azure gave no reason inside.",
        "see the activity log of its resource group in the portal",
    ),
    (
        "MultipleErrorsOccurred",
        "Several things went wrong; Azure gave no reason inside.",
        "see the activity log of its resource group in the portal",
    ),
    exit_code=Exit.FAILED,
)
