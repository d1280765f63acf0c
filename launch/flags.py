"""What people type → what is asked for: durations, labels, and where organization, pool and PAT come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from goldbake.azdo import credentials
from goldbake.errors import UsageError
from goldbake.log import Progress
from goldbake.secret import Secret
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


def local(engine: str, *, gpu: bool = False, ssh_key: str = "", cpus: int = 2, memory_mib: int = 2048) -> LocalOptions:
    """What only this machine knows. Raises UsageError for an engine that is none, or a file that is no public key."""
    if engine not in set(Engine):
        raise UsageError(f"there is no engine {engine!r}", hint=f"--engine takes {' or '.join(Engine)}")
    path = file(ssh_key, "--ssh-key")
    key = path.read_text(errors="replace").strip() if path else ""
    if path and not _PUBLIC_KEY.fullmatch(key):
        raise UsageError(f"--ssh-key {ssh_key} is no public key", hint="name the .pub file, as ~/.ssh/id_ed25519.pub")
    return LocalOptions(engine=Engine(engine), cpus=cpus, memory_mib=memory_mib, gpu=gpu, ssh_key=key)


def pat_if_any(progress: Progress, organization: str = "") -> Secret | None:
    """The PAT, when one can be had without asking anybody: removing machines works without one, removing their agents does not."""
    return credentials.pat(progress.warn, organization=organization) if credentials.is_configured() else None
