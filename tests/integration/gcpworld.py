"""What is Compute Engine's own about its instances as machines: how its fake is told and asked, and what the firmware says. The rest is in
world.py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gcp import NEWEST_DEBIAN, Event, FakeGcp
from tests.fakes.gcp.imds import Imds
from tests.integration import gcpaccount
from tests.integration.world import World, world
from tests.integration.worldmachine import Login


class ComputeEngine:
    """The fake Compute Engine as the world's provider. A disk outlives its instance, and its name may be given again: it is known by its id."""

    def __init__(self, fake: FakeGcp) -> None:
        self._fake = fake

    def attach(self, world: World) -> Callable[[], None]:
        def heard(event: Event) -> None:
            if event.what == "started":
                world.started(event.instance)
            elif event.what in ("stopped", "deleted"):
                world.ended(event.instance)
            elif event.what == "imaged":
                world.imaged(self._fake.disk(event.disk)["id"], event.image)

        self._fake.book.listeners.append(heard)
        self._fake.book.console_of = world.console
        return lambda: self._fake.book.listeners.remove(heard)

    def image(self, instance_id: str) -> str:
        source: str = self._boot_disk(instance_id).get("sourceImage", "")
        return source[source.find("projects/") :]

    def disk(self, instance_id: str) -> str:
        disk_id: str = self._boot_disk(instance_id)["id"]
        return disk_id

    def firmware(self, instance_id: str) -> Mapping[str, str]:
        return {
            "sys_vendor": "Google", "product_name": "Google Compute Engine", "bios_vendor": "Google", "bios_version": "Google",
            "chassis_asset_tag": "", "board_name": "Google Compute Engine",
        }  # fmt: skip

    def login(self, instance_id: str) -> Login | None:
        """Google's agent lets in whom the attribute ssh-keys names: `USER:KEY` in each line."""
        items = self._fake.instance(instance_id).get("metadata", {}).get("items", [])
        lines = [line for item in items if item["key"] == "ssh-keys" for line in item["value"].splitlines() if ":" in line]
        if not lines:
            return None
        user, _, key = lines[0].partition(":")
        return Login(user, key)

    def files(self, instance_id: str) -> Mapping[str, bytes]:
        """Nothing: user-data is in the metadata service."""
        return {}

    def metadata(self, instance_id: str, entrance: socket.socket) -> Imds:
        return Imds(self._fake, instance_id, entrance)

    def power_off(self, instance_id: str) -> None:
        self._fake.power_off(instance_id)

    def crashes(self) -> Sequence[str]:
        return self._fake.crashes

    def _boot_disk(self, instance_id: str) -> dict[str, Any]:
        disks = self._fake.instance(instance_id)["disks"]
        boot = next(disk for disk in disks if disk.get("boot"))
        return self._fake.disk(boot["source"].rpartition("/")[2])


@dataclass(frozen=True)
class Building:
    """A project in which bakes find their base image, and its machines."""

    fake: FakeGcp
    world: World
    patch: pytest.MonkeyPatch
    """Of the environment that leads to the project."""


@contextmanager
def building(folder: Path, root: Path) -> Iterator[Building]:
    """Build instances of Debian are containers of `root`, and Packer finds the way into them."""
    with FakeGcp() as fake, gcpaccount.environment(fake) as patch, world(ComputeEngine(fake), folder) as machines:
        host, port = machines.open_ssh()
        for name, value in {"ssh_host": host, "ssh_port": str(port), "reboot_pause": "1s"}.items():
            patch.setenv(f"PKR_VAR_{name}", value)
        machines.stands_for(NEWEST_DEBIAN.id, [root])
        yield Building(fake, machines, patch)
