"""(Config, image, cloud) → BakePlan: what will run, with which values, and the fingerprint of all of it.

The fingerprint is content: same scripts, files, versions and pins → same fingerprint → the image that exists already. Each layer's
fingerprint covers what its own scripts read and every layer before it, so a new agent version leaves the driver's layer alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from goldbake.config.model import DRIVER_SCRIPT, Cloud, Config, Image, Lock, Pin
from goldbake.errors import MissingError, UsageError

_VARIABLE = re.compile(r"\bGOLDBAKE_[A-Z0-9_]+")
_PUT = re.compile(r"^(?!\s*#).*?\bput(?:_tree)?[ \t]+(\S+)", re.MULTILINE)
_BASE_CODE = ("local/rootfs.py", "local/sources.py")
_DISK_CODE = ("local/disk.py",)
"""Our own code whose change changes a local image: its base, or only the disk made from all layers."""
WRITE_MANIFEST = "write-manifest"
"""The script that a cloud's bake runs after the last layer: what is installed is known only inside."""
SIGNING = ("make-signing-key", "remove-signing-key")
"""The scripts before and after that of the driver, in an image for Secure Boot: its modules are signed when they are built."""


class AgentSource(StrEnum):
    """Where the Azure Pipelines agent in the image comes from."""

    MICROSOFT = "microsoft"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class PlannedLayer:
    """Scripts that run together and are kept together."""

    name: str
    scripts: tuple[str, ...]
    reboot: bool
    fingerprint: str


@dataclass(frozen=True)
class BakePlan:
    """All that a bake needs to know; two equal plans make the same image."""

    name: str
    image: Image
    cloud: Cloud
    agent_source: AgentSource
    variables: Mapping[str, str]
    base: str
    layers: tuple[PlannedLayer, ...]
    fingerprint: str
    unresolved: tuple[str, ...]
    base_image: str = ""
    """The exact public image that a cloud's bake starts from, as that cloud names it; empty: not looked up, or this machine's own bake."""

    @property
    def signs(self) -> bool:
        """Whether this bake signs the driver's modules, and its image brings the certificate."""
        return self.image.secure_boot

    def require_resolved(self) -> None:
        """Raise MissingError when a pin that this bake needs has no hash: it stops before it costs anything."""
        if self.unresolved:
            names = ", ".join(self.unresolved)
            raise MissingError(
                f"{self.name} cannot be baked for {self.cloud}: no hash is pinned for {names}",
                hint=f"run `./inv pin {' '.join(self.unresolved)}` where these can be reached, review images.lock.yaml and commit it",
            )


def image_named(config: Config, name: str | None, cloud: Cloud) -> str:
    """The image that is meant: `name`, or the default of `cloud`.

    Raises UsageError naming the images that exist for that cloud.
    """
    usable = [key for key, image in config.images.items() if cloud in image.clouds]
    if name is None:
        default = config.defaults.get(cloud)
        if default is not None:
            return default
        if not usable:
            raise UsageError(f"no image in images.yaml is for {cloud}", hint=f"add `{cloud}` to an image's clouds")
        return usable[0]
    if name not in config.images:
        raise UsageError(f"there is no image {name!r} in images.yaml", hint=f"images: {', '.join(config.images)}")
    if name not in usable:
        clouds = ", ".join(config.images[name].clouds)
        raise UsageError(
            f"image {name} is not for {cloud}", hint=f"its clouds: {clouds}; images for {cloud}: {', '.join(usable) or 'none'}"
        )
    return name


def plan(
    config: Config,
    lock: Lock,
    name: str,
    cloud: Cloud,
    scripts: Path,
    agent_source: AgentSource,
    *,
    agent_sha256: str = "",
    base_image: str = "",
) -> BakePlan:
    """Work out a bake. Reads the scripts, starts nothing. `agent_sha256` is the simulated agent's; Microsoft's is in the lock.

    `base_image` is what the cloud's newest base image is now: a newer one is another plan with another fingerprint.

    Raises UsageError when a real cloud is asked to bake the simulated agent.
    """
    image = config.images[name]
    if agent_source is AgentSource.SIMULATED and cloud is not Cloud.LOCAL:
        raise UsageError(f"an image for {cloud} cannot hold the simulated agent", hint="leave out `--agent simulated`")
    pins = pins_of(image, lock, agent_source)
    variables = _variables(name, image, cloud, agent_source, pins) | ({"GOLDBAKE_AGENT_SHA256": agent_sha256} if agent_sha256 else {})
    base = _digest("base", image.os, *([base_image] if base_image else []), *_code(cloud, _BASE_CODE))
    layers: list[PlannedLayer] = []
    before = base
    for layer in image.layers:
        names = _signed(layer.scripts) if image.secure_boot else layer.scripts
        before = _digest(before, layer.name, str(layer.reboot), *_inputs(names, scripts, variables))
        layers.append(PlannedLayer(layer.name, names, layer.reboot, before))
    if cloud is not Cloud.LOCAL:
        before = _digest(before, *_inputs((WRITE_MANIFEST,), scripts, variables))
    whole = _digest(before, _canonical(image.content(cloud)), cloud, _canonical(dict(variables)), *_code(cloud, _DISK_CODE))
    unresolved = tuple(key for key, pin in pins.items() if not pin.resolved)
    return BakePlan(name, image, cloud, agent_source, variables, base, tuple(layers), whole, unresolved, base_image)


def pins_of(image: Image, lock: Lock, agent_source: AgentSource) -> dict[str, Pin]:
    """The pins that baking `image` needs, by name; one that the lock lacks is there, unresolved."""
    wanted: dict[str, str] = {}
    if image.driver.source == "nvidia":
        wanted[f"cuda-keyring-{image.os.cuda_repository}"] = "1.1-1"
    if image.docker.source == "docker":
        wanted["docker-repository"] = image.docker.version
    if image.toolkit.source == "nvidia":
        wanted["toolkit-repository"] = image.toolkit.version
    if agent_source is AgentSource.MICROSOFT:
        wanted[f"agent-{image.agent.version}"] = image.agent.version
    return {key: lock.pins.get(key, Pin(version=version)) for key, version in wanted.items()}


def _variables(name: str, image: Image, cloud: Cloud, agent_source: AgentSource, pins: Mapping[str, Pin]) -> dict[str, str]:
    nothing = Pin(version="0")
    keyring = pins.get(f"cuda-keyring-{image.os.cuda_repository}", nothing)
    docker, toolkit = pins.get("docker-repository", nothing), pins.get("toolkit-repository", nothing)
    agent = pins.get(f"agent-{image.agent.version}", nothing)
    return {
        "GOLDBAKE_IMAGE": name,
        "GOLDBAKE_CLOUD": cloud.value,
        "GOLDBAKE_OS": image.os.value,
        "GOLDBAKE_CODENAME": image.os.codename,
        "GOLDBAKE_DRIVER_SOURCE": image.driver.source,
        "GOLDBAKE_DRIVER_VERSION": image.driver.version,
        "GOLDBAKE_DRIVER_MODULE": image.driver.module.value,
        "GOLDBAKE_DRIVER_VARIANT": image.driver.variant,
        "GOLDBAKE_CUDA_KEYRING_URL": keyring.url,
        "GOLDBAKE_CUDA_KEYRING_SHA256": keyring.sha256 or "",
        "GOLDBAKE_CUDA_REPOSITORY_URL": keyring.url.rpartition("/")[0],
        "GOLDBAKE_DOCKER_SOURCE": image.docker.source,
        "GOLDBAKE_DOCKER_VERSION": image.docker.version,
        "GOLDBAKE_DOCKER_REPOSITORY_URL": f"{docker.url}/{image.os.distribution}" if docker.url else "",
        "GOLDBAKE_DOCKER_KEY_URL": f"{docker.url}/{image.os.distribution}/gpg" if docker.url else "",
        "GOLDBAKE_DOCKER_KEY_FINGERPRINT": docker.fingerprint or "",
        "GOLDBAKE_TOOLKIT_SOURCE": image.toolkit.source,
        "GOLDBAKE_TOOLKIT_VERSION": image.toolkit.version,
        "GOLDBAKE_TOOLKIT_REPOSITORY_URL": f"{toolkit.url}/stable/deb/amd64" if toolkit.url else "",
        "GOLDBAKE_TOOLKIT_KEY_URL": f"{toolkit.url}/gpgkey" if toolkit.url else "",
        "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT": toolkit.fingerprint or "",
        "GOLDBAKE_AGENT_SOURCE": agent_source.value,
        "GOLDBAKE_AGENT_VERSION": image.agent.version,
        "GOLDBAKE_AGENT_URL": agent.url,
        "GOLDBAKE_AGENT_SHA256": agent.sha256 or "",
    }


def _signed(names: tuple[str, ...]) -> tuple[str, ...]:
    """The scripts of a layer with those that sign around that of the driver."""
    before, after = SIGNING
    return tuple(each for name in names for each in ((before, name, after) if name == DRIVER_SCRIPT else (name,)))


def _inputs(names: Iterable[str], scripts: Path, variables: Mapping[str, str]) -> list[str]:
    """What these scripts read: their text, the library, the variables that they name, and the files of rootfs that they install."""
    library = (scripts / "lib" / "common.sh").read_text() if (scripts / "lib" / "common.sh").exists() else ""
    inputs = [library]
    for name in names:
        path = scripts / f"{name}.sh"
        text = path.read_text() if path.exists() else ""
        inputs.append(text)
        inputs += [f"{key}={variables.get(key, '')}" for key in sorted(set(_VARIABLE.findall(text)))]
        inputs += [installed_digest(scripts / "rootfs", path) for path in _PUT.findall(text)]
    return inputs


def installed_digest(rootfs: Path, path: str) -> str:
    """SHA-256 of what `put PATH` or `put_tree PATH` installs; of all of rootfs where the path is only known when the script runs."""
    if "$" in path:
        return tree_digest(rootfs)
    source = rootfs / path
    if source.is_dir():
        return _digest(path, tree_digest(source))
    return _digest(path, oct(source.stat().st_mode & 0o111), hashlib.sha256(source.read_bytes()).hexdigest()) if source.exists() else ""


def tree_digest(folder: Path) -> str:
    """SHA-256 over the names, modes and contents of all files below `folder`; bytecode left by Python does not count."""
    parts: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts += [str(path.relative_to(folder)), oct(path.stat().st_mode & 0o111), hashlib.sha256(path.read_bytes()).hexdigest()]
    return _digest(*parts)


def _code(cloud: Cloud, names: Iterable[str]) -> list[str]:
    return [(Path(__file__).parent / name).read_text() for name in names] if cloud is Cloud.LOCAL else []


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(*parts: str) -> str:
    """SHA-256 over the parts with their lengths, so that no two lists of parts collide by concatenation."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode()
        sha.update(f"{len(data)}:".encode() + data)
    return sha.hexdigest()
