"""Whatever EC2 refuses, at whatever call: the right places are tried, the message and exit code are right, and nothing is left."""

from __future__ import annotations

import pytest

from goldbake.clouds.aws.errors import ERRORS, ROWS
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit, GoldbakeError
from launch.base import Market
from launch.fleet import Fleet
from tests.fakes.aws import START
from tests.unit.launch.aws.conftest import ABROAD, HOME, Field
from tests.unit.launch.failures import Codes, failed, tried

ZONES = ("us-east-1a", "us-east-1b")
CODES = Codes(
    ERRORS,
    [row.code for row in ROWS if not row.code.startswith(("Server.", "Client.")) and not row.code.endswith(("Error", "NotFoundException"))],
)
"""The codes that a call of EC2 can answer: not the reasons of an instance's end, and not the SDK's own exceptions."""


def _refused_everywhere(field: Field, fleet: Fleet, code: str, action: str) -> GoldbakeError:
    """Start a fleet while `code` is the answer to every call of `action`; nothing but the shared group is there afterwards."""
    field.fake.faults.clear()
    field.fake.calls.clear()
    field.fake.refuse(code, action, times=None)
    with pytest.raises(GoldbakeError) as caught:
        fleet.start(wait=True)
    assert {one.kind for one in field.held()} <= {"security-group"}, code
    assert "\n" not in caught.value.message
    return caught.value


TRIED_ALONE = tried([*ZONES, "eu-west-1a"], [ZONES[0], "eu-west-1a"])
"""What is asked for one instance that may be in two zones at home and in one abroad."""

TRIED_TOGETHER = tried([HOME, ABROAD], [HOME, ABROAD])
"""A fleet covers the zones of a region: a region is one place."""


@pytest.mark.slow
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_run_instances(aws_field: Field, scope: Scope) -> None:
    begin = aws_field.fleet(zones=(*ZONES, "eu-west-1a"))
    for number, code in enumerate(CODES.of(scope)):
        error = _refused_everywhere(aws_field, begin(f"l{number}"), code, "RunInstances")
        calls = [call for call in aws_field.fake.calls if call.action == "RunInstances"]
        assert [call.zone for call in calls] == TRIED_ALONE[scope], code
        assert len({call.parameters["ClientToken"] for call in calls}) == len(set(TRIED_ALONE[scope])), code
        CODES.assert_told(error, code)
    aws_field.destroy("l0")
    assert aws_field.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_every_override_of_a_fleet(aws_field: Field, scope: Scope) -> None:
    begin = aws_field.fleet(count=2, types=("g5.xlarge", "g6.xlarge"), zones=(*ZONES, "eu-west-1a"))
    for number, code in enumerate(CODES.of(scope)):
        error = _refused_everywhere(aws_field, begin(f"l{number}"), code, START)
        calls = [call for call in aws_field.fake.calls if call.action == "CreateFleet"]
        assert [call.region for call in calls] == TRIED_TOGETHER[scope], code
        assert len({call.parameters["ClientToken"] for call in calls}) == len(calls), (
            f"{code}: each was answered, the next is a new request"
        )
        overrides = calls[0].parameters["LaunchTemplateConfigs"][0]["Overrides"]
        assert [override["InstanceType"] for override in overrides] == ["g5.xlarge"] * 2 + ["g6.xlarge"] * 2
        CODES.assert_told(error, code)
    aws_field.destroy("l0")
    assert aws_field.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet"])
@pytest.mark.parametrize("scope", list(Scope))
def test_every_code_at_the_calls_around(aws_field: Field, action: str, scope: Scope) -> None:
    begin = aws_field.fleet(count=2)
    some = CODES.of(scope)[:3] if scope is Scope.RETRY else CODES.of(scope)  # what passes is repeated 4 times by us, 8 times by the SDK
    for number, code in enumerate(some):
        if code in ("InvalidGroup.Duplicate", "InvalidLaunchTemplateName.AlreadyExistsException"):
            continue  # it is there: that is what was wanted
        error = _refused_everywhere(aws_field, begin(f"l{number}"), code, action)
        regions = [call.region for call in aws_field.fake.calls if call.action == action]
        assert set(regions) == ({HOME, ABROAD} if scope in (Scope.ZONE, Scope.REGION) else {HOME}), code
        assert action == "CreateFleet" or "CreateFleet" not in aws_field.fake.actions()
        CODES.assert_told(error, code)
    aws_field.destroy("l0")
    assert aws_field.left() == []


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("count", [1, 2])
def test_a_whole_launch_that_is_refused_leaves_nothing(aws_field: Field, scope: Scope, count: int) -> None:
    code = CODES.of(scope)[0]
    aws_field.fake.refuse(code, START, times=None)
    CODES.assert_told(failed(aws_field, count=count), code)


def test_the_table_has_codes_of_every_scope() -> None:
    assert all(CODES.of(scope) for scope in Scope)


@pytest.mark.parametrize(
    "action", ["DescribeImages", "DescribeInstanceTypeOfferings", "DescribeVpcs", "DescribeSubnets", "DescribeRouteTables"]
)
def test_a_look_that_is_denied_ends_the_launch_before_anything_is_made(aws_field: Field, action: str) -> None:
    aws_field.fake.refuse("UnauthorizedOperation", action, times=None)
    error = failed(aws_field)
    assert error.exit_code is Exit.MISSING
    assert action in error.message
    assert aws_field.fake.actions() == []


def test_a_connection_that_ends_without_an_answer_does_not_start_a_second_instance(aws_field: Field) -> None:
    aws_field.fake.refuse("x", "RunInstances", done=True, drop=True)
    (started,) = aws_field.launch().started
    assert [one.id for one in aws_field.held("instance")] == [started.instance.id]


def test_a_full_zone_is_left_for_the_next(aws_field: Field) -> None:
    aws_field.fake.book.capacity[("us-east-1a", "g5.xlarge", False)] = 0
    assert aws_field.launch().started[0].instance.place == "us-east-1b"


def test_a_quota_of_zero_leaves_the_region_and_names_the_quota(aws_field: Field) -> None:
    aws_field.fake.book.quotas["us-east-1", "L-DB2E81BA"] = 0.0
    aws_field.fake.refuse("VcpuLimitExceeded", "RunInstances", region=HOME, times=None)
    assert aws_field.launch().started[0].instance.place == "eu-west-1a"
    assert [call.region for call in aws_field.fake.calls if call.action == "RunInstances"] == [HOME, ABROAD]
    assert "L-DB2E81BA" in aws_field.said.getvalue()


def test_spot_falls_back_to_on_demand(aws_field: Field) -> None:
    aws_field.fake.refuse("InsufficientInstanceCapacity", START, spot=True, times=None)
    options = {"market": Market.SPOT_FIRST, "regions": (HOME,), "zones": ZONES}
    (started,) = aws_field.launch(options=options).started
    assert started.instance.place == "us-east-1a"
    calls = [(call.zone, call.spot) for call in aws_field.fake.calls if call.action == "RunInstances"]
    assert calls == [("us-east-1a", True), ("us-east-1b", True), ("us-east-1a", False)]
    assert aws_field.held("spot-instances-request") == []


def test_spot_only_does_not_fall_back(aws_field: Field) -> None:
    aws_field.fake.refuse("MaxSpotInstanceCountExceeded", START, spot=True, times=None)
    error = failed(aws_field, count=2, options={"market": Market.SPOT_ONLY})
    assert error.exit_code is Exit.CAPACITY
    assert "us-east-1 (spot): MaxSpotInstanceCountExceeded; eu-west-1 (spot)" in error.message


def test_a_fleet_that_is_short_is_filled_up_elsewhere(aws_field: Field) -> None:
    for zone in ("a", "b", "c", "d", "e", "f"):
        aws_field.fake.book.capacity[(f"us-east-1{zone}", "g5.xlarge", False)] = 1 if zone in "ab" else 0
    report = aws_field.launch(count=3)
    assert sorted(started.instance.place for started in report.started) == ["eu-west-1a", "us-east-1a", "us-east-1b"]
    assert sorted(started.instance.number for started in report.started) == [1, 2, 3]
    targets = [
        call.parameters["TargetCapacitySpecification"]["TotalTargetCapacity"]
        for call in aws_field.fake.calls
        if call.action == "CreateFleet"
    ]
    assert [int(target) for target in targets] == [3, 1]
    aws_field.destroy()
    assert aws_field.left() == []


def test_an_instance_that_ends_after_its_create_call_ends_the_launch(aws_field: Field) -> None:
    reasons = [row.code for row in ROWS if row.code.startswith(("Server.", "Client."))]
    assert "Server.InsufficientInstanceCapacity" in reasons
    begin = aws_field.fleet()
    for number, code in enumerate(reasons):
        aws_field.fake.doom(code, "as EC2 words it")
        with pytest.raises(Failure) as caught:
            begin(f"l{number}").start(wait=True)
        assert code in caught.value.message
        assert "as EC2 words it" in caught.value.message
        assert caught.value.exit_code is CODES.exit_of(code), code


def test_an_instance_that_is_not_listed_yet_is_not_dead(aws_field: Field) -> None:
    aws_field.fake.book.lag = 3
    assert aws_field.launch(count=2).started


def test_a_template_that_cannot_be_deleted_goes_with_the_launch(aws_field: Field) -> None:
    aws_field.fake.refuse("UnauthorizedOperation", "DeleteLaunchTemplate", times=1)
    assert len(aws_field.launch(count=2).started) == 2
    assert [one.kind for one in aws_field.held("launch-template")] == ["launch-template"]
    assert "delete the launch template" in aws_field.said.getvalue()
    aws_field.destroy()
    assert aws_field.left() == []


def test_a_metadata_service_that_stays_on_is_told_and_no_failure(aws_field: Field) -> None:
    aws_field.fake.refuse("UnauthorizedOperation", "ModifyInstanceMetadataOptions", times=None)
    (note,) = aws_field.launch().notes
    assert "stays readable" in note
