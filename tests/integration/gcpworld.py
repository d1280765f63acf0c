"""What is Compute Engine's own about its instances as machines: how its fake is told and asked, and what the firmware says. The rest is in
cloudworld.py and world.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.session import Gcp
from tests.fakes.gcp import NEWEST_DEBIAN, Event, FakeGcp
from tests.fakes.gcp.imds import Imds
from tests.integration import gcpaccount
from tests.integration.cloudworld import FakeCloud, open_to_packer
from tests.integration.world import World, world
from tests.integration.worldmachine import Login


class ComputeEngine(FakeCloud[FakeGcp]):
    """The fake Compute Engine as the world's provider. A disk outlives its instance, and its name may be given again: it is known by its id."""

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

    def imaged_disk(self, event: Event) -> str:
        """Its instance may be gone."""
        disk_id: str = self._fake.disk(event.disk)["id"]
        return disk_id

    def metadata(self, instance_id: str, entrance: socket.socket) -> Imds:
        return Imds(self._fake, instance_id, entrance)

    def _boot_disk(self, instance_id: str) -> dict[str, Any]:
        disks = self._fake.instance(instance_id)["disks"]
        boot = next(disk for disk in disks if disk.get("boot"))
        return self._fake.disk(boot["source"].rpartition("/")[2])


def image(name: str) -> str:
    """Make an image with nothing of its own in it, in the project that the environment leads to; its path."""
    gcp = Gcp()
    body = compute_v1.Image(name=name, source_image=NEWEST_DEBIAN.id)
    begun = gcp.client(compute_v1.ImagesClient).insert_unary(project=gcp.project, image_resource=body)
    finished(gcp, begun, doing="an image", patience=60)
    return f"projects/{gcp.project}/global/images/{name}"


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
        open_to_packer(machines, patch)
        machines.stands_for(NEWEST_DEBIAN.id, [root])
        yield Building(fake, machines, patch)
