"""The fake of Azure keeps to what the SDK itself says of every call, and does what it is told; what is built on it can only be as true as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.mgmt.compute import ComputeManagementClient

from goldbake.paths import PROJECT
from tests.fakes.azure import CLIENT, LOCATION, START, SUBSCRIPTION, FakeAzure, kinds
from tests.integration.azurecalls import GROUP, IMAGE, SIZE, TAGS, Calls, disk, interfaces, machine, scale_set, subnet

VM = "Microsoft.Compute/virtualMachines"
SET = "Microsoft.Compute/virtualMachineScaleSets"


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    """Clients of an account with one group and its network; nothing waits for a second."""
    fake_azure.book.retry_after = None
    calls = Calls()
    calls.group()
    fake_azure.calls.clear()
    return calls


def _refused(call: Callable[[], Any]) -> HttpResponseError:
    with pytest.raises(HttpResponseError) as caught:
        call()
    return caught.value


def _code(call: Callable[[], Any]) -> str:
    error = _refused(call).error
    assert error is not None
    return str(error.code)


def _held(fake: FakeAzure) -> list[str]:
    """What there is beside the group and its network."""
    return sorted(
        one.kind.rpartition("/")[2] for one in fake.held() if one.kind.rpartition("/")[2] not in ("resourceGroups", "virtualNetworks")
    )


# --- the contract


def test_every_call_and_answer_is_what_the_sdk_knows(fake_azure: FakeAzure, azure: Calls) -> None:
    """All kinds once: the fixture asserts that nothing was found that the SDK's models do not have."""
    network = azure.network
    rule = {
        "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": "203.0.113.7/32", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "22",
    }  # fmt: skip
    network.network_security_groups.begin_create_or_update(
        GROUP, "guard", {"location": LOCATION, "properties": {"securityRules": [{"name": "ssh", "properties": rule}]}}
    ).result()
    network.security_rules.begin_create_or_update(GROUP, "guard", "web", {"properties": {**rule, "priority": 200}}).result()
    network.public_ip_addresses.begin_create_or_update(GROUP, "ip", {"location": LOCATION, "sku": {"name": "Standard"}}).result()
    address = network.public_ip_addresses.get(GROUP, "ip")
    network.nat_gateways.begin_create_or_update(
        GROUP, "nat", {"location": LOCATION, "sku": {"name": "Standard"}, "properties": {"publicIpAddresses": [{"id": address.id}]}}
    ).result()
    network.subnets.begin_create_or_update(GROUP, "net", "more", {"properties": {"addressPrefix": "10.0.4.0/24"}}).result()
    configuration = {"name": "main", "properties": {"subnet": {"id": subnet()}}}
    network.network_interfaces.begin_create_or_update(
        GROUP, "nic", {"location": LOCATION, "properties": {"ipConfigurations": [configuration]}}
    ).result()
    azure.compute.disks.begin_create_or_update(
        GROUP, "disk", {"location": LOCATION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 32}}
    ).result()
    azure.start(
        zone="1", userData="YQ==", priority="Spot", evictionPolicy="Delete", diagnosticsProfile={"bootDiagnostics": {"enabled": True}}
    )
    azure.begin_set(2, zones=("1", "2")).result()
    for listed in (
        network.virtual_networks.list_all(), network.subnets.list(GROUP, "net"), network.network_security_groups.list_all(),
        network.public_ip_addresses.list_all(), network.network_interfaces.list_all(), network.nat_gateways.list_all(), azure.compute.disks.list(),
        azure.compute.virtual_machines.list_all(), azure.compute.virtual_machine_scale_sets.list_all(), azure.resources.resources.list(),
        azure.resources.resource_groups.list(), azure.compute.usage.list(LOCATION), azure.compute.resource_skus.list(filter=f"location eq '{LOCATION}'"),
        azure.subscriptions.subscriptions.list(), azure.subscriptions.tenants.list(), azure.subscriptions.subscriptions.list_locations(SUBSCRIPTION),
        azure.resources.providers.list(), azure.compute.virtual_machine_images.list_publishers(LOCATION),
    ):  # fmt: skip
        assert len(list(listed)) > 0
    azure.compute.virtual_machines.get(GROUP, "m", expand="instanceView")
    for verb in ("begin_restart", "begin_power_off", "begin_start", "begin_deallocate"):
        getattr(azure.compute.virtual_machines, verb)(GROUP, "m").result()
    azure.resources.resource_groups.begin_delete(GROUP).result()
    assert fake_azure.held() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"properties": {"hardwareprofile": {}}}, "properties.hardwareprofile is unknown to VirtualMachineProperties"),
        ({"properties": {"storageProfile": {"osDisk": {"diskSizeGB": 30}}}}, "properties.storageProfile.osDisk.createOption is missing"),
        ({"properties": {"priority": "Cheap"}}, "properties.priority is 'Cheap', none of VirtualMachinePriorityTypes"),
        ({"properties": {"storageProfile": {"osDisk": {"createOption": "Empty", "diskSizeGB": "30"}}}}, "diskSizeGB is '30', no int"),
        ({"properties": {"provisioningState": "Succeeded"}}, "properties.provisioningState is read-only"),
        ({"tags": {"a": 1}}, "tags[a] is 1, no str"),
        ({"properties": {"userData": None}}, "properties.userData is null"),
    ],
)  # fmt: skip
def test_a_body_that_the_sdk_would_not_send_is_found(fake_azure: FakeAzure, azure: Calls, wrong: dict[str, Any], said: str) -> None:
    body = json.dumps({"location": LOCATION, **wrong}).encode()
    error = _refused(lambda: _raw(azure, "PUT", f"{_group_path()}/providers/{VM}/m", body))
    assert said in str(error)
    assert said in fake_azure.crashes.pop()
    assert fake_azure.crashes == []
    assert _held(fake_azure) == []


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/{VM}?api-version=2019-01-01", "api-version 2019-01-01 is not that of the SDK (2026-"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/{VM}?api-version=2026-04-01&$skip=3", "virtual_machines.list_all has no parameter $skip"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/machines?api-version=2026-04-01", "which has no such call"),
        ("POST", f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/exportTemplate?api-version=2025-04-01", "no path of Resource Manager"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/loadBalancers?api-version=2026-03-01", "does not serve load_balancers.list_all"),
    ],
    ids=["version", "parameter", "path", "not-served", "kind"],
)  # fmt: skip
def test_a_call_that_the_sdk_does_not_have_is_found(fake_azure: FakeAzure, azure: Calls, method: str, path: str, said: str) -> None:
    assert said in str(_refused(lambda: _raw(azure, method, path)))
    assert said in fake_azure.crashes.pop()


def _group_path() -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


def _raw(azure: Calls, method: str, path: str, body: bytes = b"") -> None:
    """A request that no client of the SDK would make."""
    token = azure.credential.get_token("https://management.azure.com/.default").token
    url = f"https://management.azure.com{path}" + ("" if "?" in path else "?api-version=2026-04-01")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = requests.request(method, url, data=body or None, headers=headers, timeout=30)
    error = answer.json()["error"]
    assert error["code"] == "FakeContract"
    raise HttpResponseError(message=error["message"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpus": 4}, "properties.cpus is unknown to VirtualMachineProperties"),
        ({"priority": "Cheap"}, "properties.priority is 'Cheap'"),
        ({"timeCreated": "yesterday"}, "properties.timeCreated is 'yesterday', no time"),
        ({"timeCreated": "2026-11-01T00:00:00"}, "no time with a zone"),
        ({"storageProfile": {"osDisk": {"name": "x"}}}, "properties.storageProfile.osDisk.createOption is missing, which OSDisk requires"),
        ({"networkProfile": {"networkInterfaces": {}}}, "properties.networkProfile.networkInterfaces is no list"),
        ({"vmId": None}, "properties.vmId is null"),
    ],
)  # fmt: skip
def test_an_answer_that_the_sdk_does_not_know_is_found(
    fake_azure: FakeAzure, azure: Calls, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    """The fake is made to answer what its service never would."""
    azure.start()
    kind = kinds.KINDS[VM.lower()]
    wrong = replace(kind, show=lambda ask, one: {**one.body, "properties": {**one.properties, **change}})
    monkeypatch.setitem(kinds.KINDS, VM.lower(), wrong)
    assert said in str(_refused(lambda: azure.compute.virtual_machines.get(GROUP, "m")))
    assert said in str(_refused(lambda: list(azure.compute.virtual_machines.list(GROUP))))
    assert len(fake_azure.crashes) == 2
    fake_azure.crashes.clear()


# --- long-running operations


@pytest.mark.parametrize("style", ["async", "location", "both", "body"])
def test_an_operation_is_polled_in_each_style(fake_azure: FakeAzure, azure: Calls, style: str) -> None:
    fake_azure.book.polls = 3
    fake_azure.book.style = {"PUT": style, "DELETE": "location" if style == "body" else style, "POST": style}
    assert azure.start().properties.provisioning_state == "Succeeded"
    polls = [call for call in fake_azure.calls if call.what == "operation"]
    assert len(polls) == (0 if style == "body" else 4)
    fake_azure.calls.clear()
    azure.compute.virtual_machines.begin_restart(GROUP, "m").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    # With both headers the SDK looks at the result of a POST as well.
    assert len([call for call in fake_azure.calls if call.what == "operation"]) == (9 if style == "both" else 8)
    assert _held(fake_azure) == []


def test_the_wait_that_an_answer_asks_for_is_waited(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.retry_after, fake_azure.book.polls = 1, 1
    begun = time.monotonic()
    azure.start()
    assert time.monotonic() - begun >= 1


def test_an_operation_fails_where_it_is_told_to(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.refuse("SkuNotAvailable", START)
    assert _code(azure.begin) == "SkuNotAvailable"
    assert _held(fake_azure) == []
    fake_azure.refuse("AllocationFailed", START, where="operation")
    poller = azure.begin()
    assert _code(poller.result) == "AllocationFailed"
    view = azure.compute.virtual_machines.get(GROUP, "m", expand="instanceView").properties
    assert (view.provisioning_state, view.instance_view.statuses[0].code) == ("Failed", "ProvisioningState/failed/AllocationFailed")
    assert "virtualMachines" in _held(fake_azure), "what was to be remains, with its disk and its interface"
    fake_azure.refuse("AllocationFailed", START, where="later")
    assert azure.start("m2").properties.provisioning_state == "Failed"
    fake_azure.refuse("AllocationFailed", START, where="body")
    assert "AllocationFailed" not in str(_refused(lambda: azure.start("m3")))
    for name in ("m", "m2", "m3"):
        azure.compute.virtual_machines.begin_delete(GROUP, name).result()
    assert _held(fake_azure) == []


def test_a_delete_that_fails_in_its_operation_leaves_what_was(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start()
    for style in ("async", "location"):
        fake_azure.book.style["DELETE"] = style
        fake_azure.refuse("InternalExecutionError", VM, where="operation", method="DELETE")
        assert _code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m").result()) == "InternalExecutionError"
    assert azure.compute.virtual_machines.get(GROUP, "m").properties.provisioning_state == "Failed"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()  # 204: there is none


def test_what_nobody_polls_goes_on(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 2
    azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    seen = [azure.compute.virtual_machines.get(GROUP, "m").properties.provisioning_state for _ in range(3)]
    assert seen == ["Creating", "Creating", "Succeeded"]
    azure.compute.virtual_machines.begin_delete(GROUP, "m", polling=False)
    assert _code(azure.begin) == "OperationNotAllowed", "it is marked for deletion"
    fake_azure.settle()
    assert _held(fake_azure) == []


def test_a_machine_may_be_deleted_while_it_is_made(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 5
    poller = azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    assert poller.result().properties.provisioning_state == "Creating"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    assert _held(fake_azure) == []


def test_a_network_does_one_thing_at_a_time(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 2
    body = {"properties": {"addressPrefix": "10.0.4.0/24"}}
    poller = azure.network.subnets.begin_create_or_update(GROUP, "net", "more", body, polling=False)
    assert poller.result().provisioning_state == "Creating"
    assert _code(lambda: azure.network.subnets.begin_delete(GROUP, "net", "more")) == "AnotherOperationInProgress"
    azure.network.virtual_networks.begin_create_or_update(
        GROUP, "net", {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}, polling=False
    )
    assert _code(lambda: azure.network.subnets.begin_delete(GROUP, "net", "default")) == "AnotherOperationInProgress"
    fake_azure.settle()
    azure.network.subnets.begin_delete(GROUP, "net", "more").result()


def test_throttling_says_how_long_and_the_sdk_waits(fake_azure: FakeAzure, azure: Calls) -> None:
    patient = ComputeManagementClient(azure.credential, SUBSCRIPTION, polling_interval=0.01)
    fake_azure.refuse("TooManyRequests", "*", retry_after=1, times=2)
    begun = time.monotonic()
    list(patient.virtual_machines.list(GROUP))
    assert time.monotonic() - begun >= 2
    assert [call.status for call in fake_azure.calls if call.what == VM] == [429, 429, 200]
    fake_azure.refuse("TooManyRequests", "operation", retry_after=1)
    patient.virtual_machines.begin_create_or_update(GROUP, "m", machine("m")).result()


def test_a_connection_ends_before_or_after_the_effect(fake_azure: FakeAzure, azure: Calls) -> None:
    for name, done, there in (("m1", False, []), ("m2", True, ["m2"])):
        fake_azure.refuse("gone", START, drop=True, done=done)
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            azure.begin(name)
        assert [one.name for one in fake_azure.held() if one.kind == VM] == there
    assert [call.code for call in fake_azure.calls if call.method == "PUT"] == ["dropped", "dropped"]


def test_a_new_resource_is_not_seen_at_once(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.lag = 2
    azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    assert list(azure.compute.virtual_machines.list(GROUP)) == []
    with pytest.raises(ResourceNotFoundError):
        azure.compute.virtual_machines.get(GROUP, "m")
    assert azure.compute.virtual_machines.get(GROUP, "m").name == "m"


# --- machines


def test_the_same_put_twice_is_one_machine(fake_azure: FakeAzure, azure: Calls) -> None:
    first = azure.start(custom="YQ==")
    assert azure.start(custom="YQ==").properties.vm_id == first.properties.vm_id
    assert _held(fake_azure).count("virtualMachines") == 1
    assert _held(fake_azure).count("networkInterfaces") == 1
    assert _code(lambda: azure.start(custom="Yg==")) == "PropertyChangeNotAllowed"


def test_secrets_come_back_to_nobody_who_does_not_ask(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start(custom="c2VjcmV0", userData="aGlkZGVu")
    plain = json.dumps(azure.compute.virtual_machines.get(GROUP, "m", expand="instanceView").as_dict())
    assert "c2VjcmV0" not in plain
    assert "aGlkZGVu" not in plain
    assert azure.compute.virtual_machines.get(GROUP, "m", expand="userData").properties.user_data == "aGlkZGVu"
    assert "c2VjcmV0" not in json.dumps([call.document() for call in fake_azure.calls])
    azure.compute.virtual_machines.begin_update(GROUP, "m", {"properties": {"userData": ""}}).result()
    assert azure.compute.virtual_machines.get(GROUP, "m", expand="userData").properties.user_data is None


def test_what_is_not_to_end_with_a_machine_stays(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start(profile=interfaces(keep=True), os_disk=disk(keep=True))
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    assert _held(fake_azure) == ["disks", "networkInterfaces", "publicIPAddresses"]
    azure.start("m2")
    azure.compute.virtual_machines.begin_delete(GROUP, "m2", force_deletion=True).result()
    assert _held(fake_azure) == ["disks", "networkInterfaces", "publicIPAddresses"]


def test_what_is_in_use_is_not_deleted(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start()
    names = {one.kind.rpartition("/")[2]: one.name for one in fake_azure.held()}
    network = azure.network
    assert _code(lambda: network.network_interfaces.begin_delete(GROUP, names["networkInterfaces"])) == "NicInUse"
    assert _code(lambda: network.public_ip_addresses.begin_delete(GROUP, names["publicIPAddresses"])) == "PublicIPAddressCannotBeDeleted"
    assert _code(lambda: network.virtual_networks.begin_delete(GROUP, "net")) == "InUseSubnetCannotBeDeleted"
    assert _code(lambda: azure.compute.disks.begin_delete(GROUP, names["disks"])) == "OperationNotAllowed"
    azure.resources.resource_groups.begin_delete(GROUP).result()
    assert fake_azure.held() == []


def test_a_subnet_ends_and_gives_addresses_again(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.network.subnets.begin_create_or_update(GROUP, "net", "few", {"properties": {"addressPrefix": "10.0.8.0/29"}}).result()
    few = interfaces(public=False)
    few["networkInterfaceConfigurations"][0]["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"] = subnet().replace(
        "default", "few"
    )
    for number in range(3):
        azure.start(f"m{number}", profile=few)
    assert _code(lambda: azure.start("m3", profile=few)) == "SubnetIsFull"
    azure.compute.virtual_machines.begin_delete(GROUP, "m1").result()
    azure.start("m4", profile=few)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": "Standard_Z9"}, "InvalidParameter"),
        ({"image": {**IMAGE, "version": "1.2.3"}}, "PlatformImageNotFound"),
        ({"image": {**IMAGE, "sku": "12"}, "size": "Standard_NC24ads_A100_v4"}, "BadRequest"),
        ({"image": {**IMAGE, "sku": "12"}, "securityProfile": {"securityType": "TrustedLaunch"}}, "BadRequest"),
        ({"zone": "7"}, "AvailabilityZoneNotSupported"),
        ({"os_disk": disk(diskSizeGB=8)}, "OperationNotAllowed"),
        ({"evictionPolicy": "Delete"}, "InvalidParameter"),
        ({"custom": "not base64!"}, "InvalidParameter"),
        ({"custom": "YWFh" * 21846}, "InvalidParameter"),
        ({"location": "mars"}, "LocationNotAvailableForResourceType"),
        ({"location": "northeurope"}, "InvalidResourceReference"),
        ({"osProfile": {"computerName": "m", "adminUsername": "admin", "adminPassword": "x"}}, "InvalidParameter"),
        ({"size": "Standard_B2s", "priority": "Spot"}, "OperationNotAllowed"),
        ({"image": {"publisher": "nvidia", "offer": "ngc_azure_17_11", "sku": "ngc-base-version-24_03_1_gen2", "version": "latest"}}, "VMMarketplaceInvalidInput"),
    ],
)  # fmt: skip
def test_what_azure_would_not_start_is_refused(fake_azure: FakeAzure, azure: Calls, change: dict[str, Any], code: str) -> None:
    assert _code(lambda: azure.begin(**change)) == code
    assert [one for one in fake_azure.held() if one.kind == VM] == []


def test_terms_of_the_marketplace_are_accepted_first(fake_azure: FakeAzure, azure: Calls) -> None:
    image = {"publisher": "nvidia", "offer": "ngc_azure_17_11", "sku": "ngc-base-version-24_03_1_gen2", "version": "latest"}
    plan = {"publisher": "nvidia", "product": "ngc_azure_17_11", "name": "ngc-base-version-24_03_1_gen2"}
    assert _code(lambda: azure.begin(image=image, plan=plan)) == "MarketplacePurchaseEligibilityFailed"
    fake_azure.book.terms.add("nvidia/ngc_azure_17_11/ngc-base-version-24_03_1_gen2")
    azure.start(image=image, plan=plan)


@pytest.mark.parametrize(
    ("quota", "change", "title"),
    [
        ("Standard NCASv3_T4 Family", {}, "Standard NCASv3_T4 Family Cores"),
        ("cores", {}, "Total Regional Cores"),
        ("lowPriorityCores", {"priority": "Spot"}, "LowPriorityCores"),
    ],
)
def test_a_quota_is_refused_in_the_words_of_azure(
    fake_azure: FakeAzure, azure: Calls, quota: str, change: dict[str, Any], title: str
) -> None:
    fake_azure.book.quotas[LOCATION, quota] = 4
    azure.start("m1", **change)
    error = _refused(lambda: azure.begin("m2", **change))
    assert isinstance(error, ResourceExistsError)
    assert error.error is not None
    assert error.error.code == "OperationNotAllowed"
    assert f"exceeding approved {title} quota" in str(error.message)
    assert "Current Limit: 4, Current Usage: 4, Additional Required: 4, (Minimum) New Limit Required: 8" in str(error.message)
    usage = {one.name.value: one.current_value for one in azure.compute.usage.list(LOCATION)}
    assert usage[quota] == 4
    assert _code(lambda: azure.begin_set(1, **change)) == "OperationNotAllowed"


def test_a_size_that_is_restricted_says_so_and_is_refused(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.restricted[f"{LOCATION}-2", SIZE] = "NotAvailableForSubscription"
    sku = next(one for one in azure.compute.resource_skus.list(filter=f"location eq '{LOCATION}'") if one.name == SIZE)
    assert sku.restrictions is not None
    assert [(one.type, one.restriction_info.zones) for one in sku.restrictions if one.restriction_info] == [("Zone", ["2"])]
    assert _code(lambda: azure.begin(zone="2")) == "SkuNotAvailable"
    azure.start(zone="1")


@pytest.mark.parametrize("place", ["operation", "call"])
def test_capacity_ends_and_comes_back(fake_azure: FakeAzure, azure: Calls, place: str) -> None:
    fake_azure.book.shortage_at = place
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 1
    fake_azure.capacity[LOCATION, SIZE, True] = 0
    azure.start("m1", zone="1")
    assert _code(lambda: azure.start("m2", zone="1")) == "ZonalAllocationFailed"
    assert _code(lambda: azure.start("m3", priority="Spot")) == "AllocationFailed"
    azure.compute.virtual_machines.begin_delete(GROUP, "m1").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m2").result()
    azure.start("m4", zone="1")


def test_a_spot_machine_is_taken_back_as_its_policy_says(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start("m1", priority="Spot", evictionPolicy="Delete")
    azure.start("m2", priority="Spot")
    fake_azure.evict("m1")
    azure.compute.virtual_machines.simulate_eviction(GROUP, "m2")
    assert [(one.name, one.more["power"]) for one in fake_azure.held() if one.kind == VM] == [("m2", "deallocated")]


def test_a_schedule_deallocates_and_outlives_its_machine(fake_azure: FakeAzure, azure: Calls) -> None:
    made = azure.start()
    path = f"{_group_path()}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-m"
    properties = {
        "status": "Enabled", "taskType": "ComputeVmShutdownTask", "dailyRecurrence": {"time": "1930"}, "timeZoneId": "UTC", "targetResourceId": made.id,
    }  # fmt: skip
    resources = azure.resources.resources

    def put(name: str = path, **change: Any) -> None:
        body: Any = {"location": LOCATION, "tags": TAGS, "properties": {**properties, **change}}
        resources.begin_create_or_update_by_id(name, body, api_version="2018-09-15").result()

    assert not fake_azure.auto_shutdown("m")
    assert _code(lambda: put(dailyRecurrence={"time": "2460"})) == "InvalidScheduleParameters"
    assert _code(lambda: put(f"{path}x")) == "InvalidScheduleParameters"
    put()
    assert [one.name for one in resources.list(filter="resourceType eq 'Microsoft.DevTestLab/schedules'")] == ["shutdown-computevm-m"]
    assert fake_azure.auto_shutdown("m")
    assert fake_azure.machine("m").power == "deallocated"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    assert _held(fake_azure) == ["schedules"]
    resources.begin_delete_by_id(path, api_version="2018-09-15").result()
    assert _held(fake_azure) == []


def test_the_serial_log_is_read_where_azure_says(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start("m1", diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
    azure.start("m2")
    fake_azure.book.consoles["m1"] = "it boots\n"
    data = azure.compute.virtual_machines.retrieve_boot_diagnostics_data(GROUP, "m1")
    assert requests.get(str(data.serial_console_log_blob_uri), timeout=30).text == "it boots\n"
    assert _code(lambda: azure.compute.virtual_machines.retrieve_boot_diagnostics_data(GROUP, "m2")) == "OperationNotAllowed"


# --- scale sets


def test_a_scale_set_makes_machines_of_its_group(fake_azure: FakeAzure, azure: Calls) -> None:
    made = azure.begin_set(3, zones=("1", "2")).result()
    chosen = list(azure.compute.virtual_machines.list(GROUP, filter=f"'virtualMachineScaleSet/id' eq '{made.id}'", expand="instanceView"))
    assert sorted(zone for one in chosen for zone in one.zones or []) == ["1", "1", "2"]
    assert all(one.name.startswith("set_") and one.tags == TAGS for one in chosen)
    azure.compute.virtual_machines.begin_delete(GROUP, chosen[0].name).result()
    assert azure.compute.virtual_machine_scale_sets.get(GROUP, "set").sku.capacity == 2
    azure.compute.virtual_machine_scale_sets.begin_delete(GROUP, "set", force_deletion=True).result()
    assert _held(fake_azure) == []


def test_a_scale_set_starts_what_there_is_room_for(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 2
    fake_azure.capacity[f"{LOCATION}-2", SIZE, False] = 1
    assert _code(lambda: azure.begin_set(5, zones=("1", "2")).result()) == "ZonalAllocationFailed"
    assert len([one for one in fake_azure.held() if one.kind == VM]) == 3
    assert azure.compute.virtual_machine_scale_sets.get(GROUP, "set").properties.provisioning_state == "Failed"
    azure.compute.virtual_machine_scale_sets.begin_delete(GROUP, "set").result()
    assert fake_azure.capacity[f"{LOCATION}-1", SIZE, False] == 2
    fake_azure.book.keep_failed = True
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 1
    assert _code(lambda: azure.begin_set(2, "set2", zones=("1",)).result()) == "ZonalAllocationFailed"
    assert sorted(one.state for one in fake_azure.held() if one.kind == VM) == ["Failed", "Succeeded"]


def test_a_scale_set_that_fails_may_have_started_some(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.refuse("OverconstrainedAllocationRequest", START, where="operation", few=1)
    assert _code(lambda: azure.begin_set(4).result()) == "OverconstrainedAllocationRequest"
    assert len([one for one in fake_azure.held() if one.kind == VM]) == 1


# --- images


def test_latest_is_the_newest_version_of_a_region_that_is_not_left_out(fake_azure: FakeAzure, azure: Calls) -> None:
    compute = azure.compute
    source = azure.start(size="Standard_D2s_v5")
    compute.virtual_machines.begin_deallocate(GROUP, "m").result()
    compute.galleries.begin_create_or_update(GROUP, "gallery", {"location": LOCATION}).result()
    identifier = {"publisher": "p", "offer": "o", "sku": "s"}
    properties = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": identifier}
    compute.gallery_images.begin_create_or_update(GROUP, "gallery", "image", {"location": LOCATION, "properties": properties}).result()

    def version(name: str, *regions: str, hidden: bool = False) -> Any:
        profile = {"targetRegions": [{"name": region} for region in (LOCATION, *regions)], "excludeFromLatest": hidden}
        body = {
            "location": LOCATION,
            "properties": {"storageProfile": {"source": {"virtualMachineId": source.id}}, "publishingProfile": profile},
        }
        return compute.gallery_image_versions.begin_create_or_update(GROUP, "gallery", "image", name, body).result()

    assert _code(lambda: version("1.0.0")) == "OperationNotAllowed", "it is not generalized"
    compute.virtual_machines.generalize(GROUP, "m")
    version("1.9.0", "northeurope")
    version("1.10.0")
    made = version("2.0.0", hidden=True)
    definition = made.id.partition("/versions/")[0]
    started = azure.start("m2", image={"id": definition})
    assert started.properties.storage_profile.image_reference.exact_version == "1.10.0"
    change = {"properties": {"storageProfile": {}, "publishingProfile": {"excludeFromLatest": False}}}
    compute.gallery_image_versions.begin_update(GROUP, "gallery", "image", "2.0.0", change).result()
    assert azure.start("m3", image={"id": definition}).properties.storage_profile.image_reference.exact_version == "2.0.0"
    azure.group("north", "northeurope")
    north = azure.start("m4", "north", location="northeurope", image={"id": definition})
    assert north.properties.storage_profile.image_reference.exact_version == "1.9.0"
    assert _code(lambda: azure.start("m5", "north", location="northeurope", image={"id": made.id})) == "GalleryImageNotFound"


def test_a_region_that_has_no_copy_yet_says_so(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.replication["northeurope"] = "Failed"
    compute = azure.compute
    source = azure.start(size="Standard_D2s_v5")
    compute.virtual_machines.begin_deallocate(GROUP, "m").result()
    compute.virtual_machines.generalize(GROUP, "m")
    compute.galleries.begin_create_or_update(GROUP, "gallery", {"location": LOCATION}).result()
    properties = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
    }
    compute.gallery_images.begin_create_or_update(GROUP, "gallery", "image", {"location": LOCATION, "properties": properties}).result()
    profile = {"targetRegions": [{"name": LOCATION}, {"name": "North Europe"}]}
    body = {
        "location": LOCATION,
        "properties": {"storageProfile": {"source": {"virtualMachineId": source.id}}, "publishingProfile": profile},
    }
    compute.gallery_image_versions.begin_create_or_update(GROUP, "gallery", "image", "1.0.0", body).result()
    status = compute.gallery_image_versions.get(
        GROUP, "gallery", "image", "1.0.0", expand="ReplicationStatus"
    ).properties.replication_status
    assert {one.region: one.state for one in status.summary} == {LOCATION: "Completed", "northeurope": "Failed"}
    assert _code(lambda: compute.galleries.begin_delete(GROUP, "gallery")) == "CannotDeleteResource"


# --- deployments


def _deploy(azure: Calls, template: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """A template as Packer 1.6.6 sends it, and how its operation ends."""
    token = azure.credential.get_token("https://management.azure.com/.default").token
    headers = {"Authorization": f"Bearer {token}"}
    whole = {
        "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        **template,
    }
    given = {name: {"value": value} for name, value in parameters.items()}
    url = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/providers/Microsoft.Resources/deployments/d"
    body = {"properties": {"mode": "Incremental", "template": whole, "parameters": given}}
    answer = requests.put(f"{url}?api-version=2018-02-01", json=body, headers=headers, timeout=30)
    if answer.status_code >= 400:
        return dict(answer.json())
    return dict(requests.get(answer.headers["Azure-AsyncOperation"], headers=headers, timeout=30).json())


def _template() -> dict[str, Any]:
    """A machine and its interface, in the wrong order, with names that are worked out."""
    body = machine("[parameters('name')]")
    subnet_id = "[concat(resourceId(variables('group'), 'Microsoft.Network/virtualNetworks', 'net'), '/subnets/', toLower('DEFAULT'))]"
    configuration = {"name": "main", "properties": {"subnet": {"id": subnet_id}}}
    place = {"apiVersion": "2017-04-01", "location": "[resourceGroup().location]"}
    reference = {"id": "[resourceId('Microsoft.Network/networkInterfaces', concat(parameters('name'), '-nic'))]"}
    properties = {**body["properties"], "networkProfile": {"networkInterfaces": [reference]}}
    depends = ["[concat('Microsoft.Network/networkInterfaces/', parameters('name'), '-nic')]"]
    return {
        "parameters": {"name": {"type": "string"}},
        "variables": {"group": "[resourceGroup().name]"},
        "resources": [
            {**place, "type": VM, "name": "[parameters('name')]", "properties": properties, "dependsOn": depends},
            {
                **place,
                "type": "Microsoft.Network/networkInterfaces",
                "name": "[concat(parameters('name'), '-nic')]",
                "properties": {"ipConfigurations": [configuration]},
            },
        ],
    }


def test_a_deployment_makes_what_its_template_says(fake_azure: FakeAzure, azure: Calls) -> None:
    assert _deploy(azure, _template(), name="m9")["status"] == "Succeeded"
    assert [one.name for one in fake_azure.held() if one.kind in (VM, "Microsoft.Network/networkInterfaces")] == ["m9-nic", "m9"]
    assert fake_azure.machine("m9").power == "running"
    token = azure.credential.get_token("https://management.azure.com/.default").token
    path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/deployments/d/operations?$top=50&api-version=2018-02-01"
    answer = requests.get(f"https://management.azure.com{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    made = [one["properties"]["targetResource"]["resourceName"] for one in answer.json()["value"]]
    assert made == ["m9", "m9-nic"], "the newest first, and without a provider in the path"


@pytest.mark.parametrize("where", ["call", "operation"])
def test_a_deployment_that_fails_holds_the_error_inside(fake_azure: FakeAzure, azure: Calls, where: str) -> None:
    fake_azure.refuse("AllocationFailed", VM, where=where)
    ended = _deploy(azure, _template(), name="m9")
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "DeploymentFailed")
    assert [one["code"] for one in ended["error"]["details"]] == ["AllocationFailed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variables": {"group": "[variables('none')]"}}, "The template variable 'none' is not found."),
        ({"variables": {"group": "[guid('x')]"}}, "The template function 'guid' is not valid."),
        ({"variables": {"group": "[concat('x']"}}, "The expression"),
        ({"parameters": {}}, "do not correspond to any parameters"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(fake_azure: FakeAzure, azure: Calls, change: dict[str, Any], said: str) -> None:
    ended = _deploy(azure, {**_template(), **change}, name="m9")
    assert ended["error"]["code"] == "InvalidTemplate"
    assert said in ended["error"]["message"]
    assert _held(fake_azure) == []


# --- the account


@pytest.mark.parametrize(
    ("variable", "value", "expired", "number"),
    [
        ("AZURE_CLIENT_SECRET", "wrong", False, "AADSTS7000215"),
        ("AZURE_CLIENT_SECRET", "", True, "AADSTS7000222"),
        ("AZURE_TENANT_ID", "11111111-aaaa-4bbb-8ccc-00000000ffff", False, "AADSTS90002"),
        ("AZURE_CLIENT_ID", "11111111-aaaa-4bbb-8ccc-00000000ffff", False, "AADSTS700016"),
    ],
)
def test_a_sign_in_is_refused_with_its_number(
    fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expired: bool, number: str
) -> None:
    if expired:
        fake_azure.directory.expired.add(CLIENT)
    else:
        monkeypatch.setenv(variable, value)
    # Which tenants there are is asked only once for a tenant that is there: a wrong one is told apart by the answer to that.
    with pytest.raises((ClientAuthenticationError, ValueError), match=number if number != "AADSTS90002" else "AADSTS90002|authority"):
        Calls().resources.resource_groups.check_existence(GROUP)


def test_a_token_that_has_ended_is_refused(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.directory.tokens.clear()
    with pytest.raises(ClientAuthenticationError):
        list(azure.resources.resource_groups.list())


def test_a_provider_is_registered_first(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.unregistered.add("microsoft.compute")
    fake_azure.book.register_polls = 1
    # The SDK registers a provider by itself when it meets this: here it is not asked.
    token = azure.credential.get_token("https://management.azure.com/.default").token
    url = f"https://management.azure.com{_group_path()}/providers/{VM}/m?api-version=2026-04-01"
    answer = requests.put(url, json=machine("m"), headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert azure.resources.providers.get("Microsoft.Compute").registration_state == "NotRegistered"
    azure.resources.providers.register("Microsoft.Compute")
    states = [azure.resources.providers.get("Microsoft.Compute").registration_state for _ in range(2)]
    assert states == ["Registering", "Registered"]
    azure.start()


def test_policies_locks_and_permissions_stand_in_the_way(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.policies.append(lambda kind, body: "no-spot" if (body.get("properties") or {}).get("priority") == "Spot" else "")
    error = _refused(lambda: azure.begin(priority="Spot"))
    assert error.error is not None
    assert error.error.code == "RequestDisallowedByPolicy"
    assert error.error.additional_info[0].info["policyDefinitionName"] == "no-spot"
    azure.start()
    fake_azure.book.locks[_group_path()] = "CanNotDelete"
    assert _code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m")) == "ScopeLocked"
    assert _code(lambda: azure.resources.resource_groups.begin_delete(GROUP)) == "ScopeLocked"
    fake_azure.book.locks.clear()
    fake_azure.book.denied.add("Microsoft.Compute/virtualMachines/delete")
    assert _code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m")) == "AuthorizationFailed"


def test_a_group_is_not_deleted_while_another_uses_its_network(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.resources.resource_groups.create_or_update("other", {"location": LOCATION})
    azure.start("m", "other", profile=interfaces(GROUP))
    assert _code(lambda: azure.resources.resource_groups.begin_delete(GROUP).result()) == "ResourceGroupDeletionBlocked"
    azure.resources.resource_groups.begin_delete("other").result()
    azure.resources.resource_groups.begin_delete(GROUP).result()
    assert fake_azure.held() == []


def test_lists_come_in_pages_and_by_tag(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.begin_set(5).result()
    fake_azure.book.page = 2
    fake_azure.calls.clear()
    found = list(azure.compute.virtual_machines.list_all())
    assert len(found) == 5
    assert len(fake_azure.calls) == 3
    assert all("/resourceGroups/WORK/" in one.id for one in found), "lists of a subscription have the group in capitals"
    tagged = list(
        azure.resources.resources.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'x'", expand="createdTime,provisioningState")
    )
    assert sorted({one.type.rpartition("/")[2] for one in tagged}) == ["disks", "virtualMachineScaleSets", "virtualMachines"]
    assert [one.name for one in azure.resources.resource_groups.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'x'")] == [GROUP]
    assert list(azure.resources.resource_groups.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'y'")) == []
    assert _code(lambda: list(azure.resources.resources.list(filter="tags['a'] = 'b'"))) == "InvalidFilterInQueryString"


def test_an_unknown_subscription_is_not_found(fake_azure: FakeAzure, azure: Calls) -> None:
    other = ComputeManagementClient(azure.credential, "22222222-aaaa-4bbb-8ccc-00000000ffff", retry_total=0)
    assert _code(lambda: list(other.virtual_machines.list_all())) == "SubscriptionNotFound"


# --- the proxy, and the fake alone


def test_the_proxy_leads_to_azure_and_nowhere_else(fake_azure: FakeAzure) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        requests.get("https://example.com/", timeout=30)
    assert fake_azure.refused_hosts == ["example.com:443"]
    fake_azure.refused_hosts.clear()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get("https://management.azure.com/", verify=os.devnull, timeout=30)


def test_it_runs_alone() -> None:
    command = [sys.executable, "-m", "tests.fakes.azure"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/_state", timeout=30) as answer:
            assert json.load(answer)["resources"] == []
        given = said["environment"]
        through = {"proxies": {"https": given["HTTPS_PROXY"]}, "verify": given["REQUESTS_CA_BUNDLE"], "timeout": 30}
        form = {"grant_type": "client_credentials", "client_id": given["AZURE_CLIENT_ID"], "client_secret": given["AZURE_CLIENT_SECRET"]}
        token = requests.post(
            f"https://login.microsoftonline.com/{given['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form, **through
        ).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        url = f"https://management.azure.com/subscriptions/{said['subscription']}?api-version=2022-12-01"
        assert requests.get(url, headers=headers, **through).json()["state"] == "Enabled"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_scale_sets_of_the_old_kind_are_not_served(fake_azure: FakeAzure, azure: Calls) -> None:
    body = scale_set(1)
    body["properties"]["orchestrationMode"] = "Uniform"
    with pytest.raises(AzureError, match="Flexible"):
        azure.compute.virtual_machine_scale_sets.begin_create_or_update(GROUP, "set", body)
