"""What a launch on EC2 makes, says and leaves: real boto3 against a fake of the service."""

from __future__ import annotations

import base64

import pytest

from goldbake.clouds.aws.types import CHEAPEST, default_types
from goldbake.clouds.failure import Failure
from goldbake.config.model import Gpu
from goldbake.errors import Exit, NoImageError, UsageError
from goldbake.records import Records
from launch import service
from launch.base import Market
from tests.fakes.aws import NEWEST_NOBLE
from tests.unit.launch.aws.conftest import ABROAD, HOME, TYPE, Field, record
from tests.unit.launch.field import PAT

TAGS = {"managed-by", "goldbake-launch", "goldbake-image", "goldbake-expires"}


def test_one_instance_comes_up_by_run_instances_and_goes_without_a_trace(aws_field: Field) -> None:
    report = aws_field.launch()
    (started,) = report.started
    assert started.online
    assert started.agent == f"goldbake-{started.instance.id}"
    assert started.instance.place == "us-east-1a"
    assert (started.instance.kind, started.instance.image) == (TYPE, "gpu-agent")
    assert started.instance.address.startswith("172.")
    (machine,) = aws_field.held("instance")
    assert machine.more["http_tokens"] == "required"
    assert machine.more["hop_limit"] == 1
    assert machine.more["shutdown"] == "terminate"
    assert machine.more["public_ip"] is None
    assert machine.more["http_endpoint"] == "disabled"  # sealed
    assert aws_field.fake.actions() == ["CreateSecurityGroup", "RunInstances", "ModifyInstanceMetadataOptions"]
    aws_field.destroy()
    assert aws_field.left() == []
    assert service.entries(aws_field.paths) == []


@pytest.mark.parametrize("count", [1, 3])
def test_everything_is_tagged_by_its_own_create_call_and_goes_with_its_instance(aws_field: Field, count: int) -> None:
    aws_field.launch(count=count, options={"market": Market.SPOT_ONLY}, ttl=600)
    assert "CreateTags" not in aws_field.fake.actions()
    kinds = {one.kind for one in aws_field.held()}
    assert kinds == {"instance", "volume", "network-interface", "spot-instances-request", "security-group"}
    (entry,) = service.entries(aws_field.paths)
    for one in aws_field.held():
        if one.kind == "security-group":
            assert one.tags == {"managed-by": "goldbake", "goldbake-shared": "agents", "Name": "goldbake-agents"}
            assert one.more["ingress"] == 0
        else:
            assert set(one.tags) >= TAGS, one
            assert (one.tags["managed-by"], one.tags["goldbake-launch"]) == ("goldbake", "l1")
            assert int(one.tags["goldbake-expires"]) == entry.expires
    assert all(one.more["delete_on_termination"] for one in aws_field.held("network-interface"))
    for machine in aws_field.held("instance"):
        aws_field.fake.power_off(machine.id)  # as the timer of first boot does when the time is over
    assert [one.kind for one in aws_field.held()] == ["security-group"]
    aws_field.destroy()
    assert aws_field.left() == []


def test_several_instances_come_up_by_one_fleet_whose_template_goes_at_once(aws_field: Field) -> None:
    report = aws_field.launch(count=3)
    assert [started.instance.number for started in report.started] == [1, 2, 3]
    assert len({started.agent for started in report.started}) == 3
    actions = aws_field.fake.actions()
    assert actions[:4] == ["CreateSecurityGroup", "CreateLaunchTemplate", "CreateFleet", "DeleteLaunchTemplate"]
    assert set(actions[4:]) == {"ModifyInstanceMetadataOptions"}
    assert {one.more["shutdown"] for one in aws_field.held("instance")} == {"terminate"}
    assert {one.more["public_ip"] for one in aws_field.held("instance")} == {None}
    assert {one.more["hop_limit"] for one in aws_field.held("instance")} == {1}
    aws_field.destroy()
    assert aws_field.left() == []


def test_user_data_with_the_pat_reaches_each_instance_and_no_file_or_line_of_ours(aws_field: Field) -> None:
    report = aws_field.launch(count=2)
    for started in report.started:
        told = aws_field.aws.ec2(HOME).describe_instance_attribute(InstanceId=started.instance.id, Attribute="userData")
        text = base64.b64decode(told["UserData"]["Value"]).decode()
        assert text.startswith("#cloud-config\n")
        assert PAT in text
    ours = b"".join(path.read_bytes() for path in aws_field.paths.state.rglob("*") if path.is_file()).decode(errors="replace")
    assert PAT not in ours + aws_field.said.getvalue() + str(report.document())


def test_options_of_a_person_are_in_the_create_call(aws_field: Field) -> None:
    options = {
        "zones": ("us-east-1c",), "public_address": True, "ssh_from": "203.0.113.0/24", "key": "mine", "identity": "agents",
        "disk_gib": 40, "warm_up_mib_s": 200,
    }  # fmt: skip
    aws_field.aws.ec2(HOME).create_key_pair(KeyName="mine")
    with pytest.raises(Failure, match="agents"):  # the fake knows no instance profile of this name: it is the call that is looked at
        aws_field.launch(options=options)
    call = next(call for call in aws_field.fake.calls if call.action == "RunInstances")
    assert call.zone == "us-east-1c"
    assert call.parameters["KeyName"] == "mine"
    assert call.parameters["IamInstanceProfile"] == {"Name": "agents"}
    (interface,) = call.parameters["NetworkInterfaces"]
    assert (interface["AssociatePublicIpAddress"], interface["DeleteOnTermination"]) == (True, True)
    (disk,) = call.parameters["BlockDeviceMappings"]
    assert disk["DeviceName"] == NEWEST_NOBLE.root_device
    assert disk["Ebs"] == {"DeleteOnTermination": True, "VolumeSize": 40, "VolumeInitializationRate": 200}
    rule = next(call for call in aws_field.fake.calls if call.action == "AuthorizeSecurityGroupIngress").parameters["IpPermissions"][0]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (22, 22, [{"CidrIp": "203.0.113.0/24"}])


def test_with_a_key_and_an_open_port_the_report_has_the_way_in(aws_field: Field) -> None:
    aws_field.aws.ec2(HOME).create_key_pair(KeyName="mine")
    report = aws_field.launch(options={"key": "mine", "ssh_from": "203.0.113.7/32", "public_address": True})
    (started,) = report.started
    (machine,) = aws_field.held("instance")
    assert started.instance.address == machine.more["public_ip"]
    groups = {one.id: one for one in aws_field.held("security-group")}
    (interface,) = aws_field.held("network-interface")
    (group,) = interface.more["groups"]
    assert groups[group].tags["goldbake-launch"] == "l1"
    assert groups[group].more["ingress"] == 1
    assert started.instance.reach.startswith("ssh ")
    aws_field.destroy()
    assert [one.kind for one in aws_field.held()] == ["key-pair"]  # it is the person's own


def test_the_region_without_the_image_is_refused_before_anything_is_made(aws_field: Field) -> None:
    with pytest.raises(UsageError, match="no AMI in us-west-2") as caught:
        aws_field.launch(options={"regions": ("us-west-2",)})
    assert f"{HOME}, {ABROAD}" in caught.value.hint
    assert aws_field.fake.actions() == []
    assert service.entries(aws_field.paths) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zones": ("us-east-1z",)}, "no subnet of us-east-1 .* us-east-1z"),
        ({"types": ("x9.none",)}, "offers no x9.none"),
        ({"disk_gib": 4}, "--disk 4 is smaller than the image's 8 GiB"),
        ({"warm_up_mib_s": 99}, "--warm-up 99"),
        ({"subnet": "subnet-1", "regions": (HOME, ABROAD)}, "--subnet subnet-1 is in one region"),
        ({"subnet": "subnet-00000000000000000"}, "subnet"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(aws_field: Field, options: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, Failure), match=message) as caught:
        aws_field.launch(options={"regions": (HOME,), **options})
    assert caught.value.hint
    assert aws_field.fake.actions() == []
    assert service.entries(aws_field.paths) == []


def test_an_image_that_is_gone_is_refused_with_the_bake_command(aws_field: Field) -> None:
    gone = record(aws_field.paths, copies=()).model_copy(update={"artifact": "ami-00000000000000000"})
    Records(aws_field.paths.records).add(gone)
    with pytest.raises(NoImageError, match="ami-00000000000000000") as caught:
        aws_field.launch()
    assert caught.value.exit_code is Exit.USAGE
    assert "./inv bake --cloud aws --image gpu-agent" in caught.value.hint
    assert aws_field.fake.actions() == []


def test_instances_without_a_way_out_are_refused(aws_field: Field) -> None:
    ec2 = aws_field.aws.ec2(HOME)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    options = {"regions": (HOME,)}
    with pytest.raises(UsageError, match="without a public address reach nothing") as caught:
        aws_field.launch(options=options)
    assert "--public-ip" in caught.value.hint
    assert aws_field.launch(options={**options, "public_address": True}).started


def test_an_unchecked_image_is_launched_only_when_told(aws_field: Field) -> None:
    record(aws_field.paths, checked=False)
    with pytest.raises(UsageError, match="baked without checks") as caught:
        aws_field.launch()
    assert caught.value.exit_code is Exit.USAGE
    assert "./inv check --cloud aws --image gpu-agent" in caught.value.hint
    assert aws_field.fake.calls == []
    assert aws_field.launch(unchecked=True).started


def test_a_copy_asked_for_by_its_id_is_launched_in_its_region(aws_field: Field) -> None:
    report = aws_field.launch(artifact=NEWEST_NOBLE.id_in(ABROAD))
    assert report.started[0].instance.place.startswith(ABROAD)
    assert {call.region for call in aws_field.fake.calls} == {ABROAD}


def test_the_default_type_is_the_cheapest_that_fits() -> None:
    assert default_types(()) == ("g4dn.xlarge",)
    assert default_types((Gpu.H100, Gpu.L4)) == ("g6.xlarge",)
    with pytest.raises(UsageError, match="k80") as caught:
        default_types((Gpu.K80,))
    assert "--instance-type" in caught.value.hint
    assert len(set(CHEAPEST)) == len(CHEAPEST)


def test_without_a_type_the_choice_is_told(aws_field: Field) -> None:
    report = aws_field.launch(options={"types": ()})
    assert report.started[0].instance.kind == "g4dn.xlarge"
    assert "instance type g4dn.xlarge: the cheapest" in aws_field.said.getvalue()


def test_the_shared_group_is_used_by_two_launches_and_goes_with_the_last(aws_field: Field) -> None:
    first, second = aws_field.launch("l1"), aws_field.launch("l2")
    assert (first.launch_id, second.launch_id) == ("l1", "l2")
    (group,) = aws_field.held("security-group")
    for launch_id, rest in (("l1", 1), ("l2", 0)):
        aws_field.destroy(launch_id)
        assert len(aws_field.held("security-group")) == rest
    assert aws_field.left() == []
    assert group.more["name"] == "goldbake-agents"


def test_a_shared_group_that_another_launch_took_is_made_again(aws_field: Field) -> None:
    aws_field.fake.refuse("InvalidGroup.NotFound", "RunInstances")
    assert aws_field.launch().started
    assert aws_field.fake.actions().count("RunInstances") == 2


def test_a_repeated_call_finds_what_the_first_made(aws_field: Field) -> None:
    for count, action in ((1, "RunInstances"), (3, "CreateFleet")):
        aws_field.fake.calls.clear()
        aws_field.fake.refuse("InternalError", action, done=True, status=500)
        report = aws_field.launch(f"l{count}", count=count)
        assert aws_field.fake.actions().count(action) == 2
        assert len(report.started) == count
        assert len([one for one in aws_field.held("instance") if one.tags["goldbake-launch"] == f"l{count}"]) == count
        tokens = {call.parameters["ClientToken"] for call in aws_field.fake.calls if call.action == action}
        assert len(tokens) == 1
        assert all(len(token) <= 64 for token in tokens)


def test_instances_are_listed_over_all_regions(aws_field: Field) -> None:
    aws_field.launch("l1", count=2)
    aws_field.launch("l2", options={"regions": (ABROAD,)})
    found = aws_field.launcher().instances()
    assert sorted((one.launch_id, one.number, one.place[:9], one.state) for one in found) == [
        ("l1", 1, "us-east-1", "running"),
        ("l1", 2, "us-east-1", "running"),
        ("l2", 1, "eu-west-1", "running"),
    ]
