"""Launches on EC2, from the create call to the agent that is online and to nothing left: every instance of the fake is a container that boots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.config.model import Cloud
from tests.fakes.aws import REGION, FakeAws
from tests.integration import awsaccount
from tests.integration.awsworld import Ec2, ami
from tests.integration.cloudlaunch import Field, Launches, field_of
from tests.integration.cloudworld import NEEDS
from tests.integration.conftest import BakedImage
from tests.integration.machines import until

pytestmark = [*NEEDS, awsaccount.only_fake]

TOKEN = (
    "curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
)


class Account(Field[FakeAws]):
    """An AWS account."""

    cloud = Cloud.AWS
    kind = "g5.xlarge"
    region = REGION
    source = "aws"

    def make_image(self, name: str) -> str:
        return ami(name)

    def left(self) -> list[str]:
        return [*awsaccount.left(), *(str(one) for one in self.fake.held() if one.kind not in ("image", "snapshot"))]

    def assert_one_request(self) -> None:
        assert self.fake.actions().count("CreateFleet") == 1
        assert "RunInstances" not in self.fake.actions()
        assert [one.kind for one in self.fake.held() if one.kind == "launch-template"] == []

    def assert_sealed(self, instance_id: str) -> None:
        held = self.instances()[instance_id]
        assert (held.more["http_endpoint"], held.more["http_tokens"], held.more["hop_limit"]) == ("disabled", "required", 1)
        assert held.more["shutdown"] == "terminate"
        assert self.world.machine(instance_id).run(TOKEN) == "403"

    def agent_of(self, instance_id: str) -> str:
        """EC2 gives an instance its id, and no name that could be an agent's."""
        return f"goldbake-{instance_id}"

    def shown(self) -> list[Any]:
        """EC2 shows instances for an hour after their end."""
        return [*super().shown(), *((one.tags, one.more) for one in self.fake.held(ended=True))]

    def instances(self) -> dict[str, Any]:
        return {one.id: one for one in self.fake.held() if one.kind == "instance"}


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("aws-launch")
    with FakeAws() as fake, awsaccount.environment(fake), field_of(Account, fake, Ec2(fake), baked_image.root, folder) as found:
        found.image("plain")
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left(field: Account) -> Iterator[None]:
    yield
    field.assert_nothing_is_left()


class TestLaunches(Launches):
    """With EC2's fleets."""


def test_an_instance_that_powers_itself_off_is_terminated_and_only_its_agent_is_left(field: Account) -> None:
    report = field.launch()
    (started,) = report.started
    field.world.machine(started.instance.id).power_off()
    until("the instance is terminated", lambda: field.instances() == {})
    assert [one.kind for one in field.fake.held() if one.tags.get("goldbake-launch")] == []
    field.destroy(report.launch_id)


def test_the_metadata_service_of_an_instance_is_version_2_and_one_hop_far(field: Account, tmp_path: Path) -> None:
    """What the fake promises of the metadata service, so that first boot is tested against the real thing's rules."""
    image = next(one.id for one in field.fake.held() if one.kind == "image")
    client = awsaccount.ec2()
    asked: Any = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (made,) = client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData="hello", MetadataOptions=asked)[
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
        until("the guard is loaded", lambda: machine.run("systemctl is-active goldbake-metadata-guard || true") == "active\n")
        machine.run("nft delete table inet goldbake")  # which would refuse a container's network whatever the hop limit is
        assert _one_hop_further(machine.namespace, tmp_path, seconds=2) == "no answer"
        client.modify_instance_metadata_options(InstanceId=name, HttpPutResponseHopLimit=2)
        assert _one_hop_further(machine.namespace, tmp_path) == "200"
        client.modify_instance_metadata_options(InstanceId=name, HttpEndpoint="disabled")
        assert machine.run(TOKEN) == "403"
    finally:
        client.terminate_instances(InstanceIds=[name])
    until("the container has ended", lambda: not machine.is_running)


def _one_hop_further(namespace: Path, folder: Path, seconds: int = 60) -> str:
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
            nsenter --net={inner} {TOKEN.replace("curl", f"curl --max-time {seconds}", 1)} || true
        """
        said = proc.run(["nsenter", f"--net={namespace}", "sh", "-ec", script], timeout=90).stdout.strip()
        return "no answer" if said == "000" else said
    finally:
        proc.run(["nsenter", f"--net={namespace}", "ip", "link", "delete", "outer"], check=False)
        proc.run(["umount", inner])
