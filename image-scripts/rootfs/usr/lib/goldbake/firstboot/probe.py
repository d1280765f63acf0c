"""Two questions to the service before config.sh is called: whatever goes wrong there ends with the same exit code 1."""

from __future__ import annotations

import json

from . import TYPE_CHECKING
from .errors import Problem
from .web import Answer, Broken, Connection, Refused, trust

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .settings import Settings
    from .userdata import Input

REJECTED = (203, 301, 302, 303, 307, 308, 401)
"""How the service says no to a PAT: a page to sign in, the way to it, or in plain words."""
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def probe(settings: Settings, given: Input) -> None:
    """Organization, PAT and pool are right as far as the service says. Raises Problem."""
    import binascii

    # The user's name does not count; it is the one that the agent itself sends.
    credential = binascii.b2a_base64(f"VstsAgent:{given.pat}".encode(), newline=False).decode()
    headers = {
        "Authorization": f"Basic {credential}",
        "Accept": "application/json",
        "X-TFS-FedAuthRedirect": "Suppress",
    }
    path = "/" + given.url.partition("://")[2].partition("/")[2]
    path = path.rstrip("/")
    try:
        tls = trust(given.ca)
    except OSError:
        raise Problem("input", "goldbake.ca holds no certificate that can be read") from None
    server = Connection(given.url, tls=tls, proxy=given.proxy, timeout=settings.answer_s)
    try:
        user = _ask(settings, server, f"{path}/_apis/connectionData?connectOptions=0", headers, "organization").get("authenticatedUser")
        if not isinstance(user, dict) or _is_anonymous(user):
            raise Problem("auth", "the service does not know whose PAT this is")
        pools = _ask(
            settings, server, f"{path}/_apis/distributedtask/pools?poolName={quoted(given.pool)}&poolType=automation", headers, "pool"
        )
    finally:
        server.close()
    found = pools.get("value")
    if not isinstance(found, list):
        raise Problem("service", "the service's list of pools is none")
    if not found:
        raise Problem("pool", "the organization has no pool of this name, or the PAT's owner cannot see it")


def _is_anonymous(user: dict[str, Any]) -> bool:
    return user.get("id") == "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa" or user.get("providerDisplayName") == "Anonymous"


def _ask(settings: Settings, server: Connection, path: str, headers: dict[str, str], what: str) -> dict[str, Any]:
    """A JSON object of the service, or the Problem that its answer means."""
    import ssl

    try:
        answer = server.ask("GET", path, headers)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (9, 10):  # not yet valid, expired: our clock more often than their certificate
            raise Problem("clock", f"the service's certificate: {error.verify_message}") from None
        raise Problem("tls", f"the service's certificate: {error.verify_message}") from None
    except Refused as error:
        raise Problem("network", str(error)) from None
    except Broken as error:
        raise Problem("service", str(error)) from None
    except OSError as error:
        raise Problem("network", f"the service cannot be reached: {error.strerror or error}") from None
    problem = classify(answer, what)
    if problem is None:
        check_clock(settings, answer)
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise Problem("service", "the service's answer is not JSON") from None
        if isinstance(found, dict):
            return found
        problem = Problem("service", "the service's answer is not a JSON object")
    raise problem


def classify(answer: Answer, what: str) -> Problem | None:
    """What an answer means; None for a good one: 200 with JSON, and nothing else."""
    status = answer.status
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if status == 200:
        return None if kind == "application/json" else Problem("service", f"the service answers with {_shown(kind)} instead of JSON")
    if status in REJECTED:
        return Problem("auth", f"the service does not accept the PAT (it answers {status})")
    if status == 403:
        return Problem("permission", "the PAT may not use agent pools (the service answers 403)")
    if status == 404 and what == "organization":
        return Problem("organization", "there is no such organization (the service answers 404)")
    return Problem("service", f"the service answers {status}", retry_after=_seconds(answer.headers))


def check_clock(settings: Settings, answer: Answer) -> None:
    """Compare our clock with the service's. Raises Problem (clock)."""
    theirs = http_date(answer.headers.get("date", ""))
    if theirs is not None and abs(theirs - settings.clock()) > settings.skew_s:
        raise Problem("clock", f"this machine's clock is {abs(theirs - settings.clock()):.0f} s off")


def http_date(text: str) -> float | None:
    """Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, None for anything else. Without email.utils and its import."""
    import calendar

    parts = text.split()
    if len(parts) != 6 or parts[2] not in _MONTHS:
        return None
    try:
        hour, minute, second = (int(part) for part in parts[4].split(":"))
        return float(calendar.timegm((int(parts[3]), _MONTHS.index(parts[2]) + 1, int(parts[1]), hour, minute, second)))
    except (ValueError, OverflowError):
        return None


def _seconds(headers: Mapping[str, str]) -> float:
    """What Retry-After asks for: a number of seconds, or a date."""
    wanted = headers.get("retry-after", "")
    if wanted.isascii() and wanted.isdigit():
        return float(wanted[:6])
    until, now = http_date(wanted), http_date(headers.get("date", ""))
    return max(0.0, until - now) if until is not None and now is not None else 0.0


def quoted(text: str) -> str:
    """For a query: everything but letters, digits and - . _ ~ as %XX."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def _shown(kind: str) -> str:
    return kind if kind in ("text/html", "text/plain", "application/xml") else "something"
