"""Virtual machines and scale sets of the fake of Azure: what is refused, what there is room for, and what goes with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from azure.core.exceptions import AzureError, ResourceExistsError

from tests.fakes.azure import LOCATION, START, FakeAzure
from tests.integration.azurecalls import (
    GROUP,
    IMAGE,
    MACHINE,
    SIZE,
    TAGS,
    Calls,
    code,
    disk,
    group_path,
    held,
    interfaces,
    ready,
    refused,
    scale_set,
    subnet,
)


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    return ready(fake_azure)


def test_the_same_put_twice_is_one_machine(fake_azure: FakeAzure, azure: Calls) -> None:
    first = azure.start(custom="YQ==")
    assert azure.start(custom="YQ==").properties.vm_id == first.properties.vm_id
    assert held(fake_azure).count("virtualMachines") == 1
    assert held(fake_azure).count("networkInterfaces") == 1
    assert code(lambda: azure.start(custom="Yg==")) == "PropertyChangeNotAllowed"


def test_a_machine_that_failed_is_tried_anew_by_the_same_put(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.capacity[LOCATION, SIZE, False] = 0
    assert code(azure.start) == "AllocationFailed"
    fake_azure.capacity[LOCATION, SIZE, False] = 1
    assert azure.start().properties.provisioning_state == "Succeeded"
    assert held(fake_azure) == ["disks", "networkInterfaces", "publicIPAddresses", "virtualMachines"]


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
    assert held(fake_azure) == ["disks", "networkInterfaces", "publicIPAddresses"]
    azure.start("m2")
    azure.compute.virtual_machines.begin_delete(GROUP, "m2", force_deletion=True).result()
    assert held(fake_azure) == ["disks", "networkInterfaces", "publicIPAddresses"]


def test_what_is_in_use_is_not_deleted(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start()
    names = {one.kind.rpartition("/")[2]: one.name for one in fake_azure.held()}
    network = azure.network
    assert code(lambda: network.network_interfaces.begin_delete(GROUP, names["networkInterfaces"])) == "NicInUse"
    assert code(lambda: network.public_ip_addresses.begin_delete(GROUP, names["publicIPAddresses"])) == "PublicIPAddressCannotBeDeleted"
    assert code(lambda: network.virtual_networks.begin_delete(GROUP, "net")) == "InUseSubnetCannotBeDeleted"
    assert code(lambda: azure.compute.disks.begin_delete(GROUP, names["disks"])) == "OperationNotAllowed"
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
    assert code(lambda: azure.start("m3", profile=few)) == "SubnetIsFull"
    azure.compute.virtual_machines.begin_delete(GROUP, "m1").result()
    azure.start("m4", profile=few)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"size": "Standard_Z9"}, "InvalidParameter"),
        ({"image": {**IMAGE, "version": "1.2.3"}}, "PlatformImageNotFound"),
        ({"image": {**IMAGE, "sku": "12"}, "size": "Standard_NC24ads_A100_v4"}, "BadRequest"),
        ({"image": {**IMAGE, "sku": "12"}, "securityProfile": {"securityType": "TrustedLaunch"}}, "BadRequest"),
        ({"size": "Standard_D4s_v6", "storageProfile": {"imageReference": IMAGE, "osDisk": disk(), "diskControllerType": "SCSI"}}, "InvalidParameter"),
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
def test_what_azure_would_not_start_is_refused(fake_azure: FakeAzure, azure: Calls, change: dict[str, Any], wanted: str) -> None:
    assert code(lambda: azure.begin(**change)) == wanted
    assert [one for one in fake_azure.held() if one.kind == MACHINE] == []


def test_terms_of_the_marketplace_are_accepted_first(fake_azure: FakeAzure, azure: Calls) -> None:
    image = {"publisher": "nvidia", "offer": "ngc_azure_17_11", "sku": "ngc-base-version-24_03_1_gen2", "version": "latest"}
    plan = {"publisher": "nvidia", "product": "ngc_azure_17_11", "name": "ngc-base-version-24_03_1_gen2"}
    assert code(lambda: azure.begin(image=image, plan=plan)) == "MarketplacePurchaseEligibilityFailed"
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
    error = refused(lambda: azure.begin("m2", **change))
    assert isinstance(error, ResourceExistsError)
    assert error.error is not None
    assert error.error.code == "OperationNotAllowed"
    assert f"exceeding approved {title} quota" in str(error.message)
    assert "Current Limit: 4, Current Usage: 4, Additional Required: 4, (Minimum) New Limit Required: 8" in str(error.message)
    usage = {one.name.value: one.current_value for one in azure.compute.usage.list(LOCATION)}
    assert usage[quota] == 4
    assert code(lambda: azure.begin_set(1, **change)) == "OperationNotAllowed"


def test_a_size_that_is_restricted_says_so_and_is_refused(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.restricted[f"{LOCATION}-2", SIZE] = "NotAvailableForSubscription"
    sku = next(one for one in azure.compute.resource_skus.list(filter=f"location eq '{LOCATION}'") if one.name == SIZE)
    assert sku.restrictions is not None
    assert [(one.type, one.restriction_info.zones) for one in sku.restrictions if one.restriction_info] == [("Zone", ["2"])]
    assert code(lambda: azure.begin(zone="2")) == "SkuNotAvailable"
    azure.start(zone="1")


@pytest.mark.parametrize("place", ["operation", "call"])
def test_capacity_ends_and_comes_back(fake_azure: FakeAzure, azure: Calls, place: str) -> None:
    fake_azure.book.shortage_at = place
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 1
    fake_azure.capacity[LOCATION, SIZE, True] = 0
    azure.start("m1", zone="1")
    assert code(lambda: azure.start("m2", zone="1")) == "ZonalAllocationFailed"
    assert code(lambda: azure.start("m3", priority="Spot")) == "AllocationFailed"
    azure.compute.virtual_machines.begin_delete(GROUP, "m1").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m2").result()
    azure.start("m4", zone="1")


def test_a_spot_machine_is_taken_back_as_its_policy_says(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start("m1", priority="Spot", evictionPolicy="Delete")
    azure.start("m2", priority="Spot")
    fake_azure.evict("m1")
    azure.compute.virtual_machines.simulate_eviction(GROUP, "m2")
    assert [(one.name, one.more["power"]) for one in fake_azure.held() if one.kind == MACHINE] == [("m2", "deallocated")]


def test_a_schedule_deallocates_and_outlives_its_machine(fake_azure: FakeAzure, azure: Calls) -> None:
    made = azure.start()
    path = f"{group_path()}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-m"
    properties = {
        "status": "Enabled", "taskType": "ComputeVmShutdownTask", "dailyRecurrence": {"time": "1930"}, "timeZoneId": "UTC", "targetResourceId": made.id,
    }  # fmt: skip
    resources = azure.resources.resources

    def put(name: str = path, **change: Any) -> None:
        body: Any = {"location": LOCATION, "tags": TAGS, "properties": {**properties, **change}}
        resources.begin_create_or_update_by_id(name, body, api_version="2018-09-15").result()

    assert not fake_azure.auto_shutdown("m")
    assert code(lambda: put(dailyRecurrence={"time": "2460"})) == "InvalidScheduleParameters"
    assert code(lambda: put(f"{path}x")) == "InvalidScheduleParameters"
    put()
    assert [one.name for one in resources.list(filter="resourceType eq 'Microsoft.DevTestLab/schedules'")] == ["shutdown-computevm-m"]
    assert fake_azure.auto_shutdown("m")
    assert fake_azure.machine("m").power == "deallocated"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    assert held(fake_azure) == ["schedules"]
    resources.begin_delete_by_id(path, api_version="2018-09-15").result()
    assert held(fake_azure) == []


def test_the_serial_log_is_read_where_azure_says(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start("m1", diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
    azure.start("m2")
    fake_azure.book.consoles["m1"] = "it boots\n"
    data = azure.compute.virtual_machines.retrieve_boot_diagnostics_data(GROUP, "m1")
    assert requests.get(str(data.serial_console_log_blob_uri), timeout=30).text == "it boots\n"
    assert code(lambda: azure.compute.virtual_machines.retrieve_boot_diagnostics_data(GROUP, "m2")) == "OperationNotAllowed"


# --- scale sets


def test_a_scale_set_makes_machines_of_its_group(fake_azure: FakeAzure, azure: Calls) -> None:
    made = azure.begin_set(3, zones=("1", "2")).result()
    chosen = list(azure.compute.virtual_machines.list(GROUP, filter=f"'virtualMachineScaleSet/id' eq '{made.id}'", expand="instanceView"))
    assert sorted(zone for one in chosen for zone in one.zones or []) == ["1", "1", "2"]
    assert all(one.name.startswith("set_") and one.tags == TAGS for one in chosen)
    azure.compute.virtual_machines.begin_delete(GROUP, chosen[0].name).result()
    assert azure.compute.virtual_machine_scale_sets.get(GROUP, "set").sku.capacity == 2
    azure.compute.virtual_machine_scale_sets.begin_delete(GROUP, "set", force_deletion=True).result()
    assert held(fake_azure) == []


def test_the_same_put_of_a_scale_set_starts_nothing_and_a_greater_one_the_rest(fake_azure: FakeAzure, azure: Calls) -> None:
    first = azure.begin_set(2).result()
    names = {one.name for one in azure.compute.virtual_machines.list(GROUP)}
    assert azure.begin_set(2).result().properties.unique_id == first.properties.unique_id
    assert {one.name for one in azure.compute.virtual_machines.list(GROUP)} == names
    azure.begin_set(5).result()
    assert len(list(azure.compute.virtual_machines.list(GROUP))) == 5


def test_a_scale_set_starts_what_there_is_room_for(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 2
    fake_azure.capacity[f"{LOCATION}-2", SIZE, False] = 1
    assert code(lambda: azure.begin_set(5, zones=("1", "2")).result()) == "ZonalAllocationFailed"
    assert len([one for one in fake_azure.held() if one.kind == MACHINE]) == 3
    assert azure.compute.virtual_machine_scale_sets.get(GROUP, "set").properties.provisioning_state == "Failed"
    azure.compute.virtual_machine_scale_sets.begin_delete(GROUP, "set").result()
    assert fake_azure.capacity[f"{LOCATION}-1", SIZE, False] == 2
    fake_azure.book.keep_failed = True
    fake_azure.capacity[f"{LOCATION}-1", SIZE, False] = 1
    assert code(lambda: azure.begin_set(2, "set2", zones=("1",)).result()) == "ZonalAllocationFailed"
    assert sorted(one.state for one in fake_azure.held() if one.kind == MACHINE) == ["Failed", "Succeeded"]


def test_a_scale_set_that_fails_may_have_started_some(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.refuse("OverconstrainedAllocationRequest", START, where="operation", few=1)
    assert code(lambda: azure.begin_set(4).result()) == "OverconstrainedAllocationRequest"
    assert len([one for one in fake_azure.held() if one.kind == MACHINE]) == 1


def test_a_scale_set_that_fails_starts_none_unless_it_was_said_how_many(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.refuse("AllocationFailed", START, where="operation")
    assert code(lambda: azure.begin_set(3).result()) == "AllocationFailed"
    assert [one for one in fake_azure.held() if one.kind == MACHINE] == []


def test_scale_sets_of_the_old_kind_are_not_served(fake_azure: FakeAzure, azure: Calls) -> None:
    body = scale_set(1)
    body["properties"]["orchestrationMode"] = "Uniform"
    with pytest.raises(AzureError, match="Flexible"):
        azure.compute.virtual_machine_scale_sets.begin_create_or_update(GROUP, "set", body)
