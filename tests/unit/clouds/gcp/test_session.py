"""Credentials, project, endpoints, and which calls are made again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import google.oauth2.credentials
import pytest
from google.api_core import exceptions
from google.cloud import billing_v1, compute_v1, resourcemanager_v3, service_usage_v1
from requests.exceptions import ConnectionError as Unreached

from goldbake.clouds.gcp import session
from goldbake.clouds.gcp.errors import RAISED
from goldbake.clouds.gcp.session import KEY_FILE, NO_CREDENTIALS, NO_PROJECT, PROJECTS, TOKEN, Gcp, endpoint, is_configured, service_of
from goldbake.errors import MissingError, UsageError
from tests.fakes.gcp import PROJECT, REGION, FakeGcp
from tests.servers import closed_port

COMPUTE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"
_GET = "compute.regions.get"


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has never heard of Google Cloud; the folder of gcloud's settings."""
    for name in (TOKEN, KEY_FILE, *PROJECTS, "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _region(gcp: Gcp) -> compute_v1.Region:
    return gcp.client(compute_v1.RegionsClient).get(project=gcp.project, region=REGION)


def test_no_credentials_are_missing_with_the_ways_to_some(nothing: Path) -> None:
    assert not is_configured()
    with pytest.raises(MissingError, match="no credentials of Google Cloud") as error:
        Gcp("p-12345")
    assert error.value.hint == NO_CREDENTIALS


def test_no_project_is_missing(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "ya29.x")
    assert not is_configured()
    with pytest.raises(MissingError, match="no project") as error:
        Gcp()
    assert error.value.hint == NO_PROJECT


def test_which_project_is_the_strongest(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "ya29.x")
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "of-gcloud")
    assert Gcp().project == "of-gcloud"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-sdk")
    assert Gcp().project == "of-the-sdk"
    assert Gcp("of-images-yaml").project == "of-images-yaml"
    assert is_configured()


def test_a_key_file_names_its_project(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROJECTS:
        monkeypatch.delenv(name, raising=False)
    assert Gcp().project == PROJECT
    assert is_configured()


def test_a_damaged_key_file_is_told_without_what_is_in_it(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = nothing / "key.json"
    key.write_text('{"type": "service_account", "private_key": "s3cret-of-mine"')
    monkeypatch.setenv(KEY_FILE, str(key))
    with pytest.raises(MissingError) as error:
        Gcp("p-12345")
    assert "s3cret-of-mine" not in str(error.value)
    assert error.value.hint == NO_CREDENTIALS


def test_a_persons_sign_in_is_found_and_counts_for_the_project_where_one_has_to(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
    (nothing / "application_default_credentials.json").write_text(json.dumps(found))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "builds-12345")
    assert is_configured()
    gcp = Gcp()
    assert isinstance(gcp.credentials, google.oauth2.credentials.Credentials)
    usage: object = gcp.client(service_usage_v1.ServiceUsageClient).transport._credentials
    compute: object = gcp.client(compute_v1.RegionsClient).transport._credentials
    assert isinstance(usage, google.oauth2.credentials.Credentials)
    assert isinstance(compute, google.oauth2.credentials.Credentials)
    assert (usage.quota_project_id, compute.quota_project_id) == ("builds-12345", None)


def test_a_machine_of_google_is_known_without_asking_anybody(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert session._has_credentials() is False
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    assert session._has_credentials() is True


def test_every_service_has_gclouds_variable() -> None:
    kinds = (compute_v1.ImagesClient, resourcemanager_v3.ProjectsClient, service_usage_v1.ServiceUsageClient, billing_v1.CloudBillingClient)
    assert [service_of(kind) for kind in kinds] == ["COMPUTE", "CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "CLOUDBILLING"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ""),
        ("http://127.0.0.1:8080/compute/v1/", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/compute/v1", "http://127.0.0.1:8080"),
        ("https://compute-builds.p.googleapis.com/compute/v1/", "https://compute-builds.p.googleapis.com"),
        ("https://proxy.example/google/compute/v1/", "https://proxy.example/google"),
    ],
)
def test_an_endpoint_is_what_gcloud_takes(monkeypatch: pytest.MonkeyPatch, given: str, found: str) -> None:
    monkeypatch.setenv(COMPUTE, given)
    assert endpoint("COMPUTE") == found


@pytest.mark.parametrize("given", ["http://127.0.0.1:8080/", "https://compute.googleapis.com/compute/beta/", "127.0.0.1:1/compute/v1/"])
def test_an_endpoint_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(COMPUTE, given)
    with pytest.raises(UsageError, match=COMPUTE):
        endpoint("COMPUTE")


def test_a_client_is_made_once(gcp: Gcp) -> None:
    assert gcp.client(compute_v1.RegionsClient) is gcp.client(compute_v1.RegionsClient)


@pytest.mark.parametrize("code", ["rateLimitExceeded", "backendError", "internalError"])
def test_a_reading_call_is_made_again(fake_gcp: FakeGcp, gcp: Gcp, code: str) -> None:
    fake_gcp.refuse(code, _GET, times=1)
    assert _region(gcp).name == REGION
    assert fake_gcp.actions(reading=True) == [_GET, _GET]


@pytest.mark.parametrize("code", ["forbidden", "notFound", "accessNotConfigured"])
def test_what_does_not_pass_is_not_asked_again(fake_gcp: FakeGcp, gcp: Gcp, code: str) -> None:
    fake_gcp.refuse(code, _GET, times=None)
    with pytest.raises(exceptions.ClientError):
        _region(gcp)
    assert fake_gcp.actions(reading=True) == [_GET]


@pytest.mark.parametrize("code", ["ZONE_RESOURCE_POOL_EXHAUSTED", "backendError", "rateLimitExceeded"])
def test_a_call_that_changes_something_is_made_once(fake_gcp: FakeGcp, gcp: Gcp, code: str) -> None:
    fake_gcp.refuse(code, "compute.firewalls.delete", times=None)
    with pytest.raises(RAISED):
        gcp.client(compute_v1.FirewallsClient).delete_unary(project=gcp.project, firewall="goldbake-one-ssh")
    assert fake_gcp.actions() == ["compute.firewalls.delete"]


def test_pages_are_read_on_and_made_again(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.page = 1
    names = [region.name for region in gcp.client(compute_v1.RegionsClient).list(project=gcp.project)]
    assert len(names) > 1
    assert len(fake_gcp.actions(reading=True)) >= len(names)


def test_who_is_not_there_is_noticed_at_once_where_nobody_waits(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPUTE, f"{closed_port()}/compute/v1/")
    gcp = Gcp()
    start = time.monotonic()
    with pytest.raises(Unreached):
        gcp.client(compute_v1.RegionsClient).get(project=gcp.project, region=REGION, retry=None)
    assert time.monotonic() - start < 20  # it would be tried for 30
