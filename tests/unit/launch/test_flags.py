"""What people type is understood, or refused by the flag's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goldbake.config.model import Cloud
from goldbake.errors import UsageError
from launch import flags
from launch.base import CloudOptions, Market
from launch.local import Engine, LocalOptions


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h", 14400), ("90m", 5400), ("1d12h", 129600), ("2h30m", 9000), ("45s", 45), ("3600", 3600), (" 1m ", 60), ("1d2h3m4s", 93784)],
)
def test_duration_is_understood(text: str, seconds: int) -> None:
    assert flags.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "4 h", "-4h", "4x", "0", "0h", "1.5h", "h4", "3m2h", "4h4h", "٤h"])
def test_what_is_no_duration_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout") as caught:
        flags.duration(text, "--timeout")
    assert "4h" in caught.value.hint


def test_labels_are_names_with_values() -> None:
    assert flags.labels(["GPU_NAME=a100", "EMPTY=", "PAIR=a=b"]) == {"GPU_NAME": "a100", "EMPTY": "", "PAIR": "a=b"}


@pytest.mark.parametrize("given", [["GPU"], ["=x"], [""]])
def test_label_without_a_name_or_a_value_is_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="--label"):
        flags.labels(given)


def test_label_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="--label A is given twice"):
        flags.labels(["A=1", "A=2"])


def test_machines_of_a_cloud_are_what_the_flags_say() -> None:
    found = flags.machine(
        Cloud.AWS, region="us-east-1, eu-west-1", zone="us-east-1a", instance_type="g5.xlarge,g6.xlarge,g5.xlarge", spot=True,
        ssh_from="203.0.113.7", ssh_key="mine", disk_gib=40, warm_up_mib_s=200, public_ip=True, subnet="subnet-1", identity="agents",
    )  # fmt: skip
    assert found["options"] == CloudOptions(
        regions=("us-east-1", "eu-west-1"), zones=("us-east-1a",), types=("g5.xlarge", "g6.xlarge"), market=Market.SPOT_FIRST,
        subnet="subnet-1", public_address=True, ssh_from="203.0.113.7/32", key="mine", identity="agents", disk_gib=40, warm_up_mib_s=200,
    )  # fmt: skip
    assert flags.machine(Cloud.AWS, spot=True, spot_only=True)["options"].market is Market.SPOT_ONLY
    assert flags.machine(Cloud.AWS)["options"] == CloudOptions()


def test_machines_of_this_machine_have_defaults_of_their_own() -> None:
    assert flags.machine(Cloud.LOCAL)["local"] == LocalOptions()
    assert flags.machine(Cloud.LOCAL, engine="container", cpus=4, memory_mib=512)["local"] == LocalOptions(Engine.CONTAINER, 4, 512)


@pytest.mark.parametrize(
    ("cloud", "given", "message"),
    [
        (Cloud.LOCAL, {"region": "us-east-1"}, "--region means nothing with --cloud local"),
        (Cloud.LOCAL, {"spot": True}, "--spot means nothing"),
        (Cloud.AWS, {"engine": "vm"}, "--engine means nothing with --cloud aws"),
        (Cloud.AWS, {"cpus": 2}, "--cpus means nothing"),
        (Cloud.AWS, {"ssh_from": "10.0.0.1/8"}, "--ssh-from 10.0.0.1/8 is no block"),
        (Cloud.AWS, {"disk_gib": -1}, "--disk"),
        (Cloud.GCP, {"warm_up_mib_s": 200}, "--warm-up means nothing with --cloud gcp"),
        (Cloud.GCP, {"ssh_key": "/nowhere.pub"}, "--ssh-key /nowhere.pub is no file"),
        (Cloud.LOCAL, {"engine": "vmware"}, "no engine 'vmware'"),
    ],
)
def test_a_flag_that_cannot_be_is_refused(cloud: Cloud, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        flags.machine(cloud, **given)
    assert caught.value.hint


def test_a_key_is_a_name_on_aws_and_the_text_of_a_file_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here\n")
    assert flags.machine(Cloud.AWS, ssh_key="mine")["options"].key == "mine"
    for cloud in (Cloud.GCP, Cloud.AZURE):
        assert flags.machine(cloud, ssh_key=str(file))["options"].key == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here"


def test_without_a_cloud_the_service_chooses() -> None:
    assert flags.clouds("") is None
    assert flags.clouds("aws,local") == (Cloud.AWS, Cloud.LOCAL)
    with pytest.raises(UsageError, match="no cloud 'x'"):
        flags.clouds("x")
