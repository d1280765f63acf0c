"""The rows of doctor about AWS."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from goldbake import host, proc
from goldbake.clouds.aws import examine as examining
from goldbake.clouds.aws import policy
from goldbake.clouds.aws.examine import Bake, examine
from goldbake.clouds.aws.session import NO_CREDENTIALS, Aws
from goldbake.config import base_images
from goldbake.config.model import Cloud, Os
from goldbake.errors import Exit
from goldbake.finding import Finding
from goldbake.paths import Paths
from tests.fakes.aws import NEWEST_DEBIAN, FakeAws
from tests.servers import closed_port
from tests.unit.clouds.doctor import ends, failing, only

HOME = "us-east-1"
BAKE = Bake(HOME, "c7i.xlarge", Os.DEBIAN_12)


def _look(
    aws: Aws,
    regions: Sequence[str] = (HOME,),
    types: Sequence[str] = ("g5.xlarge",),
    *,
    bakes: Sequence[Bake] = (),
    strict: bool = False,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    return examine(regions, types, bakes=bakes, strict=strict, aws=aws, now=now)


def test_all_is_well_and_nothing_was_changed(fake_aws: FakeAws, aws: Aws) -> None:
    rows = _look(aws, bakes=[BAKE])
    assert [row.what for row in rows if not row.good] == []
    assert only(rows, "AWS credentials").state == "arn:aws:sts::123456789012:user/moto in account 123456789012"
    assert only(rows, f"base image {HOME}").state == f"debian-12: {NEWEST_DEBIAN.id_in(HOME)}"
    assert next(row.state for row in rows if row.what == f"type {HOME}").startswith("g5.xlarge: us-east-1a, us-east-1b")
    assert {row.state.partition(":")[0] for row in rows if row.what == f"quota {HOME}"} == {
        "Running On-Demand G and VT instances (L-DB2E81BA)",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances (L-1216C47A)",
        "All G and VT Spot Instance Requests (L-3819A6DF)",
    }
    assert fake_aws.held() == []
    changing = [call for call in fake_aws.calls if not call.action.startswith(("Describe", "Get"))]
    assert changing
    assert all(call.parameters["DryRun"] in (True, "true") for call in changing)


def test_every_action_of_ec2_in_the_policy_is_tried(fake_aws: FakeAws, aws: Aws) -> None:
    _look(aws)
    tried = {f"ec2:{call.action}" for call in fake_aws.calls if call.parameters.get("DryRun") in (True, "true")}
    assert tried == {action for action in [*policy.LOOK, *policy.MAKE, *policy.CHANGE] if action.startswith("ec2:")}


@pytest.mark.parametrize(
    ("action", "purposes"), [("RunInstances", "bake launch"), ("DescribeInstanceStatus", "bake"), ("DescribeVpcs", "bake launch doctor")]
)
def test_a_missing_permission_has_a_row_with_the_policy(fake_aws: FakeAws, aws: Aws, action: str, purposes: str) -> None:
    fake_aws.refuse("UnauthorizedOperation", action, times=None)
    row = only(_look(aws), f"permission ec2:{action}")
    assert row in failing([row])
    assert row.fix.startswith("attach docs/reference/aws-policy.json; ")
    assert f"goldbake.clouds.aws.policy {purposes}`" in row.fix
    assert ends([row]) == (Exit.MISSING, row.fix)


def test_what_can_only_be_done_to_our_own_is_not_called_missing_before_there_is_any(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("UnauthorizedOperation", "DeleteSecurityGroup", times=None)
    rows = _look(aws)
    assert "cannot be told before there is something of ours" in only(rows, "permission ec2:DeleteSecurityGroup").state
    assert failing(rows) == []
    tagged = [{"ResourceType": "security-group", "Tags": [{"Key": "managed-by", "Value": "goldbake"}]}]
    vpc = aws.ec2(HOME).describe_vpcs()["Vpcs"][0]["VpcId"]
    made = aws.ec2(HOME).create_security_group(GroupName="x", Description="x", VpcId=vpc, TagSpecifications=tagged)["GroupId"]  # type: ignore[arg-type]
    rows = _look(aws)
    assert only(rows, "permission ec2:DeleteSecurityGroup").state == "refused, and needed by bake, destroy"
    assert [row.what for row in failing(rows)] == ["permission ec2:DeleteSecurityGroup"]
    asked = [call.parameters["GroupId"] for call in fake_aws.calls if call.action == "DeleteSecurityGroup"]
    assert asked[-1] == made


def test_a_quota_of_zero_counts_when_no_gpu_can_be_had(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.book.quotas["", "L-DB2E81BA"] = 0.0
    (row,) = failing(_look(aws))
    assert row.state == "Running On-Demand G and VT instances (L-DB2E81BA): 0 vCPUs; g5.xlarge needs 4"
    assert "request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code L-DB2E81BA --desired-value 4" in row.fix
    assert ends([row])[0] is Exit.MISSING


def test_one_family_with_a_quota_is_enough_unless_types_are_named(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.book.quotas["", "L-417A185B"] = 0.0
    types = ["g5.xlarge", "p5.4xlarge"]
    assert failing(_look(aws, types=types)) == []
    assert ["L-417A185B" in row.state for row in failing(_look(aws, types=types, strict=True))] == [True]


def test_quotas_that_may_not_be_read_are_said_and_stop_nobody(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("AccessDeniedException", service="servicequotas", times=None)
    rows = _look(aws)
    assert "cannot be read (AccessDeniedException)" in next(row.state for row in rows if row.what == f"quota {HOME}")
    assert failing(rows) == []


def test_spot_quotas_are_shown_and_not_required(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.book.quotas["", "L-3819A6DF"] = 0.0
    rows = _look(aws, strict=True)
    assert [row.state for row in rows if not row.good] == ["All G and VT Spot Instance Requests (L-3819A6DF): 0 vCPUs; g5.xlarge needs 4"]
    assert failing(rows) == []


def test_a_region_that_does_not_exist_is_named_with_those_that_do(aws: Aws) -> None:
    rows = _look(aws, ["eu-west-9", HOME])
    row = only(rows, "AWS region")
    assert row.state == "eu-west-9 does not exist, or is not enabled for this account"
    assert "eu-west-1" in row.fix
    assert HOME not in row.fix
    assert ends(rows) == (Exit.MISSING, row.fix)
    assert f"default VPC {HOME}" in {row.what for row in rows}


def test_no_region_at_all(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (row,) = examine([], [], aws=Aws())
    assert (row.what, row.state) == ("AWS region", "none is said")


@pytest.mark.usefixtures("fake_aws")
def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    rows = examine([HOME], ["g5.xlarge"])
    assert rows == [Finding("AWS credentials", "there are no AWS credentials", NO_CREDENTIALS)]
    assert ends(rows) == (Exit.MISSING, NO_CREDENTIALS)


@pytest.mark.parametrize(
    ("code", "part", "hint"),
    [
        ("ExpiredToken", "has expired", "aws sso login"),
        ("InvalidClientTokenId", "does not know this access key", "aws sts get-caller-identity"),
    ],
)
def test_credentials_that_are_not_accepted(fake_aws: FakeAws, aws: Aws, code: str, part: str, hint: str) -> None:
    fake_aws.refuse(code, service="sts", times=None)
    (row,) = rows = _look(aws)
    assert row.what == "AWS credentials"
    assert part in row.state
    assert hint in row.fix
    assert ends(rows)[0] is Exit.MISSING
    assert len(fake_aws.calls) == 1


def test_a_session_that_expires_on_the_way(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("ExpiredToken", "DescribeVpcs", times=None)
    bad = {row.what: row for row in failing(_look(aws))}
    assert set(bad) == {f"permissions {HOME}", f"network {HOME}"}
    assert all("has expired" in row.state for row in bad.values())


def test_a_service_in_trouble_is_not_taken_for_a_permission(fake_aws: FakeAws, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ec2", lambda region, once=False: Aws.ec2(aws, region, once=True))
    fake_aws.refuse("Unavailable", "RunInstances", times=None)
    row = only(_look(aws), f"permissions {HOME}")
    assert "overloaded or down" in row.state
    assert failing([row])


@pytest.mark.usefixtures("fake_aws")
def test_an_endpoint_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", closed_port())
    (row,) = rows = examine([HOME], ["g5.xlarge"])
    assert row.what == "AWS"
    assert row.state.startswith(f"could not say who this is in {HOME}: AWS cannot be reached there")
    assert "HTTPS_PROXY" in row.fix
    assert ends(rows)[0] is Exit.MISSING


@pytest.mark.parametrize(("seconds", "good", "required"), [(0, True, False), (-120, False, False), (400, False, True)])
@pytest.mark.usefixtures("fake_aws")
def test_a_clock_that_is_wrong(aws: Aws, seconds: int, good: bool, required: bool) -> None:
    row = only(_look(aws, now=lambda: time.time() + seconds), "clock")
    assert (row.good, row.required) == (good, required)
    if not good:
        assert ("ahead of" if seconds > 0 else "behind") in row.state


def test_a_signature_that_is_not_accepted_because_of_the_clock(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse("SignatureDoesNotMatch", service="sts", message="Signature expired: 2026 is now earlier than", times=None)
    rows = _look(aws, now=lambda: time.time() - 900)
    assert [row.what for row in rows] == ["AWS credentials", "clock"]
    assert "clock is slow" in rows[0].state
    assert "timedatectl" in rows[1].fix


def test_a_region_without_default_vpc(aws: Aws) -> None:
    ec2 = aws.ec2(HOME)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc)
    row = only(_look(aws), f"default VPC {HOME}")
    assert (row.state, row.required) == ("none", True)
    assert row.fix.startswith(f"`aws ec2 create-default-vpc --region {HOME}`")
    named = Bake(HOME, "c7i.xlarge", Os.DEBIAN_12, network="subnet-1")
    assert not only(_look(aws, [], [], bakes=[named]), f"default VPC {HOME}").required


def test_a_base_image_that_is_not_there(aws: Aws) -> None:
    name = aws.ec2(HOME).describe_images(Owners=["136693071363"])["Images"][0]["Name"]
    assert name.startswith("debian-")
    bakes = [Bake(HOME, "c7i.xlarge", system) for system in (Os.DEBIAN_12, Os.UBUNTU_2204)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(base_images.AWS, Os.DEBIAN_12, base_images.AwsBase("136693071363", "debian-12-s390x-*", "/dev/xvda", "admin"))
        rows = [row for row in _look(aws, bakes=bakes) if row.what == f"base image {HOME}"]
    assert [row.good for row in rows] == [False, True]
    assert rows[0].state == "debian-12: none"
    assert "account 136693071363 has no debian-12-s390x-*" in rows[0].fix


def test_a_type_that_no_zone_offers(aws: Aws) -> None:
    rows = [row for row in _look(aws, types=["g5.xlarge", "g99.huge"]) if row.what == f"type {HOME}"]
    assert [(row.good, row.required) for row in rows] == [(True, False), (False, False)]
    (row,) = failing(_look(aws, types=["g99.huge"]))
    assert row.state == "g99.huge: in no zone"


def test_a_bake_by_session_manager_needs_its_plugin(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "find", lambda name: None)
    bake = Bake(HOME, "c7i.xlarge", Os.DEBIAN_12, session_manager=True)
    row = only(_look(aws, bakes=[bake]), "session-manager-plugin")
    assert row.state == "missing"
    assert "session-manager-working-with-install-plugin" in row.fix


def test_the_images_of_this_project_are_examined_with_their_regions_and_gpus(
    aws: Aws, paths_of_project: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], list[str], set[Os], bool]] = []

    def noted(regions: list[str], types: list[str], *, bakes: list[Bake], strict: bool) -> list[Finding]:
        asked.append((regions, types, {bake.os for bake in bakes}, strict))
        return examine(regions, types, bakes=bakes, strict=strict, aws=aws)

    monkeypatch.setattr(examining, "examine", noted)
    rows = host.examine(paths_of_project, (Cloud.AWS,))
    whats = {row.what for row in rows}
    assert {"ssh", "AWS credentials", "permissions", f"default VPC {HOME}", "Azure DevOps"} <= whats
    assert "mmdebstrap" not in whats
    quotas = " ".join(row.state for row in rows if row.what == f"quota {HOME}")
    assert all(code in quotas for code in ("L-DB2E81BA", "L-417A185B", "L-1216C47A"))

    def only_noted(regions: list[str], types: list[str], *, bakes: list[Bake], strict: bool) -> list[Finding]:
        asked.append((regions, types, set(), strict))
        return []

    monkeypatch.setattr(examining, "examine", only_noted)
    host.examine(paths_of_project, (Cloud.AWS,), regions=["eu-west-1"], types=["p5.4xlarge"])
    assert asked[0][0] == [HOME]
    assert asked[0][1][0] == "g4dn.xlarge"
    assert asked[0][2:] == ({Os.UBUNTU_2404, Os.DEBIAN_12}, False)
    assert asked[1] == (["eu-west-1"], ["p5.4xlarge"], set(), True)
