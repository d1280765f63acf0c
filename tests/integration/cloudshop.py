"""A copy of this project whose images are for one cloud: what the tests of whole bakes share.

The build instance begins as the baked local image: every script runs a second time there, which costs seconds instead of minutes, and shows that
it can.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldbake import agent
from goldbake.config.model import Cloud
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from tests.integration import workshop
from tests.integration.conftest import BakedImage
from tests.integration.workshop import Workshop

AGENT = "4.275.0"
_IMAGE = """\
  {name}:
    description: Debian 12 with the distribution's own driver and Docker, on {cloud}
    os: debian-12
    clouds: [{cloud}]
    gpus: [v100, t4, a10g, l4]
    disk_gib: 32
    driver: {{source: debian, version: {driver}, module: proprietary}}
    docker: {{source: debian, version: {docker}}}
    toolkit: {{source: module, version: {toolkit}}}
    agent: {{version: {agent}}}
    {cloud}: {settings}
    layers:
"""
_LAYERS = """\
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
_PIN = """\
  agent-{agent}:
    version: {agent}
    url: file://{file}
    sha256: {sha256}
"""


@dataclass(frozen=True)
class CloudShop:
    """The copy, and what a person does with it."""

    cloud: Cloud
    shop: Workshop
    versions: Mapping[str, str]

    @property
    def image(self) -> str:
        return f"{self.cloud}-distro"

    def add_image(self, name: str, settings: str, scripts: Sequence[str] = ()) -> None:
        """Describe an image in images.yaml; `scripts` are all that is done for it, by default what every image gets."""
        layers = f"      - name: only\n        scripts: [{', '.join(scripts)}]\n" if scripts else _LAYERS
        with (self.shop.project / "images.yaml").open("a") as file:
            file.write(_IMAGE.format(name=name, agent=AGENT, cloud=self.cloud, settings=settings, **self.versions) + layers)

    def bake(self, image: str = "") -> tuple[int, dict[str, Any], str]:
        """Exit code, the record and what was said on the way."""
        words = self.shop.argv("bake", "--cloud", self.cloud, "--image", image or self.image, "--json")
        done = subprocess.run(
            words,
            cwd=self.shop.project,
            env=self.shop.env(),
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=1700,
        )
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def baked(self) -> ImageRecord:
        """The record of a bake that has to succeed and to be a new one."""
        code, record, said = self.bake()
        assert code == 0, said
        assert record["reused"] is False
        return ImageRecord.model_validate({name: value for name, value in record.items() if name in ImageRecord.model_fields})

    def records(self) -> list[ImageRecord]:
        return [one for one in Records(self.shop.home / "state" / "records").all() if one.cloud is self.cloud]

    def locks(self) -> list[Path]:
        """Of bakes whose leftovers nobody has removed."""
        return list((self.shop.home / "state" / "bakes").glob("*.lock"))


def make(folder: Path, baked: BakedImage, cloud: Cloud, settings: str) -> CloudShop:
    """A shop whose image has the versions of the baked one; `settings` is the YAML of what only this cloud needs."""
    shop = workshop.make(folder)
    versions = {name: baked.record.versions[name] for name in ("driver", "docker", "toolkit")}
    tarball = folder / "agent.tar.gz"
    tarball.write_bytes(agent.simulated_tarball(AGENT))
    pin = _PIN.format(agent=AGENT, file=tarball, sha256=hashlib.sha256(tarball.read_bytes()).hexdigest())
    lock = shop.project / "images.lock.yaml"
    lock.write_text(_without_agent(lock.read_text()) + pin)
    _share_toolchain(Paths.from_environment(), shop.home / "cache")
    (shop.project / "images.yaml").write_text("images:\n")
    made = CloudShop(cloud, shop, versions)
    made.add_image(made.image, settings)
    return made


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
