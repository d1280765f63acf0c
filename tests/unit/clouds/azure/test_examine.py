"""The rows of doctor about Azure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake import host
from goldbake.clouds.azure import examine as examining
from goldbake.clouds.azure import permissions, role
from goldbake.clouds.azure.examine import Bake, examine
from goldbake.clouds.azure.role import Purpose
from goldbake.clouds.azure.session import NO_CREDENTIALS, Azure
from goldbake.config.model import Cloud, Os
from goldbake.errors import Exit
from goldbake.finding import Finding
from goldbake.paths import Paths
from tests.fakes.azure import CLIENT, SUBSCRIPTION, FakeAzure
from tests.servers import closed_port
from tests.unit.clouds.doctor import ends, failing, only

HOME = "westeurope"
T4, H100, BUILD = "Standard_NC4as_T4_v3", "Standard_NC40ads_H100_v5", "Standard_D4s_v5"
V6 = "Standard_D4s_v6"
"""Has its disks behind NVMe only."""
PLAIN = "Standard_ND96asr_v4"
"""Does not start with Trusted Launch."""
FAMILY = "Standard NCASv3_T4 Family"
SUBNET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/builds/subnets/agents"


def _bake(**changes: Any) -> Bake:
    given: dict[str, Any] = {"region": HOME, "vm_size": BUILD, "os": Os.DEBIAN_12, "group": "goldbake-images", "gallery": "goldbake"}
    return Bake(**{**given, "definition": "gpu-agent", **changes})


def _look(
    azure: Azure | None,
    regions: Sequence[str] = (HOME,),
    types: Sequence[str] = (T4,),
    *,
    bakes: Sequence[Bake] = (),
    strict: bool = False,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    return examine(regions, types, bakes=bakes, strict=strict, azure=azure, now=now)


def _gallery(azure: Azure, definitions: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """A gallery as docs/how-to/azure.md makes it, with these image definitions."""
    azure.client(ResourceManagementClient).resource_groups.create_or_update("goldbake-images", {"location": HOME})
    compute = azure.client(ComputeManagementClient)
    compute.galleries.begin_create_or_update("goldbake-images", "goldbake", {"location": HOME}).result()
    for name, changes in (definitions or {}).items():
        identifier = {"publisher": "goldbake", "offer": "goldbake", "sku": name}
        properties = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": identifier, **changes}
        body: Any = {"location": HOME, "properties": properties}
        compute.gallery_images.begin_create_or_update("goldbake-images", "goldbake", name, body).result()


def test_all_is_well_and_nothing_was_changed(fake_azure: FakeAzure, azure: Azure) -> None:
    _gallery(azure, {"gpu-agent": {}})
    fake_azure.calls.clear()
    rows = _look(azure, bakes=[_bake()])
    assert [row.what for row in rows if not row.good] == []
    assert f"service principal {CLIENT}" in only(rows, "Azure credentials").state
    assert only(rows, "Azure subscription").state == f"Fake ({SUBSCRIPTION}): Enabled"
    assert only(rows, "provider Microsoft.Compute").state == "Registered"
    assert only(rows, "permissions").state.endswith("actions are allowed in the subscription")
    assert only(rows, "gallery goldbake").state == f"in the resource group goldbake-images, {HOME}"
    assert only(rows, "image definition gpu-agent").state == "generation V2, security Standard"
    assert only(rows, f"base image {HOME}").state.startswith("debian-12: Debian:debian-12:12-gen2:")
    assert next(row.state for row in rows if row.what == f"size {HOME}") == f"{T4}: zones 1, 2, 3"
    quotas = [row.state.partition(":")[0] for row in rows if row.what == f"quota {HOME}"]
    assert [name.rpartition("(")[2] for name in quotas] == [f"{FAMILY})", "standardDSv5Family)", "cores)", "lowPriorityCores)"]
    assert fake_azure.titles() == []


def test_the_smallest_role_is_enough_for_doctor_itself(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.granted = list(role.actions([Purpose.DOCTOR]))
    rows = _look(azure, bakes=[_bake()])
    assert only(rows, "permissions").state.startswith(f"{len(role.actions([Purpose.DOCTOR]))} of ")
    assert {row.what.partition(" ")[0] for row in failing(rows)} == {"permission", "gallery"}


def test_without_credentials_nothing_is_asked(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_CLIENT_ID")
    rows = _look(None)
    assert [(row.what, row.fix) for row in rows] == [("Azure credentials", NO_CREDENTIALS)]
    assert "AZURE_CLIENT_ID" in rows[0].state
    assert fake_azure.calls == []
    assert ends(rows) == (Exit.MISSING, NO_CREDENTIALS)


def test_without_a_subscription_the_hint_says_where_to_find_one(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    (row,) = _look(None)
    assert "az account list" in row.fix


def test_an_expired_secret(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.directory.expired.add(CLIENT)
    (row,) = _look(azure)
    assert row.what == "Azure credentials"
    assert "AADSTS7000222" in row.state
    assert "az ad app credential reset" in row.fix
    assert ends([row])[0] is Exit.MISSING


def test_a_wrong_secret(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "this-is-not-it")
    (row,) = _look(None)
    assert "AADSTS7000215" in row.state
    assert "this-is-not-it" not in f"{row.state} {row.fix}"


def test_a_wrong_directory(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "99999999-aaaa-4bbb-8ccc-000000000001")
    (row,) = _look(None)
    assert (row.what, row.required) == ("Azure credentials", True)
    assert "AZURE_TENANT_ID" in row.fix


def test_a_subscription_that_is_not_there(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "99999999-aaaa-4bbb-8ccc-000000000002")
    row = _look(None)[-1]
    assert row.what == "Azure subscription"
    assert "SubscriptionNotFound" in row.state
    assert "az account list" in row.fix


@pytest.mark.parametrize(
    ("state", "good"), [("Enabled", True), ("Warned", True), ("PastDue", True), ("Disabled", False), ("Deleted", False)]
)
def test_the_state_of_the_subscription(fake_azure: FakeAzure, azure: Azure, state: str, good: bool) -> None:
    fake_azure.book.subscription_state = state
    rows = _look(azure)
    row = only(rows, "Azure subscription")
    assert row.good is good
    assert state in row.state
    assert (len(rows) > 3) is good, "nothing further is asked"


def test_azure_that_cannot_be_reached(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, closed_port())
    (row,) = _look(None)
    assert (row.what, row.good) == ("Azure", False)
    assert "ServiceRequestError" in row.state
    assert "HTTPS_PROXY" in row.fix


@pytest.mark.parametrize(
    ("off", "good", "required"), [(0, True, False), (40, True, False), (-100, False, False), (400, False, True), (-400, False, True)]
)
def test_the_clock(azure: Azure, off: int, good: bool, required: bool) -> None:
    row = only(_look(azure, now=lambda: time.time() + off), "clock")
    assert (row.good, row.required) == (good, required)
    if off:
        assert ("ahead of" if off > 0 else "behind") in row.state


@pytest.mark.parametrize("name", ["Microsoft.Compute", "Microsoft.Network"])
def test_a_provider_that_is_not_registered(fake_azure: FakeAzure, azure: Azure, name: str) -> None:
    fake_azure.book.unregistered.add(name.lower())
    (row,) = failing(_look(azure))
    assert (row.what, row.state) == (f"provider {name}", "NotRegistered")
    assert f"az provider register --namespace {name} --wait" in row.fix
    assert fake_azure.titles() == [], "doctor registers nothing"


def test_the_provider_of_auto_shutdown_is_told_but_not_needed(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.unregistered.add("microsoft.devtestlab")
    rows = _look(azure)
    assert failing(rows) == []
    assert "az provider register --namespace Microsoft.DevTestLab" in only(rows, "provider Microsoft.DevTestLab").fix


def test_lacking_permissions_are_named_by_kind_with_what_needs_them(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.granted = ["*"]
    fake_azure.book.denied = {"Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/virtualMachines/deallocate/action"}
    rows = _look(azure)
    (row,) = failing(rows)
    assert row.what == "permission Microsoft.Compute/virtualMachines"
    assert row.state == "deallocate, write: not allowed, and needed by bake, launch"
    assert "docs/reference/azure-role.json" in row.fix
    assert f"--scope /subscriptions/{SUBSCRIPTION}" in row.fix
    total = len(role.actions([purpose for purpose in Purpose if purpose is not Purpose.IDENTITY]))
    assert only(rows, "permissions").state == f"{total - 2} of {total} actions are allowed in the subscription"


def test_actions_on_the_gallery_may_be_allowed_in_its_group_alone(
    fake_azure: FakeAzure, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [action for action in role.actions() if not action.startswith("Microsoft.Compute/galleries/")]
    monkeypatch.setattr(permissions, "_of_subscription", lambda _: [(elsewhere, ())])
    assert [row.what for row in permissions.examine(azure, gallery_groups=["goldbake-images"])] == ["permissions"]
    fake_azure.refuse("AuthorizationFailed", "Microsoft.Authorization/permissions", method="GET", status=403, times=None)
    lacking = {row.what for row in permissions.examine(azure, gallery_groups=["goldbake-images"])} - {"permissions"}
    assert lacking == {f"permission Microsoft.Compute/galleries{kind}" for kind in ("", "/images", "/images/versions")}


def test_an_identity_is_asked_for_only_where_machines_are_to_have_one(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.denied = {"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"}
    assert [row.good for row in permissions.examine(azure)] == [True]
    _gallery(azure)
    (row,) = failing(_look(azure, bakes=[_bake(identity=True)]))
    assert row.what == "permission Microsoft.ManagedIdentity/userAssignedIdentities"


@pytest.mark.parametrize(
    ("claims", "state"),
    [
        ({"upn": "ada@example.com", "oid": "o", "tid": "t"}, "user ada@example.com (object o) in the directory t"),
        ({"xms_mirid": "/subscriptions/s/…/userAssignedIdentities/builder", "appid": "a"}, "managed identity builder"),
        ({"appid": "a"}, "service principal a"),
        ({}, "accepted"),
    ],
)
def test_who_the_token_says_that_this_is(azure: Azure, monkeypatch: pytest.MonkeyPatch, claims: dict[str, str], state: str) -> None:
    monkeypatch.setattr(azure, "claims", lambda: claims)
    assert only(_look(azure), "Azure credentials").state == state


def test_a_reader_lacks_everything_that_changes_something(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.granted = ["*/read"]
    bad = failing(_look(azure))
    assert bad
    assert all("read" not in row.state.partition(":")[0] for row in bad)


def test_permissions_that_may_not_be_listed(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.refuse("AuthorizationFailed", "Microsoft.Authorization/permissions", method="GET", times=None, status=403)
    row = only(_look(azure), "permissions")
    assert not row.good
    assert "AuthorizationFailed" in row.state


def test_a_region_that_does_not_exist_names_those_close_to_it(azure: Azure) -> None:
    (row,) = failing(_look(azure, ["westeruope"]))
    assert row.what == "Azure region"
    assert "westeurope" in row.fix


def test_a_gallery_that_is_missing_is_told_with_both_commands(azure: Azure) -> None:
    row = only(_look(azure, bakes=[_bake()]), "gallery goldbake")
    assert row.state == "none in the resource group goldbake-images"
    assert f"az group create --name goldbake-images --location {HOME}" in row.fix
    assert f"az sig create --resource-group goldbake-images --gallery-name goldbake --location {HOME}" in row.fix


def test_a_definition_is_made_by_the_first_bake(azure: Azure) -> None:
    _gallery(azure)
    row = only(_look(azure, bakes=[_bake()]), "image definition gpu-agent")
    assert row.good
    assert "first bake makes it" in row.state


@pytest.mark.parametrize(
    ("definition", "bake", "fix"),
    [
        ({"hyperVGeneration": "V1"}, {}, "azure.definition"),
        ({"osState": "Specialized"}, {}, "for specialized images"),
        ({"features": [{"name": "SecurityType", "value": "TrustedLaunch"}]}, {}, "images.yaml says standard"),
        ({}, {"trusted_launch": True}, "says trusted-launch"),
        ({"features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]}, {"trusted_launch": True}, ""),
    ],
)
def test_a_definition_that_does_not_fit(azure: Azure, definition: dict[str, Any], bake: dict[str, Any], fix: str) -> None:
    _gallery(azure, {"gpu-agent": definition})
    row = only(_look(azure, bakes=[_bake(**bake)]), "image definition gpu-agent")
    assert row.good is (fix == "")
    assert fix in row.fix


def test_a_subnet_of_the_build(azure: Azure) -> None:
    bake = _bake(subnet=SUBNET)
    row = only(_look(azure, bakes=[bake]), "subnet agents")
    assert (row.state, row.good) == ("none", False)
    azure.client(ResourceManagementClient).resource_groups.create_or_update("net", {"location": HOME})
    body: Any = {
        "location": HOME,
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "agents", "properties": {"addressPrefix": "10.0.1.0/24"}}],
        },
    }
    azure.client(NetworkManagementClient).virtual_networks.begin_create_or_update("net", "builds", body).result()
    assert only(_look(azure, bakes=[bake]), "subnet agents").state == "10.0.1.0/24, without a NAT gateway"


def test_a_size_that_the_subscription_may_not_use(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.restricted[HOME, T4] = "NotAvailableForSubscription"
    (row,) = failing(_look(azure))
    assert row.state == f"{T4}: this subscription may not use it here (NotAvailableForSubscription)"
    assert "azureskunotavailable" in row.fix


def test_zones_that_the_subscription_may_not_use_are_left_out(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.restricted[f"{HOME}-2", T4] = "NotAvailableForSubscription"
    rows = _look(azure)
    assert only(rows, f"size {HOME}").state == f"{T4}: zones 1, 3"
    assert failing(rows) == []
    for zone in "13":
        fake_azure.book.restricted[f"{HOME}-{zone}", T4] = "NotAvailableForSubscription"
    row = only(_look(azure), f"size {HOME}")
    assert "may not use it in zones 1, 2, 3" in row.state
    assert row.good, "a launch takes the region without a zone then, and a bake names none"


def test_a_size_that_there_is_not(azure: Azure) -> None:
    (row,) = failing(_look(azure, types=["Standard_NC999_v9"]))
    assert row.state == "Standard_NC999_v9: is not offered here"
    assert f"az vm list-skus --location {HOME}" in row.fix
    assert "support request" not in row.fix, "nobody lifts what is no restriction"


def test_a_size_that_cannot_start_the_image(azure: Azure) -> None:
    _gallery(azure)
    (row,) = failing(_look(azure, types=["Standard_D2ps_v5"]))
    assert row.state == "Standard_D2ps_v5: has a processor of another kind (Arm64)"


@pytest.mark.parametrize(
    ("definition", "size", "why"),
    [
        ({}, V6, "needs an image for NVMe disks"),
        ({"features": [{"name": "DiskControllerTypes", "value": "SCSI,NVMe"}]}, V6, ""),
        ({"hyperVGeneration": "V1"}, H100, "does not take images of generation V1"),
        (
            {"features": [{"name": "SecurityType", "value": "TrustedLaunch"}]},
            PLAIN,
            "cannot start with Trusted Launch, which the image needs",
        ),
        ({"features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]}, PLAIN, ""),
        (None, V6, ""),
    ],
)
def test_sizes_of_a_launch_are_held_against_the_image_definition(
    fake_azure: FakeAzure, azure: Azure, definition: dict[str, Any] | None, size: str, why: str
) -> None:
    _gallery(azure, {} if definition is None else {"gpu-agent": definition})
    fake_azure.calls.clear()
    rows = [row for row in _look(azure, types=[size], bakes=[_bake()], strict=True) if row.state.startswith(f"{size}: ")]
    (row,) = (row for row in rows if row.what == f"size {HOME}")
    assert (row.good, row.required) == (not why, True)
    assert row.state == f"{size}: {why} (gpu-agent)" if why else "zones" in row.state
    assert fake_azure.titles() == []


def test_a_size_that_one_image_of_several_can_start_on_is_good_and_says_for_which_not(azure: Azure) -> None:
    nvme = {"features": [{"name": "DiskControllerTypes", "value": "SCSI,NVMe"}]}
    _gallery(azure, {"gpu-agent": nvme, "old": {}})
    rows = _look(azure, types=[V6], bakes=[_bake(), _bake(definition="old")], strict=True)
    row = next(row for row in rows if row.what == f"size {HOME}" and row.state.startswith(V6))
    assert row.good
    assert row.state == f"{V6}: zones 1, 2, 3; needs an image for NVMe disks (old)"


def test_what_a_size_lacks_for_several_images_is_told_once(azure: Azure) -> None:
    _gallery(azure, {"gpu-agent": {}, "old": {}})
    rows = _look(azure, types=[V6], bakes=[_bake(), _bake(definition="old")], strict=True)
    assert [row.state for row in failing(rows)] == [f"{V6}: needs an image for NVMe disks (gpu-agent, old)"]


def test_a_size_is_held_against_the_image_in_every_region_of_a_launch(azure: Azure) -> None:
    _gallery(azure, {"gpu-agent": {}})
    rows = _look(azure, ["eastus"], [V6], bakes=[_bake()], strict=True)
    assert [row.what for row in failing(rows)] == ["size eastus"]


def test_one_size_of_several_is_enough_unless_they_were_named(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.restricted[HOME, T4] = "NotAvailableForSubscription"
    assert failing(_look(azure, types=[T4, H100])) == []
    (row,) = failing(_look(azure, types=[T4, H100], strict=True))
    assert row.state.startswith(T4)


def test_a_size_of_the_build_is_needed(fake_azure: FakeAzure, azure: Azure) -> None:
    _gallery(azure)
    fake_azure.book.restricted[HOME, BUILD] = "NotAvailableForSubscription"
    (row,) = failing(_look(azure, bakes=[_bake()]))
    assert row.state.startswith(BUILD)


def test_a_family_without_quota_is_told_with_the_command(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, FAMILY] = 0
    (row,) = failing(_look(azure))
    assert row.what == f"quota {HOME}"
    assert f"({FAMILY}): 0 of 0 vCPUs in use; {T4} needs 4" in row.state
    scope = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{HOME}"
    assert f"az quota update --resource-name '{FAMILY}' --scope {scope} --limit-object value=4 --resource-type dedicated" in row.fix


def test_one_family_of_several_is_enough_unless_sizes_were_named(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, FAMILY] = 0
    rows = _look(azure, types=[T4, H100])
    assert failing(rows) == []
    assert [row.required for row in rows if not row.good] == [False]
    assert len(failing(_look(azure, types=[T4, H100], strict=True))) == 1


def test_the_quota_of_all_sizes_together_is_always_needed(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, "cores"] = 3
    (row,) = failing(_look(azure))
    assert "(cores): 0 of 3 vCPUs" in row.state
    assert "--resource-name cores" in row.fix


def test_spot_is_told_but_not_needed(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, "lowPriorityCores"] = 0
    rows = _look(azure)
    assert failing(rows) == []
    (row,) = (row for row in rows if not row.good)
    assert "--resource-name lowPriorityCores" in row.fix
    assert "--resource-type lowPriority" in row.fix


def test_a_base_image_that_the_region_does_not_have(fake_azure: FakeAzure, azure: Azure) -> None:
    what = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions"
    fake_azure.refuse("NotFound", what, method="GET", status=404, times=None)
    _gallery(azure)
    (row,) = failing(_look(azure, bakes=[_bake()]))
    assert row.state == "debian-12: no Debian:debian-12:12-gen2"
    assert "az vm image list-skus" in row.fix


@pytest.mark.parametrize("what", ["Microsoft.Compute/skus", "Microsoft.Compute/locations/usages", "providers"])
def test_what_may_not_be_looked_at_is_told_in_its_row(fake_azure: FakeAzure, azure: Azure, what: str) -> None:
    fake_azure.refuse("AuthorizationFailed", what, method="GET", status=403, times=None)
    (row,) = failing(_look(azure))
    assert "AuthorizationFailed" in row.state
    assert "azure-role.json" in row.fix


def test_the_images_of_this_project_are_examined_with_their_regions_and_gpus(
    fake_azure: FakeAzure, azure: Azure, paths_of_project: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], list[str], set[str], bool, str]] = []

    def noted(regions: list[str], types: list[str], *, bakes: list[Bake], strict: bool, subscription: str) -> list[Finding]:
        asked.append((regions, types, {bake.definition for bake in bakes}, strict, subscription))
        return examine(regions, types, bakes=bakes, strict=strict, azure=azure)

    monkeypatch.setattr(examining, "examine", noted)
    rows = host.examine(paths_of_project, (Cloud.AZURE,))
    assert {"ssh", "Azure credentials", "permissions", "gallery goldbake", "Azure DevOps"} <= {row.what for row in rows}
    assert "mmdebstrap" not in {row.what for row in rows}
    host.examine(paths_of_project, (Cloud.AZURE,), regions=["eastus2"], types=[H100])
    assert asked[0] == (
        ["eastus"],
        [T4, "Standard_NC24ads_A100_v4", H100, "Standard_ND96isr_H200_v5"],
        {"gpu-agent", "gpu-agent-debian"},
        False,
        SUBSCRIPTION,
    )
    assert asked[1] == (["eastus2"], [H100], {"gpu-agent", "gpu-agent-debian"}, True, SUBSCRIPTION)
