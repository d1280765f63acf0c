"""Whatever Azure refuses, at whatever call and at whatever moment: the right places are tried, message and exit code are right, nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from azure.core import exceptions
from azure.core.pipeline.transport import RequestsTransport

from goldbake.clouds.azure.errors import ERRORS, GROUPS
from goldbake.clouds.azure.refusals_requests import NO_CODE
from goldbake.clouds.failure import Scope
from goldbake.errors import Exit, GoldbakeError
from launch.base import Market
from launch.fleet import Fleet
from tests.fakes.azure import START, Call
from tests.fakes.azure.answers import Refused
from tests.unit.launch.azure.conftest import ABROAD, GROUP, HOME, MACHINE, SET, TYPE, Field
from tests.unit.launch.azure.test_launch import ADDRESS, GATEWAY, INTERFACE, NETWORK, RULES
from tests.unit.launch.failures import Codes, failed, tried

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # of connections that a test cuts

_OTHERS = ("Sign-in", "The SDK", "Wrappers")
CODES = Codes(
    ERRORS,
    [
        row.code
        for title, rows in GROUPS.items()
        for row in rows
        if not title.startswith(_OTHERS) and not hasattr(exceptions, row.code) and row.code not in (NO_CODE, "OperationPending")
    ],
)
"""The codes that a call or an operation of Azure can answer: not those of the sign-in, and not the SDK's own exceptions."""
ZONES = ("1", "2")
PLACES = [f"{HOME}-1", f"{HOME}-2", f"{ABROAD}-1", f"{ABROAD}-2"]
TRIED = tried(PLACES, [PLACES[0], PLACES[2]])
"""What is asked for machines that may be in two zones at home and in two abroad."""


def _tried(field: Field, kinds: tuple[str, ...] = (MACHINE, SET)) -> list[str]:
    """Where machines were asked for; what the SDK repeats by itself counts once."""
    found = [
        (f"{call.location}-{call.zone}" if call.zone else call.location, call.number)
        for call in field.fake.calls
        if call.method == "PUT" and call.what in kinds
    ]
    return [place for place, _ in found]


def _refused_everywhere(field: Field, fleet: Fleet, launch_id: str, code: str, where: str) -> GoldbakeError:
    """Start machines while `code` is the answer every time; nothing that costs by the hour is there afterwards, and then nothing at all."""
    field.fake.book.faults.clear()
    field.fake.calls.clear()
    field.fake.refuse(code, START, times=None, where=where, status=400 if where == "call" else 0, few=0)
    with pytest.raises(GoldbakeError) as caught:
        fleet.start(wait=True)
    assert "\n" not in caught.value.message
    if ERRORS[code].scope not in (Scope.ACCOUNT, Scope.REQUEST):
        assert {one.kind for one in field.held()} <= {GROUP, NETWORK, GATEWAY, ADDRESS}, code
    field.fake.book.faults.clear()
    field.destroy(launch_id)
    assert field.left() == [], code
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("where", ["call", "operation"])
@pytest.mark.parametrize("count", [1, 2])
def test_every_code_at_once_and_as_a_failed_operation(azure_field: Field, count: int, where: str, scope: Scope) -> None:
    begin = azure_field.fleet(count, zones=ZONES)
    some = CODES.of(scope) if count == 1 else CODES.of(scope)[::6]  # what a set does differently does not depend on the code
    for number, code in enumerate(some):
        error = _refused_everywhere(azure_field, begin(f"l{number}"), f"l{number}", code, where)
        assert _tried(azure_field) == TRIED[scope], (code, where)
        names = [call.name for call in azure_field.fake.calls if call.method == "PUT" and call.what in (MACHINE, SET)]
        assert len(set(names)) == len(set(TRIED[scope])), code
        CODES.assert_told(error, code)


@pytest.mark.parametrize("code", ["AllocationFailed", "ZonalAllocationFailed", "SkuNotAvailable", "OverconstrainedZonalAllocationRequest"])
@pytest.mark.parametrize("where", ["later", "body"])
def test_a_machine_that_says_of_itself_that_it_failed_tells_its_code(azure_field: Field, code: str, where: str) -> None:
    """The operation succeeds, or there is none: only the machine's own view has the code."""
    azure_field.fake.refuse(code, MACHINE, where=where, message="as Azure words it")
    (started,) = azure_field.launch().started
    assert started.instance.place == (f"{HOME}-2" if ERRORS[code].scope is Scope.ZONE else f"{ABROAD}-1")
    said = azure_field.said.getvalue()
    assert f"({code}: as Azure words it)" in said
    assert len(azure_field.held(MACHINE)) == 1


def test_a_failure_without_a_word_is_told_as_one(azure_field: Field) -> None:
    def forget(call: Call) -> None:
        for one in azure_field.held(MACHINE):
            azure_field.fake.machine(one.name).memory.pop("error", None)

    azure_field.fake.before.append(forget)
    azure_field.fake.refuse("AllocationFailed", MACHINE, where="later", times=None)
    error = failed(azure_field, options={"zones": ZONES, "regions": (HOME,)})
    assert NO_CODE in error.message


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GROUP, ADDRESS, GATEWAY, NETWORK, RULES])
@pytest.mark.parametrize("where", ["call", "operation"])
@pytest.mark.parametrize(
    "code",
    [
        "AuthorizationFailed",
        "RequestDisallowedByPolicy",
        "PublicIPCountLimitReached",
        "InvalidParameter",
        "ServiceUnavailable",
        "ScopeLocked",
    ],
)
def test_a_refusal_of_what_is_around_the_machine(azure_field: Field, code: str, where: str, kind: str) -> None:
    if kind == GROUP and where == "operation":
        where = "call"  # a group is made at once
    azure_field.fake.refuse(code, kind, method="PUT", where=where, times=None)
    error = failed(azure_field, options={"ssh_from": "203.0.113.7/32"})
    assert code in error.message
    assert error.hint
    assert _tried(azure_field) == []


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("where", ["call", "operation"])
def test_a_whole_launch_that_is_refused_leaves_nothing(azure_field: Field, where: str, count: int, scope: Scope) -> None:
    code = CODES.of(scope)[0]
    azure_field.fake.refuse(code, START, times=None, where=where, status=400 if where == "call" else 0, few=0)
    CODES.assert_told(failed(azure_field, count=count), code)


def test_the_removal_after_a_failure_is_a_stage_of_its_own(azure_field: Field) -> None:
    azure_field.fake.refuse("AuthorizationFailed", START, times=None)
    failed(azure_field)
    said = azure_field.said.getvalue()
    assert "removing what launch l1 has made …\n" in said
    assert "removing what launch l1 has made done (" in said, "the group of a launch takes minutes to go: its line must be alive meanwhile"


def test_the_table_has_codes_of_every_scope() -> None:
    assert all(CODES.of(scope) for scope in Scope)
    assert len(CODES.answered) > 100


@pytest.mark.parametrize(
    "what", ["Microsoft.Compute/skus", "Microsoft.Compute/galleries/images", "Microsoft.Compute/galleries/images/versions"]
)
def test_a_look_that_is_denied_ends_the_launch_before_anything_is_made(azure_field: Field, what: str) -> None:
    azure_field.fake.refuse("AuthorizationFailed", what, method="*", times=None)
    assert failed(azure_field).exit_code is Exit.MISSING
    assert azure_field.fake.titles() == []


@pytest.mark.parametrize(("count", "kind"), [(1, MACHINE), (2, SET)])
@pytest.mark.parametrize("done", [False, True])
def test_a_connection_that_ends_without_an_answer_starts_no_second_machine(azure_field: Field, count: int, kind: str, done: bool) -> None:
    azure_field.fake.refuse("x", kind, method="PUT", done=done, drop=True)
    report = azure_field.launch(count=count)
    assert sorted(one.name for one in azure_field.held(MACHINE)) == sorted(started.instance.id for started in report.started)
    assert len(report.started) == count


@pytest.mark.parametrize("where", ["call", "operation"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_full_zone_is_left_for_the_next_and_no_machine_stays_there(azure_field: Field, where: str, keep: bool) -> None:
    azure_field.fake.book.shortage_at = where
    azure_field.fake.book.keep_failed = keep
    azure_field.fake.capacity[(f"{HOME}-1", TYPE, False)] = 0
    (started,) = azure_field.launch().started
    assert started.instance.place == f"{HOME}-2"
    assert [one.name for one in azure_field.held(MACHINE)] == [started.instance.id]
    assert f"{HOME}-1: Azure would not start" in azure_field.said.getvalue()


def test_after_the_zones_comes_the_region_and_then_the_next_one(azure_field: Field) -> None:
    for zone in "123":
        azure_field.fake.capacity[(f"{HOME}-{zone}", TYPE, False)] = 0
    azure_field.fake.capacity[(HOME, TYPE, False)] = 0
    (started,) = azure_field.launch().started
    assert started.instance.place == f"{ABROAD}-1"
    assert _tried(azure_field) == [f"{HOME}-1", f"{HOME}-2", f"{HOME}-3", HOME, f"{ABROAD}-1"]


def test_the_network_of_a_region_without_room_does_not_stay(azure_field: Field) -> None:
    azure_field.fake.refuse("AllocationFailed", MACHINE, location=HOME, times=None)
    azure_field.launch()
    places = {one.location for one in azure_field.held() if one.kind != GROUP}
    assert places == {ABROAD}


def test_the_network_of_a_region_that_cannot_be_removed_goes_with_the_launch(azure_field: Field) -> None:
    azure_field.fake.refuse("AllocationFailed", MACHINE, location=HOME, times=None)
    azure_field.fake.refuse("AuthorizationFailed", NETWORK, method="DELETE", times=1)
    assert azure_field.launch().started
    assert "destroy will" in azure_field.said.getvalue()
    azure_field.destroy()
    assert azure_field.left() == []


def test_a_quota_leaves_the_size_in_the_region_and_is_named(azure_field: Field) -> None:
    azure_field.fake.book.quotas[(HOME, "Standard NCASv3_T4 Family")] = 0
    (started,) = azure_field.launch(options={"types": (TYPE, "Standard_NC24ads_A100_v4")}).started
    assert (started.instance.place, started.instance.kind) == (f"{HOME}-1", "Standard_NC24ads_A100_v4")
    said = azure_field.said.getvalue()
    assert f"{HOME}-1 {TYPE}: Azure would not start" in said
    assert "Standard NCASv3_T4 Family" in said


def test_spot_falls_back_to_on_demand(azure_field: Field) -> None:
    azure_field.fake.refuse("SkuNotAvailable", START, spot=True, times=None)
    (started,) = azure_field.launch(options={"market": Market.SPOT_FIRST, "regions": (HOME,), "zones": ZONES}).started
    assert started.instance.place == f"{HOME}-1"
    calls = [(call.zone, call.spot) for call in azure_field.fake.calls if call.method == "PUT" and call.what == MACHINE]
    assert calls == [("1", True), ("1", False)]


def test_spot_only_does_not_fall_back(azure_field: Field) -> None:
    azure_field.fake.refuse("SkuNotAvailable", START, spot=True, times=None)
    error = failed(azure_field, count=2, options={"market": Market.SPOT_ONLY})
    assert error.exit_code is Exit.CAPACITY
    assert f"{HOME}-1 (spot): SkuNotAvailable; {ABROAD}-1 (spot)" in error.message


def test_a_size_without_spare_capacity_is_not_asked_for_any(azure_field: Field) -> None:
    options = {"types": ("Standard_B2s", TYPE), "market": Market.SPOT_ONLY, "regions": (HOME,)}
    (started,) = azure_field.launch(options=options).started
    assert (started.instance.kind, started.instance.place) == (TYPE, f"{HOME}-1 (spot)")
    assert [call.size for call in azure_field.fake.calls if call.title == f"PUT {MACHINE}"] == [TYPE]
    azure_field.destroy()
    error = failed(azure_field, options={**options, "types": ("Standard_B2s",)})
    assert error.exit_code is Exit.CAPACITY


@pytest.mark.parametrize("keep", [False, True])
def test_a_set_that_is_short_is_filled_up_elsewhere(azure_field: Field, keep: bool) -> None:
    azure_field.fake.book.keep_failed = keep
    azure_field.fake.capacity[(f"{HOME}-1", TYPE, False)] = 2
    azure_field.fake.capacity[(f"{HOME}-2", TYPE, False)] = 0
    azure_field.fake.capacity[(f"{HOME}-3", TYPE, False)] = 0
    azure_field.fake.capacity[(HOME, TYPE, False)] = 0
    report = azure_field.launch(count=3)
    assert sorted(started.instance.place for started in report.started) == [f"{ABROAD}-1", f"{HOME}-1", f"{HOME}-1"]
    assert sorted(started.instance.number for started in report.started) == [1, 2, 3]
    assert len(azure_field.held(MACHINE)) == 3
    assert {one.location for one in azure_field.held(NETWORK)} == {HOME, ABROAD}
    azure_field.destroy()
    assert azure_field.left() == []


def _once_it_runs(field: Field, happens: Callable[[str], object]) -> None:
    """Let something happen to each machine after its create call: the launcher has asked for its address then."""
    field.directory.online = False
    done = set[str]()

    def watch(call: Call) -> None:
        for one in field.held(MACHINE) if call.title == f"GET {INTERFACE}" else []:
            if one.name not in done:
                done.add(one.name)
                happens(one.name)

    field.fake.after.append(watch)


def test_a_machine_that_fails_after_its_create_call_ends_the_launch_with_its_code(
    azure_field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.observe.LOOK_S", 0.05)

    def fail(name: str) -> None:
        machine = azure_field.fake.machine(name)
        machine.state = "Failed"
        machine.memory["error"] = Refused("OSProvisioningTimedOut", "it took too long", 409)

    _once_it_runs(azure_field, fail)
    error = failed(azure_field)
    assert f"in {HOME}-1 is failed: The system did not tell Azure" in error.message
    assert "OSProvisioningTimedOut: it took too long" in error.message
    assert error.exit_code is CODES.exit_of("OSProvisioningTimedOut")


@pytest.mark.parametrize("count", [1, 2])
def test_capacity_that_is_taken_back_before_the_agent_is_online_ends_the_launch(
    azure_field: Field, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.observe.LOOK_S", 0.05)
    monkeypatch.setattr("launch.observe.APPEAR_S", 0.1)
    _once_it_runs(azure_field, azure_field.fake.evict)
    error = failed(azure_field, count=count, options={"market": Market.SPOT_ONLY})
    assert error.exit_code is Exit.CAPACITY
    assert "taken its spare capacity back" in error.message


def test_a_machine_that_powers_itself_off_is_dead_and_goes(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launch.observe.LOOK_S", 0.05)
    _once_it_runs(azure_field, azure_field.fake.power_off)
    assert "is stopped" in failed(azure_field).message


def test_machines_that_are_not_listed_yet_are_not_missing(azure_field: Field) -> None:
    def hide(call: Call) -> None:
        for one in azure_field.held(MACHINE) if call.title == f"GET {SET}" else []:
            azure_field.fake.machine(one.name).unseen = 2

    azure_field.fake.after.append(hide)
    assert len(azure_field.launch(count=2).started) == 2
    assert azure_field.fake.titles().count(f"PUT {SET}") == 1


def test_throttling_is_waited_out_as_azure_asks(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda _, seconds: waited.append(seconds))
    for what, method in ((MACHINE, "PUT"), ("operation", "*"), ("Microsoft.Network/networkInterfaces", "GET")):
        azure_field.fake.refuse("TooManyRequests", what, method=method, retry_after=17, times=2)
    assert azure_field.launch().started
    assert waited.count(17) == 6
    azure_field.fake.refuse("TooManyRequests", GROUP, method="DELETE", retry_after=9)
    azure_field.destroy()
    assert 9 in waited


def test_throttling_that_does_not_end_is_told_and_leaves_nothing(azure_field: Field) -> None:
    azure_field.fake.refuse("TooManyRequests", MACHINE, method="PUT", retry_after=1, times=None)
    error = failed(azure_field)
    assert "TooManyRequests" in error.message
    assert error.exit_code is Exit.FAILED


@pytest.mark.parametrize("count", [1, 2])
def test_a_machine_that_runs_is_not_waited_for_until_its_system_has_answered(
    azure_field: Field, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure may wait 20 minutes for a system that is up: whoever interrupts the launch, or looks at its console, should not."""
    monkeypatch.setattr("launch.azure.answer._LOOK_S", 0.05)
    azure_field.fake.book.style["PUT"] = "async"
    asked = {"PUT": 0}

    def never(call: Call) -> None:
        if call.title in (f"PUT {MACHINE}", f"PUT {SET}"):
            azure_field.fake.book.polls = 10**9
            asked["PUT"] += 1

    azure_field.fake.before.append(never)
    monkeypatch.setattr(RequestsTransport, "sleep", lambda *_: time.sleep(0.02))
    report = azure_field.launch(count=count)
    assert len([started for started in report.started if started.online]) == count
    assert asked["PUT"] == 1
    azure_field.fake.book.polls = 0
    azure_field.fake.settle()
    azure_field.destroy()
    assert azure_field.left() == []


@pytest.mark.parametrize("style", ["async", "location"])
@pytest.mark.parametrize("count", [1, 2])
def test_operations_are_followed_in_both_ways(azure_field: Field, style: str, count: int) -> None:
    azure_field.fake.book.style |= {"PUT": style, "DELETE": style}
    azure_field.fake.book.polls = 2
    assert len(azure_field.launch(count=count).started) == count
    azure_field.destroy()
    assert azure_field.left() == []
