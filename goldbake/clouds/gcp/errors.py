"""What an error of Google Cloud or of its SDK means. The codes are in `refusals*.py`; docs/reference/errors-gcp.md is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError
from requests.exceptions import RequestException

from goldbake.clouds.failure import Failure, Refusal, Scope, Worded, refusal
from goldbake.clouds.gcp.refusals import CAPACITY, CREATING, PREFIXES, QUOTAS, QUOTAS_WORDED, STATES
from goldbake.clouds.gcp.refusals_access import ACCESS, ACCESS_WORDED, SDK
from goldbake.clouds.gcp.refusals_requests import PASSING, REQUEST, REQUEST_WORDED

AnyError = GoogleAPIError | GoogleAuthError | RequestException
"""All that a call of the SDK raises."""
RAISED = (GoogleAPIError, GoogleAuthError, RequestException)
"""The same for an `except`."""
GROUPS = {
    "Capacity": CAPACITY,
    "Quotas": QUOTAS,
    "Permissions, APIs, billing and organization policies": ACCESS,
    "The SDK's own errors about credentials and the network": SDK,
    "Passing": PASSING,
    "The request": REQUEST,
    "An instance that ends after it was started": STATES,
}
"""Title of a chapter of the reference page → its rows."""
ROWS: tuple[Refusal, ...] = tuple(row for rows in GROUPS.values() for row in rows)
ERRORS = {row.code: row for row in ROWS}
WORDED: tuple[Worded, ...] = (*QUOTAS_WORDED, *ACCESS_WORDED, *REQUEST_WORDED)
"""The first whose code and words are those of an error counts."""
QUOTA_CODES = frozenset({"QUOTA_EXCEEDED", "quotaExceeded"})
"""Codes that say that a quota is used up."""

_BY_STATUS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authError",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "notFound",
    HTTPStatus.TOO_MANY_REQUESTS: "rateLimitExceeded",
}
_CALL = re.compile(r"^[A-Z]+ https?://\S+: ")
_ASKED = re.compile(r"^[A-Z]+ https?://\S+?/projects/([a-z0-9.-]+)")
_PERMISSION = re.compile(r"[Rr]equired '([a-z]+\.[A-Za-z.]+)'|[Pp]ermission '?([a-z]+\.[A-Za-z.]+)'?|'?([a-z]+\.[A-Za-z.]+)'? permission")
_QUOTA = re.compile(r"Quota '(?P<metric>[^']+)' exceeded\.\s+Limit: (?P<limit>[0-9.]+) (?:globally|in \w+ (?P<location>[a-z0-9-]+))")
_PROJECT = re.compile(r"projects/([a-z][a-z0-9:.-]+|[0-9]+)|[Pp]roject[ #'(]+([a-z][a-z0-9-]{5,29}|[0-9]{6,})")
_CONSTRAINT = re.compile(r"constraints/([A-Za-z.]+[A-Za-z])")
_API = re.compile(r"/api/([a-z-]+\.googleapis\.com)/|\b([a-z]+\.googleapis\.com)\b")
_ZONE = re.compile(r"^([a-z]+-[a-z]+[0-9]+)-[a-z]$")
_UNSAID: Mapping[str, str] = {
    "permission": "a permission that Google does not name", "service": "compute.googleapis.com", "project": "PROJECT",
    "metric": "of this kind", "limit": "reached", "constraint": "of your organization",
}  # fmt: skip


def code_of(error: AnyError) -> str:
    """The service's own word for what went wrong; the exception's name when the service was not reached."""
    error = _innermost(error)
    if not isinstance(error, GoogleAPICallError):
        return type(error).__name__
    words = [word for word in _codes(error) if word]
    return next((word for word in words if base_of(word)), next(iter(words), type(error).__name__))


def failure(error: AnyError, *, doing: str, place: str) -> Failure:
    """What an error of the SDK means. `doing` is what was tried, as `start a g2-standard-4`; `place` a zone, a region or `global`."""
    error = _innermost(error)
    if isinstance(error, GoogleAPICallError):
        asked = _ASKED.match(str(error.message))
        details = {"project": asked[1]} if asked else {}
        details |= {str(key): str(value) for key, value in (error.metadata or {}).items()}
        return refused(code_of(error), _said(error), doing=doing, place=place, details=details, status=int(error.code or 0))
    names = [kind.__name__ for kind in type(error).__mro__]
    said = str(error.args[0]) if error.args else str(error)
    row = next((found for name in names if (found := row_of(name, said))), None)
    return _failure(row, code_of(error), said, f"could not {doing}{_where(place)}", _values(said, place, {}))


def refused(code: str, said: str, *, doing: str, place: str, details: Mapping[str, str] | None = None, status: int = 0) -> Failure:
    """What a code with its message means, where there is no exception: an operation's error, Packer's output.

    `details` are the error's own: of a quota `metric`, `limit` and `location`, of an API `service` and `consumer`; and the `project` that was
    asked, which counts where Google names none. `status` is that of HTTP.
    """
    values = _values(said, place, details or {})
    row = row_of(code, f"{said} {values['metric']}")
    if row is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        row = ERRORS["backendError"]
    row = row or row_of(_BY_STATUS.get(status, ""), said)
    return _failure(row, code, said, f"Google would not {doing}{_where(place)}", values)


def row_of(code: str, said: str) -> Refusal | None:
    """The row of a code, or of what it begins with, and of the words that came with it."""
    known = base_of(code)
    lower = said.lower()
    return next((one.row for one in WORDED if one.row.code == known and one.phrase.lower() in lower), ERRORS.get(known))


def base_of(code: str) -> str:
    """The code of the row that a code has: itself, or what it begins with; empty: none."""
    return code if code in ERRORS else next((begin for begin in PREFIXES if code.startswith(begin)), "")


def _innermost(error: AnyError) -> AnyError:
    cause = error.cause if isinstance(error, RetryError) else None
    return cause if isinstance(cause, RAISED) else error


def _codes(error: GoogleAPICallError) -> Iterator[str]:
    yield error.reason or ""
    for found in error.errors:
        yield str(found.get("reason", "")) if isinstance(found, dict) else str(getattr(found, "code", ""))
    yield _BY_STATUS.get(int(error.code or 0), "")


def _said(error: GoogleAPICallError) -> str:
    """What the service said, without the request; a service that says several things says the first one only as a summary."""
    own = _CALL.sub("", str(error.message))
    more = [str(found.get("message", "")) for found in error.errors if isinstance(found, dict)]
    return "; ".join(dict.fromkeys(word for word in [own, *more] if word))


def _values(said: str, place: str, details: Mapping[str, str]) -> dict[str, str]:
    zone = _ZONE.match(place)
    found = {**_UNSAID, "place": place, "region": zone[1] if zone else place, "location": place, **details}
    for name, pattern, text in (
        ("permission", _PERMISSION, said),
        ("project", _PROJECT, f"{details.get('consumer', '')} {said}"),
        ("constraint", _CONSTRAINT, said),
        ("service", _API, "" if "service" in details else said),
    ):
        hit = pattern.search(text)
        if hit:
            found[name] = next(part for part in hit.groups() if part)
    if "/" in found["metric"]:  # as an operation's details write it: compute.googleapis.com/gpus_all_regions
        found["metric"] = found["metric"].rpartition("/")[2].upper()
    quota = _QUOTA.search(said)
    if quota:
        found |= {"metric": quota["metric"], "limit": f"{float(quota['limit']):g}", "location": quota["location"] or "all regions together"}
    return found


def _failure(row: Refusal | None, code: str, said: str, what: str, values: Mapping[str, str]) -> Failure:
    found = refusal(row, code, " ".join(said.split()).rstrip("."), what=what, values=values, page=CREATING)
    if found.scope is Scope.ZONE and values.get("zonesAvailable"):
        found.hint = f"Google says that there is room in {values['zonesAvailable']}; {found.hint}"
    return found


def _where(place: str) -> str:
    return "" if place == "global" else f" in {place}"
