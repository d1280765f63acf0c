"""The service script that configuration leaves: svc.sh, with the name of the service in it."""

from __future__ import annotations

from .store import Store
from .wire import Url

LONGEST_NAME = 80
_SHORT = 25
_KEPT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.")


def service_name(url: str, pool: str, agent: str) -> str:
    """The unit's name: `vsts.agent.ORG.POOL.AGENT.service`, shortened to 80 characters, escaped as systemd-escape --path does."""
    address = Url(url)
    first = address.path.partition("?")[0].strip("/").split("/")[0]
    organization = first if address.host == "dev.azure.com" and first else address.host.split(".")[0]
    name = f"vsts.agent.{organization}.{pool}.{agent}.service"
    if len(name) > LONGEST_NAME:
        organization, pool = organization[:_SHORT], pool[:_SHORT]
        room = LONGEST_NAME - len(f"vsts.agent.{organization}.{pool}..service")
        name = f"vsts.agent.{organization}.{pool}.{agent[:room]}.service"
    return escape_path(name)


def escape_path(path: str) -> str:
    """What `systemd-escape --path` makes of it: a slash becomes a dash, everything unusual its bytes in hexadecimal."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-"
    escaped = "-".join("".join(letter if letter in _KEPT else _bytes(letter) for letter in part) for part in parts)
    return rf"\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def write_service_script(files: Store, url: str, pool: str, agent: str) -> None:
    """Write svc.sh from its template."""
    template = files.text("bin/systemd.svc.sh.template")
    first = Url(url).path.strip("/").split("/")[0]
    description = f"Azure Pipelines Agent ({first or Url(url).host}.{pool}.{agent})"
    text = template.replace("{{SvcName}}", service_name(url, pool, agent)).replace("{{SvcDescription}}", _quoted(description))
    files.write("svc.sh", text, mode=0o755)


def _bytes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())


def _quoted(text: str) -> str:
    """`text` inside single quotes of the shell."""
    return text.replace("'", "'\\''").replace("%", "%%")
