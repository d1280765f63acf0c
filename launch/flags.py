"""What people type → what is asked for: durations, labels, and where organization, pool and PAT come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import TypedDict

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


class Machine(TypedDict):
    """What kind of machine, on this machine and in a cloud."""

    local: LocalOptions
    options: CloudOptions


def machine(
    cloud: Cloud,
    *,
    engine: str = "",
    gpu: bool = False,
    cpus: int = 0,
    memory_mib: int = 0,
    region: str = "",
    zone: str = "",
    instance_type: str = "",
    spot: bool = False,
    spot_only: bool = False,
    subnet: str = "",
    public_ip: bool = False,
    ssh_from: str = "",
    ssh_key: str = "",
    identity: str = "",
    disk_gib: int = 0,
    warm_up_mib_s: int = 0,
    resource_group: str = "",
) -> Machine:
    """What the flags of a launch say about its machines. Raises UsageError for one that means nothing in this cloud, or cannot be."""
    here = {"--engine": engine, "--gpu": gpu, "--cpus": cpus, "--memory": memory_mib}
    elsewhere = {
        "--region": region, "--zone": zone, "--instance-type": instance_type, "--spot": spot, "--spot-only": spot_only, "--subnet": subnet,
        "--public-ip": public_ip, "--ssh-from": ssh_from, "--identity": identity, "--disk": disk_gib, "--warm-up": warm_up_mib_s,
        "--resource-group": resource_group,
    }  # fmt: skip
    others = {"--warm-up": (Cloud.AWS, warm_up_mib_s), "--resource-group": (Cloud.AZURE, resource_group)}
    not_here = here | {flag: value for flag, (owner, value) in others.items() if cloud is not owner}
    wrong = next((flag for flag, value in (elsewhere if cloud is Cloud.LOCAL else not_here).items() if value), "")
    if wrong:
        raise UsageError(f"{wrong} means nothing with --cloud {cloud}", hint="see `./inv --help launch`")
    if cloud is Cloud.LOCAL:
        found = local(engine or Engine.VM, gpu=gpu, ssh_key=ssh_key, cpus=cpus or 2, memory_mib=memory_mib or 2048)
        return Machine(local=found, options=CloudOptions())
    if disk_gib < 0 or warm_up_mib_s < 0:
        raise UsageError("--disk and --warm-up are not negative", hint="leave them out for the image's own size and speed")
    key = ssh_key if cloud is Cloud.AWS else _public_key(ssh_key)  # EC2 has key pairs of its own, by name
    market = Market.SPOT_ONLY if spot_only else Market.SPOT_FIRST if spot else Market.ON_DEMAND
    options = CloudOptions(
        regions=words_from(region), zones=words_from(zone), types=words_from(instance_type), market=market, subnet=subnet, public_address=public_ip,
        ssh_from=_block(ssh_from), key=key, identity=identity, disk_gib=disk_gib, warm_up_mib_s=warm_up_mib_s,
        resource_group=resource_group,
    )  # fmt: skip
    return Machine(local=LocalOptions(), options=options)


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
