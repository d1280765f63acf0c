"""Codes out of what Packer prints."""

from __future__ import annotations

import pytest

from goldbake.clouds.gcp.errors import ERRORS, row_of
from goldbake.clouds.gcp.spoken import WORDS, recognised

ZONE = "projects/p/zones/us-central1-a"


@pytest.mark.parametrize(
    ("printed", "code", "said"),
    [
        (
            f"==> goldbake.googlecompute.image: The zone '{ZONE}' does not have enough resources available to fulfill the request.",
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "does not have enough resources",
        ),
        (
            "A n1-standard-4 VM instance with 1 nvidia-tesla-t4 accelerator(s) is currently unavailable in the us-central1-b zone.",
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "us-central1-b",
        ),
        ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "QUOTA_EXCEEDED", "Limit: 0.0"),
        (
            "Error creating instance: googleapi: Error 403: Quota 'CPUS' exceeded.  Limit: 8.0 in region us-east1., quotaExceeded",
            "quotaExceeded",
            "Quota 'CPUS' exceeded.  Limit: 8.0 in region us-east1.",
        ),
        (
            f"googleapi: Error 403: Required 'compute.instances.create' permission for '{ZONE}/instances/i', forbidden",
            "forbidden",
            "compute.instances.create",
        ),
        (
            "googleapi: Error 412: Constraint constraints/compute.vmExternalIpAccess violated for project 1., conditionNotMet",
            "conditionNotMet",
            "vmExternalIpAccess",
        ),
        ("Required 'compute.subnetworks.use' permission for 'projects/p/regions/r/subnetworks/s'", "PERMISSIONS_ERROR", "subnetworks"),
        (
            "Compute Engine API has not been used in project 123456789 before or it is disabled.",
            "SERVICE_DISABLED",
            "123456789",
        ),
        ('oauth2: cannot fetch token: 400 Response: {"error": "invalid_grant"}', "RefreshError", "invalid_grant"),
        ("google: could not find default credentials. See https://cloud.google.com/docs", "DefaultCredentialsError", "could not find"),
        ("googleapi: got HTTP response code 502 with body: Bad Gateway", "502", "Bad Gateway"),
        (
            "googleapi: Error 400: Instances with guest accelerators do not support live migration., badRequest",
            "badRequest",
            "live migration",
        ),
    ],
)
def test_a_code_is_read_from_what_packer_prints(printed: str, code: str, said: str) -> None:
    found = recognised(f"==> something that is well\n{printed}\n==> Wait completed")
    assert found is not None
    assert found[0] == code
    assert said in found[1]
    assert not found[1].startswith("==>")


def test_what_is_no_error_of_google_is_none() -> None:
    assert recognised("==> Waiting for SSH to become available\nTimeout waiting for SSH.") is None


def test_every_code_that_words_lead_to_has_a_row() -> None:
    for words, code in WORDS:
        assert row_of(code, words) is not None
    assert {code for _, code in WORDS} <= set(ERRORS)
