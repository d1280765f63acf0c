"""A fake EC2 for a worker, a checkout with one image for AWS, and a Packer that makes what the real one makes by the same calls."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from goldbake import toolchain
from goldbake.clouds.aws.session import Aws
from goldbake.config.load import dump_lock, load_lock
from goldbake.config.model import Cloud, Lock, Pin
from goldbake.images.aws import AwsImages
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.records import Records
from tests.fakes.aws import FakeAws
from tests.unit.images.ec2packer import Ec2Packer
from tests.unit.images.packerstandin import PackerStandIn

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

HOME = "us-east-1"


@pytest.fixture(scope="session")
def account(running_aws: FakeAws) -> Aws:
    """The account of the fake; its clients, which take long to make, are made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_aws.environment().items():
            patch.setenv(name, value)
        aws = Aws()
        for region in (HOME, "eu-west-1", "eu-central-1"):
            aws.ec2(region)
        aws.ec2(HOME, once=True)
    return aws


@pytest.fixture
def ec2(fake_aws: FakeAws, account: Aws) -> EC2Client:
    return account.ec2(HOME)


@pytest.fixture
def side(fake_aws: FakeAws, account: Aws) -> AwsImages:
    """EC2, without any pause."""
    return AwsImages(account, pause=lambda seconds: None, patience=30)


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(said: io.StringIO) -> Progress:
    return Progress(said)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    project = tmp_path / "project"
    (project / "packer").mkdir(parents=True)
    for name in ("image-scripts", "packer/templates"):
        (project / name).symlink_to(PROJECT / name)
    pins = dict(load_lock(PROJECT / "images.lock.yaml").pins)
    pins["agent-4.275.0"] = Pin(version="4.275.0", url="https://x/agent.tar.gz", sha256="a" * 64)
    (project / "images.lock.yaml").write_text(dump_lock(Lock(pins=pins)))
    found = Paths(project, tmp_path / "cache", tmp_path / "state")
    describe(found)
    return found


def describe(paths: Paths, cloud: Cloud = Cloud.AWS, **settings: object) -> None:
    """Write images.yaml with these settings of a cloud."""
    image = {
        "description": "a test",
        "os": "debian-12",
        "clouds": ["aws", "gcp"],
        "gpus": ["t4"],
        "driver": {"source": "nvidia", "version": "580.159.04", "module": "open"},
        "docker": {"source": "docker", "version": "28.2.2"},
        "toolkit": {"source": "nvidia", "version": "1.19.1"},
        "agent": {"version": "4.275.0"},
        "layers": [{"name": "agent", "scripts": ["create-users", "install-agent"]}],
        cloud.value: settings,
    }
    paths.images_yaml.write_text(json.dumps({"images": {"agents": image}}))


@pytest.fixture
def records(paths: Paths) -> Records:
    return Records(paths.records)


@pytest.fixture
def packer(fake_aws: FakeAws, account: Aws, monkeypatch: pytest.MonkeyPatch) -> PackerStandIn:
    return in_place(Ec2Packer(account.ec2(HOME, once=True)), monkeypatch)


def in_place(stand_in: PackerStandIn, monkeypatch: pytest.MonkeyPatch) -> PackerStandIn:
    """In the place of the toolchain's Packer."""
    monkeypatch.setattr(toolchain, "packer", lambda *_, **__: stand_in)
    monkeypatch.setattr(toolchain, "ensure_plugin", lambda *_, **__: None)
    return stand_in
