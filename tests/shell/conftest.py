"""One Debian root per session, signed repositories with stand-in packages on loopback, and a throw-away machine per test."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from goldbake import proc
from goldbake.config.load import load_config
from goldbake.config.model import Cloud, Lock, Os, Pin
from goldbake.local import sources
from goldbake.paths import PROJECT
from goldbake.plan import AgentSource, plan
from sim import agent
from tests.keys import keyring
from tests.servers import server
from tests.shell import packages
from tests.shell.machine import UPLOADED, Machine
from tests.shell.repository import Pool, Publisher, binary

INCLUDED = ("ca-certificates", "curl", "gnupg", "python3", "systemd")
"""What the scripts use of a base image, beyond what every Debian has."""

Preparation = Callable[[Machine, "Mirror"], None]
Started = Callable[[Preparation], Machine]

AGENT = agent.pack("4.275.0")


@dataclass(frozen=True)
class Mirror:
    """The publishers of this session: `stranger` signs with a key that nobody has pinned.

    `inputs` by image of images.yaml: the variables of a bake of it, with addresses on loopback.
    """

    publisher: Publisher
    stranger: Publisher
    inputs: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def mirror() -> Iterator[Mirror]:
    with server() as running, keyring("publisher", "stranger") as (key, other):
        ours = Publisher(running, key, Pool())
        free = {"main": packages.debian_main(), "non-free": packages.debian_driver(), "contrib": (), "non-free-firmware": ()}
        ours.suite("/debian", "bookworm", free)
        ours.suite("/ubuntu", "noble", {"main": [*packages.distribution(), *packages.ubuntu()]})
        ours.suite("/docker/debian", "bookworm", {"stable": packages.docker("debian.12", "bookworm")})
        ours.suite("/docker/ubuntu", "noble", {"stable": packages.docker("ubuntu.24.04", "noble")})
        for system in ("debian", "ubuntu"):
            running.serve(f"/docker/{system}/gpg", key.public)
        ours.flat("/toolkit/stable/deb/amd64", packages.toolkit())
        running.serve("/toolkit/gpgkey", key.public)
        ours.flat("/cuda/debian12/x86_64", packages.cuda_debian())
        ours.flat("/cuda/ubuntu2404/x86_64", packages.cuda_ubuntu())
        pins = {
            "docker-repository": Pin(version="stable", url=f"{running.url}/docker", fingerprint=key.fingerprint),
            "toolkit-repository": Pin(version="stable", url=f"{running.url}/toolkit", fingerprint=key.fingerprint),
            "agent-4.275.0": Pin(version="4.275.0", url=running.serve("/agent.tar.gz", AGENT), sha256=hashlib.sha256(AGENT).hexdigest()),
        }
        for repository in ("debian12", "ubuntu2404"):
            package = packages.cuda_keyring(binary(key), repository)
            deb = ours.pool.deb(package)
            url = running.serve(f"/cuda/{repository}/x86_64/cuda-keyring_1.1-1_all.deb", deb)
            pins[f"cuda-keyring-{repository}"] = Pin(version="1.1-1", url=url, sha256=hashlib.sha256(deb).hexdigest())
        scripts = PROJECT / "image-scripts"
        config = load_config(PROJECT / "images.yaml", scripts)
        lock = Lock(pins=pins)
        inputs = {name: dict(plan(config, lock, name, Cloud.LOCAL, scripts, AgentSource.MICROSOFT).variables) for name in config.images}
        yield Mirror(ours, Publisher(running, other, ours.pool), inputs)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, mirror: Mirror) -> Iterator[Path]:
    """A minimal Debian 12 whose only source is the stand-in's; the scripts are where a bake uploads them."""
    if os.geteuid() != 0:
        pytest.skip("a root file system is made by root only")
    if proc.find("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed (apt-get install mmdebstrap)")
    folder = tmp_path_factory.mktemp("root")
    made = folder / "debian"
    (folder / "sources.list").write_text(sources.text(Os.DEBIAN_12, sources.of_host(Os.DEBIAN_12)))
    command = ["unshare", "--mount", "--propagation=private", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
    languages = '--aptopt=Acquire::Languages "none"'
    proc.run(
        [*command, "--dpkgopt=force-unsafe-io", languages, f"--include={','.join(INCLUDED)}", "bookworm", made, folder / "sources.list"]
    )
    (made / "etc/dpkg/dpkg.cfg.d/unsafe").write_text("force-unsafe-io\n")
    (made / "etc/apt/sources.list.d/0000sources.list").unlink()
    (made / "usr/share/keyrings/stand-in.gpg").write_bytes(binary(mirror.publisher.key))
    url = f"{mirror.publisher.server.url}/debian"
    line = f"deb [signed-by=/usr/share/keyrings/stand-in.gpg] {url} bookworm main non-free"
    (made / "etc/apt/sources.list").write_text(f"{line}\n")
    shutil.copytree(PROJECT / "image-scripts", made / UPLOADED.lstrip("/") / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    proc.run(["unshare", "--mount", "--propagation=private", "chroot", made, "apt-get", "-q", "update"])
    yield made
    shutil.rmtree(folder)


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine."""
    yield Machine(tmp_path / "machine", [root])
    shutil.rmtree(tmp_path / "machine")


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Machine]]]:
    """Machines that others continue from, by name, and the folder of all of them."""
    folder = tmp_path_factory.mktemp("states")
    yield folder, {}
    shutil.rmtree(folder)


@pytest.fixture
def after(root: Path, mirror: Mirror, states: tuple[Path, dict[str, Machine]], tmp_path: Path) -> Iterator[Started]:
    """Hands out a machine on which a preparation was done; each is done once per session, and the machines know nothing of each other."""
    kept, known = states

    def continued(prepare: Preparation) -> Machine:
        name = prepare.__name__
        if name not in known:
            fresh = Machine(kept / name, [root])
            prepare(fresh, mirror)
            known[name] = fresh
        return Machine(tmp_path / name, known[name].layers)

    yield continued
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)


@pytest.fixture
def debian(mirror: Mirror) -> dict[str, str]:
    """The variables of a bake of Debian 12 with the publishers' own packages."""
    return dict(mirror.inputs["gpu-agent-debian"])


@pytest.fixture
def ubuntu(mirror: Mirror) -> dict[str, str]:
    """The variables of a bake of Ubuntu 24.04."""
    return dict(mirror.inputs["gpu-agent"])


@pytest.fixture
def distro(mirror: Mirror) -> dict[str, str]:
    """The variables of a bake with nothing but Debian's own packages."""
    return dict(mirror.inputs["gpu-agent-distro"])
