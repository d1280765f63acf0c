"""What codes of Azure and errors of its SDK mean, wherever Azure puts them."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError

from goldbake.clouds.azure.errors import QUOTA_CODES, code_of, failure, refused
from goldbake.clouds.azure.refusals import QUOTAS
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from tests.unit.clouds.azure.answers import at_once, at_the_end, quota, with_body

DOING, PLACE = "start a Standard_NC24ads_A100_v4", "eastus-1"


def _of(code: str, said: str = "", status: int = 0) -> Failure:
    return refused(code, said, doing=DOING, place=PLACE, status=status)


def _failure(error: AzureError) -> Failure:
    return failure(error, doing=DOING, place=PLACE)


@pytest.mark.parametrize(
    ("code", "scope", "exit_code"),
    [
        ("ZonalAllocationFailed", Scope.ZONE, Exit.CAPACITY),
        ("OverconstrainedZonalAllocationRequest", Scope.ZONE, Exit.CAPACITY),
        ("AllocationFailed", Scope.REGION, Exit.CAPACITY),
        ("OverconstrainedAllocationRequest", Scope.REGION, Exit.CAPACITY),
        ("SkuNotAvailable", Scope.REGION, Exit.CAPACITY),
        ("LocationNotAvailableForResourceType", Scope.REGION, Exit.CAPACITY),
        ("RequestDisallowedByAzure", Scope.REGION, Exit.CAPACITY),
        ("QuotaExceeded", Scope.REGION, Exit.CAPACITY),
        ("PublicIPCountLimitReached", Scope.REGION, Exit.CAPACITY),
        ("SubnetIsFull", Scope.REGION, Exit.CAPACITY),
        ("OperationNotAllowed", Scope.REQUEST, Exit.USAGE),
        ("TooManyRequests", Scope.RETRY, Exit.FAILED),
        ("RetryableError", Scope.RETRY, Exit.FAILED),
        ("AnotherOperationInProgress", Scope.RETRY, Exit.FAILED),
        ("Conflict", Scope.RETRY, Exit.FAILED),
        ("InternalExecutionError", Scope.RETRY, Exit.FAILED),
        ("NetworkingInternalOperationError", Scope.RETRY, Exit.FAILED),
        ("NicReservedForAnotherVm", Scope.RETRY, Exit.FAILED),
        ("AuthorizationFailed", Scope.ACCOUNT, Exit.MISSING),
        ("LinkedAuthorizationFailed", Scope.ACCOUNT, Exit.MISSING),
        ("InvalidAuthenticationToken", Scope.ACCOUNT, Exit.MISSING),
        ("AADSTS7000222", Scope.ACCOUNT, Exit.MISSING),
        ("AADSTS700016", Scope.ACCOUNT, Exit.MISSING),
        ("MissingSubscriptionRegistration", Scope.ACCOUNT, Exit.MISSING),
        ("MarketplacePurchaseEligibilityFailed", Scope.ACCOUNT, Exit.MISSING),
        ("ResourcePurchaseValidationFailed", Scope.ACCOUNT, Exit.MISSING),
        ("RequestDisallowedByPolicy", Scope.ACCOUNT, Exit.MISSING),
        ("ReadOnlyDisabledSubscription", Scope.ACCOUNT, Exit.MISSING),
        ("SubscriptionNotFound", Scope.ACCOUNT, Exit.MISSING),
        ("ScopeLocked", Scope.REQUEST, Exit.FAILED),
        ("InvalidParameter", Scope.REQUEST, Exit.USAGE),
        ("InvalidRequestFormat", Scope.REQUEST, Exit.USAGE),
        ("PropertyChangeNotAllowed", Scope.REQUEST, Exit.USAGE),
        ("ImageNotFound", Scope.REQUEST, Exit.USAGE),
        ("GalleryImageNotFound", Scope.REQUEST, Exit.USAGE),
        ("OSProvisioningTimedOut", Scope.REQUEST, Exit.FAILED),
        ("VMExtensionProvisioningError", Scope.REQUEST, Exit.FAILED),
        ("ProvisioningFailed", Scope.ZONE, Exit.CAPACITY),
    ],
)
def test_how_far_a_code_reaches_at_once_and_at_the_end(code: str, scope: Scope, exit_code: Exit) -> None:
    for found in (
        _of(code, "Azure's own words."),
        _failure(at_once(409, code, "Azure's own words.")),
        _failure(at_the_end(code, "Azure's own words.")),
    ):
        assert (found.code, found.scope, found.exit_code) == (code, scope, exit_code)
        assert found.message.startswith(f"Azure would not {DOING} in {PLACE}: ")
        assert found.message.endswith(f"({code}: Azure's own words)")
        assert found.hint
        assert "{" not in found.message + found.hint


@pytest.mark.parametrize("code", sorted({row.code for row in QUOTAS}))
def test_every_quota_ends_with_the_exit_code_for_capacity(code: str) -> None:
    assert (_of(code).exit_code, _of(code).scope) == (Exit.CAPACITY, Scope.REGION)


@pytest.mark.parametrize(
    ("name", "meaning", "resource", "kind"),
    [
        ("StandardNCADSA100v4Family Cores", "this family of sizes", "StandardNCADSA100v4Family", "dedicated"),
        ("Standard NCASv3_T4 Family Cores", "this family of sizes", "'Standard NCASv3_T4 Family'", "dedicated"),
        ("Total Regional Cores", "all sizes together", "cores", "dedicated"),
        ("LowPriorityCores", "spot machines", "lowPriorityCores", "lowPriority"),
    ],
)
@pytest.mark.parametrize("code", ["OperationNotAllowed", "QuotaExceeded"])
def test_quotas_are_told_apart_by_their_words_with_their_numbers(code: str, name: str, meaning: str, resource: str, kind: str) -> None:
    assert code in QUOTA_CODES
    found = _failure(at_once(409, code, quota(name, limit=100, used=96, more=24)))
    assert (found.code, found.scope, found.exit_code) == (code, Scope.REGION, Exit.CAPACITY)
    assert meaning in found.message
    assert f"({code}: the quota {resource.strip(chr(39))} in eastus is 100, 96 in use, 24 more wanted)" in found.message
    assert f"az quota update --resource-name {resource} " in found.hint
    assert f"/locations/eastus --limit-object value=120 --resource-type {kind}`" in found.hint
    assert "QuotaMenuBlade" in found.hint
    assert "ProdportalCRP" not in found.message


def test_the_older_words_of_a_quota_are_read_too() -> None:
    said = "Operation results in exceeding quota limits of Core. Maximum allowed: 10, Current in use: 4, Additional requested: 12."
    found = _of("OperationNotAllowed", said)
    assert found.scope is Scope.REGION
    assert "the quota cores is 10, 4 in use, 12 more wanted" in found.message
    assert "/locations/eastus --limit-object value=16" in found.hint


@pytest.mark.parametrize(
    ("said", "scope", "part"),
    [
        ("The operation 'delete' is not allowed on VM 'x' since another operation is in progress.", Scope.RETRY, "under way"),
        ("Operation 'x' is not allowed on VM 'y' since the VM is marked for deletion.", Scope.RETRY, "being deleted"),
        ("Resource x cannot be created from Image y until Image has been successfully created.", Scope.RETRY, "not ready"),
        (
            "The specified disk size 20 GB is smaller than the size of the corresponding disk in the VM image: 30 GB.",
            Scope.REQUEST,
            "smaller",
        ),
        ("Operation 'x' is not allowed on VM 'y' since the VM is generalized.", Scope.REQUEST, "does not allow"),
    ],
)
def test_real_conflicts_with_the_code_of_quotas_are_none(said: str, scope: Scope, part: str) -> None:
    found = _of("OperationNotAllowed", said)
    assert found.scope is scope
    assert part in found.message.partition("(OperationNotAllowed")[0]
    assert "quota" not in found.hint


@pytest.mark.parametrize(
    ("code", "said", "scope", "part"),
    [
        (
            "SkuNotAvailable",
            "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: Standard_B2s' is currently not available in"
            " location 'eastus'.",
            Scope.REGION,
            "no free machine",
        ),
        (
            "InvalidParameter",
            "The requested VM size Standard_X is not available in the current region.",
            Scope.REGION,
            "does not offer this size",
        ),
        ("BadRequest", "The selected VM size 'Standard_D1_v2' cannot boot Hypervisor Generation '2'.", Scope.REQUEST, "generation"),
        (
            "BadRequest",
            "The provided gallery image only supports creation of VMs and VM Scale Sets with 'TrustedLaunch' security type.",
            Scope.REQUEST,
            "Trusted Launch only",
        ),
        ("BadRequest", "Use of TrustedLaunch setting is not supported for the provided image.", Scope.REQUEST, "cannot start with Trusted"),
        (
            "GalleryImageNotFound",
            "The gallery image /…/versions/1.0.0 is not available in southeastasia region. Please contact image owner to replicate to this region.",
            Scope.REGION,
            "is not in this region",
        ),
        (
            "ResourcePurchaseValidationFailed",
            "User failed validation to purchase resources. Error message: 'Offer with PublisherId: 'x', OfferId: 'y' cannot be purchased due to …'",
            Scope.ACCOUNT,
            "may not buy",
        ),
        (
            "LinkedAuthorizationFailed",
            "The client has permission to perform action 'x' on scope 'y', however the current tenant 'z' is not authorized to access linked"
            " subscription 's'.",
            Scope.ACCOUNT,
            "another directory",
        ),
    ],
)
def test_words_decide_only_where_one_code_means_several_things(code: str, said: str, scope: Scope, part: str) -> None:
    found = _of(code, said)
    assert (found.code, found.scope) == (code, scope)
    assert part in found.message.partition(f"({code}")[0]


def test_words_of_one_code_mean_nothing_to_another() -> None:
    assert _of("InvalidParameter", quota("Total Regional Cores")).scope is Scope.REQUEST


def test_a_refused_action_names_its_scope_and_the_role() -> None:
    scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"
    said = (
        f"The client 'app' with object id 'oid-1' does not have authorization to perform action 'Microsoft.Compute/virtualMachines/write' over scope"
        f" '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    )
    found = _failure(at_once(403, "AuthorizationFailed", said))
    assert f"may not do Microsoft.Compute/virtualMachines/write at {scope}" in found.message
    assert "az role assignment create --assignee-object-id oid-1 --role goldbake --scope /subscriptions/s`" in found.hint
    assert "docs/reference/azure-role.json" in found.hint


def test_a_refused_action_on_something_linked_is_the_linked_one() -> None:
    said = (
        "The client 'app' with object id 'oid-1' has permission to perform action 'Microsoft.Compute/virtualMachines/write' on scope '/a'; however, it"
        " does not have permission to perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) '/b' or the"
        " linked scope(s) are invalid."
    )
    found = _of("LinkedAuthorizationFailed", said)
    assert "may not do Microsoft.Network/virtualNetworks/subnets/join/action at /b" in found.message
    assert "--role goldbake --scope /b`" in found.hint


def test_an_unregistered_provider_is_named_with_the_exact_command() -> None:
    said = "The subscription is not registered to use namespace 'Microsoft.Compute'. See https://aka.ms/rps-not-found for how to register."
    found = _failure(at_once(409, "MissingSubscriptionRegistration", said))
    assert found.hint.startswith("`az provider register --namespace Microsoft.Compute --wait`")
    assert "never used Microsoft.Compute" in found.message


def test_a_policy_is_named_with_its_assignment_from_its_words_or_from_what_azure_adds() -> None:
    identifiers = [
        {"policyAssignment": {"name": "no-public", "id": "/a"}, "policyDefinition": {"name": "Deny public addresses", "id": "/d"}}
    ]
    said = f"Resource 'x' was disallowed by policy. Policy identifiers: '{json.dumps(identifiers)}'."
    found = _of("RequestDisallowedByPolicy", said)
    assert "The policy “Deny public addresses” (assignment “no-public”) forbids this" in found.message
    assert "Policy identifiers" not in found.message
    info = {"policyDefinitionDisplayName": "Deny them", "policyAssignmentDisplayName": "All of us"}
    added = at_once(
        403,
        "RequestDisallowedByPolicy",
        "Resource 'x' was disallowed by policy.",
        additionalInfo=[{"type": "PolicyViolation", "info": info}],
    )
    assert "The policy “Deny them” (assignment “All of us”)" in _failure(added).message
    assert "The policy of the organization" in _of("RequestDisallowedByPolicy", "Policy identifiers: '[]'").message


def test_a_policy_about_regions_leaves_other_regions_to_try() -> None:
    identifiers = [{"policyAssignment": {"name": "regions", "id": "/a"}, "policyDefinition": {"name": "Allowed locations", "id": "/d"}}]
    found = _of("RequestDisallowedByPolicy", f"Policy identifiers: '{json.dumps(identifiers)}'.")
    assert (found.scope, found.exit_code) == (Scope.REGION, Exit.CAPACITY)


@pytest.mark.parametrize(
    "wrapper", ["DeploymentFailed", "InvalidTemplateDeployment", "ResourceDeploymentFailure", "MultipleErrorsOccurred"]
)
@pytest.mark.parametrize("error", [at_once, at_the_end], ids=["at once", "at the end"])
def test_the_innermost_code_that_tells_something_is_taken(wrapper: str, error: object) -> None:
    inner = {"error": {"code": "ZonalAllocationFailed", "message": "Allocation failed."}}
    made = {
        "details": [{"code": "ZonalAllocationFailed", "message": "Allocation failed."}],
        "json in a message": [{"code": "Conflict", "message": json.dumps(inner, indent=2).replace("\n", "\r\n")}],
        "twice": [
            {
                "code": "BadRequest",
                "message": "x",
                "details": [{"code": "ResourceDeploymentFailure", "message": "y", "details": [inner["error"]]}],
            }
        ],
    }
    for details in made.values():
        found = _failure(
            at_once(409, wrapper, "At least one failed.", details=details)
            if error is at_once
            else at_the_end(wrapper, "At least one failed.", details=details)
        )
        assert (found.code, found.scope) == ("ZonalAllocationFailed", Scope.ZONE)
        assert found.message.endswith("(ZonalAllocationFailed: Allocation failed)")


def test_a_code_in_gos_form_inside_a_message_is_read() -> None:
    said = quota("LowPriorityCores", limit=3, more=6)
    found = _failure(at_the_end("VMSSProblem", f'Code="OperationNotAllowed" Message="{said}"'))
    assert (found.code, found.scope) == ("OperationNotAllowed", Scope.REGION)
    assert "the quota lowPriorityCores in eastus is 3, 0 in use, 6 more wanted" in found.message


def test_words_without_end_are_cut() -> None:
    found = _of("InvalidParameter", "The valid sizes are: " + ", ".join(f"Standard_X{number}" for number in range(900)))
    assert len(found.message) < 900
    assert found.message.endswith("…)")


def test_a_wrapper_with_nothing_inside_is_told_as_it_is() -> None:
    found = _failure(at_the_end("DeploymentFailed", "At least one resource deployment operation failed."))
    assert (found.code, found.scope, found.exit_code) == ("DeploymentFailed", Scope.REQUEST, Exit.FAILED)


def test_an_unknown_code_inside_says_more_than_its_wrapper() -> None:
    found = _failure(at_once(400, "DeploymentFailed", "x", details=[{"code": "BrandNew", "message": "Something new happened."}]))
    assert found.code == "BrandNew"
    assert "does not know this code" in found.hint


def test_a_known_code_outside_says_more_than_an_unknown_one_inside() -> None:
    found = _failure(at_once(400, "MarketplacePurchaseEligibilityFailed", "x", details=[{"code": "BadRequest", "message": "Offer …"}]))
    assert found.code == "MarketplacePurchaseEligibilityFailed"
    assert "az vm image terms accept" in found.hint


def test_a_machine_that_says_failed_has_its_code_in_its_statuses() -> None:
    statuses = [{"code": "ProvisioningState/failed/AllocationFailed", "message": "Allocation failed."}]
    body = {"name": "m", "properties": {"provisioningState": "Failed", "instanceView": {"statuses": statuses}}}
    assert _failure(with_body(200, body)).code == "AllocationFailed"


@pytest.mark.parametrize("body", [{"name": "m", "properties": {"provisioningState": "Failed"}}, {"status": "Failed"}, ""])
def test_an_operation_that_only_says_failed_lets_another_zone_be_tried(body: object) -> None:
    found = _failure(with_body(200, body))
    assert (found.code, found.scope) == ("ProvisioningFailed", Scope.ZONE)


def test_capital_letters_do_not_decide() -> None:
    found = _of("OverConstrainedAllocationRequest", "The selected location does not have it.")
    assert (found.code, found.scope) == ("OverConstrainedAllocationRequest", Scope.REGION)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_of_a_service_in_trouble_that_has_no_code_is_tried_again(status: int) -> None:
    assert _failure(with_body(status, "<html>Bad Gateway</html>")).scope is Scope.RETRY


_SIGN_IN = (
    "AADSTS7000222: The provided client secret keys for app 'a' are expired. Visit the Azure portal.\r\nTrace ID: t\r\nCorrelation ID: c"
)


@pytest.mark.parametrize(
    "error",
    [
        ClientAuthenticationError(message=f"Authentication failed: {_SIGN_IN}"),
        ClientAuthenticationError(
            message="DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n\tEnvironmentCredential: "
            f"Authentication failed: {_SIGN_IN}\n\tManagedIdentityCredential: none"
        ),
        with_body(401, {"error": "invalid_client", "error_description": _SIGN_IN, "error_codes": [7000222]}),
    ],
    ids=["secret", "chain", "answer"],
)
def test_an_expired_secret_is_told_with_the_command_for_a_new_one(error: AzureError) -> None:
    found = _failure(error)
    assert (found.code, found.scope, found.exit_code) == ("AADSTS7000222", Scope.ACCOUNT, Exit.MISSING)
    assert "has expired" in found.message
    assert "Trace ID" not in found.message
    assert "az ad app credential reset" in found.hint


def test_a_lock_is_found_by_the_command_of_the_hint() -> None:
    group = "/subscriptions/22222222-0000-0000-0000-000000000000/resourceGroups/goldbake-l1"
    words = f"The scope '{group}' cannot perform delete operation because following scope(s) are locked: '{group}'. Please remove the lock and try again."
    found = _failure(with_body(409, {"error": {"code": "ScopeLocked", "message": words}}))
    assert found.hint.startswith("`az lock list --resource-group goldbake-l1` shows it")


def test_an_unknown_code_of_the_directory_is_about_credentials_all_the_same() -> None:
    found = _failure(ClientAuthenticationError(message="Authentication failed: AADSTS999999: Something new."))
    assert (found.code, found.scope, found.exit_code) == ("AADSTS999999", Scope.ACCOUNT, Exit.MISSING)
    assert "az login" in found.hint


def test_a_chain_in_which_nobody_has_credentials_says_that_there_are_none() -> None:
    tried = "Attempted credentials:\n\tEnvironmentCredential: EnvironmentCredential authentication unavailable.\n\tAzureCliCredential: Azure CLI not found"
    found = _failure(
        ClientAuthenticationError(message=f"DefaultAzureCredential failed to retrieve a token from the included credentials.\n{tried}")
    )
    assert (found.code, found.scope, found.exit_code) == ("ClientAuthenticationError", Scope.ACCOUNT, Exit.MISSING)
    assert "There are no credentials of Azure here" in found.message
    assert found.hint.startswith("run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET")


def test_a_directory_that_is_not_there_is_no_wrong_secret() -> None:
    said = "Authentication failed: Unable to get authority configuration for https://login.microsoftonline.com/x. Authority would typically be …"
    found = _failure(ClientAuthenticationError(message=said))
    assert "There is no such directory (tenant), or its sign-in does not answer" in found.message
    assert found.hint.startswith("correct AZURE_TENANT_ID")


def test_a_refusal_that_points_to_the_errors_inside_shows_them() -> None:
    offer = "Offer with PublisherId: 'canonical', OfferId: 'pro' cannot be purchased due to validation errors."
    outer = "Marketplace purchase eligibilty check returned errors. See inner errors for details. "
    answer = {"code": "MarketplacePurchaseEligibilityFailed", "message": outer, "details": [{"code": "BadRequest", "message": offer}]}
    found = _failure(with_body(400, {"error": answer}))
    assert found.code == "MarketplacePurchaseEligibilityFailed"
    assert "PublisherId: 'canonical', OfferId: 'pro'" in found.message


@pytest.mark.parametrize(
    ("error", "code", "scope", "exit_code", "hint"),
    [
        (
            CredentialUnavailableError(message="DefaultAzureCredential failed\nmore"),
            "CredentialUnavailableError",
            Scope.ACCOUNT,
            Exit.MISSING,
            "az login",
        ),
        (ClientAuthenticationError(message="no"), "ClientAuthenticationError", Scope.ACCOUNT, Exit.MISSING, "AZURE_TENANT_ID"),
        (ServiceRequestError("Failed to resolve 'management.azure.com'"), "ServiceRequestError", Scope.RETRY, Exit.FAILED, "HTTPS_PROXY"),
        (ServiceRequestError("Unable to connect to proxy: 403"), "ServiceRequestError", Scope.RETRY, Exit.FAILED, "NO_PROXY"),
        (
            ServiceRequestError("SSLError: CERTIFICATE_VERIFY_FAILED"),
            "ServiceRequestError",
            Scope.REQUEST,
            Exit.FAILED,
            "REQUESTS_CA_BUNDLE",
        ),
        (ServiceResponseError("Connection aborted."), "ServiceResponseError", Scope.RETRY, Exit.FAILED, "again"),
        (with_body(404, "<html>not here</html>"), "HttpResponseError", Scope.REQUEST, Exit.FAILED, "HTTPS_PROXY"),
    ],
)
def test_errors_of_the_sdk_itself(error: AzureError, code: str, scope: Scope, exit_code: Exit, hint: str) -> None:
    found = _failure(error)
    assert (found.code, found.scope, found.exit_code) == (code, scope, exit_code)
    assert found.message.startswith(f"could not {DOING} in {PLACE}: ")
    assert hint in found.hint
    assert "\n" not in found.message


def test_an_error_of_the_sdk_that_has_no_row_is_read_as_its_nearest_kin() -> None:
    class Newer(ServiceRequestError):
        pass

    assert _failure(Newer("x")).scope is Scope.RETRY
    assert _failure(AzureError("x")).scope is Scope.REQUEST


def test_a_network_that_is_down_while_signing_in_is_no_wrong_credential() -> None:
    down = ServiceRequestError("Failed to resolve 'login.microsoftonline.com'")
    error = ClientAuthenticationError(message="Authentication failed: no network", error=down)
    assert (_failure(error).code, _failure(error).scope) == ("ServiceRequestError", Scope.RETRY)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 3000,
        "{" * 3000,
        json.dumps({"error": {"code": 3, "message": {"x": 1}}}),
        json.dumps({"error": {"code": "X", "message": None, "details": "no list", "innererror": 7, "additionalInfo": {}}}),
        json.dumps({"error": {"code": "", "message": ""}}),
        json.dumps({"properties": {"instanceView": {"statuses": [1, {"code": None}]}}}),
        json.dumps([1, 2]),
        "null",
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_any_answer_becomes_a_failure(body: str, status: int) -> None:
    found = _failure(with_body(status, body))
    assert found.message
    assert found.hint


def test_a_document_made_to_hurt_ends() -> None:
    deep: dict[str, object] = {"code": "Conflict", "message": "x"}
    for _ in range(200):
        deep = {"code": "Conflict", "message": "x", "details": [deep]}
    assert _failure(with_body(409, {"error": deep})).code == "Conflict"


def test_the_code_alone_can_be_asked_for() -> None:
    assert code_of(at_the_end("DeploymentFailed", "x", details=[{"code": "AllocationFailed", "message": "y"}])) == "AllocationFailed"
    assert code_of(ServiceRequestError("x")) == "ServiceRequestError"
    assert isinstance(with_body(400, ""), HttpResponseError)
