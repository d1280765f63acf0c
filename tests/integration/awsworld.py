"""What is EC2's own about its instances as machines: how its fake is told and asked, and what the firmware says. The rest is in world.py."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from tests.fakes.aws import Event, FakeAws
from tests.fakes.aws.imds import Imds
from tests.integration.world import World
from tests.integration.worldmachine import Login


class Ec2:
    """The fake AWS as the world's provider. An instance has one disk, so it has the instance's id."""

    def __init__(self, fake: FakeAws, *, user: str = "admin") -> None:
        """`user` is who cloud-init lets in with the key pair of a launch: Debian's."""
        self._fake = fake
        self._user = user

    def attach(self, world: World) -> Callable[[], None]:
        def heard(event: Event) -> None:
            if event.what == "started":
                world.started(event.instance)
            elif event.what in ("stopped", "terminated"):
                world.ended(event.instance)
            elif event.what == "imaged":
                world.imaged(event.instance, event.image)

        self._fake.book.listeners.append(heard)
        self._fake.book.console_of = world.console
        return lambda: self._fake.book.listeners.remove(heard)

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

    def files(self, instance_id: str) -> Mapping[str, bytes]:
        """Nothing: user-data is in the metadata service."""
        return {}

    def metadata(self, instance_id: str, entrance: socket.socket) -> Imds:
        return Imds(self._fake, instance_id, entrance)

    def power_off(self, instance_id: str) -> None:
        self._fake.power_off(instance_id)

    def crashes(self) -> Sequence[str]:
        return self._fake.crashes
