"""Organization and PAT → the text that an instance receives: the line `#cloud-config`, then one JSON object (JSON is YAML)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from goldbake.config.model import Cloud
from goldbake.errors import UsageError
from goldbake.secret import Secret

KIB = 1024

LIMITS: Mapping[Cloud, int] = {
    Cloud.AWS: 16 * KIB,  # before base64 (EC2: user data)
    Cloud.GCP: 256 * KIB,  # one value of the metadata (Compute Engine: metadata limits)
    Cloud.AZURE: 64 * KIB,  # (Azure: user data for virtual machines)
    Cloud.LOCAL: 16 * KIB,
}
"""Bytes of user-data that a cloud takes."""

ACCEPTED = 16 * KIB
"""Bytes that first boot takes, whatever the cloud would carry."""

_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,40}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = re.compile(
    r"(VSTS|VSO|VSS|AZP|AGENT|DOTNET|COMPlus|CORECLR|LD|SYSTEMD|NOTIFY|GOLDBAKE)_.*|PATH|HOME|USER|SHELL|BASH_ENV|ENV|IFS", re.IGNORECASE
)
"""Labels that would change how the agent works instead of describing the machine; first boot refuses them as well."""
_PROXY = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?")
_CERTIFICATES = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_AGENT_NAME_MAX = 80
_LABEL_MAX = 1023
_TTL_MAX = 10 * 366 * 86400


@dataclass(frozen=True)
class UserData:
    """What an instance is told. Everything but organization and PAT has a default of its own there."""

    organization: str
    pat: Secret
    pool: str = "Default"
    prefix: str = "goldbake"
    labels: Mapping[str, str] = field(default_factory=dict)
    work: str = ""
    proxy: str = ""
    ca: str = ""
    ephemeral: bool = False
    ttl: int = 0
    """Seconds; 0: it never powers itself off."""

    def text(self, cloud: Cloud) -> Secret:
        """The whole text. Raises UsageError for what first boot would refuse, naming the flag, and for more than fits."""
        self._check()
        given: dict[str, object] = {"organization": self.organization, "pat": self.pat.reveal(), "pool": self.pool, "prefix": self.prefix}
        optional = {"labels": dict(self.labels), "work": self.work, "proxy": self.proxy, "ca": self.ca}
        given |= {key: value for key, value in optional.items() if value}
        given |= {"ephemeral": True} if self.ephemeral else {}
        given |= {"ttl": self.ttl} if self.ttl else {}
        text = "#cloud-config\n" + json.dumps({"goldbake": given}) + "\n"
        size, limit = len(text.encode()), min(ACCEPTED, LIMITS[cloud])
        if size > limit:
            raise UsageError(
                f"the instance's user-data would have {size} bytes; {limit} is the most", hint="give fewer labels or fewer certificates"
            )
        return Secret(text)

    def _check(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise UsageError(f"--prefix {self.prefix!r} cannot begin an agent's name", hint="1 to 40 of A–Z a–z 0–9 . _ -")
        if self.ttl < 0 or self.ttl > _TTL_MAX:
            raise UsageError(f"--ttl of {self.ttl} s cannot be", hint="at least 1 s and at most 10 years, as 4h or 90m")
        for name, value in (("--pool", self.pool), ("--work", self.work)):
            if _CONTROL.search(value) or value.startswith("-") or value != value.strip():
                raise UsageError(f"{name} {value!r} has control characters, begins with - or has blanks around it")
        if not self.pool:
            raise UsageError("--pool is empty", hint="leave it out for the pool Default")
        if self.proxy and not _PROXY.fullmatch(self.proxy):
            raise UsageError("the proxy for the instances is no http or https URL without user name", hint="write http://HOST:PORT")
        if self.ca and not _CERTIFICATES.fullmatch(self.ca):
            raise UsageError(
                "the certificates for the instances are not PEM", hint="a file of -----BEGIN CERTIFICATE----- blocks, nothing else"
            )
        for label, value in self.labels.items():
            _check_label(label, value)


def agent_name(prefix: str, instance_id: str) -> str:
    """The agent's name, as first boot makes it: the same at every boot, at most 80 of A–Z a–z 0–9 . _ -"""
    name = instance_id if instance_id.startswith(f"{prefix}-") else f"{prefix}-{instance_id}"
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:_AGENT_NAME_MAX]


def _check_label(label: str, value: str) -> None:
    if not _LABEL.fullmatch(label):
        raise UsageError(f"label {label!r} is no name of a variable", hint="letters, digits and _, no digit first")
    if _RESERVED.fullmatch(label):
        raise UsageError(f"label {label} is reserved: it would change how the agent works", hint="choose another name")
    if not value.strip() or _CONTROL.search(value) or len(value) > _LABEL_MAX:
        raise UsageError(f"label {label} is empty, has control characters, or is longer than {_LABEL_MAX} characters")
