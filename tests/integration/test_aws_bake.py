"""A whole bake of an AMI: real Packer and plugin against the fake account, the scripts in a container that stands for the build instance.

The build instance begins as the baked local image: every script runs a second time there, which costs seconds instead of minutes, and shows that
it can.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake import agent
from goldbake.config.model import Cloud
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from tests.fakes.aws import NEWEST_DEBIAN, REGION, FakeAws
from tests.integration import awsaccount, workshop
from tests.integration.awsworld import Ec2
from tests.integration.conftest import BakedImage
from tests.integration.machines import until
from tests.integration.workshop import Workshop
from tests.integration.world import World, world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
    awsaccount.only_fake,
]

AGENT = "4.275.0"
IMAGES = """\
images:
  aws-distro:
    description: Debian 12 with the distribution's own driver and Docker, on AWS
    os: debian-12
    clouds: [aws]
    gpus: [v100, t4, a10g, l4]
    disk_gib: 16
    driver: {{source: debian, version: {driver}, module: proprietary}}
    docker: {{source: debian, version: {docker}}}
    toolkit: {{source: module, version: {toolkit}}}
    agent: {{version: {agent}}}
    aws: {{region: us-east-1, instance_type: c7i.xlarge, ssh_from: [127.0.0.1/32]}}
    layers:
      - name: system
        scripts: [configure-apt, install-kernel]
        reboot: true
      - name: driver
        scripts: [remove-old-kernels, disable-nouveau, install-driver]
      - name: containers
        scripts: [install-docker, install-toolkit]
      - name: agent
        scripts: [create-users, install-agent]
      - name: finish
        scripts: [install-firstboot, configure-services, trim-boot, hold-packages, disable-timers, clean-image]
"""
LOCK = """\
  agent-{agent}:
    version: {agent}
    url: file://{file}
    sha256: {sha256}
"""


@dataclass(frozen=True)
class Field:
    """The account, its machines, and a project whose only image is for AWS."""

    fake: FakeAws
    world: World
    shop: Workshop

    def bake(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the record and what was said on the way."""
        done = subprocess.run(
            self.shop.argv("bake", "--cloud", "aws", "--json", *words), cwd=self.shop.project, env=self.shop.env(), text=True, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=900,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def records(self) -> list[ImageRecord]:
        return [one for one in Records(self.shop.home / "state" / "records").all() if one.cloud is Cloud.AWS]


@pytest.fixture(scope="module")
def field(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("aws-bake")
    shop = workshop.make(folder)
    versions = baked_image.record.versions
    (shop.project / "images.yaml").write_text(
        IMAGES.format(agent=AGENT, **{name: versions[name] for name in ("driver", "docker", "toolkit")})
    )
    tarball = folder / "agent.tar.gz"
    tarball.write_bytes(agent.simulated_tarball(AGENT))
    pin = LOCK.format(agent=AGENT, file=tarball, sha256=hashlib.sha256(tarball.read_bytes()).hexdigest())
    lock = shop.project / "images.lock.yaml"
    lock.write_text(_without_agent(lock.read_text()) + pin)
    _share_toolchain(Paths.from_environment(), shop.home / "cache")
    with FakeAws() as fake, awsaccount.environment(fake) as patch, world(Ec2(fake), folder / "world") as machines:
        host, port = machines.open_ssh()
        told = {"skip_credential_validation": "true", "ssh_host": host, "ssh_port": str(port), "reboot_pause": "1s"}
        for name, value in told.items():
            patch.setenv(f"PKR_VAR_{name}", value)
        machines.stands_for(NEWEST_DEBIAN.id_in(REGION), [baked_image.root])
        yield Field(fake, machines, shop)


@pytest.fixture(scope="module")
def baked(field: Field) -> ImageRecord:
    """The first bake; whoever asks for it first pays for it."""
    code, record, said = field.bake()
    assert code == 0, said
    assert record["reused"] is False
    return ImageRecord.model_validate({name: value for name, value in record.items() if name in ImageRecord.model_fields})


def test_a_bake_leaves_an_image_a_snapshot_and_a_record_and_nothing_else(field: Field, baked: ImageRecord) -> None:
    assert awsaccount.left() == []
    held = {one.kind: one for one in field.fake.held()}
    assert sorted(one.kind for one in field.fake.held()) == ["image", "snapshot"]
    image, snapshot = held["image"], held["snapshot"]
    assert image.id == baked.artifact
    assert image.more["snapshot"] == snapshot.id
    assert image.more["imds"] == "v2.0"
    assert image.more["shared"] == []
    for one in (image, snapshot):
        assert one.tags["managed-by"] == "goldbake"
        assert one.tags["goldbake-image"] == "aws-distro"
        assert one.tags["goldbake-checks"] == "passed"
        assert one.tags["goldbake-fingerprint"] == baked.fingerprint[:32]
        assert one.tags["goldbake-manifest"] == baked.sha256[:32]
        assert not {"goldbake-bake", "goldbake-expires"} & set(one.tags)
    assert (baked.region, baked.base) == (REGION, NEWEST_DEBIAN.id_in(REGION))
    assert baked.checks is not None
    assert (baked.checks.failed, baked.checks.passed > 50) == (0, True)
    assert [one.artifact for one in field.records()] == [baked.artifact]
    manifest = json.loads(Path(baked.manifest).read_text())
    assert manifest["artifact"] == {"id": baked.artifact, "region": REGION}
    assert any(name.startswith("nvidia-kernel") for name in manifest["packages"])


def test_everything_that_a_bake_made_had_its_tags_from_the_create_call_on(field: Field, baked: ImageRecord) -> None:
    for call in field.fake.calls:
        if call.action not in ("RunInstances", "CreateSecurityGroup", "CreateKeyPair", "CreateImage"):
            continue
        given = {
            one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in call.parameters.get("TagSpecifications", [])
        }
        wanted = {
            "RunInstances": {"instance", "volume", "network-interface"},
            "CreateSecurityGroup": {"security-group"},
            "CreateKeyPair": {"key-pair"},
            "CreateImage": {"image", "snapshot"},
        }
        assert wanted[call.action] <= set(given), call.action
        for kind in wanted[call.action]:
            assert {"managed-by", "goldbake-bake", "goldbake-image", "goldbake-expires"} <= set(given[kind]), (call.action, kind)


def test_the_build_instance_had_version_2_of_the_metadata_service_only(field: Field, baked: ImageRecord) -> None:
    started = [call for call in field.fake.calls if call.action == "RunInstances"]
    assert len(started) >= 2  # the build and the check
    for call in started:
        assert call.parameters["MetadataOptions"]["HttpTokens"] == "required"
        assert call.parameters["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert started[0].parameters["ImageId"] == NEWEST_DEBIAN.id_in(REGION)
    assert started[-1].parameters["ImageId"] == baked.artifact


def test_the_build_instance_was_restarted_where_images_yaml_says_so(field: Field, baked: ImageRecord) -> None:
    boots = [machine.boots for machine in field.world.machines]
    assert 2 in boots


def test_a_second_bake_returns_the_same_record_and_starts_nothing(field: Field, baked: ImageRecord) -> None:
    field.fake.calls.clear()
    code, record, said = field.bake()
    assert code == 0, said
    assert (record["reused"], record["artifact"]) == (True, baked.artifact)
    assert field.fake.actions() == []


def test_a_deregistered_image_is_baked_again_and_ctrl_c_during_that_leaves_nothing(field: Field, baked: ImageRecord) -> None:
    awsaccount.ec2().deregister_image(ImageId=baked.artifact, DeleteAssociatedSnapshots=True)
    with field.shop.running("bake", "--cloud", "aws") as task:
        until("the build instance runs scripts", lambda: "configure-apt" in task.said() or task.child.poll() is not None, 240)
        assert "is not in us-east-1 any more" in task.said()
        assert "instance" in {one.kind for one in field.fake.held()}
        assert task.end(signal.SIGINT, 120) != 0, task.said()
    assert "Traceback" not in task.said()
    assert awsaccount.left() == []
    assert [str(one) for one in field.fake.held()] == []
    assert not list((field.shop.home / "state" / "bakes").glob("*.lock"))


def _without_agent(lock: str) -> str:
    """The lock without an agent: the test pins its own."""
    head, _, rest = lock.partition(f"  agent-{AGENT}:\n")
    lines = rest.splitlines(keepends=True)
    while lines and lines[0].startswith("    "):
        lines.pop(0)
    return head + "".join(lines)


def _share_toolchain(real: Paths, cache: Path) -> None:
    """Packer, its plugin and the toolkit take minutes to build: the session's are used."""
    cache.mkdir(parents=True)
    for name in ("toolchain", "go"):
        (real.cache / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(real.cache / name)
