"""What is EC2's own about its instances as machines: how its fake is told and asked, and what the firmware says. The rest is in
cloudworld.py and world.py."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from tests.fakes.aws import FakeAws
from tests.fakes.aws.imds import Imds
from tests.integration import awsaccount
from tests.integration.cloudworld import FakeCloud
from tests.integration.worldmachine import Login


class Ec2(FakeCloud[FakeAws]):
    """The fake AWS as the world's provider. An instance has one disk, so it has the instance's id."""

    def __init__(self, fake: FakeAws, *, user: str = "admin") -> None:
        """`user` is who cloud-init lets in with the key pair of a launch: Debian's."""
        super().__init__(fake)
        self._user = user

    def image(self, instance_id: str) -> str:
        image: str = self._fake.instance(instance_id).image_id
        return image

    def disk(self, instance_id: str) -> str:
        return instance_id

    def firmware(self, instance_id: str) -> Mapping[str, str]:
        kind = self._fake.instance(instance_id).instance_type
        return {"sys_vendor": "Amazon EC2", "product_name": kind, "bios_version": "1.0", "chassis_asset_tag": "Amazon EC2"}

    def login(self, instance_id: str) -> Login | None:
        instance = self._fake.instance(instance_id)
        pair = instance.ec2_backend.key_pairs.get(instance.key_name)
        return Login(self._user, pair.public_key.strip()) if pair else None

    def metadata(self, instance_id: str, entrance: socket.socket) -> Imds:
        return Imds(self._fake, instance_id, entrance)


def ami(name: str) -> str:
    """Register an AMI with nothing in it, in the account that the environment leads to; its id."""
    disk: Any = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}
    made = awsaccount.ec2().register_image(
        Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64", VirtualizationType="hvm", BootMode="uefi-preferred", EnaSupport=True,
        BlockDeviceMappings=[disk],
    )  # fmt: skip
    return made["ImageId"]
