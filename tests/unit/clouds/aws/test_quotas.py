"""Instance types and their quotas; a refused quota explained."""

from __future__ import annotations

import pytest

from goldbake.clouds.aws import quotas
from goldbake.clouds.aws.errors import refused
from goldbake.clouds.aws.session import Aws
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from tests.fakes.aws import FakeAws

REGION = "us-east-1"


def _failure(code: str) -> Failure:
    return refused(code, "Too much.", doing="start instances", region=REGION)


@pytest.mark.parametrize(
    ("instance_type", "on_demand", "spot"),
    [
        ("c7i.xlarge", "L-1216C47A", "L-34B43A08"),
        ("m7i-flex.large", "L-1216C47A", "L-34B43A08"),
        ("im4gn.large", "L-1216C47A", "L-34B43A08"),
        ("is4gen.large", "L-1216C47A", "L-34B43A08"),
        ("g4dn.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("g6e.12xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("gr6.4xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("vt1.3xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("p3.2xlarge", "L-417A185B", "L-7212CCBC"),
        ("p4de.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5en.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("p6-b200.48xlarge", "L-417A185B", None),
        ("inf2.xlarge", "L-1945791B", "L-B5D1601B"),
        ("trn1.2xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
        ("f2.6xlarge", "L-74FC7D96", "L-88CF9481"),
        ("x2gd.large", "L-7295265B", "L-E3A00192"),
        ("hpc7g.4xlarge", "L-F7808C92", None),
        ("u-6tb1.56xlarge", "L-43DA4232", None),
        ("mac2.metal", None, None),
        ("7.large", None, None),
    ],
)
def test_a_type_counts_against_the_quota_of_its_family(instance_type: str, on_demand: str | None, spot: str | None) -> None:
    found = quotas.quota_of(instance_type, spot=False), quotas.quota_of(instance_type, spot=True)
    assert tuple(quota.code if quota else None for quota in found) == (on_demand, spot)


def test_a_refused_quota_is_named_with_its_value_the_need_and_the_way_to_more(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.book.quotas[REGION, "L-DB2E81BA"] = 4.0
    found = quotas.explained(aws, _failure("VcpuLimitExceeded"), region=REGION, types=["g5.xlarge", "p5.4xlarge"], spot=False, count=3)
    assert (found.code, found.scope, found.exit_code) == ("VcpuLimitExceeded", Scope.REGION, Exit.CAPACITY)
    assert "“Running On-Demand G and VT instances” (L-DB2E81BA) is 4 vCPUs in us-east-1, and 3 × g5.xlarge needs 12" in found.message
    assert "request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code L-DB2E81BA --desired-value 16" in found.hint
    assert "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-DB2E81BA" in found.hint


def test_spot_has_a_quota_of_its_own(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.book.quotas[REGION, "L-3819A6DF"] = 0.0
    found = quotas.explained(aws, _failure("MaxSpotInstanceCountExceeded"), region=REGION, types=["g5.xlarge"], spot=True)
    assert "(L-3819A6DF) is 0 vCPUs" in found.message
    assert "--desired-value 4" in found.hint


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalError"])
def test_a_value_that_may_not_be_read_is_said_and_the_command_stays(fake_aws: FakeAws, aws: Aws, code: str) -> None:
    fake_aws.refuse(code, service="servicequotas", times=None)
    if code == "InternalError":
        fake_aws.faults.clear()
        fake_aws.refuse(code, service="servicequotas", times=None, status=400)
    found = quotas.explained(aws, _failure("VcpuLimitExceeded"), region=REGION, types=["g5.xlarge"], spot=False)
    assert f"(L-DB2E81BA) could not be read ({code}), and 1 × g5.xlarge needs 4" in found.message
    assert "--quota-code L-DB2E81BA --desired-value 4" in found.hint


def test_types_that_may_not_be_described_leave_the_need_out(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("UnauthorizedOperation", "DescribeInstanceTypes", times=None)
    found = quotas.explained(aws, _failure("VcpuLimitExceeded"), region=REGION, types=["g5.xlarge"], spot=False)
    assert found.message.endswith("(L-DB2E81BA) is 64 vCPUs in us-east-1")


def test_the_default_counts_where_a_quota_was_never_changed(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("NoSuchResourceException", "GetServiceQuota")
    quota = quotas.quota_of("g5.xlarge", spot=False)
    assert quota is not None
    assert quotas.value_of(aws, quota, REGION) == 64.0
    assert fake_aws.actions(reading=True) == ["GetServiceQuota", "GetAWSDefaultServiceQuota"]


def test_storage_is_counted_by_another_service(fake_aws: FakeAws, aws: Aws) -> None:
    found = quotas.explained(aws, _failure("VolumeLimitExceeded"), region=REGION, types=["g5.xlarge"], spot=False)
    assert "“Storage for General Purpose SSD (gp3) volumes” (L-7A658B76)" in found.message
    assert "--service-code ebs" in found.hint


@pytest.mark.parametrize(
    ("code", "types"),
    [
        ("InsufficientInstanceCapacity", ["g5.xlarge"]),
        ("PendingVerification", ["g5.xlarge"]),
        ("VcpuLimitExceeded", ["mac2.metal"]),
        ("VcpuLimitExceeded", []),
    ],
)
def test_what_has_no_known_quota_stays_as_it_is(fake_aws: FakeAws, aws: Aws, code: str, types: list[str]) -> None:
    refusal = _failure(code)
    assert quotas.explained(aws, refusal, region=REGION, types=types, spot=False) is refusal
    assert fake_aws.calls == []


def test_processors_of_types_that_there_are(aws: Aws) -> None:
    assert quotas.processors(aws, REGION, ["g5.xlarge", "p4d.24xlarge", "g99.huge"]) == {"g5.xlarge": 4, "p4d.24xlarge": 96}
