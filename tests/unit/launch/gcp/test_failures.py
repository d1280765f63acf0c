"""Whatever Compute Engine refuses, at whatever call: the right places are tried, the message and exit code are right, and nothing is left."""

from __future__ import annotations

import pytest
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.errors import ERRORS, GROUPS, WORDED
from goldbake.errors import CapacityError, Exit, GoldbakeError
from launch import observe
from launch.base import Market
from launch.fleet import Fleet
from launch.gcp import answer, metadata
from tests.fakes.gcp import START, Call
from tests.unit.launch.failures import Codes, failed, tried
from tests.unit.launch.gcp.conftest import ABROAD, HOME, TYPE, ZONES, Field

STATES = GROUPS["An instance that ends after it was started"]
SDK = GROUPS["The SDK's own errors about credentials and the network"]
CODES = Codes(ERRORS, [code for code in ERRORS if code not in {row.code for row in (*STATES, *SDK)} and code != "OPERATION_UNFINISHED"])
"""The codes that Compute Engine can answer: not the reasons of an instance's end, and not the SDK's own exceptions and ours."""
INSERT, BULK = "compute.instances.insert", "compute.regionInstances.bulkInsert"
PREEMPTED = "compute.instances.preempted"
EXISTS = ("alreadyExists", "RESOURCE_ALREADY_EXISTS")
PLACES = {"regions": (HOME, ABROAD), "zones": (*ZONES, "europe-west4-a")}


def _refused_everywhere(field: Field, fleet: Fleet, code: str, method: str, where: str) -> GoldbakeError:
    """Start a fleet while `code` is the answer to every call of `method`; nothing is there afterwards."""
    field.fake.faults.clear()
    field.fake.calls.clear()
    field.fake.refuse(code, method, where=where, times=None)
    with pytest.raises(GoldbakeError) as caught:
        fleet.start(wait=True)
    assert field.held() == [], code
    assert "\n" not in caught.value.message
    return caught.value


def _asked_once(field: Field, method: str) -> list[Call]:
    """The calls of a method; the SDK itself makes one that ends in 401 three times, each with a new token."""
    calls = field.asked(method)
    return calls[:1] if {call.status for call in calls} == {401} else calls


TRIED_ALONE = tried([*ZONES, "europe-west4-a"], [ZONES[0], "europe-west4-a"])
"""What is asked for one instance that may be in two zones at home and in one abroad."""

TRIED_TOGETHER = tried([HOME, ABROAD], [HOME, ABROAD])
"""A bulkInsert covers the zones of a region: a region is one place."""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["insert", "operation"])
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_insert_and_in_its_operation(gcp_field: Field, scope: Scope, where: str) -> None:
    begin = gcp_field.fleet(**PLACES)
    for number, code in enumerate(CODES.of(scope)):
        error = _refused_everywhere(gcp_field, begin(f"l{number}"), code, INSERT, where)
        calls = _asked_once(gcp_field, "instances.insert")
        tried = TRIED_ALONE[Scope.RETRY if code in EXISTS and where == "insert" else scope]
        assert [call.zone for call in calls] == tried, code
        tokens = {call.parameters["requestId"] for call in calls}
        assert len(tokens) == (len(calls) if where == "operation" else len(set(tried))), f"{code}: what was answered is asked anew"
        CODES.assert_told(error, code)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["insert", "operation"])
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_bulk_insert_and_in_its_operation(gcp_field: Field, scope: Scope, where: str) -> None:
    begin = gcp_field.fleet(count=2, **PLACES)
    for number, code in enumerate(CODES.of(scope)):
        error = _refused_everywhere(gcp_field, begin(f"l{number}"), code, BULK, where)
        calls = _asked_once(gcp_field, "regionInstances.bulkInsert")
        assert [call.parameters["region"] for call in calls] == TRIED_TOGETHER[scope], code
        tokens = {call.parameters["requestId"] for call in calls}
        assert len(tokens) == (len(calls) if where == "operation" else len(set(TRIED_TOGETHER[scope]))), code
        CODES.assert_told(error, code)


@pytest.mark.slow
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_each_instance_of_a_bulk_insert(gcp_field: Field, scope: Scope) -> None:
    begin = gcp_field.fleet(count=2, **PLACES)
    for number, code in enumerate(CODES.of(scope)):
        error = _refused_everywhere(gcp_field, begin(f"l{number}"), code, START, "operation")
        assert [call.parameters["region"] for call in gcp_field.asked("regionInstances.bulkInsert")] == TRIED_TOGETHER[scope], code
        CODES.assert_told(error, code)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["insert", "operation"])
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_the_firewall_rule(gcp_field: Field, scope: Scope, where: str) -> None:
    begin = gcp_field.fleet(ssh_from="203.0.113.7/32", **PLACES)
    for number, code in enumerate(CODES.of(scope)):
        if code in EXISTS:
            continue  # it is there: that is what was wanted
        error = _refused_everywhere(gcp_field, begin(f"l{number}"), code, "compute.firewalls.insert", where)
        assert gcp_field.asked("instances.insert") == [], code
        CODES.assert_told(error, code)


@pytest.mark.parametrize("worded", WORDED, ids=lambda worded: f"{worded.row.code}-{worded.phrase}")
def test_words_of_a_message_decide_where_a_code_alone_does_not(gcp_field: Field, worded: object) -> None:
    row, phrase = worded.row, worded.phrase  # type: ignore[attr-defined]
    if row in SDK or row.code == "RefreshError":
        return
    where = "operation" if row.code.isupper() else "insert"
    gcp_field.fake.refuse(row.code, INSERT, where=where, times=None, message=f"as Google words it: {phrase}x")
    fleet = gcp_field.fleet(**PLACES)("l1")
    with pytest.raises(GoldbakeError) as caught:
        fleet.start(wait=True)
    assert [call.zone for call in gcp_field.asked("instances.insert")] == TRIED_ALONE[row.scope]
    if row.scope not in (Scope.ZONE, Scope.REGION):
        assert caught.value.exit_code is Failure(row.scope, "", "", exit_code=row.exit_code).exit_code
    assert gcp_field.held() == []


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("count", [1, 2])
def test_a_whole_launch_that_is_refused_leaves_nothing(gcp_field: Field, scope: Scope, count: int) -> None:
    code = CODES.of(scope)[0]
    gcp_field.fake.refuse(code, INSERT if count == 1 else BULK, where="operation", times=None)
    CODES.assert_told(failed(gcp_field, count=count, options={"ssh_from": "203.0.113.7/32"}), code)


def test_the_table_has_codes_of_every_scope() -> None:
    assert all(CODES.of(scope) for scope in Scope)


@pytest.mark.parametrize(
    "method", ["images.get", "zones.list", "machineTypes.aggregatedList", "acceleratorTypes.aggregatedList", "subnetworks.list"]
)
def test_a_look_that_is_denied_ends_the_launch_before_anything_is_made(gcp_field: Field, method: str) -> None:
    gcp_field.fake.refuse("forbidden", f"compute.{method}", times=None, message=f"Required 'compute.{method}' permission for 'projects/x'")
    error = failed(gcp_field, options={"types": ("n1-standard-4+nvidia-tesla-t4",)})
    assert error.exit_code is Exit.MISSING
    assert f"compute.{method}" in error.message + error.hint
    assert gcp_field.changes() == []


def test_routers_that_may_not_be_listed_are_taken_for_a_way_out(gcp_field: Field) -> None:
    gcp_field.fake.refuse("forbidden", "compute.routers.list", times=None)
    assert gcp_field.launch().started


def test_a_connection_that_ends_without_an_answer_does_not_start_a_second_instance(gcp_field: Field) -> None:
    gcp_field.fake.refuse("x", INSERT, done=True, drop=True)
    (started,) = gcp_field.launch().started
    assert [one.id for one in gcp_field.held("instance")] == [started.instance.id]
    assert len(gcp_field.asked("instances.insert")) == 2


def test_a_full_zone_is_left_for_the_next(gcp_field: Field) -> None:
    gcp_field.fake.capacity[(ZONES[0], TYPE, False)] = 0
    assert gcp_field.launch().started[0].instance.place == ZONES[1]
    assert "RESOURCE_POOL_EXHAUSTED" in gcp_field.said.getvalue()


def test_the_first_day_of_a_project_ends_with_the_quota_of_all_regions(gcp_field: Field) -> None:
    gcp_field.fake.book.quotas["", "GPUS_ALL_REGIONS"] = 0.0
    error = failed(gcp_field, options=PLACES)
    assert [call.zone for call in gcp_field.asked("instances.insert")] == [ZONES[0]], "no other region helps"
    assert error.exit_code is Exit.CAPACITY
    for words in ("GPUS_ALL_REGIONS", "NVIDIA_L4_GPUS", "needs 1"):
        assert words in error.message
    assert gcp_field.fake.project in error.hint


def test_an_api_that_is_off_is_named_with_the_command_that_turns_it_on(gcp_field: Field) -> None:
    gcp_field.fake.disable("compute.googleapis.com")
    error = failed(gcp_field)
    assert error.exit_code is Exit.MISSING
    assert "gcloud services enable compute.googleapis.com" in error.hint
    assert gcp_field.changes() == []


@pytest.mark.parametrize(
    ("policy", "options"),
    [("compute.vmExternalIpAccess", {"public_address": True}), ("compute.requireShieldedVm", {})],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_an_organization_forbids_is_told_by_the_policy(gcp_field: Field, policy: str, options: dict[str, bool], count: int) -> None:
    gcp_field.fake.book.policies.add(policy)
    error = failed(gcp_field, count=count, options={**options, "regions": (HOME, ABROAD)})
    assert policy in error.message
    assert error.exit_code is Exit.MISSING
    assert len(gcp_field.asked("instances.insert" if count == 1 else "regionInstances.bulkInsert")) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_service_account_that_may_not_be_used_is_told(gcp_field: Field, count: int) -> None:
    error = failed(gcp_field, count=count, options={"identity": "nobody@goldbake-fake.iam.gserviceaccount.com"})
    assert "nobody@goldbake-fake.iam.gserviceaccount.com" in error.message
    assert error.exit_code is Exit.MISSING
    assert "iam.serviceAccountUser" in error.hint


def test_a_quota_of_zero_leaves_the_region_and_names_the_quota(gcp_field: Field) -> None:
    gcp_field.fake.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 0.0
    for count in (1, 2):
        gcp_field.fake.calls.clear()
        assert gcp_field.launch(f"l{count}", count=count, options={"regions": (HOME, ABROAD)}).started[0].instance.place == "europe-west4-a"
        assert "the quota NVIDIA_L4_GPUS is 0" in gcp_field.said.getvalue()


def test_a_quota_of_one_type_does_not_keep_from_the_next_type(gcp_field: Field) -> None:
    gcp_field.fake.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 0.0
    (started,) = gcp_field.launch(options={"types": (TYPE, "n1-standard-4+nvidia-tesla-t4"), "regions": (HOME, ABROAD)}).started
    assert (started.instance.place, started.instance.kind) == (ZONES[0], "n1-standard-4+nvidia-tesla-t4")


def test_spot_falls_back_to_on_demand(gcp_field: Field) -> None:
    gcp_field.fake.refuse("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", START, where="operation", spot=True, times=None)
    (started,) = gcp_field.launch(options={"market": Market.SPOT_FIRST, "zones": ZONES}).started
    assert started.instance.place == ZONES[0]
    calls = [(call.zone, call.spot) for call in gcp_field.asked("instances.insert")]
    assert calls == [(ZONES[0], True), (ZONES[1], True), (ZONES[0], False)]


def test_spot_only_does_not_fall_back(gcp_field: Field) -> None:
    gcp_field.fake.book.quotas["", "PREEMPTIBLE_NVIDIA_L4_GPUS"] = 0.0
    error = failed(gcp_field, count=2, options={"market": Market.SPOT_ONLY, "regions": (HOME, ABROAD)})
    assert error.exit_code is Exit.CAPACITY
    assert f"{HOME} (spot): QUOTA_EXCEEDED; {ABROAD} (spot): QUOTA_EXCEEDED" in error.message


OPEN = {"ssh_from": "203.0.113.7/32"}


def test_a_firewall_rule_whose_answer_was_lost_and_that_nobody_may_look_at_is_a_failure_of_ours(gcp_field: Field) -> None:
    gcp_field.fake.refuse("backendError", "compute.firewalls.insert", done=True)
    gcp_field.fake.forbid("compute.firewalls.get")
    error = failed(gcp_field, options=OPEN)
    assert error.exit_code is Exit.MISSING
    assert "compute.firewalls.get" in error.message


def test_a_firewall_rule_that_is_still_being_made_is_waited_for(gcp_field: Field) -> None:
    gcp_field.fake.refuse("backendError", "compute.firewalls.insert", done=True)
    gcp_field.fake.refuse("notFound", "compute.firewalls.get")
    gcp_field.launch(options=OPEN)
    assert len(gcp_field.asked("firewalls.get")) == 2
    assert [one.id for one in gcp_field.held("firewall")] == ["goldbake-l1-ssh"]


def test_what_there_would_have_been_of_a_launch_without_room_is_told(gcp_field: Field) -> None:
    for zone, room in zip("abc", (2, 1, 0), strict=True):
        gcp_field.fake.capacity[(f"us-central1-{zone}", TYPE, False)] = room
    error = failed(gcp_field, count=5)
    assert isinstance(error, CapacityError)
    assert error.message.startswith(
        "3 of 5 could be started, and for the others there is no capacity anywhere it was allowed to look: us-central1: "
    )
    assert error.hint.endswith(", or fewer: --count 3")
    assert "us-central1: 3 of 5 started; Google would not start 5 × g2-standard-4" in gcp_field.said.getvalue()


def test_a_quota_that_some_of_a_launch_have_used_up_is_to_be_raised_for_the_others(gcp_field: Field) -> None:
    gcp_field.fake.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 1.0
    error = failed(gcp_field, count=3)
    assert "2 × g2-standard-4 needs 2" in gcp_field.said.getvalue()
    assert "--preferred-value=3 " in error.hint


def test_a_bulk_insert_that_is_short_is_filled_up_elsewhere(gcp_field: Field) -> None:
    for zone in ("a", "b", "c"):
        gcp_field.fake.capacity[(f"us-central1-{zone}", TYPE, False)] = 1 if zone in "ab" else 0
    report = gcp_field.launch(count=3, options={"regions": (HOME, ABROAD)})
    assert sorted(started.instance.place for started in report.started) == ["europe-west4-a", *ZONES]
    assert sorted(started.instance.number for started in report.started) == [1, 2, 3]
    first, second = (call.body["perInstanceProperties"].keys() for call in gcp_field.asked("regionInstances.bulkInsert"))
    (abroad,) = (started.instance.id for started in report.started if started.instance.place == "europe-west4-a")
    assert (first, second) == ({"goldbake-l1-1", "goldbake-l1-2", "goldbake-l1-3"}, {abroad})
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in gcp_field.said.getvalue(), "the reason is in the operations of its parts"
    gcp_field.destroy()
    assert gcp_field.left() == []


def _operation(code: str = "", said: str = "", **more: object) -> compute_v1.Operation:
    errors = [compute_v1.Errors(code=code, message=said)] if code else []
    return compute_v1.Operation(name="o", status="DONE", region=f"regions/{HOME}", error=compute_v1.Error(errors=errors), **more)


@pytest.mark.parametrize("what", ["machines", "quota"])
def test_a_bulk_insert_that_google_refuses_beforehand_goes_to_the_next_region(gcp_field: Field, what: str) -> None:
    gcp_field.fake.book.foresight = True
    if what == "machines":
        gcp_field.fake.capacity.update({(f"us-central1-{zone}", TYPE, False): 0 for zone in "abcf"})
    else:
        gcp_field.fake.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 0.0
    report = gcp_field.launch(count=2, options={"regions": (HOME, ABROAD)})
    assert {started.instance.place for started in report.started} == {"europe-west4-a"}
    assert [call.code for call in gcp_field.asked("regionInstances.bulkInsert")] == [
        {"machines": "insufficientCapacity", "quota": "quotaExceeded"}[what],
        "",
    ]


def test_a_bulk_insert_that_only_sums_up_is_asked_for_the_reasons() -> None:
    done = _operation("VM_MIN_COUNT_NOT_REACHED", "Requested minimum count of 1 VMs could not be created.")
    part = _operation("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.")
    assert not answer.says_why(done)
    found = answer.shortage(done, [_operation(), part], doing="start 2", region=HOME, found=0, wanted=2)
    assert found is not None
    assert (found.scope, found.code) == (Scope.ACCOUNT, "QUOTA_EXCEEDED"), "no other region helps"
    found = answer.shortage(done, [], doing="start 2", region=HOME, found=0, wanted=2)
    assert found is not None
    assert (found.scope, found.code) == (Scope.ZONE, "VM_MIN_COUNT_NOT_REACHED")
    assert answer.says_why(part)


def test_a_shortage_without_any_reason_is_told_in_numbers() -> None:
    counted = {"zones/us-central1-b": compute_v1.BulkInsertOperationStatus(created_vm_count=1, target_vm_count=2)}
    done = _operation(instances_bulk_insert_operation_metadata=compute_v1.InstancesBulkInsertOperationMetadata(per_location_status=counted))
    found = answer.shortage(done, [], doing="start 2", region=HOME, found=1, wanted=2)
    assert found is not None
    assert "it started 1 of 2 (us-central1-b: 1 of 2), and does not say why" in found.message
    assert (found.scope, found.exit_code) == (Scope.REGION, Exit.CAPACITY)
    assert answer.shortage(done, [], doing="start 2", region=HOME, found=2, wanted=2) is None


def test_reasons_that_may_not_be_read_keep_nobody_from_the_next_region(gcp_field: Field) -> None:
    for zone in ("a", "b", "c"):
        gcp_field.fake.capacity[(f"us-central1-{zone}", TYPE, False)] = 1 if zone == "b" else 0
    gcp_field.fake.refuse("forbidden", "compute.globalOperations.aggregatedList", times=None)
    report = gcp_field.launch(count=2, options={"regions": (HOME, ABROAD)})
    assert sorted(started.instance.place for started in report.started) == ["europe-west4-a", ZONES[1]]
    assert "does not say why" in gcp_field.said.getvalue()


@pytest.mark.parametrize("code", [row.code for row in STATES if row.code.startswith("compute.") and row.code != PREEMPTED])
def test_an_instance_that_ends_after_its_create_call_ends_the_launch(gcp_field: Field, code: str) -> None:
    for number, market in enumerate((Market.ON_DEMAND, Market.SPOT_ONLY)):
        gcp_field.fake.refuse(code, START, where="later", message="as Google words it")
        with pytest.raises(Failure) as caught:
            gcp_field.fleet(market=market)(f"l{number}").start(wait=True)
        assert code in caught.value.message
        assert f"goldbake-l{number}-1 in us-central1-a" in caught.value.message
        assert caught.value.exit_code is CODES.exit_of(code), code


def test_an_instance_that_somebody_else_deletes_ends_the_launch(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "LOOK_S", 0.05)
    gcp_field.directory.online = False
    gcp_field.fake.book.granted = None  # somebody else may do more than we

    def end(call: Call) -> None:
        if call.method == "compute.instances.aggregatedList" and not gcp_field.asked("instances.delete"):
            client = gcp_field.gcp.client(compute_v1.InstancesClient)
            client.delete_unary(project=gcp_field.gcp.project, zone=ZONES[0], instance="goldbake-l1-1")

    gcp_field.fake.after.append(end)  # once its state was seen
    with pytest.raises(Failure) as caught:
        gcp_field.fleet()("l1").start(wait=True)
    assert "goldbake-l1-1 in us-central1-a is gone" in caught.value.message
    assert "(delete)" in caught.value.message
    assert caught.value.exit_code is CODES.exit_of("delete")


@pytest.mark.parametrize("market", [Market.ON_DEMAND, Market.SPOT_ONLY])
def test_an_instance_that_is_taken_back_at_once_is_started_in_the_next_zone(gcp_field: Field, market: Market) -> None:
    gcp_field.fake.refuse(PREEMPTED, START, where="later")
    (started,) = gcp_field.launch(options={"market": market, "zones": ZONES}).started
    assert started.instance.place.startswith(ZONES[1])
    assert f"{ZONES[0]}" in gcp_field.said.getvalue()
    assert PREEMPTED in gcp_field.said.getvalue()


@pytest.mark.parametrize("count", [1, 2])
def test_an_instance_that_is_not_listed_yet_is_not_dead(gcp_field: Field, count: int) -> None:
    gcp_field.fake.book.lag = 3
    report = gcp_field.launch(count=count)
    assert {started.instance.place for started in report.started} <= set(ZONES)
    assert len(gcp_field.held("instance")) == count


def test_metadata_that_another_changed_meanwhile_are_read_again(gcp_field: Field) -> None:
    gcp_field.fake.refuse(
        "conditionNotMet", "compute.instances.setMetadata", message="Supplied fingerprint does not match current metadata fingerprint."
    )
    report = gcp_field.launch()
    assert report.notes == ()
    assert len(gcp_field.asked("instances.setMetadata")) == 2
    (machine,) = gcp_field.held("instance")
    assert machine.more["metadata"] == ["block-project-ssh-keys"]


@pytest.mark.parametrize(
    ("code", "where", "times"), [("forbidden", "insert", 1), ("PERMISSIONS_ERROR", "operation", 1), ("backendError", "insert", 5)]
)
def test_user_data_that_stays_is_told_and_no_failure(gcp_field: Field, code: str, where: str, times: int) -> None:
    gcp_field.fake.refuse(code, "compute.instances.setMetadata", where=where, times=None)
    (note,) = gcp_field.launch().notes
    assert "remove the user-data of goldbake-l1-1" in note
    assert "stays readable" in note
    assert len(gcp_field.asked("instances.setMetadata")) == times <= metadata._TRIES


def test_an_operation_that_does_not_end_is_left_and_its_instance_removed(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.gcp import launcher  # noqa: PLC0415

    monkeypatch.setattr(launcher, "_CREATE_S", 0.0)
    gcp_field.fake.book.operation_s = 0.3
    error = failed(gcp_field, options={"zones": ZONES[:1]})
    assert "OPERATION_UNFINISHED" in error.message
    assert "instances.delete" in gcp_field.changes()
