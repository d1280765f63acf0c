"""The fake of AWS keeps to EC2's own description and does what it is told; what is built on it can only be as true as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from goldbake.paths import PROJECT
from tests.fakes.aws import NEWEST_DEBIAN, REGION, REGIONS, START, FakeAws
from tests.integration import awsaccount

pytestmark = awsaccount.only_fake

AMI = NEWEST_DEBIAN.id_in(REGION)
TAGS = [{"Key": "goldbake-launch", "Value": "x"}]
ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture(scope="module")
def account() -> Iterator[FakeAws]:
    with FakeAws() as fake, awsaccount.environment(fake):
        yield fake


@pytest.fixture
def fake(account: FakeAws) -> Iterator[FakeAws]:
    account.reset()
    yield account
    assert account.crashes == []


def _client(region: str = REGION) -> Any:
    return _made(region, os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_ACCESS_KEY_ID"])


@lru_cache
def _made(region: str, url: str, key: str) -> Any:
    """Half a second each."""
    return boto3.Session().client("ec2", region_name=region, config=ONCE)


def _tagged(*kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": TAGS} for kind in kinds]


def _started(**more: Any) -> list[str]:
    given = {"ImageId": AMI, "InstanceType": "g5.xlarge", "MinCount": 1, "MaxCount": 1, **more}
    return [one["InstanceId"] for one in _client().run_instances(**given)["Instances"]]


def _template(client: Any) -> str:
    data = {"ImageId": AMI, "TagSpecifications": _tagged("instance", "volume", "network-interface", "spot-instances-request")}
    name: str = client.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"]["LaunchTemplateId"]
    return name


def _fleet(client: Any, template: str, count: int, *, spot: bool = False, **more: Any) -> dict[str, Any]:
    subnets = sorted(client.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])[:2]
    overrides = [{"InstanceType": "g5.xlarge", "SubnetId": one["SubnetId"]} for one in subnets]
    answer: dict[str, Any] = client.create_fleet(
        Type="instant",
        TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": "spot" if spot else "on-demand"},
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"}, "Overrides": overrides}
        ],
        **more,
    )
    return answer


@pytest.mark.slow
def test_every_answer_is_what_the_services_own_description_says(fake: FakeAws) -> None:
    """Every element of every answer, and its place, is one that botocore's model of EC2 knows."""
    fake.keep_answers = True
    fake.answers.clear()
    client = _client()
    (name,) = _started(
        TagSpecifications=_tagged("instance", "volume", "network-interface", "spot-instances-request"),
        InstanceMarketOptions={"MarketType": "spot"},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "VolumeInitializationRate": 300}}],
    )
    made = _fleet(client, _template(client), 2)
    client.modify_instance_metadata_options(InstanceId=name, HttpEndpoint="disabled")
    fake.book.consoles[name] = "it boots\n"
    assert client.get_console_output(InstanceId=name)["Output"] == "it boots\n"
    client.stop_instances(InstanceIds=made["Instances"][0]["InstanceIds"])
    image = client.create_image(InstanceId=name, Name="image", TagSpecifications=_tagged("image", "snapshot"))["ImageId"]
    client.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v2.0"})
    client.enable_image_deprecation(ImageId=image, DeprecateAt="2027-01-01T00:00:00Z")
    _client("eu-west-1").copy_image(SourceImageId=image, SourceRegion=REGION, Name="image", TagSpecifications=_tagged("image", "snapshot"))
    for call in ("describe_instances", "describe_volumes", "describe_network_interfaces", "describe_security_groups", "describe_launch_templates",
                 "describe_spot_instance_requests", "describe_images", "describe_snapshots", "describe_regions", "describe_availability_zones",
                 "describe_vpcs", "describe_subnets", "describe_route_tables", "describe_key_pairs"):  # fmt: skip
        getattr(client, call)()
    client.describe_instance_type_offerings(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["g5.xlarge"]}])
    client.terminate_instances(InstanceIds=[name])
    model = Session().get_service_model("ec2")
    unknown = []
    for asked, answer in fake.answers:
        operation = model.operation_model(asked.action)
        if answer.status == 200 and operation.output_shape is not None:
            root = ElementTree.fromstring(answer.body)
            unknown += [f"{asked.action}: {path}" for path in _unknown(root, operation.output_shape, asked.action, top=True)]
    fake.keep_answers = False
    assert unknown == []


def _unknown(element: Any, shape: Any, path: str, *, top: bool = False) -> Iterator[str]:
    """Elements that the shape does not have. The request's id stands beside every answer."""
    if shape.type_name == "structure":
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in element:
            tag = child.tag.rpartition("}")[2]
            if tag in known:
                yield from _unknown(child, known[tag], f"{path}/{tag}")
            elif not (top and tag.lower() == "requestid"):
                yield f"{path}/{tag}"
    elif shape.type_name == "list":
        for child in element:
            yield from _unknown(child, shape.member, path)


def test_a_client_token_makes_nothing_twice(fake: FakeAws) -> None:
    first = _started(ClientToken="a", MaxCount=2)
    assert _started(ClientToken="a", MaxCount=2) == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        _started(ClientToken="a", MaxCount=3)
    client = _client()
    template = _template(client)
    made = _fleet(client, template, 2, ClientToken="b")
    assert _fleet(client, template, 2, ClientToken="b")["Instances"] == made["Instances"]
    assert len([one for one in fake.held() if one.kind == "instance"]) == 4


def test_a_fleet_takes_what_there_is_and_says_why_it_is_less(fake: FakeAws) -> None:
    fake.book.capacity[f"{REGION}a", "g5.xlarge", False] = 0
    fake.book.capacity[f"{REGION}b", "g5.xlarge", False] = 2
    client = _client()
    made = _fleet(client, _template(client), 5)
    assert [one["ErrorCode"] for one in made["Errors"]] == ["InsufficientInstanceCapacity"]
    assert sum(len(one["InstanceIds"]) for one in made["Instances"]) == 2
    tagged = [one for one in fake.held() if one.tags.get("goldbake-launch") == "x"]
    assert sorted({one.kind for one in tagged}) == ["instance", "network-interface", "volume"]


def test_a_fault_reaches_the_calls_that_it_names_and_no_other(fake: FakeAws) -> None:
    fake.refuse("InsufficientInstanceCapacity", START, zone=f"{REGION}a", times=None)
    fake.refuse("VcpuLimitExceeded", "RunInstances", type="p5.4xlarge")
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity") as caught:
        _started()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert _started(Placement={"AvailabilityZone": f"{REGION}b"})
    for code in ("VcpuLimitExceeded", ""):
        if code:
            with pytest.raises(ClientError, match=code):
                _started(InstanceType="p5.4xlarge", Placement={"AvailabilityZone": f"{REGION}b"})
        else:
            assert _started(InstanceType="p5.4xlarge", Placement={"AvailabilityZone": f"{REGION}b"})
    assert [call.code for call in fake.calls] == ["InsufficientInstanceCapacity", "", "VcpuLimitExceeded", ""]


def test_an_answer_can_be_lost_after_the_call_was_carried_out(fake: FakeAws) -> None:
    fake.refuse("InternalError", "RunInstances", done=True)
    with pytest.raises(ClientError, match="InternalError"):
        _started()
    assert [one.kind for one in fake.held()].count("instance") == 1


def test_what_starts_may_die_may_be_unknown_and_may_be_slow_to_end(fake: FakeAws) -> None:
    client = _client()
    fake.doom("Server.InsufficientInstanceCapacity", zone=f"{REGION}a")
    (dead,) = _started()
    (seen,) = client.describe_instances(InstanceIds=[dead])["Reservations"][0]["Instances"]
    assert (seen["State"]["Name"], seen["StateReason"]["Code"]) == ("terminated", "Server.InsufficientInstanceCapacity")
    fake.book.lag = 1
    (new,) = _started()
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        client.describe_instances(InstanceIds=[new])
    assert client.describe_instances(InstanceIds=[new])["Reservations"]
    fake.book.linger = 2
    client.terminate_instances(InstanceIds=[new])
    states = [client.describe_instances(InstanceIds=[new])["Reservations"][0]["Instances"][0]["State"]["Name"] for _ in range(2)]
    assert states == ["shutting-down", "terminated"]
    assert [str(one) for one in fake.held()] == []


def test_listings_come_in_pages(fake: FakeAws) -> None:
    fake.book.page = 2
    for _ in range(5):
        _started()
    pages = list(_client().get_paginator("describe_instances").paginate())
    assert [len(page["Reservations"]) for page in pages] == [2, 2, 1]
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        _client().describe_launch_templates(MaxResults=201)


def test_a_group_in_use_and_a_snapshot_of_an_image_cannot_be_deleted(fake: FakeAws) -> None:
    client = _client()
    group = client.create_security_group(GroupName="g", Description="d")["GroupId"]
    (name,) = _started(SecurityGroupIds=[group])
    with pytest.raises(ClientError, match="DependencyViolation"):
        client.delete_security_group(GroupId=group)
    image = client.create_image(InstanceId=name, Name="image")["ImageId"]
    (snapshot,) = [one.id for one in fake.held() if one.kind == "snapshot"]
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.InUse"):
        client.delete_snapshot(SnapshotId=snapshot)
    client.terminate_instances(InstanceIds=[name])
    client.delete_security_group(GroupId=group)
    client.deregister_image(ImageId=image)
    client.delete_snapshot(SnapshotId=snapshot)
    assert [str(one) for one in fake.held()] == []


def test_keys_regions_and_dry_runs_are_those_of_an_account(fake: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(one["RegionName"] for one in _client().describe_regions()["Regions"]) == sorted(REGIONS)
    with pytest.raises(ClientError, match="DryRunOperation"):
        _client().terminate_instances(InstanceIds=["i-0123456789abcdef0"], DryRun=True)
    with pytest.raises(ClientError, match="AuthFailure"):
        _client("eu-nowhere-9").describe_vpcs()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG1")
    with pytest.raises(ClientError, match="AuthFailure"):
        _client().describe_vpcs()


def test_user_data_is_in_no_log(fake: FakeAws) -> None:
    _started(UserData="a secret of this launch")
    assert "a secret of this launch" not in json.dumps([call.document() for call in fake.calls])
    assert "a secret of this launch" not in json.dumps([(one.tags, one.more) for one in fake.held()], default=str)


@pytest.mark.slow
def test_it_runs_by_itself() -> None:
    command = [sys.executable, "-m", "tests.fakes.aws"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["environment"]["AWS_ENDPOINT_URL"] == told["url"]
        with urllib.request.urlopen(f"{told['url']}/_state", timeout=30) as answer:
            assert json.loads(answer.read()) == {"account": "123456789012", "regions": {}}
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
