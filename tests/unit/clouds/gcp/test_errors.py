"""What codes of Google Cloud and errors of the SDK mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import requests.exceptions
from google.api_core import exceptions
from google.auth import exceptions as auth

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import ERRORS, QUOTA_CODES, AnyError, code_of, failure, refused, row_of
from goldbake.clouds.gcp.refusals import NEUTRAL, PREFIXES
from goldbake.errors import Exit


def _of(code: str, said: str = "", **more: Any) -> Failure:
    return refused(code, said, doing="start a g2-standard-4", place="us-central1-a", **more)


def _answer(status: int, message: str, reason: str = "", *, info: str = "", metadata: dict[str, str] | None = None) -> AnyError:
    """An error as the SDK makes it of an answer."""
    found = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": info, "domain": "googleapis.com", "metadata": metadata or {}}
    return exceptions.from_http_status(
        status,
        f"POST https://compute.googleapis.com/compute/v1/projects/p/zones/z/instances: {message}",
        errors=[{"message": message, "domain": "global", "reason": reason}] if reason else (),
        details=[found] if info else (),
        error_info=found if info else None,
    )


def _failed(error: AnyError) -> Failure:
    return failure(error, doing="start a g2-standard-4", place="us-central1-a")


@pytest.mark.parametrize(
    ("code", "scope", "exit_code"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", Scope.ZONE, Exit.CAPACITY),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Scope.ZONE, Exit.CAPACITY),
        ("RESOURCE_POOL_EXHAUSTED", Scope.ZONE, Exit.CAPACITY),
        ("REGION_RESOURCE_POOL_EXHAUSTED", Scope.REGION, Exit.CAPACITY),
        ("insufficientCapacity", Scope.ZONE, Exit.CAPACITY),
        ("VM_MIN_COUNT_NOT_REACHED", Scope.ZONE, Exit.CAPACITY),
        ("UNSUPPORTED_OPERATION", Scope.ZONE, Exit.CAPACITY),
        ("IP_SPACE_EXHAUSTED", Scope.REGION, Exit.CAPACITY),
        ("IP_SPACE_EXHAUSTED_WITH_DETAILS", Scope.REQUEST, Exit.FAILED),
        ("OPERATION_UNFINISHED", Scope.ZONE, Exit.FAILED),
        ("QUOTA_EXCEEDED", Scope.REGION, Exit.CAPACITY),
        ("quotaExceeded", Scope.REGION, Exit.CAPACITY),
        ("RESOURCE_QUOTA_EXCEEDED", Scope.ACCOUNT, Exit.CAPACITY),
        ("LIMIT_EXCEEDED", Scope.REGION, Exit.CAPACITY),
        ("forbidden", Scope.ACCOUNT, Exit.MISSING),
        ("PERMISSIONS_ERROR", Scope.ACCOUNT, Exit.MISSING),
        ("IAM_PERMISSION_DENIED", Scope.ACCOUNT, Exit.MISSING),
        ("SERVICE_ACCOUNT_ACCESS_DENIED", Scope.ACCOUNT, Exit.MISSING),
        ("SERVICE_DISABLED", Scope.ACCOUNT, Exit.MISSING),
        ("accessNotConfigured", Scope.ACCOUNT, Exit.MISSING),
        ("BILLING_DISABLED", Scope.ACCOUNT, Exit.MISSING),
        ("UREQ_PROJECT_BILLING_NOT_FOUND", Scope.ACCOUNT, Exit.MISSING),
        ("CONSUMER_INVALID", Scope.ACCOUNT, Exit.MISSING),
        ("authError", Scope.ACCOUNT, Exit.MISSING),
        ("rateLimitExceeded", Scope.RETRY, Exit.FAILED),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", Scope.RETRY, Exit.FAILED),
        ("backendError", Scope.RETRY, Exit.FAILED),
        ("INTERNAL_ERROR", Scope.RETRY, Exit.FAILED),
        ("resourceNotReady", Scope.RETRY, Exit.FAILED),
        ("RESOURCE_NOT_READY", Scope.RETRY, Exit.FAILED),
        ("invalid", Scope.REQUEST, Exit.USAGE),
        ("INVALID_FIELD_VALUE", Scope.REQUEST, Exit.USAGE),
        ("notFound", Scope.REQUEST, Exit.USAGE),
        ("RESOURCE_NOT_FOUND", Scope.REQUEST, Exit.USAGE),
        ("alreadyExists", Scope.REQUEST, Exit.FAILED),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Scope.REQUEST, Exit.FAILED),
        ("compute.instances.preempted", Scope.ZONE, Exit.CAPACITY),
        ("compute.instances.hostError", Scope.ZONE, Exit.CAPACITY),
        ("compute.instances.guestTerminate", Scope.REQUEST, Exit.FAILED),
    ],
)
def test_how_far_a_code_reaches(code: str, scope: Scope, exit_code: Exit) -> None:
    found = _of(code, "Google's own words.")
    assert (found.code, found.scope, found.exit_code) == (code, scope, exit_code)
    assert found.message.startswith("Google would not start a g2-standard-4 in us-central1-a: ")
    assert "Google's own words" in found.message
    assert "{" not in found.message + found.hint


def test_only_codes_that_say_so_are_compared_by_their_beginning() -> None:
    assert set(PREFIXES) <= set(ERRORS)
    assert {code for code in ERRORS if any(code != begin and code.startswith(begin) for begin in PREFIXES)} == set()
    assert row_of("notFoundAtAll", "") is None
    assert set(ERRORS) >= NEUTRAL


@pytest.mark.parametrize("code", sorted(QUOTA_CODES))
def test_no_gpus_in_a_new_project_explains_the_two_levels_and_the_page(code: str) -> None:
    found = _of(code, "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.")
    assert (found.scope, found.exit_code) == (Scope.ACCOUNT, Exit.CAPACITY)
    assert "may have 0 GPUs in all regions together" in found.message
    assert "counts GPUs twice" in found.message
    assert "0 in a new project" in found.message
    assert "https://console.cloud.google.com/iam-admin/quotas" in found.hint
    assert "free trial" in found.hint


@pytest.mark.parametrize(
    ("said", "scope", "metric", "part"),
    [
        (
            "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region us-central1.",
            Scope.REGION,
            "NVIDIA_L4_GPUS",
            "its limit is 1 in us-central1",
        ),
        (
            "Quota 'PREEMPTIBLE_NVIDIA_T4_GPUS' exceeded.  Limit: 0.0 in region us-central1.",
            Scope.REGION,
            "PREEMPTIBLE_NVIDIA_T4_GPUS",
            "Spot GPUs",
        ),
        ("Quota 'CPUS_ALL_REGIONS' exceeded.  Limit: 12.0 globally.", Scope.ACCOUNT, "CPUS_ALL_REGIONS", "12 in all regions together"),
        ("Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 8.0 in region us-central1.", Scope.REGION, "", "external addresses"),
    ],
)
def test_a_quota_is_named_with_its_limit_and_place(said: str, scope: Scope, metric: str, part: str) -> None:
    for code in QUOTA_CODES:
        found = _of(code, said)
        own = found.message.partition(f"({code}")[0]
        assert (found.scope, found.exit_code) == (scope, Exit.CAPACITY)
        assert metric in own
        assert part in own


def test_an_operations_own_details_of_a_quota_count_where_the_words_have_none() -> None:
    details = {"metric": "compute.googleapis.com/nvidia_l4_gpus", "limit": "2", "location": "europe-west4"}
    found = _of("QUOTA_EXCEEDED", "Too much.", details=details)
    assert "The quota NVIDIA_L4_GPUS is used up; its limit is 2 in europe-west4" in found.message


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/i'", "compute.instances.create is missing"),
        (
            "Permission 'resourcemanager.projects.get' denied on resource '//x' (or it may not exist).",
            "resourcemanager.projects.get is missing",
        ),
        ("Nothing is named here.", "a permission that Google does not name is missing"),
    ],
)
def test_the_missing_permission_is_named(said: str, part: str) -> None:
    found = _failed(_answer(403, said, "forbidden"))
    assert found.code == "forbidden"
    assert part in found.message
    assert "docs/reference/gcp-role.yaml" in found.hint


@pytest.mark.parametrize("api", ["compute", "cloudresourcemanager", "iam", "serviceusage", "cloudbilling"])
def test_an_api_that_is_off_is_named_with_the_exact_command(api: str) -> None:
    said = (
        f"Some API has not been used in project 123456789 before or it is disabled. Enable it by visiting"
        f" https://console.developers.google.com/apis/api/{api}.googleapis.com/overview?project=123456789 then retry."
    )
    metadata = {"service": f"{api}.googleapis.com", "consumer": "projects/my-builds"}
    with_details = _failed(_answer(403, said, "accessNotConfigured", info="SERVICE_DISABLED", metadata=metadata))
    assert with_details.code == "SERVICE_DISABLED"
    assert f"`gcloud services enable {api}.googleapis.com --project my-builds`" in with_details.hint
    by_words = _failed(_answer(403, said, "accessNotConfigured"))
    assert by_words.code == "accessNotConfigured"
    assert f"`gcloud services enable {api}.googleapis.com --project 123456789`" in by_words.hint
    assert (by_words.scope, by_words.exit_code) == (Scope.ACCOUNT, Exit.MISSING)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("forbidden", "Project my-builds (#808448574146) has billing disabled. Please enable it."),
        ("forbidden", "This API method requires billing to be enabled. Please enable billing on project #808448574146 by visiting …"),
        ("forbidden", "Write access to project 'my-builds' was denied: please check billing account associated and retry."),
    ],
)
def test_a_project_that_nobody_pays_for_is_told_so(reason: str, said: str) -> None:
    found = _failed(_answer(403, said, reason))
    assert "No billing account pays for the project" in found.message
    assert "gcloud billing projects link" in found.hint
    assert found.exit_code is Exit.MISSING


@pytest.mark.parametrize("code", ["conditionNotMet", "CONDITION_NOT_MET"])
@pytest.mark.parametrize(
    ("said", "scope", "constraint", "step"),
    [
        (
            "Constraint constraints/compute.vmExternalIpAccess violated for project 123456789. Add instance projects/p/zones/z/instances/i to"
            " the constraint to use external IP with it.",
            Scope.ACCOUNT,
            "compute.vmExternalIpAccess",
            "--public-ip",
        ),
        (
            "Constraint constraints/compute.trustedImageProjects violated for project p-1234. Use of images from project debian-cloud is prohibited.",
            Scope.ACCOUNT,
            "compute.trustedImageProjects",
            "debian-cloud",
        ),
        ("Constraint constraints/compute.requireOsLogin violated for project p-1234.", Scope.ACCOUNT, "compute.requireOsLogin", "project"),
        (
            "Constraint constraints/compute.requireShieldedVm violated for project projects/p-1234. Secure Boot is not enabled in the"
            " 'shielded_instance_config' field.",
            Scope.ACCOUNT,
            "compute.requireShieldedVm",
            "Secure Boot",
        ),
        (
            "Location us violates constraint constraints/gcp.resourceLocations on the resource projects/p-1234/global/images/i.",
            Scope.REGION,
            "gcp.resourceLocations",
            "storage_location",
        ),
        (
            "Constraint constraints/iam.disableServiceAccountCreation violated.",
            Scope.ACCOUNT,
            "iam.disableServiceAccountCreation",
            "account",
        ),
        (
            "Constraint constraints/compute.something violated for project p-1234.",
            Scope.ACCOUNT,
            "compute.something",
            "org-policy-constraints",
        ),
    ],
)
def test_an_organization_policy_is_named_with_what_to_do(code: str, said: str, scope: Scope, constraint: str, step: str) -> None:
    found = _of(code, said)
    assert found.scope is scope
    assert f"organization policy ({constraint})" in found.message
    assert step in found.hint


def test_the_same_code_is_no_policy_when_a_fingerprint_is_old() -> None:
    found = _failed(_answer(412, "Supplied fingerprint does not match current metadata fingerprint.", "conditionNotMet"))
    assert found.scope is Scope.RETRY


@pytest.mark.parametrize(
    ("status", "reason", "said", "scope", "part"),
    [
        (404, "notFound", "The resource 'projects/p/zones/z/acceleratorTypes/nvidia-tesla-t4' was not found", Scope.ZONE, "this GPU"),
        (404, "notFound", "The resource 'projects/p/zones/z/machineTypes/g2-standard-4' was not found", Scope.ZONE, "machine type"),
        (
            400,
            "invalid",
            "Invalid value for field 'resource.machineType': 'zones/z/x'. Machine type with name 'g2-standard-4' does not exist in zone 'z'.",
            Scope.ZONE,
            "machine type",
        ),
        (404, "notFound", "The resource 'projects/p/global/images/gone' was not found", Scope.REQUEST, "not there"),
        (404, "notFound", "The resource 'projects/p/regions/r/subnetworks/default' was not found", Scope.REGION, "no subnet"),
        (400, "badRequest", "Instances with guest accelerators do not support live migration.", Scope.REQUEST, "cannot move"),
        (
            400,
            "badRequest",
            "[nvidia-tesla-a100, n1-highmem-8] features are not compatible for creating instance.",
            Scope.REQUEST,
            "cannot have",
        ),
        (403, "forbidden", "Request had insufficient authentication scopes.", Scope.ACCOUNT, "scopes"),
        (
            400,
            "badRequest",
            "The user does not have access to service account 'a@p.iam.gserviceaccount.com'. Ask a project owner to grant you the role.",
            Scope.ACCOUNT,
            "may not give an instance this service account",
        ),
        (400, "invalid", "Number of accelerator cards attached to instance must be one of 1, 2, 4.", Scope.REQUEST, "so many GPUs"),
    ],
)
def test_words_decide_only_where_one_code_means_several_things(status: int, reason: str, said: str, scope: Scope, part: str) -> None:
    found = _failed(_answer(status, said, reason))
    assert found.scope is scope
    assert part in found.message.partition(f"({reason}")[0]


def test_the_project_that_was_asked_counts_where_google_names_none() -> None:
    assert "quotas?project=p " in _failed(_answer(403, "Quota 'CPUS' exceeded.  Limit: 8.0 in region r-one1.", "quotaExceeded")).hint
    said = "Compute Engine API has not been used in project 123456789 before or it is disabled."
    assert "--project 123456789" in _failed(_answer(403, said, "accessNotConfigured")).hint


def test_a_shortage_that_is_told_by_http_is_no_fault_of_the_service() -> None:
    said = "The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request."
    found = _failed(_answer(503, said, "ZONE_RESOURCE_POOL_EXHAUSTED"))
    assert (found.scope, found.code) == (Scope.ZONE, "ZONE_RESOURCE_POOL_EXHAUSTED")


def test_the_request_is_no_part_of_the_message() -> None:
    assert "https://compute.googleapis.com" not in _failed(_answer(403, "No.", "forbidden")).message


@pytest.mark.parametrize(
    ("status", "scope", "code"),
    [
        (500, Scope.RETRY, "somethingNew"),
        (503, Scope.RETRY, "somethingNew"),
        (429, Scope.RETRY, "rateLimitExceeded"),
        (401, Scope.ACCOUNT, "authError"),
        (403, Scope.ACCOUNT, "forbidden"),
        (400, Scope.REQUEST, "somethingNew"),
    ],
)
def test_an_unknown_reason_counts_by_its_status(status: int, scope: Scope, code: str) -> None:
    found = _failed(_answer(status, "Never seen.", "somethingNew"))
    assert (found.scope, found.code) == (scope, code)


@pytest.mark.parametrize(
    ("error", "code", "scope", "step"),
    [
        (
            auth.DefaultCredentialsError("Your default credentials were not found."),
            "DefaultCredentialsError",
            Scope.ACCOUNT,
            "application-default login",
        ),
        (auth.MalformedError("no JSON"), "MalformedError", Scope.ACCOUNT, "application-default login"),
        (
            auth.RefreshError("('invalid_grant: Token has been expired or revoked.', {})"),
            "RefreshError",
            Scope.ACCOUNT,
            "application-default login",
        ),
        (auth.RefreshError("invalid_grant: reauth related error (invalid_rapt)"), "RefreshError", Scope.ACCOUNT, "service account"),
        (
            auth.RefreshError("The credentials do not contain the necessary fields need to refresh"),
            "RefreshError",
            Scope.ACCOUNT,
            "print-access-token",
        ),
        (auth.RefreshError("invalid_grant: Invalid JWT: Token must be a short-lived token"), "RefreshError", Scope.ACCOUNT, "timedatectl"),
        (auth.ReauthFailError("no"), "ReauthFailError", Scope.ACCOUNT, "application-default login"),
        (auth.TransportError("no way"), "TransportError", Scope.RETRY, "HTTPS_PROXY"),
        (auth.OAuthError("no"), "OAuthError", Scope.ACCOUNT, "application-default login"),
        (requests.exceptions.ConnectionError("refused"), "ConnectionError", Scope.RETRY, "network"),
        (requests.exceptions.ConnectTimeout("slow"), "ConnectTimeout", Scope.RETRY, "network"),
        (requests.exceptions.ReadTimeout("slow"), "ReadTimeout", Scope.RETRY, "network"),
        (requests.exceptions.SSLError("self-signed"), "SSLError", Scope.ACCOUNT, "REQUESTS_CA_BUNDLE"),
        (requests.exceptions.ProxyError("407"), "ProxyError", Scope.ACCOUNT, "HTTPS_PROXY"),
        (requests.exceptions.ChunkedEncodingError("cut"), "ChunkedEncodingError", Scope.RETRY, "network"),
    ],
)
def test_the_sdks_own_errors(error: AnyError, code: str, scope: Scope, step: str) -> None:
    found = _failed(error)
    assert (found.code, found.scope) == (code, scope)
    assert found.message.startswith("could not start a g2-standard-4 in us-central1-a: ")
    assert step in found.hint


def test_what_was_tried_again_in_vain_is_what_counts() -> None:
    tired = exceptions.RetryError("Timeout of 60.0s exceeded", _answer(429, "Slow down.", "rateLimitExceeded"))
    assert code_of(tired) == "rateLimitExceeded"
    assert "Slow down" in _failed(tired).message


def _codes_of(errors: Sequence[AnyError]) -> list[str]:
    return [code_of(error) for error in errors]


def test_the_most_telling_word_is_the_code() -> None:
    both = _answer(403, "x", "forbidden", info="IAM_PERMISSION_DENIED")
    odd = _answer(403, "x", "quotaExceeded", info="something_else")
    assert _codes_of([both, odd, _answer(404, "x"), _answer(418, "x")]) == [
        "IAM_PERMISSION_DENIED",
        "quotaExceeded",
        "notFound",
        "GoogleAPICallError",
    ]
