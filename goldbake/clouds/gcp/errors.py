"""What an error of Google Cloud or of its SDK means. The codes are in `refusals*.py`; docs/reference/errors-gcp.md is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError
from requests.exceptions import RequestException

from goldbake.clouds.failure import Failure, Refusal, Scope
from goldbake.clouds.gcp.refusals import CAPACITY, CREATING, PREFIXES, QUOTAS, WORDED
from goldbake.clouds.gcp.refusals_access import ACCESS, SDK
from goldbake.clouds.gcp.refusals_requests import PASSING, REQUEST
from goldbake.errors import Exit

AnyError = GoogleAPIError | GoogleAuthError | RequestException
"""All that a call of the SDK raises."""
GROUPS = {
    "Capacity": CAPACITY,
    "Quotas": QUOTAS,
    "Permissions, credentials, APIs and billing": ACCESS,
    "The SDK's own errors": SDK,
    "Passing": PASSING,
    "The request": REQUEST,
}
"""Title of a chapter of the reference page → its rows."""
ROWS: tuple[Refusal, ...] = tuple(row for rows in GROUPS.values() for row in rows)
ERRORS = {row.code: row for row in ROWS}
QUOTA_CODES = frozenset({"QUOTA_EXCEEDED", "quotaExceeded"})
"""Codes that say that a quota is used up."""

_BY_STATUS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authError",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "notFound",
    HTTPStatus.TOO_MANY_REQUESTS: "rateLimitExceeded",
}
_CALL = re.compile(r"^[A-Z]+ https?://\S+: ")
_PERMISSION = re.compile(r"[Rr]equired '([^']+)' permission|[Pp]ermission '?([a-z]+\.[A-Za-z.]+)'?")
_QUOTA = re.compile(
    r"Quota '(?P<metric>[^']+)' exceeded\.\s+Limit: (?P<limit>[0-9.]+) (?:(?P<everywhere>globally)|in \w+ (?P<location>[a-z0-9-]+))"
)
_PROJECT = re.compile(r"projects?[/ ]'?([a-z0-9:.-]+)")
_ABSENT: Mapping[str, str] = {
    "permission": "a permission", "service": "compute.googleapis.com", "project": "PROJECT", "metric": "of this kind", "limit": "nothing left",
    "constraint": "a constraint",
}  # fmt: skip


def code_of(error: AnyError) -> str:
    """The service's own word for what went wrong; the exception's name when the service was not reached."""
    error = _innermost(error)
    if not isinstance(error, GoogleAPICallError):
        return type(error).__name__
    words = [word for word in _codes(error) if word]
    return next((word for word in words if _known(word)), next(iter(words), type(error).__name__))


def failure(error: AnyError, *, doing: str, place: str) -> Failure:
    """What an error of the SDK means. `doing` is what was tried, as `start a g2-standard-4`; `place` a zone, a region or `global`."""
    error = _innermost(error)
    if isinstance(error, GoogleAPICallError):
        return refused(code_of(error), _said(error), doing=doing, place=place, details=_details(error), status=int(error.code or 0))
    names = [kind.__name__ for kind in type(error).__mro__]
    row = next((ERRORS[name] for name in names if name in ERRORS), None)
    return _failure(row, code_of(error), str(error), f"could not {doing} in {place}", {"place": place})


def refused(code: str, said: str, *, doing: str, place: str, details: Mapping[str, str] | None = None, status: int = 0) -> Failure:
    """What a code with its message means, where there is no exception: an operation's error, Packer's output.

    `details` are the error's own: of a quota `metric`, `limit` and `location`, of an API `service` and `consumer`. `status` is that of HTTP.
    """
    row = next((worded.row for worded in WORDED if _known(code) == worded.row.code and worded.phrase.lower() in said.lower()), None)
    row = row or ERRORS.get(_known(code))
    if row is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        row = ERRORS["backendError"]
    row = row or ERRORS.get(_BY_STATUS.get(status, ""))
    return _failure(row, code, said, f"Google would not {doing} in {place}", {"place": place} | _values(said, details or {}))


def _known(code: str) -> str:
    """The code of the row for a code: itself, or what it begins with."""
    return code if code in ERRORS else next((begin for begin in PREFIXES if code.startswith(begin)), "")


def _innermost(error: AnyError) -> AnyError:
    return (
        error.cause
        if isinstance(error, RetryError) and isinstance(error.cause, GoogleAPIError | GoogleAuthError | RequestException)
        else error
    )


def _codes(error: GoogleAPICallError) -> Iterator[str]:
    yield error.reason or ""
    for found in error.errors:
        yield str(found.get("reason", "")) if isinstance(found, dict) else str(getattr(found, "code", ""))
    yield _BY_STATUS.get(int(error.code or 0), "")


def _said(error: GoogleAPICallError) -> str:
    return _CALL.sub("", str(error.message))


def _details(error: GoogleAPICallError) -> dict[str, str]:
    return {str(key): str(value) for key, value in (error.metadata or {}).items()}


def _values(said: str, details: Mapping[str, str]) -> dict[str, str]:
    found = {**_ABSENT, **details}
    quota = _QUOTA.search(said)
    if quota:
        found |= {"metric": quota["metric"], "limit": quota["limit"], "place": quota["location"] or "all regions"}
    permission = _PERMISSION.search(said)
    if permission:
        found["permission"] = permission[1] or permission[2]
    project = _PROJECT.search(details.get("consumer", "") or said)
    if project:
        found["project"] = project[1]
    return found


def _failure(row: Refusal | None, code: str, said: str, what: str, values: Mapping[str, str]) -> Failure:
    said = " ".join(said.split()).rstrip(".")
    if row is None:  # as far as anybody can tell, the next place would refuse it too
        hint = f"goldbake does not know this code; see {CREATING}"
        return Failure(Scope.REQUEST, code, f"{what}: {said} ({code})", hint=hint, exit_code=Exit.FAILED)
    words = f"{code}: {said}" if said else code
    return Failure(
        row.scope,
        code,
        f"{what}: {_filled(row.meaning, values).rstrip('.')} ({words})",
        hint=_filled(row.fix, values),
        exit_code=row.exit_code,
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
