"""What Azure tells of a machine: states and codes, consoles by a signed address that is never shown."""

from __future__ import annotations

import pytest
from azure.mgmt.compute.models import VirtualMachine

from goldbake.clouds.failure import Scope
from goldbake.config.model import Cloud
from launch.azure.watch import ConsoleReader, died, seen
from launch.base import Instance
from launch.observe import GONE, Consoles, Seen
from tests.fakes.azure.machines import BLOBS
from tests.unit.launch.azure.conftest import MACHINE, TYPE, Field
from tests.unit.launch.field import Clock

_POST = f"POST {MACHINE}/retrieveBootDiagnosticsData"


def _instance(name: str = "vm", place: str = "westeurope-1") -> Instance:
    return Instance(Cloud.AZURE, "l1", 1, name, "gpu-agent", place, 0.0, 0, kind=TYPE)


def _machine(state: str, *codes: str, message: str = "") -> VirtualMachine:
    statuses = [{"code": code, "message": message} for code in codes]
    return VirtualMachine({"location": "westeurope", "properties": {"provisioningState": state, "instanceView": {"statuses": statuses}}})


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (_machine("Succeeded", "ProvisioningState/succeeded", "PowerState/running"), Seen("running")),
        (_machine("Succeeded", "ProvisioningState/succeeded", "PowerState/stopped"), Seen("stopped")),
        (_machine("Updating", "ProvisioningState/updating", "PowerState/deallocated"), Seen("deallocated")),
        (_machine("Creating"), Seen("creating")),
        (_machine("Deleting", "PowerState/running"), Seen("deleting")),
        (_machine("Failed", "ProvisioningState/failed/AllocationFailed", message="no room"), Seen("failed", "AllocationFailed", "no room")),
        (_machine("Failed", "ProvisioningState/failed", "PowerState/running"), Seen("failed", "ProvisioningFailed")),
    ],
)
def test_the_power_state_counts_and_a_failure_has_its_code(machine: VirtualMachine, expected: Seen) -> None:
    assert seen(machine) == expected


@pytest.mark.parametrize("state", ["creating", "updating", "starting", "running", ""])
def test_what_lives_is_not_dead(state: str) -> None:
    assert died(_instance(), Seen(state)) is None


def test_an_end_is_a_failure_with_its_reason() -> None:
    found = died(_instance(), Seen("failed", "AllocationFailed", "We do not have\n sufficient capacity"))
    assert found is not None
    assert (found.scope, found.code) == (Scope.REGION, "AllocationFailed")
    assert "vm in westeurope-1 is failed: " in found.message
    assert "(AllocationFailed: We do not have sufficient capacity)" in found.message
    assert found.hint
    for stopped in ("stopped", "deallocated", "deleting"):
        found = died(_instance(), Seen(stopped))
        assert found is not None
        assert (found.scope, found.exit_code) == (Scope.REQUEST, 1)
        assert f"is {stopped}: Azure does not say why" in found.message
    found = died(_instance(), Seen("failed", "New.Code", "as never seen"))
    assert found is not None
    assert "New.Code: as never seen" in found.message


def test_a_spot_machine_that_is_gone_was_taken_back_and_another_was_deleted() -> None:
    spot, other = died(_instance(place="westeurope-1 (spot)"), Seen(GONE)), died(_instance(), Seen(GONE))
    assert spot is not None
    assert other is not None
    assert (spot.scope, spot.exit_code) == (Scope.ZONE, 5)
    assert (other.scope, other.exit_code) == (Scope.REQUEST, 1)


@pytest.fixture
def name(azure_field: Field) -> str:
    found = azure_field.launch().started[0].instance.id
    azure_field.fake.calls.clear()
    return found


def _consoles(field: Field, clock: Clock) -> Consoles:
    return Consoles(ConsoleReader(field.azure, lambda _: "goldbake-l1"), clock)


def test_a_console_is_read_by_one_signed_address(azure_field: Field, name: str) -> None:
    clock, text = Clock(), 'goldbake-status: {"phase": "probe", "reason": "keine Straße"}\r\n' * 20
    azure_field.fake.book.consoles[name] = text
    consoles = _consoles(azure_field, clock)
    assert consoles.read(_instance(name)) == text
    azure_field.fake.book.consoles[name] = "new"
    assert consoles.read(_instance(name)) == text  # its turn is not yet
    clock.now += 5
    assert consoles.read(_instance(name)) == "new"
    assert azure_field.fake.titles(reading=True).count(_POST) == 1
    blobs = [call for call in azure_field.fake.calls if call.host == BLOBS]
    assert len(blobs) == 2
    assert "sig=" not in azure_field.said.getvalue()


def test_only_the_end_of_a_long_console_is_kept(azure_field: Field, name: str) -> None:
    azure_field.fake.book.consoles[name] = "x" * 400_000 + "the end"
    found = _consoles(azure_field, Clock()).read(_instance(name))
    assert len(found) == 256 * 1024
    assert found.endswith("the end")


def test_a_console_that_is_not_there_yet_is_asked_for_again(azure_field: Field, name: str) -> None:
    clock = Clock()
    consoles = _consoles(azure_field, clock)
    assert consoles.read(_instance(name)) == ""
    azure_field.fake.book.consoles[name] = "hello"
    clock.now += 5
    assert consoles.read(_instance(name)) == "hello"
    assert azure_field.fake.titles(reading=True).count(_POST) == 2


def test_without_the_right_to_read_consoles_nothing_is_asked_again(azure_field: Field, name: str) -> None:
    clock = Clock()
    consoles = _consoles(azure_field, clock)
    azure_field.fake.refuse("AuthorizationFailed", MACHINE, method="POST", times=None)
    for _ in range(3):
        assert consoles.read(_instance(name)) == ""
        clock.now += 5
    assert azure_field.fake.titles(reading=True).count(_POST) == 1


def test_a_console_that_cannot_be_read_for_a_moment_is_no_failure(azure_field: Field, name: str) -> None:
    clock = Clock()
    consoles = _consoles(azure_field, clock)
    azure_field.fake.book.consoles[name] = "hello"
    azure_field.fake.refuse("Conflict", MACHINE, method="POST", times=1)
    assert consoles.read(_instance(name)) == ""
    clock.now += 5
    assert consoles.read(_instance(name)) == "hello"
