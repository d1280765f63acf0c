"""Launches on EC2, from the create call to the agent that is online and to nothing left: every instance of the fake is a container that boots."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.clouds.failure import Failure
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.base import CloudOptions
from launch.service import LaunchReport, LaunchRequest
from sim.azdo import SimulatedAzureDevOps
from tests.fakes.aws import REGION, FakeAws
from tests.integration import awsaccount
from tests.integration.awsworld import Ec2
from tests.integration.conftest import BakedImage
from tests.integration.machines import FAST, until
from tests.integration.world import World, world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    awsaccount.only_fake,
]

TOKEN = (
    "curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
)


@dataclass(frozen=True)
class Field:
    """An account, the machines in it, the service that they register with, and what `./inv launch` has on this machine."""

    fake: FakeAws
    world: World
    azdo: SimulatedAzureDevOps
    paths: Paths
    root: Path
    said: io.StringIO

    def image(self, name: str, *layers: Path) -> str:
        """Register and record an AMI that stands for the baked image with `layers` over it."""
        disk: Any = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}
        ami: str = awsaccount.ec2().register_image(
            Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64", VirtualizationType="hvm", BootMode="uefi-preferred", EnaSupport=True,
            BlockDeviceMappings=[disk],
        )["ImageId"]  # fmt: skip
        self.world.stands_for(ami, (*layers, self.root))
        record = ImageRecord(
            image=name, cloud=Cloud.AWS, artifact=ami, sha256="0" * 64, size_bytes=16 << 30, fingerprint=name.encode().hex().ljust(64, "0"),
            agent="simulated", versions={"driver": "535.309.01"}, seconds={}, checks=Checks(passed=1, failed=0, digest=""),
            created="2026-11-24T00:00:00+00:00", manifest="", region=REGION,
        )  # fmt: skip
        Records(self.paths.records).add(record)
        return ami

    def launch(self, image: str = "plain", **changes: Any) -> LaunchReport:
        request = LaunchRequest(
            organization=self.azdo.url, pat=Secret(self.azdo.pat), cloud=Cloud.AWS, image=image, ca=self.azdo.ca_path, labels=FAST, ttl=3600,
            timeout=60, options=CloudOptions(types=("g5.xlarge",)),
        )  # fmt: skip
        return service.launch(self.paths, Progress(self.said), replace(request, **changes))

    def destroy(self, launch_id: str) -> None:
        plan = service.plan_destroy(self.paths, [Cloud.AWS], launch_id)
        report = service.destroy(self.paths, Progress(self.said), plan, Secret(self.azdo.pat), ca=self.azdo.ca_path)
        report.require_nothing_left()

    def agents(self) -> dict[str, str]:
        return {agent["name"]: agent["status"] for agent in self.azdo.state()["agents"]}

    def instances(self) -> dict[str, Any]:
        return {one.id: one for one in self.fake.held() if one.kind == "instance"}


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("aws-launch")
    paths = Paths(Paths.from_environment().project, folder / "cache", folder / "state")
    with FakeAws() as fake, SimulatedAzureDevOps(organization="demo", session_timeout=300) as azdo, awsaccount.environment(fake):
        with world(Ec2(fake), folder / "world", services=[azdo.port]) as machines:
            found = Field(fake, machines, azdo, paths, baked_image.root, io.StringIO())
            found.image("plain")
            yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Field) -> Iterator[None]:
    yield
    assert awsaccount.left() == []
    assert [str(one) for one in field.fake.held() if one.kind not in ("image", "snapshot")] == []
    assert field.agents() == {}
    assert service.entries(field.paths) == []


def test_an_agent_comes_online_and_its_instance_goes_without_a_trace(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    assert started.online
    assert started.agent == f"goldbake-{started.instance.id}"
    assert field.agents() == {started.agent: "online"}
    machine = field.world.machine(started.instance.id)
    assert json.loads(machine.run("cat /var/lib/goldbake/status.json"))["source"] == "aws"

    _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)

    field.destroy(report.launch_id)
    until("the container has ended", lambda: not machine.is_running and not machine.root.is_mount(), 30)


def test_three_agents_come_online_by_one_fleet(field: Field) -> None:
    field.fake.calls.clear()
    report = field.launch(count=3)
    assert field.agents() == {one.agent: "online" for one in report.started}
    assert field.fake.actions().count("CreateFleet") == 1
    assert "RunInstances" not in field.fake.actions()
    assert [one.kind for one in field.fake.held() if one.kind == "launch-template"] == []
    for started in report.started:
        _assert_sealed(field, started.instance.id)
    _assert_no_pat(field)
    field.destroy(report.launch_id)


def test_a_first_boot_that_fails_removes_its_instance_and_keeps_the_console(field: Field, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()  # as on a machine of a scale set
    field.image("refused", tmp_path)
    with pytest.raises(Failure, match=r"first boot of i-[0-9a-f]+ failed \(scale-set\)") as caught:
        field.launch("refused")
    assert "the consoles are in" in caught.value.hint
    (folder,) = (field.paths.state / "failed-launches").iterdir()
    (console,) = folder.glob("i-*.log")
    assert '"phase": "failed"' in console.read_text()
    assert field.azdo.pat not in console.read_text()


def test_an_instance_that_powers_itself_off_is_terminated_and_only_its_agent_is_left(field: Field) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).run("systemctl --no-block poweroff")
    until("the instance is terminated", lambda: field.instances() == {}, 60)
    assert [one.kind for one in field.fake.held() if one.tags.get("goldbake-launch")] == []
    field.destroy(report.launch_id)


def test_the_metadata_service_of_an_instance_is_version_2_and_one_hop_far(field: Field, tmp_path: Path) -> None:
    """What the fake promises of the metadata service, so that first boot is tested against the real thing's rules."""
    ami = next(one.id for one in field.fake.held() if one.kind == "image")
    client = awsaccount.ec2()
    asked: Any = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (made,) = client.run_instances(ImageId=ami, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData="hello", MetadataOptions=asked)[
        "Instances"
    ]
    name = made["InstanceId"]
    try:
        machine = field.world.machine(name)
        url = "http://169.254.169.254/latest"
        assert machine.run(f"curl -s -o /dev/null -w '%{{http_code}}' {url}/user-data") == "401"
        assert machine.run(TOKEN) == "200"
        token = f"$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {url}/api/token)"
        assert machine.run(f'curl -s -H "X-aws-ec2-metadata-token: {token}" {url}/user-data') == "hello"
        assert machine.run(f'curl -s -H "X-aws-ec2-metadata-token: {token}" {url}/meta-data/instance-id') == name
        assert machine.run(TOKEN.replace("60", "21601")) == "400"
        until("the guard is loaded", lambda: machine.run("systemctl is-active goldbake-metadata-guard || true") == "active\n", 30)
        machine.run("nft delete table inet goldbake")  # which would refuse a container's network whatever the hop limit is
        assert _one_hop_further(machine.namespace, tmp_path) == "no answer"
        client.modify_instance_metadata_options(InstanceId=name, HttpPutResponseHopLimit=2)
        assert _one_hop_further(machine.namespace, tmp_path) == "200"
        client.modify_instance_metadata_options(InstanceId=name, HttpEndpoint="disabled")
        assert machine.run(TOKEN) == "403"
    finally:
        client.terminate_instances(InstanceIds=[name])
    until("the container has ended", lambda: not machine.is_running, 30)


def _assert_sealed(field: Field, instance_id: str) -> None:
    """Nothing on the machine or beside it can read the user-data any more."""
    held = field.instances()[instance_id]
    assert (held.more["http_endpoint"], held.more["http_tokens"], held.more["hop_limit"]) == ("disabled", "required", 1)
    assert held.more["shutdown"] == "terminate"
    assert field.world.machine(instance_id).run(TOKEN) == "403"


def _assert_no_pat(field: Field) -> None:
    pat = field.azdo.pat
    assert pat not in json.dumps([call.document() for call in field.fake.calls])
    assert pat not in json.dumps([(one.tags, one.more) for one in field.fake.held(ended=True)], default=str)
    assert pat not in field.said.getvalue()
    for path in field.paths.state.rglob("*"):
        assert not path.is_file() or pat.encode() not in path.read_bytes(), path
    for machine in field.world.machines:
        if machine.is_running:
            assert pat not in machine.console
            assert machine.run(f"grep -rlF -- '{pat}' /etc /var /opt /home /root /run --exclude-dir=world 2>/dev/null; true") == ""


def _one_hop_further(namespace: Path, folder: Path) -> str:
    """What a container's network behind the machine's own gets for a token: HTTP status, or `no answer`."""
    inner = folder / f"inner-{time.monotonic_ns()}"
    inner.touch()
    proc.run(["unshare", f"--net={inner}", "ip", "link", "set", "lo", "up"])
    try:
        script = f"""
            ip link add outer type veth peer name inner netns {inner}
            ip address add 172.30.0.1/24 dev outer && ip link set outer up
            echo 1 > /proc/sys/net/ipv4/ip_forward
            nsenter --net={inner} sh -c 'ip address add 172.30.0.2/24 dev inner && ip link set inner up && ip route add default via 172.30.0.1'
            nsenter --net={inner} {TOKEN.replace("curl", "curl --max-time 2", 1)} || true
        """
        said = proc.run(["nsenter", f"--net={namespace}", "sh", "-ec", script], timeout=30).stdout.strip()
        return "no answer" if said == "000" else said
    finally:
        proc.run(["nsenter", f"--net={namespace}", "ip", "link", "delete", "outer"], check=False)
        proc.run(["umount", inner])
