"""Waiting for operations, and what one that failed says."""

from __future__ import annotations

import pytest
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.operations import UNFINISHED, chief, ended, failures, finished, place_of
from goldbake.clouds.gcp.session import Gcp
from goldbake.errors import Exit
from tests.fakes.gcp import PROJECT, ZONE, FakeGcp

DOING = "make the firewall rule for SSH"
_METHOD = "compute.firewalls.insert"


def _rule(gcp: Gcp, name: str = "goldbake-one-ssh") -> compute_v1.Operation:
    allowed = [compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])]
    rule = compute_v1.Firewall(name=name, network="global/networks/default", source_ranges=["192.0.2.1/32"], allowed=allowed)
    return gcp.client(compute_v1.FirewallsClient).insert_unary(project=gcp.project, firewall_resource=rule)


def _done(*errors: tuple[str, str], zone: str = ZONE, **more: str | int) -> compute_v1.Operation:
    said = [compute_v1.Errors(code=code, message=message) for code, message in errors]
    return compute_v1.Operation(
        name="operation-1", status="DONE", zone=f"projects/p/zones/{zone}", error=compute_v1.Error(errors=said), **more
    )


def test_an_operation_is_waited_for(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.operation_s = 0.3
    operation = _rule(gcp)
    assert operation.status != compute_v1.Operation.Status.DONE
    assert finished(gcp, operation, doing=DOING, patience=10).status == compute_v1.Operation.Status.DONE
    assert fake_gcp.actions(reading=True)[-1] == "compute.globalOperations.wait"


def test_one_that_is_done_is_not_asked_for(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    operation = finished(gcp, _rule(gcp), doing=DOING, patience=10)
    before = len(fake_gcp.calls)
    finished(gcp, operation, doing=DOING, patience=10)
    assert len(fake_gcp.calls) == before


def test_one_that_takes_too_long_is_a_failure_of_its_own(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.operation_s = 3600
    fake_gcp.book.wait_s = 0.01
    slept: list[float] = []
    times = iter(range(100))
    with pytest.raises(Failure) as error:
        finished(gcp, _rule(gcp), doing=DOING, patience=10, clock=lambda: next(times), sleep=slept.append)
    assert (error.value.code, error.value.scope, error.value.exit_code) == (UNFINISHED, Scope.ZONE, Exit.FAILED)
    assert "after 10 s" in error.value.message


def test_a_wait_that_answers_at_once_is_not_asked_without_a_pause(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.operation_s = 3600
    fake_gcp.book.wait_s = 0.0
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with pytest.raises(Failure):
        finished(gcp, _rule(gcp), doing=DOING, patience=3, clock=lambda: now[0], sleep=sleep)
    assert slept == [1, 1, 1]


def test_what_failed_in_the_operation_is_raised_with_its_code(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.refuse("QUOTA_EXCEEDED", _METHOD, where="operation", message="Quota 'FIREWALLS' exceeded.  Limit: 100.0 globally.")
    operation = _rule(gcp)
    with pytest.raises(Failure) as error:
        finished(gcp, operation, doing=DOING, patience=10)
    assert (error.value.code, error.value.scope, error.value.exit_code) == ("QUOTA_EXCEEDED", Scope.ACCOUNT, Exit.CAPACITY)
    assert error.value.message.startswith(
        f"Google would not {DOING}: The quota FIREWALLS of the whole project is used up; its limit is 100"
    )
    assert f"https://console.cloud.google.com/iam-admin/quotas?project={PROJECT}" in error.value.hint


def test_one_that_failed_can_be_looked_at_instead(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.refuse("INTERNAL_ERROR", _METHOD, where="operation")
    done = ended(gcp, _rule(gcp), doing=DOING, patience=10)
    assert [problem.code for problem in failures(done, doing=DOING)] == ["INTERNAL_ERROR"]


def test_an_operation_that_cannot_be_asked_for_is_a_failure(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.operation_s = 3600
    operation = _rule(gcp)
    fake_gcp.refuse("forbidden", "compute.globalOperations.wait", times=None)
    with pytest.raises(Failure) as error:
        finished(gcp, operation, doing=DOING, patience=10)
    assert (error.value.code, error.value.scope) == ("forbidden", Scope.ACCOUNT)


def test_a_busy_service_is_asked_again(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.operation_s = 0.2
    operation = _rule(gcp)
    fake_gcp.refuse("rateLimitExceeded", "compute.globalOperations.wait", times=1)
    finished(gcp, operation, doing=DOING, patience=10)
    assert fake_gcp.actions(reading=True).count("compute.globalOperations.wait") >= 2


def test_a_summary_is_left_out_where_it_comes_with_its_reason() -> None:
    both = _done(("VM_MIN_COUNT_NOT_REACHED", "Requested 8."), ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "The zone is full."))
    assert [found.code for found in failures(both, doing=DOING)] == ["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"]
    alone = _done(("VM_MIN_COUNT_NOT_REACHED", "Requested 8."))
    assert [found.code for found in failures(alone, doing=DOING)] == ["VM_MIN_COUNT_NOT_REACHED"]


def test_a_quota_dominates_a_shortage_and_all_words_are_kept() -> None:
    found = failures(
        _done(("ZONE_RESOURCE_POOL_EXHAUSTED", "Full."), ("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.")),
        doing=DOING,
    )
    first = chief(found)
    assert (first.code, first.scope, first.exit_code) == ("QUOTA_EXCEEDED", Scope.ACCOUNT, Exit.CAPACITY)
    assert "ZONE_RESOURCE_POOL_EXHAUSTED: Full" in first.message
    assert "GPUS_ALL_REGIONS" in first.hint


def test_the_details_of_a_quota_are_those_of_the_operation() -> None:
    info = compute_v1.QuotaExceededInfo(
        metric_name="compute.googleapis.com/gpus_all_regions",
        limit_name="GPUS-ALL-REGIONS-per-project",
        limit=0.0,
        dimensions={"global": "global"},
    )
    error = compute_v1.Errors(code="QUOTA_EXCEEDED", message="Too many.", error_details=[compute_v1.ErrorDetails(quota_info=info)])
    operation = compute_v1.Operation(name="o", status="DONE", zone=f"x/{ZONE}", error=compute_v1.Error(errors=[error]))
    (found,) = failures(operation, doing=DOING)
    assert (found.scope, found.exit_code) == (Scope.ACCOUNT, Exit.CAPACITY)
    assert "may have 0 GPUs in all regions together" in found.message


def test_zones_with_room_are_named_where_google_names_them() -> None:
    info = compute_v1.ErrorInfo(
        reason="resource_availability", metadatas={"zonesAvailable": "us-central1-a,us-central1-f", "vmType": "n1-standard-4"}
    )
    error = compute_v1.Errors(
        code="ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", message="Full.", error_details=[compute_v1.ErrorDetails(error_info=info)]
    )
    operation = compute_v1.Operation(name="o", status="DONE", zone=f"x/{ZONE}", error=compute_v1.Error(errors=[error]))
    (found,) = failures(operation, doing=DOING)
    assert found.hint.startswith("Google says that there is room in us-central1-a,us-central1-f; allow more zones")


def test_an_operation_without_errors_may_have_failed_by_its_status() -> None:
    (found,) = failures(_done(http_error_status_code=503, http_error_message="SERVICE UNAVAILABLE"), doing=DOING)
    assert (found.code, found.scope) == ("SERVICE_UNAVAILABLE", Scope.RETRY)
    assert failures(_done(), doing=DOING) == []


def test_where_an_operation_is() -> None:
    assert place_of(_done()) == ZONE
    assert place_of(compute_v1.Operation(region="projects/p/regions/us-central1")) == "us-central1"
    assert place_of(compute_v1.Operation(name="o")) == "global"
