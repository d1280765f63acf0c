"""How an organization is written: a name, or the https URL of its service."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from goldbake.azdo.errors import AzureDevOpsError, Kind, azdo_error

HOSTED = "dev.azure.com"
"""The host of Azure DevOps Services; an organization is the first part of the path there."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?")
"""Letters, digits and hyphens, at most 50, no hyphen at an end (learn.microsoft.com: naming restrictions, organization names)."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~%!$&'()+,;=@-]+)*")
_LONGEST = 500


def organization_url(text: str) -> str:
    """The URL of an organization, without a slash at its end: `foo` → `https://dev.azure.com/foo`, a full https URL as it is.

    Raises AzureDevOpsError (exit 2) that names the value; a user and password in a URL are not repeated.
    """
    value = text.strip()
    if _NAME.fullmatch(value):
        return f"https://{HOSTED}/{value}"
    shown = re.sub(r"[^/]*@", "", value)
    if not (shown.isascii() and shown.isprintable()):
        raise _invalid(shown, "it has letters that no address has")
    if "://" not in value:
        raise _invalid(shown, _no_name(shown))
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise _invalid(shown, "it is no URL") from error
    host = parts.hostname or ""
    if problem := _problem(parts, host, port, shown):
        raise _invalid(shown, problem)
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port not in (None, 443) else "")
    return f"https://{netloc}{parts.path.rstrip('/')}"


def tokens_page(organization: str = "") -> str:
    """Where a PAT is made; `organization` is its URL."""
    return f"{organization or f'https://{HOSTED}/NAME'}/_usersSettings/tokens"


def _problem(parts: SplitResult, host: str, port: int | None, shown: str) -> str:
    """Why these parts are no organization's URL; empty when they are one."""
    names = [part for part in parts.path.split("/") if part]
    rest = shown.partition("://")[2][:_LONGEST]
    checks = (
        (parts.scheme.lower() != "https", f"a PAT is only sent by https; write https://{rest}"),
        ("@" in parts.netloc, f"a user or password does not belong there; write https://{rest}"),
        (not _HOST.fullmatch(host) or port == 0, "its host is none"),
        (bool(parts.query or parts.fragment), "it goes on with ? or #; write the part before it"),
        (not _PATH.fullmatch(parts.path.rstrip("/")) or len(shown) > _LONGEST, "its path cannot be that of an organization"),
        (host.lower() == HOSTED and not names, f"the organization is missing; write https://{HOSTED}/NAME"),
        (
            host.lower() == HOSTED and len(names) > 1,
            f"it goes on after the organization; write https://{HOSTED}/{names[0] if names else ''}",
        ),
    )
    return next((problem for wrong, problem in checks if wrong), "")


def _no_name(value: str) -> str:
    if not value:
        return "it is empty"
    if "." in value or "/" in value:
        return f"is it meant as https://{value[:_LONGEST]}?"
    return "a name has letters, digits and hyphens, at most 50, and no hyphen at an end"


def _invalid(value: str, problem: str) -> AzureDevOpsError:
    shown = value if len(value) <= 80 else value[:79] + "…"
    return azdo_error(Kind.ORGANIZATION_INVALID, value=repr(shown), problem=problem)
