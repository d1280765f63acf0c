"""What Packer prints of Azure's errors."""

from __future__ import annotations

import pytest

from goldbake.clouds.azure.errors import ERRORS, refused
from goldbake.clouds.azure.spoken import WORDS, recognised
from goldbake.clouds.failure import Failure, Scope
from tests.unit.clouds.azure.answers import quota


def _of(code: str, said: str) -> Failure:
    return refused(code, said, doing="start a build VM", place="eastus")


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        (
            "==> azure-arm.golden: ERROR: -> DeploymentFailed : At least one failed.\n==> azure-arm.golden: ERROR:   -> SkuNotAvailable : The …",
            "SkuNotAvailable",
        ),
        ('Code="InvalidTemplateDeployment" Message="not valid" Details=[{"code":"QuotaExceeded","message":"…"}]', "QuotaExceeded"),
        (
            'Code="DeploymentFailed" Message="At least one" Details=[{"code":"Conflict","message":"{\\r\\n  \\"error\\": {\\r\\n    \\"code\\": '
            '\\"OperationNotAllowed\\",\\r\\n    \\"message\\": \\"exceeding approved LowPriorityCores quota\\"\\r\\n  }\\r\\n}"}]',
            "OperationNotAllowed",
        ),
        ("RESPONSE 409: 409 Conflict\nERROR CODE: AllocationFailed\n", "AllocationFailed"),
        ("unexpected status 403 (403 Forbidden) with error: AuthorizationFailed: The client …", "AuthorizationFailed"),
        (
            'adal: Refresh request failed. Status Code = \'401\'. Response body: {"error":"invalid_client","error_description":"AADSTS7000215: Invalid …"}',
            "AADSTS7000215",
        ),
        ("==> azure-arm.golden: ERROR: -> Conflict : x", "Conflict"),
        ("Script exited with non-zero exit status: 1", ""),
        ("", ""),
    ],
)
def test_a_code_in_what_packer_prints_is_recognised(printed: str, code: str) -> None:
    assert recognised(printed) == code


def test_of_what_packer_prints_only_the_words_of_the_code_are_told() -> None:
    said = quota("LowPriorityCores", limit=3, more=4)
    printed = f"==> a: Creating …\n==> a: ERROR: -> DeploymentFailed : At least one failed.\n==> a: ERROR:   -> OperationNotAllowed : {said}\n==> a: gone\n"
    found = _of(recognised(printed), printed)
    assert (found.code, found.scope) == ("OperationNotAllowed", Scope.REGION)
    assert found.message.endswith("(OperationNotAllowed: the quota lowPriorityCores in eastus is 3, 0 in use, 4 more wanted)")
    assert _of("AllocationFailed", "a\nb\nERROR: -> AllocationFailed : Allocation failed.\nc").message.endswith(
        "(AllocationFailed: Allocation failed)"
    )


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Allocation failed. We do not have sufficient capacity for the requested VM size in this zone.", "ZonalAllocationFailed"),
        ("Allocation failed. We do not have sufficient capacity for the requested VM size in this region.", "AllocationFailed"),
        (
            "VM(s) with the following constraints cannot be allocated, because the condition is too restrictive.",
            "OverconstrainedAllocationRequest",
        ),
        (quota("Total Regional Cores"), "OperationNotAllowed"),
        (
            "The requested size for resource '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m' is currently not available"
            " in location 'westus2' zones '' for subscription 's'.",
            "SkuNotAvailable",
        ),
        (
            "The client 'a' with object id 'o' does not have authorization to perform action 'x/write' over scope '/s'",
            "AuthorizationFailed",
        ),
        ("The subscription is not registered to use namespace 'Microsoft.Compute'.", "MissingSubscriptionRegistration"),
        ("Resource 'x' was disallowed by policy. Policy identifiers: '[]'.", "RequestDisallowedByPolicy"),
        ("You have not accepted the legal terms on this subscription: 's' for this plan.", "ResourcePurchaseValidationFailed"),
        ("The platform image 'Canonical:UbuntuServer:22_04-lts:latest' is not available.", "PlatformImageNotFound"),
        ("The subscription 's' is disabled and therefore marked as read only.", "ReadOnlyDisabledSubscription"),
        ("Resource group 'images' could not be found.", "ResourceGroupNotFound"),
        ("The selected VM size 'x' cannot boot Hypervisor Generation '2'.", "BadRequest"),
        (
            "Cannot create more than 10 IPv4 Standard SKU public IP addresses for this subscription in this region.",
            "PublicIPCountLimitReached",
        ),
        ("Timeout waiting for SSH.", ""),
    ],
)
def test_words_alone_are_recognised(said: str, code: str) -> None:
    printed = f"==> azure-arm.golden: Deploying deployment template ...\n==> azure-arm.golden: {said}\n==> azure-arm.golden: Cleaning up"
    assert recognised(printed) == code


def test_words_lead_to_codes_that_are_known() -> None:
    assert {code for _, code in WORDS} - set(ERRORS) == set()
