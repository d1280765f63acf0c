"""The smallest role: enough for every call in our code, and for nothing else that goldbake has no use for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from goldbake.clouds.azure import role
from goldbake.clouds.azure.resources import KINDS, Kind
from goldbake.clouds.azure.role import Purpose
from goldbake.paths import PROJECT
from tests.unit.clouds.azure import sdk

Known = Mapping[tuple[str, str], str]


@pytest.fixture(scope="module")
def known() -> Known:
    return sdk.actions()


@pytest.mark.parametrize(
    ("modules", "purposes"),
    [
        ("launch/azure/*.py", {Purpose.LAUNCH, Purpose.DESTROY}),
        ("goldbake/images/azure*.py", {Purpose.BAKE, Purpose.DESTROY}),
        ("goldbake/clouds/azure/resources.py", {Purpose.DESTROY}),
        ("goldbake/clouds/azure/[!r]*.py", {Purpose.DOCTOR}),
    ],
)
def test_every_call_of_our_code_is_in_the_role(modules: str, purposes: set[Purpose], known: Known) -> None:
    called = {known[call] for file in PROJECT.glob(modules) for call in sdk.calls(file, known)}
    assert called
    assert {action for action in called if not role.allows(role.actions(purposes), (), action)} == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_those_who_destroy_can_delete_every_kind_that_is_listed(kind: Kind, known: Known) -> None:
    action = known.get((kind.calls, "delete"), f"{kind.provided}/delete")  # some go by their id alone, by the client for anything at all
    assert action.lower().startswith(kind.provided.lower()) or kind.name == "resource group"
    assert role.allows(role.actions({Purpose.DESTROY}), (), action)


def test_a_call_that_is_not_in_the_role_would_be_found(tmp_path: Path, known: Known) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "calls, doing = azure.client(X).virtual_machines, 'x'\ncalls.begin_redeploy('g', 'm')\nclient.ssh_public_keys.list_by_subscription()\n"
    )
    called = {known[call] for call in sdk.calls(module, known)}
    assert called == {"Microsoft.Compute/virtualMachines/redeploy/action", "Microsoft.Compute/sshPublicKeys/read"}
    assert not any(role.allows(role.actions(), (), action) for action in called)


def test_every_action_is_one_that_a_call_of_the_sdk_or_of_packer_needs(known: Known) -> None:
    by_sdk = {action.lower() for action in known.values()}
    others = {action for action in role.ACTIONS if action.lower() not in by_sdk}
    # what has no call of its own in these clients: joining, instance views, polling, deployments of templates, identities, schedules
    allowed = re.compile(
        r".*/(join|assign)/action|.*/instanceView/read|.*/locations/(operations|operationResults)/read|Microsoft\.Resources/deployments/.*"
        r"|Microsoft\.Resources/subscriptions/operationresults/read|Microsoft\.ManagedIdentity/.*|Microsoft\.DevTestLab/schedules/.*"
    )
    assert {action for action in others if not allowed.fullmatch(action)} == set()


def test_those_who_only_destroy_can_start_nothing() -> None:
    allowed = role.actions({Purpose.DESTROY})
    assert "Microsoft.Compute/virtualMachines/delete" in allowed
    assert {action for action in allowed if not action.endswith(("/read", "/delete"))} == set()


def test_doctor_only_reads() -> None:
    assert {action for action in role.actions({Purpose.DOCTOR}) if not action.endswith("/read")} == set()


@pytest.mark.parametrize(
    "forbidden", ["roleAssignments", "roleDefinitions", "policyAssignments", "extensions", "runCommand", "*", "register"]
)
def test_nothing_that_makes_more_of_itself_is_in_it(forbidden: str) -> None:
    assert [action for action in role.actions() if forbidden.lower() in action.lower()] == []


@pytest.mark.parametrize(
    ("allowed", "forbidden", "action", "expected"),
    [
        (["*"], [], "Microsoft.Compute/virtualMachines/write", True),
        (["*"], ["Microsoft.Authorization/*/Write"], "Microsoft.Authorization/roleAssignments/write", False),
        (["*/read"], [], "Microsoft.Compute/disks/read", True),
        (["*/read"], [], "Microsoft.Compute/disks/write", False),
        (["Microsoft.Compute/*"], [], "microsoft.compute/DISKS/write", True),
        (["Microsoft.Compute/*"], ["Microsoft.Compute/disks/*"], "Microsoft.Compute/disks/write", False),
        (["Microsoft.Compute/*/read"], [], "Microsoft.Network/virtualNetworks/read", False),
        (["Microsoft.Compute/disks/read"], [], "Microsoft.Compute/disksXread", False),
        ([], [], "Microsoft.Compute/disks/read", False),
    ],
)
def test_wildcards_are_read_as_azure_reads_them(allowed: list[str], forbidden: list[str], action: str, expected: bool) -> None:
    assert role.allows(allowed, forbidden, action) is expected


def test_the_how_tos_sed_finds_the_placeholder_and_nothing_else() -> None:
    assert role.PAGE.read_text(encoding="utf-8").count("SUBSCRIPTION") == 1


def test_a_part_is_for_the_same_scope() -> None:
    assert role.document({Purpose.DESTROY})["AssignableScopes"] == ["/subscriptions/SUBSCRIPTION"]


def test_purposes_of_an_action() -> None:
    assert role.purposes_of("Microsoft.Compute/virtualMachines/write") == (Purpose.BAKE, Purpose.LAUNCH)
    assert role.purposes_of("Microsoft.Sql/servers/write") == ()
