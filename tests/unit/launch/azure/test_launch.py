"""What a launch on Azure makes, says and leaves: the real SDK against a fake of Resource Manager."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from goldbake.clouds.azure.session import Azure
from goldbake.clouds.azure.types import CHEAPEST, default_types
from goldbake.clouds.failure import Failure
from goldbake.config.azure import AzureSettings
from goldbake.config.model import Cloud, Gpu
from goldbake.errors import Exit, MissingError, NoImageError, UsageError
from launch import service
from launch.azure import launcher as launcher_of_azure
from launch.azure.launcher import GROUP as GROUP_OPTION
from launch.azure.request import USER
from launch.base import ACCOUNT, REGIONS, Market
from launch.registry import launcher_for
from tests.fakes.azure import START, SUBSCRIPTION, Resource
from tests.unit.launch.azure.conftest import ABROAD, GROUP, HOME, KEY, MACHINE, SCHEDULE, SET, TYPE, VERSION, Field, gallery, record
from tests.unit.launch.field import PAT

TAGS = {"managed-by", "goldbake-launch", "goldbake-image", "goldbake-expires"}
DISK, INTERFACE, ADDRESS = "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces", "Microsoft.Network/publicIPAddresses"
NETWORK, GATEWAY, RULES = "Microsoft.Network/virtualNetworks", "Microsoft.Network/natGateways", "Microsoft.Network/networkSecurityGroups"


def given_group(field: Field, name: str = "theirs") -> str:
    """A resource group of somebody else."""
    id = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    with field.fake.book.lock:
        field.fake.book.add(Resource(id, GROUP, name, (name,), {"location": HOME, "properties": {"provisioningState": "Succeeded"}}))
    field.seeded |= {id}
    return name


def given_subnet(field: Field, region: str = HOME) -> str:
    """A subnet of somebody else."""
    network = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/{NETWORK}/office"
    state = {"provisioningState": "Succeeded"}
    space = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, **state}
    with field.fake.book.lock:
        field.fake.book.add(Resource(network, NETWORK, "net", ("office",), {"location": region, "tags": {}, "properties": space}))
        subnet = {"name": "build", "properties": {"addressPrefix": "10.1.0.0/20", **state}}
        field.fake.book.add(Resource(f"{network}/subnets/build", f"{NETWORK}/subnets", "net", ("office", "build"), subnet))
    field.seeded |= {network, f"{network}/subnets/build"}
    return f"{network}/subnets/build"


def sent(field: Field, title: str) -> Any:
    """The body of the last call with this title."""
    return [call.body for call in field.fake.calls if call.title == title][-1]


def test_one_vm_comes_up_in_a_group_of_its_own_and_goes_without_a_trace(azure_field: Field) -> None:
    report = azure_field.launch()
    (started,) = report.started
    assert started.online
    assert started.agent == started.instance.id
    assert started.instance.id.startswith("goldbake-l1-")
    assert started.instance.place == f"{HOME}-1"
    assert (started.instance.kind, started.instance.image) == (TYPE, "gpu-agent")
    assert started.instance.address.startswith("10.64.")
    (machine,) = azure_field.held(MACHINE)
    assert (machine.name, machine.group, machine.more["image"]) == (started.instance.id, "goldbake-l1", VERSION)
    assert azure_field.fake.titles() == [f"PUT {kind}" for kind in (GROUP, ADDRESS, GATEWAY, NETWORK, MACHINE)]
    azure_field.destroy()
    assert azure_field.left() == []
    assert service.entries(azure_field.paths) == []


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("public", [False, True])
def test_everything_is_tagged_by_its_own_create_call_and_goes_with_its_vm(azure_field: Field, count: int, public: bool) -> None:
    options = {"market": Market.SPOT_ONLY, "public_address": public, "ssh_from": "203.0.113.7/32"}
    azure_field.launch(count=count, options=options, ttl=600)
    (entry,) = service.entries(azure_field.paths)
    for one in azure_field.held():
        assert set(one.tags) >= TAGS, one
        assert (one.tags["managed-by"], one.tags["goldbake-launch"]) == ("goldbake", "l1")
        assert int(one.tags["goldbake-expires"]) == entry.expires
    assert not any(call.method == "PATCH" for call in azure_field.fake.calls)
    for machine in azure_field.held(MACHINE):
        azure_field.fake.evict(machine.name)  # as Azure takes spare capacity back
    assert azure_field.held(DISK) == azure_field.held(INTERFACE) == []
    assert {one.name for one in azure_field.held(ADDRESS)} == (set() if public else {f"goldbake-l1-{HOME}-nat-ip"})
    azure_field.destroy()
    assert azure_field.left() == []


def test_several_vms_come_up_by_one_flexible_scale_set(azure_field: Field) -> None:
    report = azure_field.launch(count=3)
    assert [started.instance.number for started in report.started] == [1, 2, 3]
    assert len({started.agent for started in report.started}) == 3
    (scale_set,) = azure_field.held(SET)
    for started in report.started:
        assert started.instance.id.startswith(f"{scale_set.name}_")
        assert (started.instance.kind, started.instance.launch_id, started.instance.image) == (TYPE, "l1", "gpu-agent")
    body = sent(azure_field, f"PUT {SET}")
    assert body["properties"]["orchestrationMode"] == "Flexible"
    assert body["sku"] == {"name": TYPE, "tier": "Standard", "capacity": 3}
    azure_field.destroy()
    assert azure_field.left() == []


@pytest.mark.parametrize("count", [1, 2])
def test_the_pat_is_in_custom_data_only_and_in_no_answer_file_or_line(azure_field: Field, count: int) -> None:
    azure_field.fake.keep_answers = True
    report = azure_field.launch(count=count)
    for started in report.started:
        held = azure_field.fake.machine(started.instance.id)
        text = base64.b64decode(held.secret["customData"]).decode()
        assert text.startswith("#cloud-config\n")
        assert PAT in text
        assert "userData" not in held.secret
    encoded = base64.b64encode(PAT.encode()).decode()[:-4]
    answered = b"".join(answer.body for _, answer in azure_field.fake.answers).decode()
    ours = b"".join(path.read_bytes() for path in azure_field.paths.state.rglob("*") if path.is_file()).decode(errors="replace")
    for text in (answered, ours, azure_field.said.getvalue(), str(report.document())):
        assert PAT not in text
        assert encoded not in text
    assert report.notes == ()


@pytest.mark.parametrize(("count", "title"), [(1, f"PUT {MACHINE}"), (2, f"PUT {SET}")])
def test_a_machine_is_closed_small_and_goes_as_a_whole_unless_asked(azure_field: Field, count: int, title: str) -> None:
    azure_field.launch(count=count)
    body = sent(azure_field, title)
    profile = body["properties"].get("virtualMachineProfile", body["properties"])
    assert "identity" not in body
    assert "securityProfile" not in profile
    assert "priority" not in profile
    assert profile["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is True
    assert profile["osProfile"]["adminUsername"] == USER
    assert profile["diagnosticsProfile"] == {"bootDiagnostics": {"enabled": True}}
    assert profile["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    assert "diskSizeGB" not in profile["storageProfile"]["osDisk"]
    (interface,) = profile["networkProfile"]["networkInterfaceConfigurations"]
    assert interface["properties"]["deleteOption"] == "Delete"
    assert "networkSecurityGroup" not in interface["properties"]
    (address,) = interface["properties"]["ipConfigurations"]
    assert "publicIPAddressConfiguration" not in address["properties"]
    assert azure_field.held(RULES) == []
    subnet = sent(azure_field, f"PUT {NETWORK}")["properties"]["subnets"][0]["properties"]
    assert subnet["defaultOutboundAccess"] is False
    assert subnet["natGateway"]["id"].endswith("-nat")


def test_options_of_a_person_are_in_the_create_call(azure_field: Field) -> None:
    identity = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/Microsoft.ManagedIdentity/userAssignedIdentities/agents"
    options = {
        "zones": ("2",), "public_address": True, "ssh_from": "203.0.113.0/24", "key": KEY,
        "identity": identity, "disk_gib": 64, "market": Market.SPOT_ONLY,
    }  # fmt: skip
    report = azure_field.launch(options=options)
    (started,) = report.started
    assert started.instance.place == f"{HOME}-2 (spot)"
    body = sent(azure_field, f"PUT {MACHINE}")
    properties = body["properties"]
    assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    assert body["zones"] == ["2"]
    assert properties["storageProfile"]["osDisk"]["diskSizeGB"] == 64
    assert (properties["priority"], properties["evictionPolicy"], properties["billingProfile"]["maxPrice"]) == ("Spot", "Delete", -1)
    (interface,) = properties["networkProfile"]["networkInterfaceConfigurations"]
    assert interface["properties"]["networkSecurityGroup"]["id"].endswith("-ssh")
    public = interface["properties"]["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"]
    assert (public["sku"]["name"], public["properties"]["deleteOption"]) == ("Standard", "Delete")
    (rule,) = sent(azure_field, f"PUT {RULES}")["properties"]["securityRules"]
    assert (rule["properties"]["sourceAddressPrefix"], rule["properties"]["destinationPortRange"]) == ("203.0.113.0/24", "22")
    assert azure_field.held(GATEWAY) == []  # its own address is its way out
    (address,) = azure_field.held(ADDRESS)
    shown = azure_field.fake.book.find(address.id)
    assert shown is not None
    assert started.instance.address == shown.properties["ipAddress"]
    assert started.instance.reach.startswith(f"ssh {USER}@")
    azure_field.destroy()
    assert azure_field.left() == []


def test_an_identity_for_each_machine_is_asked_for_by_a_word(azure_field: Field) -> None:
    azure_field.launch(options={"identity": "system"})
    assert sent(azure_field, f"PUT {MACHINE}")["identity"] == {"type": "SystemAssigned"}


def test_in_a_subnet_of_somebody_else_nothing_is_made_but_the_machine(azure_field: Field) -> None:
    subnet = given_subnet(azure_field)
    azure_field.launch(options={"subnet": subnet})
    assert {one.kind for one in azure_field.held()} == {GROUP, MACHINE, DISK, INTERFACE}
    assert azure_field.said.getvalue().count("NAT gateway") == 0
    azure_field.destroy()
    assert azure_field.left() == []


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "untagged"])
def test_in_a_group_of_somebody_else_everything_goes_one_by_one(azure_field: Field, count: int, tagged: bool) -> None:
    azure_field.fake.book.disk_tags = azure_field.fake.book.instance_tags = tagged
    group = given_group(azure_field)
    azure_field.launch(count=count, options={"resource_group": group, "public_address": True, "ssh_from": "203.0.113.7/32"})
    assert {one.group for one in azure_field.held()} == {group}
    (entry,) = service.entries(azure_field.paths)
    assert entry.options == {ACCOUNT: SUBSCRIPTION, REGIONS: f"{HOME},{ABROAD}", GROUP_OPTION: group}
    launcher = azure_field.launcher()
    assert len(launcher.instances("l1")) == len(launcher.instances()) == count
    assert {one.launch_id for one in launcher.instances()} == {"l1"}
    report = azure_field.destroy()
    assert azure_field.left() == []
    assert len(report.agents) == count
    assert {text.partition(" /")[0] for text in report.removed} >= {"virtual machine", "virtual network", "network security group"}
    assert not any(call.title == f"DELETE {GROUP}" for call in azure_field.fake.calls)


def test_a_group_or_a_subnet_that_is_not_there_is_refused(azure_field: Field) -> None:
    for options, message in (
        ({"resource_group": "nobodys"}, "--resource-group nobodys is not there"),
        ({"subnet": "subnet-1"}, "--subnet subnet-1 is no subnet of Azure"),
        ({"subnet": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/{NETWORK}/y/subnets/z"}, "is not there"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            azure_field.launch(options=options)
        assert caught.value.hint
    assert azure_field.fake.titles() == []
    assert service.entries(azure_field.paths) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zones": ("9",)}, "is in westeurope-1, westeurope-2, westeurope-3, not in 9"),
        ({"types": ("Standard_X9",)}, "Standard_X9 is not offered in westeurope"),
        ({"disk_gib": 4}, "--disk 4 is smaller than the image's 32 GiB"),
        ({"identity": "agents"}, "--identity agents is no managed identity"),
        ({"regions": ("westus2",)}, "no image version in westus2"),
        ({"types": ("Standard_D2ps_v5",)}, "has a processor of another kind"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(azure_field: Field, options: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, Failure), match=message) as caught:
        azure_field.launch(options={"regions": (HOME,), **options})
    assert caught.value.hint
    assert azure_field.fake.titles() == []
    assert service.entries(azure_field.paths) == []


def test_a_subnet_is_in_one_region(azure_field: Field) -> None:
    subnet = given_subnet(azure_field, ABROAD)
    assert azure_field.launch(options={"subnet": subnet}).started[0].instance.place == f"{ABROAD}-1"
    with pytest.raises(UsageError, match="is in eastus"):
        azure_field.launch("l2", options={"subnet": subnet, "regions": (HOME,)})


def test_a_size_that_the_subscription_may_not_use_is_left_out(azure_field: Field) -> None:
    azure_field.fake.book.restricted[(HOME, TYPE)] = "NotAvailableForSubscription"
    azure_field.fake.book.restricted[(f"{ABROAD}-1", TYPE)] = "NotAvailableForSubscription"
    assert azure_field.launch().started[0].instance.place == f"{ABROAD}-2"
    assert "may not be used in westeurope by this subscription (NotAvailableForSubscription)" in azure_field.said.getvalue()


def test_an_image_that_is_gone_is_refused_with_the_bake_command(azure_field: Field) -> None:
    azure_field.fake.book.drop(VERSION)
    with pytest.raises(NoImageError, match="is not there any more") as caught:
        azure_field.launch()
    assert "./inv bake --cloud azure --image gpu-agent" in caught.value.hint


def test_only_regions_whose_replica_is_complete_are_used(azure_field: Field) -> None:
    version = azure_field.fake.book.find(VERSION)
    assert version is not None
    version.memory["replication"][HOME] = "Replicating"
    assert azure_field.launch().started[0].instance.place == f"{ABROAD}-1"
    version.memory["replication"][ABROAD] = "Failed"
    with pytest.raises(NoImageError, match="is ready in no region"):
        azure_field.launch("l2")


@pytest.mark.parametrize(
    ("security", "said", "trusted"),
    [
        ("", "trusted-launch", False),
        ("ConfidentialVMSupported", "standard", False),
        ("TrustedLaunchSupported", "standard", False),
        ("TrustedLaunchSupported", "trusted-launch", True),
        ("TrustedLaunch", "standard", True),
    ],
)
def test_the_security_type_is_what_the_definition_and_the_image_say(
    azure_field: Field, security: str, said: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery(azure_field.fake, features={"SecurityType": security} if security else {})
    described = service.described

    def changed(*given: Any) -> Any:
        found = described(*given)
        assert found is not None
        return found.model_copy(update={"azure": AzureSettings.model_validate({"security": said})})

    monkeypatch.setattr(service, "described", changed)
    azure_field.launch()
    found = sent(azure_field, f"PUT {MACHINE}")["properties"].get("securityProfile")
    uefi = {"secureBootEnabled": False, "vTpmEnabled": True}
    assert found == ({"securityType": "TrustedLaunch", "uefiSettings": uefi} if trusted else None)


def test_an_image_for_confidential_vms_is_refused(azure_field: Field) -> None:
    gallery(azure_field.fake, features={"SecurityType": "ConfidentialVM"})
    with pytest.raises(UsageError, match="confidential"):
        azure_field.launch()


@pytest.mark.parametrize(("size", "asked"), [("Standard_D4s_v6", "NVMe"), (TYPE, None)])
def test_a_size_with_its_disks_behind_nvme_gets_an_image_that_can_do_it(azure_field: Field, size: str, asked: str | None) -> None:
    gallery(azure_field.fake, features={"DiskControllerTypes": "SCSI,NVMe"})
    azure_field.launch(options={"types": (size,)})
    assert sent(azure_field, f"PUT {MACHINE}")["properties"]["storageProfile"].get("diskControllerType") == asked


def test_a_size_that_the_image_cannot_start_on_is_refused_before_anything_is_made(azure_field: Field) -> None:
    with pytest.raises(Failure, match="Standard_D4s_v6 needs an image for NVMe disks") as caught:
        azure_field.launch(options={"types": ("Standard_D4s_v6",)})
    assert caught.value.exit_code is Exit.CAPACITY
    assert [call for call in azure_field.fake.calls if call.method != "GET"] == []


def test_a_zone_that_the_subscription_may_not_use_is_called_so(azure_field: Field) -> None:
    azure_field.fake.book.restricted[(f"{HOME}-1", TYPE)] = "NotAvailableForSubscription"
    with pytest.raises(Failure, match=rf"this subscription may not use {TYPE} in {HOME}-1"):
        azure_field.launch(options={"zones": (f"{HOME}-1",)})


@pytest.mark.parametrize(("options", "warned"), [({}, True), ({"public_address": True}, False)])
def test_ssh_to_machines_that_nobody_reaches_is_warned_of(azure_field: Field, options: dict[str, Any], warned: bool) -> None:
    azure_field.launch(options={"ssh_from": "203.0.113.7/32", **options})
    said = azure_field.said.getvalue()
    assert ("--ssh-from opens SSH on machines that nobody reaches: add --public-ip, or name a network with --subnet" in said) is warned


@pytest.mark.parametrize("count", [1, 2])
def test_a_region_that_asks_for_a_long_wait_is_left_and_not_asked_again(azure_field: Field, count: int) -> None:
    azure_field.fake.refuse("TooManyRequests", START, status=429, retry_after=900, location=HOME, times=None)
    report = azure_field.launch(count=count)
    assert {started.instance.place.partition("-")[0] for started in report.started} == {ABROAD}
    asked = [call.location for call in azure_field.fake.calls if call.method == "PUT" and call.what in (MACHINE, SET)]
    assert asked == [HOME, ABROAD]
    assert "it asks to wait 15 min" in azure_field.said.getvalue()


def test_an_unchecked_image_is_launched_only_when_told(azure_field: Field) -> None:
    record(azure_field.paths, checked=False)
    with pytest.raises(UsageError, match="baked without checks") as caught:
        azure_field.launch()
    assert "./inv check --cloud azure --image gpu-agent" in caught.value.hint
    assert azure_field.fake.calls == []
    assert azure_field.launch(unchecked=True).started


def test_the_default_size_is_the_cheapest_that_fits() -> None:
    assert default_types(()) == (TYPE,)
    assert default_types((Gpu.H100, Gpu.A100)) == ("Standard_NC24ads_A100_v4",)
    with pytest.raises(UsageError, match="v100") as caught:
        default_types((Gpu.V100,))
    assert "--instance-type" in caught.value.hint
    assert len(set(CHEAPEST)) == len(CHEAPEST)


def test_without_a_size_the_choice_is_told(azure_field: Field) -> None:
    report = azure_field.launch(options={"types": ()})
    assert report.started[0].instance.kind == TYPE
    assert f"VM size {TYPE}: the cheapest" in azure_field.said.getvalue()


def test_it_is_said_that_a_machine_that_is_off_still_costs(azure_field: Field) -> None:
    azure_field.launch()
    said = azure_field.said.getvalue()
    assert "Azure bills what is off (after `az provider register --namespace Microsoft.DevTestLab` it deallocates them), and" in said
    assert "`./inv reap --cloud azure` removes all" in said
    assert azure_field.held(SCHEDULE) == []


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
@pytest.mark.usefixtures("with_schedules")
def test_azure_is_told_to_deallocate_each_machine_at_its_end(azure_field: Field, count: int, given: bool) -> None:
    options = {"resource_group": given_group(azure_field)} if given else {}
    report = azure_field.launch(count=count, options=options, ttl=3 * 3600)
    assert {one.name for one in azure_field.held(SCHEDULE)} == {f"shutdown-computevm-{one.instance.id}" for one in report.started}
    bodies = [call.body for call in azure_field.fake.calls if call.title == f"PUT {SCHEDULE}"]
    for body in bodies:
        assert body["tags"]["goldbake-launch"] == "l1"
        assert body["properties"]["dailyRecurrence"] == {"time": time.strftime("%H%M", time.gmtime(report.expires))}
        assert (body["properties"]["timeZoneId"], body["properties"]["taskType"]) == ("UTC", "ComputeVmShutdownTask")
    targets = {body["properties"]["targetResourceId"].rpartition("/")[2] for body in bodies}
    assert targets == {one.instance.id for one in report.started}
    assert "Azure is told to deallocate them then" in azure_field.said.getvalue()
    assert report.notes == ()
    azure_field.destroy()
    assert azure_field.left() == []


@pytest.mark.parametrize("ttl", [600, 24 * 3600, 3 * 24 * 3600])
@pytest.mark.usefixtures("with_schedules")
def test_a_time_of_day_serves_for_launches_of_less_than_a_day(azure_field: Field, ttl: int) -> None:
    azure_field.launch(ttl=ttl)
    assert azure_field.held(SCHEDULE) == []
    assert not any(call.what == "providers" for call in azure_field.fake.calls)


@pytest.mark.usefixtures("with_schedules")
def test_a_schedule_that_is_refused_is_a_note_and_no_failure(azure_field: Field) -> None:
    azure_field.fake.refuse("RequestDisallowedByPolicy", SCHEDULE, method="PUT", times=None)
    report = azure_field.launch(count=2)
    (note,) = report.notes
    assert "RequestDisallowedByPolicy" in note
    assert "(2 of 2): a machine that has powered itself off is billed until `./inv reap`" in note
    assert len(report.started) == 2
    azure_field.fake.refuse("AuthorizationFailed", "providers", method="*", times=None)
    assert azure_field.launch("l2").notes == ()


@pytest.mark.parametrize(("count", "kind"), [(1, MACHINE), (3, SET)])
def test_a_repeated_call_finds_what_the_first_made(azure_field: Field, count: int, kind: str) -> None:
    azure_field.fake.refuse("InternalServerError", kind, method="PUT", done=True)
    report = azure_field.launch(count=count)
    names = azure_field.asked(f"PUT {kind}")
    assert (len(names), len(set(names))) == (2, 1)
    assert len(report.started) == len(azure_field.held(MACHINE)) == count


def test_with_a_key_and_an_open_port_the_report_has_the_way_in(azure_field: Field) -> None:
    options = {"key": KEY, "ssh_from": "203.0.113.7/32", "public_address": True}
    (started,) = azure_field.launch(options=options).started
    assert started.instance.reach == f"ssh {USER}@{started.instance.address}"
    assert KEY in json.dumps(azure_field.fake.machine(started.instance.id).body)


def test_without_a_subscription_it_is_the_one_of_our_newest_image(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    sessions = list[Azure]()

    class Kept(Azure):
        def __init__(self, subscription: str = "") -> None:
            super().__init__(subscription)
            sessions.append(self)

    monkeypatch.setattr(launcher_of_azure, "Azure", Kept)
    assert launcher_for(Cloud.AZURE, azure_field.paths).instances() == []
    sessions.pop().close()
    assert {call.path.split("/")[2] for call in azure_field.fake.calls if call.host == "management.azure.com"} == {SUBSCRIPTION}
    for path in azure_field.paths.records.glob("*/*/*.json"):
        path.unlink()
    with pytest.raises(MissingError, match="no Azure subscription is named") as caught:
        launcher_for(Cloud.AZURE, azure_field.paths)
    assert "AZURE_SUBSCRIPTION_ID" in caught.value.hint
    assert caught.value.exit_code is Exit.MISSING


def test_instances_are_listed_over_the_subscription(azure_field: Field) -> None:
    azure_field.launch("l1", count=2)
    azure_field.launch("l2", options={"regions": (ABROAD,)})
    azure_field.fake.power_off(azure_field.launcher().instances("l2")[0].id)
    found = azure_field.launcher().instances()
    assert sorted((one.launch_id, one.number, one.place, one.state) for one in found) == [
        ("l1", 1, f"{HOME}-1", "running"),
        ("l1", 2, f"{HOME}-1", "running"),
        ("l2", 1, f"{ABROAD}-1", "stopped"),
    ]
