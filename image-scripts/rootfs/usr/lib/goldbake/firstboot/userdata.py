"""What a machine is told: one JSON object behind the line `#cloud-config`. A reason names the key, never a value."""

from __future__ import annotations

import json
import re

from . import TYPE_CHECKING
from .errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIMIT = 16384
"""AWS takes no more than 16 KiB of user-data."""

KEYS = {
    "organization": ("string", None, "`foo` for https://dev.azure.com/foo, or a whole https URL"),
    "pat": ("string", None, "Personal access token with the scope Agent Pools (read, manage); only used to register"),
    "pool": ("string", "Default", "Name of the agent pool"),
    "prefix": (
        "string",
        "goldbake",
        "The agent is called `prefix-<instance id>`, or as the instance if its id begins so; at most 40 of A–Z a–z 0–9 . _ -",
    ),
    "labels": ("object", None, "Names and values that become variables of the agent's environment, hence capabilities"),
    "work": ("string", "_work", "Work folder, absolute or below the agent's own folder"),
    "proxy": ("string", None, "http or https URL of a proxy, without a user name"),
    "ca": ("string", None, "One or more PEM certificates to trust besides the system's"),
    "ephemeral": ("boolean", "false", "One job, then power off"),
    "ttl": ("integer", None, "Seconds until the machine powers itself off"),
}
"""Each key: type, default (None: no default), meaning. `organization` and `pat` are required."""

REQUIRED = ("organization", "pat")
RESERVED = re.compile(
    r"(VSTS|VSO|VSS|AZP|AGENT|DOTNET|COMPlus|CORECLR|LD|SYSTEMD|NOTIFY|GOLDBAKE)_.*|PATH|HOME|USER|SHELL|BASH_ENV|ENV|IFS", re.IGNORECASE
)
"""Labels that would change how the agent works instead of describing the machine."""

URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?"
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,40}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWABLE = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_CERTIFICATE = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")
_NAME_MAX = 80
_LABEL_MAX = 1023
_TTL_MAX = 10 * 366 * 86400


class Input:
    """Checked user-data, with defaults filled in."""

    def __init__(self) -> None:
        self.url = ""
        self.pat = ""
        self.pool = "Default"
        self.prefix = "goldbake"
        self.labels: dict[str, str] = {}
        self.work = "_work"
        self.proxy = ""
        self.ca = ""
        self.ephemeral = False
        self.ttl = 0

    @property
    def organization(self) -> str:
        """The organization's name as people know it: the last part of its URL."""
        return self.url.rpartition("/")[2]


def is_ours(data: bytes) -> bool:
    """Whether this user-data was meant for goldbake, however broken it may be."""
    return b'"goldbake"' in data


def parse(data: bytes) -> Input:
    """Read and check user-data. Raises Problem (input)."""
    if len(data) > LIMIT:
        raise Problem("input", f"user-data is larger than {LIMIT} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("input", "user-data is not UTF-8 text") from None
    first, _, rest = text.partition("\n")
    if first.rstrip() != "#cloud-config":
        raise Problem("input", "the first line of user-data is not #cloud-config")
    try:
        document = json.loads(rest, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Problem("input", f"user-data is not JSON (line {error.lineno + 1}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise Problem("input", "user-data is not JSON that can be read") from None
    if not isinstance(document, dict) or not isinstance(document.get("goldbake"), dict):
        raise Problem("input", 'user-data is not one JSON object with an object "goldbake"')
    if len(document) > 1:
        other = next(key for key in document if key != "goldbake")
        raise Problem("input", f"user-data has an unknown key {_shown(other)}")
    return _checked(document["goldbake"])


def agent_name(prefix: str, instance_id: str) -> str:
    """The agent's name: the same for the same machine at every boot, at most 80 of A–Z a–z 0–9 . _ -"""
    name = instance_id if instance_id.startswith(f"{prefix}-") else f"{prefix}-{instance_id}"
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:_NAME_MAX]


def _checked(given: dict[str, Any]) -> Input:
    for key in given:
        if key not in KEYS:
            raise Problem("input", f"goldbake has an unknown key {_shown(key)}")
    for key in REQUIRED:
        if key not in given:
            raise Problem("input", f"goldbake.{key} is missing")
    result = Input()
    for key, value in given.items():
        setattr(result, "url" if key == "organization" else key, _READERS[key](value, f"goldbake.{key}"))
    return result


def _clean(value: object, name: str, *, trim: bool = False, lines: bool = False) -> str:
    if not isinstance(value, str):
        raise Problem("input", f"{name} is not a string")
    if trim:
        value = value.rstrip("\r\n")
    if not value.strip():
        raise Problem("input", f"{name} is empty")
    allowed = "\r\n\t" if lines else ""
    if any((ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029") and char not in allowed for char in value):
        raise Problem("input", f"{name} has control characters")
    if any(0xD800 <= ord(char) < 0xE000 for char in value):
        raise Problem("input", f"{name} has half a character (a lone surrogate)")
    return value


def _pat(value: object, name: str) -> str:
    return _clean(value, name, trim=True)


def _argument(value: object, name: str) -> str:
    text = _clean(value, name)
    if text.startswith("-") or text != text.strip():
        raise Problem("input", f"{name} begins with - or has blanks around it")
    return text


def _organization(value: object, name: str) -> str:
    text = _clean(value, name).rstrip("/")
    if _NAME.fullmatch(text):
        return f"https://dev.azure.com/{text}"
    match = URL.fullmatch(text)
    if not match or match["scheme"] != "https" or not _port_is_valid(match["port"]):
        raise Problem("input", f"{name} is neither a name nor an https URL")
    return text


def _prefix(value: object, name: str) -> str:
    text = _clean(value, name)
    if not _PREFIX.fullmatch(text):
        raise Problem("input", f"{name} may have 1 to 40 of A-Z a-z 0-9 . _ -")
    return text


def _labels(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Problem("input", f"{name} is not an object")
    for label, text in value.items():
        if not _LABEL.fullmatch(label):
            raise Problem("input", f"{name}: {_shown(label)} is no name of a variable")
        if RESERVED.fullmatch(label):
            raise Problem("input", f"{name}: {_shown(label)} is reserved: it would change how the agent works")
        if len(_clean(text, f"{name}.{_shown(label)}")) > _LABEL_MAX:
            raise Problem("input", f"{name}.{_shown(label)} is longer than {_LABEL_MAX} characters: it would be no capability")
    return dict(value)


def _proxy(value: object, name: str) -> str:
    text = _clean(value, name).rstrip("/")
    match = URL.fullmatch(text)
    if not match or not _port_is_valid(match["port"]):
        raise Problem("input", f"{name} is not an http or https URL without user name")
    return text


def _certificates(value: object, name: str) -> str:
    text = _clean(value, name, lines=True)
    if not _CERTIFICATE.fullmatch(text):
        raise Problem("input", f"{name} is not one or more certificates in PEM")
    return text


def _boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise Problem("input", f"{name} is not true or false")
    return value


def _ttl(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _TTL_MAX:
        raise Problem("input", f"{name} is not a whole number of seconds above 0")
    return value


_READERS: dict[str, Callable[[object, str], object]] = {
    "organization": _organization,
    "pat": _pat,
    "pool": _argument,
    "prefix": _prefix,
    "labels": _labels,
    "work": _argument,
    "proxy": _proxy,
    "ca": _certificates,
    "ephemeral": _boolean,
    "ttl": _ttl,
}


def _port_is_valid(port: str | None) -> bool:
    return port is None or 0 < int(port) < 65536


def _shown(key: str) -> str:
    return key if _SHOWABLE.fullmatch(key) else "(a name with other characters than A-Z a-z 0-9 . _ -)"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise Problem("input", f"user-data has the key {_shown(key)} twice")
        result[key] = value
    return result


def _no_constant(name: str) -> object:
    raise Problem("input", f"user-data holds {name}, which is not JSON")
