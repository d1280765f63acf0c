"""What people type → what is asked for: durations, labels, and where organization, pool and PAT come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import TypedDict, Unpack, cast

from goldbake.azdo import credentials
from goldbake.cli import clouds_from, words_from
from goldbake.config.model import Cloud
from goldbake.errors import UsageError
from goldbake.log import Progress
from goldbake.secret import Secret
from launch.base import CloudOptions, Market
from launch.local import Engine, LocalOptions

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?", re.ASCII)
_PUBLIC_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+(?: .*)?")
_PRICE = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_SECONDS = (86400, 3600, 60, 1)


def duration(text: str, flag: str = "--ttl") -> int:
    """Seconds of `90m`, `4h`, `1d12h`, or a plain number of seconds. Raises UsageError naming `flag`."""
    found = _DURATION.fullmatch(text.strip())
    total = sum(int(number) * unit for number, unit in zip(found.groups(), _SECONDS, strict=True) if number) if found else 0
    if not total:
        raise UsageError(f"{flag} {text!r} is no duration", hint="as 4h, 90m, 1d12h, or a number of seconds")
    return total


def labels(given: Iterable[str]) -> dict[str, str]:
    """Capabilities of the agent from `NAME=VALUE` texts. Raises UsageError for a text without a name, or a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--label {text!r} has no name and value", hint="as --label GPU_NAME=a100, once for each")
        if name in found:
            raise UsageError(f"--label {name} is given twice", hint="leave one of them out")
        found[name] = value
    return found


class Service(TypedDict):
    """Where the agents belong, and what lets them in."""

    organization: str
    pat: Secret
    pool: str


def service(organization: str, pool: str, progress: Progress) -> Service:
    """Organization, PAT and pool: flags first, then AZP_URL, AZP_TOKEN, AZP_TOKEN_FILE, AZP_POOL, then a prompt. Raises AzureDevOpsError."""
    url = credentials.organization(organization)
    return Service(organization=url, pat=credentials.pat(progress.warn, organization=url), pool=credentials.pool(pool))


def file(name: str, flag: str) -> Path | None:
    """The file that a flag names, None without one. Raises UsageError when it is not there."""
    if not name:
        return None
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"{flag} {name} is no file", hint="name a file that exists")
    return path


def clouds(text: str) -> tuple[Cloud, ...] | None:
    """The clouds that `--cloud` names; None without it: the service then chooses. Raises UsageError for a word that is no cloud."""
    return clouds_from(text) if text else None


def in_order(text: str) -> tuple[Cloud, ...]:
    """The clouds that a launch may try, best first: as they stand, or, as `aws:0.53,gcp:0.45`, the cheapest first. Raises UsageError."""
    words = [word.partition(":") for word in words_from(text)]
    if not words:
        raise UsageError("--cloud is empty", hint=f"name one of {', '.join(Cloud)}, or several, best first")
    found = tuple(cloud for name, _, _ in words for cloud in clouds_from(name or "?"))
    if len(set(found)) < len(found):
        raise UsageError(f"--cloud {text} names a cloud twice", hint="each once, best first")
    prices = [price for _, colon, price in words if colon]
    if not prices:
        return found
    if len(prices) < len(found) or not all(_PRICE.fullmatch(price) for price in prices):
        raise UsageError(f"--cloud {text} does not say a price for each", hint="as aws:0.53,gcp:0.45, or names alone, best first")
    return tuple(cloud for _, cloud in sorted(zip(map(float, prices), found, strict=True), key=lambda pair: pair[0]))


class Machine(TypedDict):
    """What kind of machine, on this machine and in a cloud."""

    local: LocalOptions
    options: CloudOptions


class Given(TypedDict, total=False):
    """What may be said of a launch's machines, as it was typed."""

    engine: str
    gpu: bool
    cpus: int
    memory_mib: int
    region: str
    zone: str
    instance_type: str
    spot: bool
    spot_only: bool
    subnet: str
    public_ip: bool
    ssh_from: str
    ssh_key: str
    identity: str
    disk_gib: int
    warm_up_mib_s: int
    resource_group: str


_HERE = frozenset({Cloud.LOCAL})
_CLOUDS = frozenset(Cloud) - _HERE
_MEANT: Mapping[str, tuple[str, frozenset[Cloud]]] = {
    "engine": ("--engine", _HERE), "gpu": ("--gpu", _HERE), "cpus": ("--cpus", _HERE), "memory_mib": ("--memory", _HERE),
    "ssh_key": ("--ssh-key", frozenset(Cloud)),
    "region": ("--region", _CLOUDS), "zone": ("--zone", _CLOUDS), "instance_type": ("--instance-type", _CLOUDS), "spot": ("--spot", _CLOUDS),
    "spot_only": ("--spot-only", _CLOUDS), "subnet": ("--subnet", _CLOUDS), "public_ip": ("--public-ip", _CLOUDS),
    "ssh_from": ("--ssh-from", _CLOUDS), "identity": ("--identity", _CLOUDS), "disk_gib": ("--disk", _CLOUDS),
    "warm_up_mib_s": ("--warm-up", frozenset({Cloud.AWS})), "resource_group": ("--resource-group", frozenset({Cloud.AZURE})),
}  # fmt: skip
"""What was typed → its flag, and the clouds in which it means something."""
_EACH_ITS_OWN = frozenset({"region", "zone", "instance_type", "subnet", "identity", "ssh_key"})
"""What every cloud has other words for: a launch that may be in one of several says which is whose, as `--region aws:us-east-1`."""


def machines(clouds: Sequence[Cloud], **given: Unpack[Given]) -> dict[Cloud, Machine]:
    """What the flags say about machines in each of the clouds that a launch may try. Raises UsageError as `machine` does, and for a word that
    does not say for which of several clouds it is.
    """
    if len(clouds) == 1:
        (only,) = clouds
        return {only: machine(only, **given)}
    said = {name: value for name, value in given.items() if value}
    for name, value in said.items():
        flag, meant = _MEANT[name]
        if not meant & set(clouds):
            raise UsageError(f"{flag} means nothing with --cloud {','.join(clouds)}", hint="see `./inv --help launch`")
        strange = [word for word in words_from(str(value)) if word.partition(":")[0] not in clouds] if name in _EACH_ITS_OWN else []
        if strange:
            if (other := strange[0].partition(":")[0]) in meant:
                what = f"{flag} {strange[0]} is for {other}, not among --cloud {','.join(clouds)}"
                raise UsageError(what, hint=f"name {other} in --cloud too, or leave it out")
            some = next(cloud for cloud in clouds if cloud in meant)
            raise UsageError(f"{flag} {strange[0]} does not say for which cloud", hint=f"as {flag} {some}:{strange[0]}")
    found = {}
    for cloud in clouds:
        own = {
            name: _words_of(cloud, str(value)) if name in _EACH_ITS_OWN else value
            for name, value in said.items()
            if cloud in _MEANT[name][1]
        }
        found[cloud] = machine(cloud, **cast("Given", own))
    return found


def machine(cloud: Cloud, **given: Unpack[Given]) -> Machine:
    """What the flags of a launch say about its machines. Raises UsageError for one that means nothing in this cloud, or cannot be."""
    wrong = next((_MEANT[name][0] for name, value in given.items() if value and cloud not in _MEANT[name][1]), "")
    if wrong:
        raise UsageError(f"{wrong} means nothing with --cloud {cloud}", hint="see `./inv --help launch`")
    ssh_key = given.get("ssh_key", "")
    if cloud is Cloud.LOCAL:
        engine, cpus, memory = given.get("engine") or Engine.VM, given.get("cpus") or 2, given.get("memory_mib") or 2048
        found = local(engine, gpu=given.get("gpu", False), ssh_key=ssh_key, cpus=cpus, memory_mib=memory)
        return Machine(local=found, options=CloudOptions())
    disk, warm_up = given.get("disk_gib", 0), given.get("warm_up_mib_s", 0)
    if disk < 0 or warm_up < 0:
        raise UsageError("--disk and --warm-up are not negative", hint="leave them out for the image's own size and speed")
    options = CloudOptions(
        regions=words_from(given.get("region", "")),
        zones=words_from(given.get("zone", "")),
        types=words_from(given.get("instance_type", "")),
        market=Market.SPOT_ONLY if given.get("spot_only") else Market.SPOT_FIRST if given.get("spot") else Market.ON_DEMAND,
        subnet=given.get("subnet", ""),
        resource_group=given.get("resource_group", ""),
        public_address=given.get("public_ip", False),
        ssh_from=_block(given.get("ssh_from", "")),
        key=ssh_key if cloud is Cloud.AWS else _public_key(ssh_key),  # EC2 has key pairs of its own, by name
        identity=given.get("identity", ""),
        disk_gib=disk,
        warm_up_mib_s=warm_up,
    )
    return Machine(local=LocalOptions(), options=options)


def _words_of(cloud: Cloud, text: str) -> str:
    return ",".join(word.partition(":")[2] for word in words_from(text) if word.partition(":")[0] == cloud)


def _block(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise UsageError(f"--ssh-from {text} is no block of addresses: {error}", hint="as 203.0.113.7/32 for one address") from error


def local(engine: str, *, gpu: bool = False, ssh_key: str = "", cpus: int = 2, memory_mib: int = 2048) -> LocalOptions:
    """What only this machine knows. Raises UsageError for an engine that is none, or a file that is no public key."""
    if engine not in set(Engine):
        raise UsageError(f"there is no engine {engine!r}", hint=f"--engine takes {' or '.join(Engine)}")
    return LocalOptions(engine=Engine(engine), cpus=cpus, memory_mib=memory_mib, gpu=gpu, ssh_key=_public_key(ssh_key))


def _public_key(name: str) -> str:
    """The text of the public key in the file that `--ssh-key` names; empty without one."""
    path = file(name, "--ssh-key")
    key = path.read_text(errors="replace").strip() if path else ""
    if path and not _PUBLIC_KEY.fullmatch(key):
        raise UsageError(f"--ssh-key {name} is no public key", hint="name the .pub file, as ~/.ssh/id_ed25519.pub")
    return key


def pat_if_any(progress: Progress, organization: str = "") -> Secret | None:
    """The PAT, when one can be had without asking anybody: removing machines works without one, removing their agents does not."""
    return credentials.pat(progress.warn, organization=organization) if credentials.is_configured() else None
