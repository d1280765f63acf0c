"""The fake of Google Cloud does what it is told and what Compute Engine does; what is built on it can only be as true as it is.

That it keeps to Google's description, every request and answer of it, is in `tests/unit/fakes/test_gcp_contract.py`.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

import google.auth
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.cloud import billing_v1, compute_v1, resourcemanager_v3, service_usage_v1
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials

from goldbake.paths import PROJECT
from tests.fakes.gcp import NEWEST_DEBIAN, NEWEST_NOBLE, NUMBER, REGIONS, START, TOKEN, ZONE, Event, FakeGcp
from tests.integration import gcpaccount

pytestmark = gcpaccount.only_fake

T = TypeVar("T")
REGION = "us-central1"
TYPE = "g2-standard-4"
LABELS = {"managed-by": "goldbake"}
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture(scope="module")
def account() -> Iterator[FakeGcp]:
    with FakeGcp() as fake, gcpaccount.environment(fake):
        yield fake


@pytest.fixture
def fake(account: FakeGcp) -> Iterator[FakeGcp]:
    account.reset()
    yield account
    assert account.crashes == []


@lru_cache
def _client(kind: type[T], url: str) -> T:
    credentials = Credentials(TOKEN)  # type: ignore[no-untyped-call]
    return kind(credentials=credentials, transport="rest", client_options=ClientOptions(api_endpoint=url))  # type: ignore[call-arg]


def _instances(fake: FakeGcp) -> compute_v1.InstancesClient:
    return _client(compute_v1.InstancesClient, fake.url)


def _disk(**more: Any) -> compute_v1.AttachedDisk:
    given = compute_v1.AttachedDiskInitializeParams(
        **{"source_image": NEWEST_NOBLE.id, "disk_size_gb": 20, "labels": LABELS, "disk_type": "pd-balanced", **more}
    )
    return compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=given)


def _scheduling(**more: Any) -> compute_v1.Scheduling:
    return compute_v1.Scheduling(**{"on_host_maintenance": "TERMINATE", **more})


def _instance(name: str = "one", type: str = TYPE, zone: str = ZONE, **more: Any) -> compute_v1.Instance:
    given = {
        "disks": [_disk()],
        "network_interfaces": [compute_v1.NetworkInterface(network="global/networks/default")],
        "scheduling": _scheduling(),
        "labels": LABELS,
        **more,
    }
    return compute_v1.Instance(name=name, machine_type=f"zones/{zone}/machineTypes/{type}", **given)


def _insert(fake: FakeGcp, name: str = "one", type: str = TYPE, zone: str = ZONE, **more: Any) -> compute_v1.Operation:
    """The finished operation."""
    asked = {"request_id": more.pop("request_id")} if "request_id" in more else {}
    resource = _instance(name, type, zone, **more)
    begun = _instances(fake).insert_unary({"project": fake.project, "zone": zone, "instance_resource": resource, **asked})
    return _client(compute_v1.ZoneOperationsClient, fake.url).wait(project=fake.project, zone=zone, operation=begun.name)


def _bulk(fake: FakeGcp, count: int, *, place: str = REGION, more: dict[str, Any] | None = None, **properties: Any) -> compute_v1.Operation:
    """The finished operation of a bulkInsert in a region, or in a zone."""
    given = {
        "machine_type": TYPE,
        "disks": [_disk()],
        "network_interfaces": [compute_v1.NetworkInterface(network="global/networks/default")],
        "scheduling": _scheduling(),
        **properties,
    }
    resource = compute_v1.BulkInsertInstanceResource(
        count=count, name_pattern="n-####", instance_properties=compute_v1.InstanceProperties(**given), **(more or {})
    )
    if place in REGIONS:
        regional = _client(compute_v1.RegionInstancesClient, fake.url)
        begun = regional.bulk_insert_unary(project=fake.project, region=place, bulk_insert_instance_resource_resource=resource)
        waiting = _client(compute_v1.RegionOperationsClient, fake.url)
        return waiting.wait(project=fake.project, region=place, operation=begun.name)
    begun = _instances(fake).bulk_insert_unary(project=fake.project, zone=place, bulk_insert_instance_resource_resource=resource)
    return _client(compute_v1.ZoneOperationsClient, fake.url).wait(project=fake.project, zone=place, operation=begun.name)


def _codes(operation: compute_v1.Operation) -> list[str]:
    return [one.code for one in operation.error.errors]


def _reason(error: exceptions.GoogleAPICallError) -> str:
    return str(error.errors[0]["reason"])


def _zones(fake: FakeGcp) -> dict[str, int]:
    """Zone → its instances."""
    found: dict[str, int] = {}
    for one in fake.held():
        if one.kind == "instance":
            found[one.region] = found.get(one.region, 0) + 1
    return found


# --- who asks


def test_application_default_credentials_of_a_service_account_are_good(fake: FakeGcp) -> None:
    """Both ways that the SDK has: a token of the token endpoint, and a JWT that the account signed itself."""
    found, project = google.auth.default(scopes=[CLOUD_PLATFORM])
    assert project == fake.project
    assert isinstance(found, service_account.Credentials)
    found.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    client = compute_v1.ZonesClient(credentials=Credentials(found.token), client_options=ClientOptions(api_endpoint=fake.url))  # type: ignore[no-untyped-call]
    assert client.get(project=fake.project, zone=ZONE).status == "UP"
    own = compute_v1.ZonesClient(credentials=found, client_options=ClientOptions(api_endpoint=fake.url))
    assert own.get(project=fake.project, zone=ZONE).status == "UP"
    fake.access.revoke()
    with pytest.raises(exceptions.Unauthorized):
        own.get(project=fake.project, zone=ZONE)


def test_without_a_good_token_nothing_is_answered(fake: FakeGcp) -> None:
    url = f"{fake.url}/compute/v1/projects/{fake.project}/zones"
    for headers in ({}, {"Authorization": "Bearer ya29.wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)
        error = json.loads(caught.value.read())["error"]
        assert (error["code"], error["status"], error["errors"][0]["reason"]) == (401, "UNAUTHENTICATED", "authError")


def test_a_token_for_a_wrong_assertion_is_not_given(fake: FakeGcp) -> None:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}
    request = urllib.request.Request(f"{fake.url}/token", urllib.parse.urlencode(form).encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert (caught.value.code, json.loads(caught.value.read())["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ("compute.instances.create", "projects/goldbake-fake/zones/us-central1-a/instances/one"),
        ("compute.disks.create", "projects/goldbake-fake/zones/us-central1-a/disks/one"),
        ("compute.subnetworks.use", "projects/goldbake-fake/regions/us-central1/subnetworks/default"),
        ("compute.instances.setLabels", "projects/goldbake-fake/zones/us-central1-a/instances/one"),
    ],
)
def test_a_permission_that_is_lacking_is_named(fake: FakeGcp, permission: str, said: str) -> None:
    fake.forbid(permission)
    with pytest.raises(exceptions.Forbidden, match=f"Required '{permission}' permission for '{said}'") as caught:
        _insert(fake)
    assert _reason(caught.value) == "forbidden"
    fake.allow(permission)
    assert _codes(_insert(fake)) == []


def test_an_api_that_is_off_and_a_project_without_billing_are_told_apart(fake: FakeGcp) -> None:
    fake.disable("compute.googleapis.com")
    with pytest.raises(exceptions.Forbidden, match="Compute Engine API has not been used in project 424242424242 before") as caught:
        _insert(fake)
    assert (_reason(caught.value), caught.value.reason) == ("accessNotConfigured", "SERVICE_DISABLED")
    assert dict(caught.value.metadata)["service"] == "compute.googleapis.com"
    fake.enable("compute.googleapis.com")
    fake.book.billing = False
    with pytest.raises(exceptions.Forbidden, match="requires billing to be enabled") as caught:
        _insert(fake)
    assert caught.value.reason == "BILLING_DISABLED"


def test_what_doctor_asks_of_the_other_services(fake: FakeGcp) -> None:
    fake.disable("iap.googleapis.com")
    fake.forbid("compute.instances.delete")
    manager = _client(resourcemanager_v3.ProjectsClient, fake.url)
    found = manager.get_project(name=f"projects/{fake.project}")
    assert (found.name, found.state.name) == (f"projects/{NUMBER}", "ACTIVE")
    asked = ["compute.instances.create", "compute.instances.delete"]
    assert list(manager.test_iam_permissions(resource=f"projects/{fake.project}", permissions=asked).permissions) == asked[:1]
    names = [f"projects/{fake.project}/services/{api}.googleapis.com" for api in ("compute", "iap")]
    services = _client(service_usage_v1.ServiceUsageClient, fake.url)
    given = services.batch_get_services({"parent": f"projects/{fake.project}", "names": names}).services
    assert [one.state.name for one in given] == ["ENABLED", "DISABLED"]
    billing = _client(billing_v1.CloudBillingClient, fake.url)
    assert billing.get_project_billing_info(name=f"projects/{fake.project}").billing_enabled is True
    with pytest.raises(exceptions.Forbidden):
        manager.get_project(name="projects/another")


# --- one instance


def test_an_instance_is_made_with_its_disk_and_goes_with_it(fake: FakeGcp) -> None:
    told: list[Event] = []
    fake.book.listeners.append(told.append)
    try:
        assert _insert(fake).status == compute_v1.Operation.Status.DONE
        made = _instances(fake).get(project=fake.project, zone=ZONE, instance="one")
        assert (made.status, made.guest_accelerators[0].accelerator_count) == ("RUNNING", 1)
        assert fake.disk("one")["sourceImage"].endswith(NEWEST_NOBLE.id)
        assert {(one.kind, one.tags["managed-by"]) for one in fake.held()} == {("instance", "goldbake"), ("disk", "goldbake")}
        _instances(fake).delete_unary(project=fake.project, zone=ZONE, instance="one")
    finally:
        fake.book.listeners.clear()
    assert fake.held() == []
    assert [(one.id, one.state) for one in fake.held(ended=True)] == [("one", "DELETED")]
    assert [(one.what, one.instance) for one in told] == [("started", "one"), ("deleted", "one")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"type": "a2-highgpu-1g", "zone": "us-west4-a"}, "does not exist in zone 'us-west4-a'"),
        ({"scheduling": compute_v1.Scheduling()}, "Instances with guest accelerators do not support live migration"),
        ({"guest_accelerators": [compute_v1.AcceleratorConfig(accelerator_type=f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4", accelerator_count=1)]},
         "not compatible for creating instance"),
        ({"type": "e2-medium", "guest_accelerators": [compute_v1.AcceleratorConfig(accelerator_type=f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4",
                                                                                accelerator_count=1)]}, "not compatible for creating instance"),
        ({"type": "n1-standard-4", "guest_accelerators": [compute_v1.AcceleratorConfig(accelerator_type=f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4",
                                                                                    accelerator_count=3)]}, "must be one of 1, 2, 4, 8"),
        ({"labels": {"Managed": "x"}}, "Label key 'Managed' violates format constraints"),
        ({"labels": {"a": "Upper"}}, "Label value 'Upper' violates format constraints"),
        ({"labels": {f"k{number}": "x" for number in range(65)}}, "The number of labels must be at most 64"),
        ({"metadata": compute_v1.Metadata(items=[compute_v1.Items(key="user-data", value="x" * 262_145)])}, "is too long"),
        ({"metadata": compute_v1.Metadata(items=[compute_v1.Items(key="a", value="x"), compute_v1.Items(key="a", value="y")])}, "duplicate key"),
        ({"scheduling": _scheduling(instance_termination_action="DELETE")}, "You cannot specify a termination action"),
        ({"scheduling": _scheduling(max_run_duration=compute_v1.Duration(seconds=3600))}, "You must specify an instance termination action"),
        ({"scheduling": _scheduling(max_run_duration=compute_v1.Duration(seconds=5), instance_termination_action="DELETE")}, "from 30 seconds to 120 days"),
        ({"scheduling": _scheduling(provisioning_model="SPOT", automatic_restart=True)}, "AutomaticRestart"),
        ({"disks": [_disk(disk_type="pd-standard")]}, "[pd-standard, g2-standard-4] features are not compatible for creating instance"),
        ({"type": "a3-ultragpu-8g", "zone": "us-central1-b"}, "[pd-balanced, a3-ultragpu-8g] features are not compatible"),
        ({"disks": []}, "At least one disk is required"),
        ({"service_accounts": [compute_v1.ServiceAccount(email="other@x.iam.gserviceaccount.com", scopes=[CLOUD_PLATFORM])]}, "iam.serviceAccountUser"),
    ],
)  # fmt: skip
def test_what_compute_engine_would_not_take_is_refused(fake: FakeGcp, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=re.escape(said)):
        _insert(fake, **changed)
    assert fake.held() == []


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"disks": [compute_v1.AttachedDisk(boot=True, initialize_params=compute_v1.AttachedDiskInitializeParams(source_image="global/images/none"))]},
         "projects/goldbake-fake/global/images/none"),
        ({"network_interfaces": [compute_v1.NetworkInterface(network="global/networks/none")]}, "projects/goldbake-fake/global/networks/none"),
        ({"type": "n1-standard-4", "zone": "us-west4-c", "guest_accelerators": [
            compute_v1.AcceleratorConfig(accelerator_type="zones/us-west4-c/acceleratorTypes/nvidia-tesla-t4", accelerator_count=1)]},
         "projects/goldbake-fake/zones/us-west4-c/acceleratorTypes/nvidia-tesla-t4"),
    ],
)  # fmt: skip
def test_what_it_is_made_of_must_be_there(fake: FakeGcp, changed: dict[str, Any], missing: str) -> None:
    with pytest.raises(exceptions.NotFound, match=f"The resource '{missing}' was not found"):
        _insert(fake, **changed)


def test_a_name_is_taken_and_a_small_disk_is_too_small(fake: FakeGcp) -> None:
    _insert(fake)
    with pytest.raises(exceptions.Conflict, match="already exists"):
        _insert(fake)
    small = compute_v1.AttachedDisk(
        boot=True,
        initialize_params=compute_v1.AttachedDiskInitializeParams(source_image=NEWEST_NOBLE.id, disk_size_gb=5, disk_type="pd-balanced"),
    )
    with pytest.raises(exceptions.BadRequest, match="cannot be smaller than the image size"):
        _insert(fake, "two", disks=[small])


def test_an_image_that_is_not_ready_or_of_another_architecture_starts_nothing(fake: FakeGcp) -> None:
    arm = compute_v1.AttachedDiskInitializeParams(source_image="projects/debian-cloud/global/images/family/debian-12-arm64")
    with pytest.raises(exceptions.BadRequest, match="architecture"):
        _insert(fake, disks=[compute_v1.AttachedDisk(boot=True, initialize_params=arm)])
    fake.book.tables["images"][NEWEST_NOBLE.id]["status"] = "PENDING"
    with pytest.raises(exceptions.BadRequest, match="is not ready"):
        _insert(fake)


def test_secure_boot_needs_an_image_for_uefi_and_shows_its_keys(fake: FakeGcp) -> None:
    images = _client(compute_v1.ImagesClient, fake.url)
    key = compute_v1.FileContentBuffer(content="aGVsbG8=", file_type="X509")
    own = compute_v1.Image(name="signed", source_image=NEWEST_NOBLE.id, shielded_instance_initial_state={"dbs": [key]})
    images.insert_unary(project=fake.project, image_resource=own)
    shielded = compute_v1.ShieldedInstanceConfig(enable_secure_boot=True)
    assert _codes(_insert(fake, disks=[_disk(source_image="global/images/signed")], shielded_instance_config=shielded)) == []
    shown = _instances(fake).get(project=fake.project, zone=ZONE, instance="one").disks[0].shielded_instance_initial_state
    assert shown.dbs[0].content == "aGVsbG8="
    fake.image("signed")["guestOsFeatures"] = []
    with pytest.raises(exceptions.BadRequest, match="UEFI-compatible"):
        _insert(fake, "two", disks=[_disk(source_image="global/images/signed")], shielded_instance_config=shielded)


def test_a_disk_that_is_there_already_is_attached_and_kept(fake: FakeGcp) -> None:
    disks = _client(compute_v1.DisksClient, fake.url)
    new = compute_v1.Disk(name="data", size_gb=50, type_=f"zones/{ZONE}/diskTypes/pd-ssd", labels=LABELS)
    disks.insert_unary(project=fake.project, zone=ZONE, disk_resource=new)
    data = compute_v1.AttachedDisk(source=f"zones/{ZONE}/disks/data")
    fake.refuse("ZONE_RESOURCE_POOL_EXHAUSTED", START, where="operation")
    assert _codes(_insert(fake, disks=[_disk(), data])) == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert "users" not in fake.disk("data"), "what did not start has no disk"
    _insert(fake, disks=[_disk(), data])
    assert fake.disk("data")["users"] == [fake.instance("one")["selfLink"]]
    with pytest.raises(exceptions.BadRequest, match="is already being used by"):
        _insert(fake, "two", disks=[_disk(), data])
    _instances(fake).delete_unary(project=fake.project, zone=ZONE, instance="one")
    assert [str(one) for one in fake.held()] == ["disk data in us-central1-a (READY)"]
    found = disks.aggregated_list({"project": fake.project, "filter": "labels.managed-by = goldbake"})
    assert [one.name for _, scope in found for one in scope.disks] == ["data"]


@pytest.mark.parametrize(
    ("policy", "more", "said"),
    [
        ("compute.vmExternalIpAccess", {"network_interfaces": [compute_v1.NetworkInterface(access_configs=[compute_v1.AccessConfig()])]},
         "to use external IP with it"),
        ("compute.trustedImageProjects", {}, "Use of images from project ubuntu-os-cloud is prohibited"),
        ("compute.requireShieldedVm", {}, "Secure Boot is not enabled"),
    ],
)  # fmt: skip
def test_the_organization_forbids_by_its_constraints(fake: FakeGcp, policy: str, more: dict[str, Any], said: str) -> None:
    fake.book.policies.add(policy)
    with pytest.raises(exceptions.PreconditionFailed, match=f"Constraint constraints/{policy} violated for project .*{said}") as caught:
        _insert(fake, **more)
    assert _reason(caught.value) == "conditionNotMet"


def test_a_request_id_makes_nothing_twice(fake: FakeGcp) -> None:
    first = _insert(fake, request_id=(number := str(uuid.uuid4())))
    assert _insert(fake, request_id=number).name == first.name
    assert first.client_operation_id == number
    with pytest.raises(exceptions.BadRequest, match="used before with another request"):
        _insert(fake, "two", request_id=number)
    assert len([one for one in fake.held() if one.kind == "instance"]) == 1


def test_metadata_is_changed_only_by_who_read_it_last_and_is_in_no_log(fake: FakeGcp) -> None:
    _insert(fake, metadata=compute_v1.Metadata(items=[compute_v1.Items(key="user-data", value="a secret of this launch")]))
    client = _instances(fake)
    read = client.get(project=fake.project, zone=ZONE, instance="one").metadata
    assert "a secret of this launch" not in json.dumps([[call.document(), call.answer] for call in fake.calls])
    assert "a secret of this launch" not in json.dumps([(one.tags, one.more) for one in fake.held()])
    with pytest.raises(exceptions.PreconditionFailed, match="fingerprint"):
        client.set_metadata_unary(project=fake.project, zone=ZONE, instance="one", metadata_resource=compute_v1.Metadata())
    read.items = []
    client.set_metadata_unary(project=fake.project, zone=ZONE, instance="one", metadata_resource=read)
    assert "items" not in fake.instance("one")["metadata"]
    with pytest.raises(exceptions.PreconditionFailed):
        client.set_metadata_unary(project=fake.project, zone=ZONE, instance="one", metadata_resource=read)


def test_the_console_is_read_from_a_byte_on_and_keeps_its_last_mebibyte(fake: FakeGcp) -> None:
    _insert(fake)
    fake.book.console_of = {"one": "it boots\n"}.get
    try:
        client = _instances(fake)
        asked: dict[str, Any] = {"project": fake.project, "zone": ZONE, "instance": "one"}
        found = client.get_serial_port_output(asked)
        assert (found.contents, found.start, found.next_) == ("it boots\n", 0, 9)
        assert client.get_serial_port_output({**asked, "start": 9}).contents == ""
        assert client.get_serial_port_output({**asked, "start": -6}).contents == "boots\n"
        fake.book.consoles["one"] = "x" * (1024 * 1024) + "end"
        found = client.get_serial_port_output({**asked, "start": 0})
        assert (found.start, found.next_, found.contents[-3:]) == (3, 1024 * 1024 + 3, "end")
    finally:
        fake.book.console_of = lambda _: None


# --- what it costs, and what there is of it


def test_a_quota_and_a_stock_out_are_in_the_operation(fake: FakeGcp) -> None:
    fake.book.quotas["", "GPUS_ALL_REGIONS"] = 0.0
    found = _insert(fake)
    (error,) = found.error.errors
    assert (error.code, found.http_error_status_code) == ("QUOTA_EXCEEDED", 403)
    info = error.error_details[0].quota_info
    assert (info.limit_name, info.limit, dict(info.dimensions)) == ("GPUS-ALL-REGIONS-per-project", 0.0, {"global": "global"})
    fake.book.quotas["", "GPUS_ALL_REGIONS"] = 8.0
    fake.book.quotas[REGION, "NVIDIA_L4_GPUS"] = 1.0
    assert _codes(_insert(fake)) == []
    assert dict(_insert(fake, "two").error.errors[0].error_details[0].quota_info.dimensions) == {"region": REGION}
    assert _codes(_insert(fake, "two", "n1-standard-4")) == []
    fake.capacity[ZONE, TYPE, False] = 0
    fake.book.quotas.clear()
    found = _insert(fake, "three")
    assert (_codes(found), found.http_error_status_code) == (["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"], 503)
    assert _codes(_insert(fake, "three", scheduling=_scheduling(provisioning_model="SPOT", instance_termination_action="DELETE"))) == []
    assert sorted(one.id for one in fake.held() if one.kind == "disk") == ["one", "three", "two"]


def test_newer_gpus_share_a_quota_that_has_their_family_as_a_dimension(fake: FakeGcp) -> None:
    fake.book.quotas[REGION, "GPUS_PER_GPU_FAMILY:NVIDIA_H100"] = 0.0
    (error,) = _insert(fake, type="a3-highgpu-1g").error.errors
    assert error.message == "Quota 'GPUS_PER_GPU_FAMILY' exceeded.  Limit: 0.0 in region us-central1."
    info = error.error_details[0].quota_info
    assert (info.metric_name, info.limit_name) == ("compute.googleapis.com/gpus_per_gpu_family", "GPUS-PER-GPU-FAMILY-per-project-region")
    assert dict(info.dimensions) == {"region": REGION, "gpu_family": "NVIDIA_H100"}
    spot = _scheduling(provisioning_model="SPOT", instance_termination_action="DELETE")
    assert _codes(_insert(fake, type="a3-highgpu-1g", scheduling=spot)) == []


def test_a_fault_reaches_the_calls_that_it_names_and_no_other(fake: FakeGcp) -> None:
    fake.refuse("rateLimitExceeded", "compute.instances.insert")
    fake.refuse("RESOURCE_POOL_EXHAUSTED", START, where="operation", type="g2-standard-8", after=1)
    with pytest.raises(exceptions.Forbidden) as caught:
        _insert(fake)
    assert _reason(caught.value) == "rateLimitExceeded"
    assert [_codes(_insert(fake, f"n{number}", "g2-standard-8")) for number in range(3)] == [[], ["RESOURCE_POOL_EXHAUSTED"], []]
    assert [call.code for call in fake.calls if call.method == "compute.instances.insert"] == ["rateLimitExceeded", "", "", ""]


def test_an_answer_can_be_lost_before_or_after_the_call_was_carried_out(fake: FakeGcp) -> None:
    for done in (False, True):
        fake.refuse("gone", "compute.instances.insert", drop=True, done=done)
        with pytest.raises(Exception, match=r"(?i)aborted|disconnected|reset"):
            _insert(fake)
        assert bool(fake.held()) is done
    fake.refuse("backendError", "compute.instances.delete", done=True)
    with pytest.raises(exceptions.ServiceUnavailable):
        _instances(fake).delete_unary(project=fake.project, zone=ZONE, instance="one")
    assert fake.held() == []


def test_an_operation_takes_its_time_and_a_new_instance_is_unknown_for_a_while(fake: FakeGcp) -> None:
    fake.book.operation_s, fake.book.wait_s, fake.book.lag = 60.0, 0.0, 1
    begun = _instances(fake).insert_unary(project=fake.project, zone=ZONE, instance_resource=_instance())
    waiting = _client(compute_v1.ZoneOperationsClient, fake.url)

    def now() -> tuple[str, str]:
        operation = waiting.wait(project=fake.project, zone=ZONE, operation=begun.name)
        return operation.status.name, fake.instance("one")["status"]

    assert now() == ("PENDING", "PROVISIONING")
    fake.advance(31)
    assert now() == ("RUNNING", "PROVISIONING")
    fake.advance(30)
    assert now() == ("DONE", "RUNNING")
    assert [list(_instances(fake).list(project=fake.project, zone=ZONE)) != [] for _ in range(2)] == [False, True]


def test_a_change_whose_operation_fails_has_not_happened(fake: FakeGcp) -> None:
    """Also while it is on its way nothing else can be seen of it than that it is on its way."""
    _insert(fake)
    fake.book.operation_s, fake.book.wait_s = 60.0, 0.0
    images = _client(compute_v1.ImagesClient, fake.url)
    for method in ("instances.delete", "images.insert", "disks.insert"):
        fake.refuse("INTERNAL_ERROR", f"compute.{method}", where="operation")
    _instances(fake).delete_unary(project=fake.project, zone=ZONE, instance="one")
    begun = images.insert_unary(project=fake.project, image_resource=compute_v1.Image(name="image", source_image=NEWEST_DEBIAN.id))
    disks = _client(compute_v1.DisksClient, fake.url)
    disks.insert_unary(project=fake.project, zone=ZONE, disk_resource=compute_v1.Disk(name="data", size_gb=10))
    assert (fake.instance("one")["status"], fake.image("image")["status"]) == ("STOPPING", "PENDING")
    fake.advance(61)
    done = _client(compute_v1.GlobalOperationsClient, fake.url).get(project=fake.project, operation=begun.name)
    assert (_codes(done), done.http_error_status_code) == (["INTERNAL_ERROR"], 500)
    assert [str(one) for one in fake.held()] == ["instance one in us-central1-a (RUNNING)", "disk one in us-central1-a (READY)"]


# --- how it ends


@pytest.mark.parametrize(("action", "left"), [("DELETE", []), ("STOP", ["TERMINATED"])])
def test_the_longest_life_and_preemption_end_it_as_its_action_says(fake: FakeGcp, action: str, left: list[str]) -> None:
    spot = _scheduling(provisioning_model="SPOT", instance_termination_action=action, max_run_duration=compute_v1.Duration(seconds=3600))
    for name in ("one", "two"):
        _insert(fake, name, scheduling=spot)
    assert fake.preempt("two") == ("DELETED" if action == "DELETE" else "TERMINATED")
    fake.advance(3500)
    assert fake.instance("one")["status"] == "RUNNING"
    fake.advance(100)
    assert [one.state for one in fake.held() if one.kind == "instance"] == left * 2
    why = _client(compute_v1.ZoneOperationsClient, fake.url).list({"project": fake.project, "zone": ZONE, "filter": 'user = "system"'})
    found = {one.target_link.rpartition("/")[2]: one.operation_type for one in why}
    assert found == {"one": "compute.instances.instanceTerminationAction", "two": "compute.instances.preempted"}


def test_an_instance_can_die_right_after_its_operation_succeeded(fake: FakeGcp) -> None:
    fake.refuse("compute.instances.hostError", START, where="later")
    assert _codes(_insert(fake)) == []
    assert fake.instance("one")["status"] == "TERMINATED"
    assert fake.power_off("one") == ""
    assert _codes(_insert(fake, "two")) == []
    assert fake.power_off("two") == "TERMINATED"
    assert fake.power_off("three") == ""


# --- many


def test_bulk_insert_takes_what_there_is_and_says_why_it_is_less(fake: FakeGcp) -> None:
    for letter, room in (("a", 2), ("b", 1), ("c", 0)):
        fake.capacity[f"{REGION}-{letter}", TYPE, False] = room
    policy = compute_v1.LocationPolicy(target_shape="ANY")
    found = _bulk(fake, 5, more={"min_count": 1, "location_policy": policy})
    assert (_codes(found), _zones(fake)) == ([], {f"{REGION}-a": 2, f"{REGION}-b": 1})
    parts = _client(compute_v1.GlobalOperationsClient, fake.url).aggregated_list(
        {"project": fake.project, "filter": f"operationGroupId = {found.operation_group_id}"}
    )
    codes = [_codes(one) for _, scope in parts for one in scope.operations if one.operation_type == "insert"]
    assert sorted(codes) == [[], [], [], *[["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"]] * 2]
    status = found.instances_bulk_insert_operation_metadata.per_location_status
    assert sum(one.created_vm_count for one in status.values()) == 3
    assert sum(one.failed_to_create_vm_count for one in status.values()) == 2


def test_bulk_insert_leaves_nothing_where_it_is_less_than_the_minimum(fake: FakeGcp) -> None:
    fake.capacity[ZONE, TYPE, False] = 2
    found = _bulk(fake, 3, place=ZONE)
    assert _codes(found) == ["VM_MIN_COUNT_NOT_REACHED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"]
    assert fake.held() == []
    assert fake.capacity[ZONE, TYPE, False] == 2
    fake.book.quotas[REGION, "NVIDIA_L4_GPUS"] = 1.0
    assert _codes(_bulk(fake, 2, place=ZONE)) == ["VM_MIN_COUNT_NOT_REACHED", "QUOTA_EXCEEDED"]
    assert fake.held() == []


def test_bulk_insert_can_see_beforehand_what_cannot_be(fake: FakeGcp) -> None:
    fake.book.foresight = True
    fake.capacity[ZONE, TYPE, False] = 2
    with pytest.raises(exceptions.ServiceUnavailable, match="does not have enough resources") as short:
        _bulk(fake, 3, place=ZONE)
    assert _reason(short.value) == "insufficientCapacity"
    fake.book.quotas["", "GPUS_ALL_REGIONS"] = 1.0
    with pytest.raises(exceptions.Forbidden, match="Quota 'GPUS_ALL_REGIONS' exceeded") as over:
        _bulk(fake, 2, place=ZONE)
    assert _reason(over.value) == "quotaExceeded"
    assert (fake.held(), fake.capacity[ZONE, TYPE, False]) == ([], 2)
    assert _codes(_bulk(fake, 2, place=ZONE, more={"min_count": 1})) == []


def test_bulk_insert_is_where_its_policy_says(fake: FakeGcp) -> None:
    fake.capacity[f"{REGION}-a", TYPE, False] = 1
    _bulk(fake, 3)
    assert _zones(fake) == {f"{REGION}-b": 3}, "one zone by default, with room for all"
    fake.reset()
    locations = {f"zones/{REGION}-a": compute_v1.LocationPolicyLocation(preference="DENY")}
    _bulk(fake, 4, more={"location_policy": compute_v1.LocationPolicy(locations=locations, target_shape="BALANCED")})
    assert _zones(fake) == {f"{REGION}-b": 2, f"{REGION}-c": 2}, "us-central1-f has no L4"
    with pytest.raises(exceptions.BadRequest, match="named without its zone"):
        _bulk(fake, 1, machine_type=f"zones/{ZONE}/machineTypes/{TYPE}")
    away = compute_v1.LocationPolicy(locations={"zones/us-west1-a": compute_v1.LocationPolicyLocation(preference="DENY")})
    with pytest.raises(exceptions.BadRequest, match="There is no such zone"):
        _bulk(fake, 1, more={"location_policy": away})


def test_bulk_insert_takes_the_next_type_where_the_best_has_run_out(fake: FakeGcp) -> None:
    for letter in "abc":
        fake.capacity[f"{REGION}-{letter}", TYPE, False] = 1
    choice = compute_v1.InstanceFlexibilityPolicyInstanceSelection
    selections = {"best": choice(machine_types=[TYPE], rank=1), "next": choice(machine_types=["g2-standard-8"], rank=2)}
    policy = compute_v1.InstanceFlexibilityPolicy(instance_selections=selections)
    more = {"instance_flexibility_policy": policy, "location_policy": compute_v1.LocationPolicy(target_shape="ANY")}
    assert _codes(_bulk(fake, 5, more=more, machine_type=None)) == []
    assert sorted(one.more["type"] for one in fake.held() if one.kind == "instance") == [TYPE] * 3 + ["g2-standard-8"] * 2


# --- listings


def test_listings_come_in_pages_and_without_items_where_there_are_none(fake: FakeGcp) -> None:
    client = _instances(fake)
    assert list(client.list(project=fake.project, zone=ZONE)) == []
    assert "items" not in fake.calls[-1].answer
    _bulk(fake, 5, place=ZONE)
    fake.book.page = 2
    pages = list(client.list(project=fake.project, zone=ZONE).pages)
    assert [len(page.items) for page in pages] == [2, 2, 1]
    every = [one.name for _, scope in client.aggregated_list(project=fake.project) for one in scope.instances]
    assert every == [f"n-000{number}" for number in range(1, 6)]
    with pytest.raises(exceptions.BadRequest, match="at most 500"):
        list(client.list({"project": fake.project, "zone": ZONE, "max_results": 501}))
    fake.book.unreachable.add("us-west1-a")
    with pytest.raises(exceptions.ServiceUnavailable):
        list(client.aggregated_list({"project": fake.project, "max_results": 1}, retry=None))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("labels.kind = a", ["one"]),
        ("labels.kind:*", ["one", "two"]),
        ("labels.none:*", []),
        ("(labels.kind = a) (name = one)", ["one"]),
        ("(labels.kind = a) AND (name = two)", []),
        ("labels.kind = a OR labels.kind = b", ["one", "two"]),
        ("name = one AND labels.kind = b OR labels.kind = a", ["one"]),
        ("name eq 'o.*'", ["one"]),
        ('(name eq "t.*") (status eq RUNNING)', ["two"]),
        ("NOT labels.kind = a", ["two"]),
        ("labels.kind != a", ["two"]),
        ('name eq "t.*"', ["two"]),
        ("name ne one", ["two"]),
        ("name = t*", ["two"]),
        ("status = RUNNING", ["one", "two"]),
        ("scheduling.automaticRestart = false", []),
        ('creationTimestamp > "2020-01-01"', ["one", "two"]),
        ('creationTimestamp < "2020-01-01"', []),
        (f'machineType : "{TYPE}"', ["one", "two"]),
    ],
)
def test_a_filter_chooses(fake: FakeGcp, wanted: str, found: list[str]) -> None:
    for name, kind in (("one", "a"), ("two", "b")):
        _insert(fake, name, labels={"kind": kind})
    given = _instances(fake).list({"project": fake.project, "zone": ZONE, "filter": wanted})
    assert [one.name for one in given] == found


@pytest.mark.parametrize(
    "wanted",
    [
        "labels.kind",
        "colour = red",
        "(name = one",
        "name = one)",
        "name == one",
        "= one",
        'name = "one',
        "(name eq one) (status = RUNNING)",
        "name eq one OR name eq two",
    ],
)
def test_a_filter_that_is_none_is_refused(fake: FakeGcp, wanted: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid list filter expression"):
        list(_instances(fake).list({"project": fake.project, "zone": ZONE, "filter": wanted}))


def test_places_are_those_of_google_without_what_is_withheld(fake: FakeGcp) -> None:
    zones = {one.name for one in _client(compute_v1.ZonesClient, fake.url).list(project=fake.project)}
    assert {"us-central1-f", "europe-west1-b", "us-east1-d"} <= zones
    assert not {"us-central1-d", "europe-west1-a"} & zones
    types = _client(compute_v1.MachineTypesClient, fake.url)
    shape = types.get(project=fake.project, zone=ZONE, machine_type="a2-highgpu-2g")
    assert (shape.guest_cpus, shape.memory_mb) == (24, 170 * 1024)
    assert (shape.accelerators[0].guest_accelerator_type, shape.accelerators[0].guest_accelerator_count) == ("nvidia-tesla-a100", 2)
    fake.book.withheld |= {(ZONE, "nvidia-l4"), (ZONE, "e2-medium")}
    names = {one.name for one in types.list(project=fake.project, zone=ZONE)}
    assert not {"g2-standard-4", "e2-medium"} & names
    assert "n1-standard-4" in names
    accelerators = _client(compute_v1.AcceleratorTypesClient, fake.url).aggregated_list(project=fake.project)
    found = {scope.removeprefix("zones/"): {one.name for one in part.accelerator_types} for scope, part in accelerators}
    assert "nvidia-l4" not in found[ZONE]
    assert "nvidia-l4" in found[f"{REGION}-b"]
    assert found["europe-north1-a"] == set()
    quotas = _client(compute_v1.RegionsClient, fake.url).get(project=fake.project, region=REGION).quotas
    assert {"NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS", "CPUS"} <= {one.metric for one in quotas}


# --- images, disks and firewall rules


def test_an_image_is_made_of_a_free_disk_and_lives_in_its_family(fake: FakeGcp) -> None:
    images, disks = _client(compute_v1.ImagesClient, fake.url), _client(compute_v1.DisksClient, fake.url)
    kept = _disk()
    kept.auto_delete = False
    _insert(fake, disks=[kept])
    wanted = compute_v1.Image(name="image-1", family="ours", source_disk=f"zones/{ZONE}/disks/one", labels=LABELS)
    with pytest.raises(exceptions.BadRequest, match="is already being used by 'projects/goldbake-fake/zones/us-central1-a/instances/one'"):
        images.insert_unary(project=fake.project, image_resource=wanted)
    with pytest.raises(exceptions.BadRequest, match="is already being used"):
        disks.delete_unary(project=fake.project, zone=ZONE, disk="one")
    _instances(fake).delete_unary(project=fake.project, zone=ZONE, instance="one")
    told: list[Event] = []
    fake.book.listeners.append(told.append)
    try:
        images.insert_unary(project=fake.project, image_resource=wanted)
    finally:
        fake.book.listeners.clear()
    assert told == [Event("imaged", ZONE, "", "projects/goldbake-fake/global/images/image-1", "one")]
    disks.delete_unary(project=fake.project, zone=ZONE, disk="one")
    newer = compute_v1.Image(name="image-2", family="ours", source_image="global/images/image-1")
    images.insert_unary(project=fake.project, image_resource=newer)
    assert images.get_from_family(project=fake.project, family="ours").name == "image-2"
    state = compute_v1.DeprecationStatus(state="DEPRECATED")
    images.deprecate_unary(project=fake.project, image="image-2", deprecation_status_resource=state)
    assert images.get_from_family(project=fake.project, family="ours").name == "image-1"
    images.deprecate_unary(project=fake.project, image="image-2", deprecation_status_resource=compute_v1.DeprecationStatus())
    assert images.get_from_family(project=fake.project, family="ours").name == "image-2"
    obsolete = compute_v1.DeprecationStatus(state="OBSOLETE")
    images.deprecate_unary(project=fake.project, image="image-1", deprecation_status_resource=obsolete)
    with pytest.raises(exceptions.BadRequest, match="is obsolete"):
        _insert(fake, disks=[compute_v1.AttachedDisk(boot=True, initialize_params={"source_image": "global/images/image-1"})])
    images.patch_unary(project=fake.project, image="image-1", image_resource=compute_v1.Image(family="others", description="moved"))
    assert (fake.image("image-1")["family"], fake.image("image-1")["labels"]) == ("others", LABELS)
    for name in ("image-1", "image-2"):
        images.delete_unary(project=fake.project, image=name)
    assert fake.held() == []
    with pytest.raises(exceptions.NotFound):
        images.get_from_family(project=fake.project, family="ours")


def test_public_images_are_found_by_family_and_name_in_their_own_projects(fake: FakeGcp) -> None:
    images = _client(compute_v1.ImagesClient, fake.url)
    found = images.get_from_family(project="debian-cloud", family="debian-12")
    assert found.self_link.endswith(NEWEST_DEBIAN.id)
    with pytest.raises(exceptions.NotFound):
        images.get_from_family(project="debian-cloud", family="debian-99")
    with pytest.raises(exceptions.Forbidden):
        images.delete_unary(project="debian-cloud", image=found.name)
    with pytest.raises(exceptions.NotFound):
        images.get(project="no-such-project", image="x")


def test_labels_and_the_policy_of_an_image_are_changed_only_by_who_read_them_last(fake: FakeGcp) -> None:
    images = _client(compute_v1.ImagesClient, fake.url)
    images.insert_unary(project=fake.project, image_resource=compute_v1.Image(name="image", source_image=NEWEST_DEBIAN.id))
    read = images.get(project=fake.project, image="image").label_fingerprint
    for fingerprint, good in ((read, True), (read, False)):
        asked = compute_v1.GlobalSetLabelsRequest(labels=LABELS, label_fingerprint=fingerprint)
        if good:
            images.set_labels_unary(project=fake.project, resource="image", global_set_labels_request_resource=asked)
        else:
            with pytest.raises(exceptions.PreconditionFailed, match="Labels fingerprint"):
                images.set_labels_unary(project=fake.project, resource="image", global_set_labels_request_resource=asked)
    assert fake.image("image")["labels"] == LABELS
    etag = images.get_iam_policy(project=fake.project, resource="image").etag
    binding = compute_v1.Binding(role="roles/compute.imageUser", members=["serviceAccount:x@y.iam.gserviceaccount.com"])
    policy = compute_v1.GlobalSetPolicyRequest(policy=compute_v1.Policy(bindings=[binding], etag=etag))
    images.set_iam_policy(project=fake.project, resource="image", global_set_policy_request_resource=policy)
    assert images.get_iam_policy(project=fake.project, resource="image").bindings[0].role == "roles/compute.imageUser"
    with pytest.raises(exceptions.PreconditionFailed, match="concurrent policy changes"):
        images.set_iam_policy(project=fake.project, resource="image", global_set_policy_request_resource=policy)


def test_a_firewall_rule_is_made_once_and_has_good_ranges(fake: FakeGcp) -> None:
    rules = _client(compute_v1.FirewallsClient, fake.url)
    rule = compute_v1.Firewall(
        name="ours-ssh",
        source_ranges=["203.0.113.7/32"],
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
        target_tags=["ours"],
    )
    rules.insert_unary(project=fake.project, firewall_resource=rule)
    with pytest.raises(exceptions.Conflict):
        rules.insert_unary(project=fake.project, firewall_resource=rule)
    rule.name, rule.source_ranges = "other", ["203.0.113.7/99"]
    with pytest.raises(exceptions.BadRequest, match="valid CIDR"):
        rules.insert_unary(project=fake.project, firewall_resource=rule)
    assert {one.name for one in rules.list(project=fake.project)} == {"default-allow-ssh", "default-allow-internal", "ours-ssh"}
    assert [str(one) for one in fake.held()] == ["firewall ours-ssh in global"]
    rules.delete_unary(project=fake.project, firewall="ours-ssh")
    assert fake.held() == []


@pytest.mark.slow
def test_it_runs_by_itself() -> None:
    command = [sys.executable, "-m", "tests.fakes.gcp"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["environment"]["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"] == f"{told['url']}/compute/v1/"
        with urllib.request.urlopen(f"{told['url']}/_state", timeout=30) as answer:
            assert json.loads(answer.read()) == {"project": "goldbake-fake", "resources": {}}
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
