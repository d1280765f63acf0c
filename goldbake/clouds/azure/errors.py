"""What an error of Azure or of its SDK means. The codes are in `refusals*.py`; docs/reference/errors-azure.md is made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from goldbake.clouds.azure.answers import Said, said_in, said_in_text
from goldbake.clouds.azure.refusals import CAPACITY, CODES_PAGE, MACHINES, QUOTAS, WORDED
from goldbake.clouds.azure.refusals_access import CREDENTIALS, SDK, SIGN_IN_CODES, SUBSCRIPTION
from goldbake.clouds.azure.refusals_requests import NO_CODE, PASSING, REQUEST, WRAPPERS
from goldbake.clouds.azure.shortage import PAGE, shortage_of
from goldbake.clouds.failure import Failure, Refusal, Scope, refusal

GROUPS: Mapping[str, Sequence[Refusal]] = {
    "Capacity": CAPACITY,
    "Quotas": QUOTAS,
    "Permissions and credentials": CREDENTIALS,
    "Sign-in (Microsoft Entra ID)": SIGN_IN_CODES,
    "The SDK's own errors about credentials": SDK,
    "The subscription: providers, policies, terms, locks": SUBSCRIPTION,
    "Passing": PASSING,
    "The request": REQUEST,
    "A machine that does not come up": MACHINES,
    "Wrappers": WRAPPERS,
}
"""Title of a chapter of the reference page → its rows."""
ROWS: tuple[Refusal, ...] = tuple(row for rows in GROUPS.values() for row in rows)
ERRORS = {row.code: row for row in ROWS}
QUOTA_CODES = frozenset(row.code for row in QUOTAS) | {"OperationNotAllowed"}
"""Codes that can say that a quota is used up; of OperationNotAllowed only its words tell."""
_ANY_CASE = {row.code.lower(): row for row in ROWS}
"""The services do not agree on capital letters: OverConstrainedAllocationRequest."""
_WRAPPING = frozenset(row.code for row in WRAPPERS)
GENERIC = _WRAPPING | {"BadRequest", "Conflict", "Forbidden", "NotFound", "ResourceOperationFailure", NO_CODE}
"""Codes that say nothing where a deeper or an outer one says something."""

_ACTION = re.compile(r"perform action(?:\(s\))? '(?P<action>[^']+)' (?:over|on the linked) scope(?:\(s\))? '(?P<scope>[^']+)'")
_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+")
_WHO = re.compile(r"object id '(?P<who>[^']+)'")
_LOCKED = re.compile(r"scope\(s\) are locked: '/subscriptions/[^/']+/resourceGroups/(?P<group>[^/']+)", re.IGNORECASE)
_PROVIDER = re.compile(r"namespace '(?P<provider>[\w.]+)'")
_POLICIES = re.compile(r"Policy identifiers?: '(?P<found>\[.*\])'", re.DOTALL)
_NOISE = re.compile(
    r"\s*(?:Trace ID:|Setup Alerts when Quota|Submit a request for Quota|Please read more about|Policy identifiers?:|To troubleshoot, visit).*",
    re.DOTALL,
)
_TOO_MANY = 429
_POINTS_INSIDE = "see inner error"
_LONGEST = 600
"""Characters of Azure's words in a message: some refusals list every size that there is."""


def code_of(error: AzureError) -> str:
    """The service's own word for what went wrong, the innermost that tells something; the exception's name when the service gave none."""
    return _told(_speaker(error)).code


def failure(error: AzureError, *, doing: str, place: str) -> Failure:
    """What an error of the SDK means. `doing` is what was tried, as `start a Standard_NC4as_T4_v3`; `place` a region, or zone."""
    error = _speaker(error)
    told = _told(error)
    status = int(getattr(error, "status_code", 0) or 0)
    names = [kind.__name__ for kind in type(error).__mro__]
    if told.code in names:  # the SDK's own: no answer, or one in which there is no code
        if status >= 500 or status == _TOO_MANY:
            return _refused(Said(str(status), told.words), doing=doing, place=place, status=status)
        row = next((found for name in names if (found := row_of(name, told.words)) is not None), None)
        return _failure(row, told, f"could not {doing} in {place}", place)
    return _refused(told, doing=doing, place=place, status=status)


def refused(code: str, said: str, *, doing: str, place: str, status: int = 0) -> Failure:
    """What a code of Azure with its words means, where there is no exception: the status of a machine, what Packer printed.

    `status` is that of HTTP.
    """
    return _refused(best([Said(code, _after(code, said)), *said_in_text(said, 1)]), doing=doing, place=place, status=status)


def _after(code: str, said: str) -> str:
    """What stands after a code in the output of a program, to the end of the line; of anything else all."""
    before, _, after = said.rpartition(code) if code else ("", "", "")
    return after.partition("\n")[0].lstrip(" :") if "\n" in before else said


def _refused(told: Said, *, doing: str, place: str, status: int) -> Failure:
    row = row_of(told.code, told.words)
    if row is None and told.code.startswith("AADSTS"):
        row = ERRORS["ClientAuthenticationError"]
    if row is None and (status >= 500 or status == _TOO_MANY):
        row = ERRORS["TooManyRequests" if status == _TOO_MANY else "ServiceUnavailable"]
    return _failure(row, told, f"Azure would not {doing} in {place}", place)


def row_of(code: str, said: str) -> Refusal | None:
    """The row of a code with these words; None for one that is not known."""
    special = next((one.row for one in WORDED if one.row.code.lower() == code.lower() and one.phrase.lower() in said.lower()), None)
    return special or ERRORS.get(code) or _ANY_CASE.get(code.lower())


def _speaker(error: AzureError) -> AzureError:
    """The exception itself, or the network's that azure-identity has wrapped into one about credentials."""
    inner = (error.inner_exception, error.__cause__)
    return next((one for one in inner if isinstance(one, ServiceRequestError | ServiceResponseError)), error)


def _told(error: AzureError) -> Said:
    """The most telling code of an exception with its words."""
    found = list(said_in(_document(error)))
    if not found and isinstance(error, HttpResponseError) and error.error is not None:
        found = [Said(str(error.error.code or ""), str(error.error.message or ""))]
    found = found or list(said_in_text(str(error.message)))
    if found:
        return best(found)
    name = type(error).__name__
    if isinstance(error, HttpResponseError) and name == "HttpResponseError" and (error.status_code or 0) < 400:
        return Said(NO_CODE, "")  # an operation that failed without saying why
    return Said(name, str(error.message).partition("\n")[0])


def _document(error: AzureError) -> Any:
    response = getattr(error, "response", None)
    try:
        return json.loads(response.text()) if response is not None else None
    except (AzureError, ValueError, AttributeError, TypeError, RecursionError):
        return None


def best(found: Sequence[Said]) -> Said:
    """The most telling of several: the innermost code that we know and that is no wrapper; else the innermost that is none; else the outermost."""
    known = [said for said in found if said.code not in GENERIC and row_of(said.code, said.words) is not None]
    other = [said for said in found if said.code not in GENERIC]
    generic = [said for said in found if said.code not in _WRAPPING]
    for chosen in (known, other, generic):
        if chosen:
            return _with_inner(max(chosen, key=lambda said: said.depth), found)
    return found[0]


def _with_inner(said: Said, found: Sequence[Said]) -> Said:
    """With the words of the innermost one behind it, where it says itself that they tell more: the names of an offer, for one."""
    inner = max(found, key=lambda one: one.depth)
    if _POINTS_INSIDE not in said.words.lower() or inner.depth <= said.depth:
        return said
    return replace(said, words=f"{said.words.rstrip()} {inner.words}")


def _failure(row: Refusal | None, told: Said, what: str, place: str) -> Failure:
    shortage = shortage_of(told.words)
    said = str(shortage) if shortage else " ".join(_NOISE.sub("", told.words).split()).rstrip(".")
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST].rsplit(' ', 1)[0]} …"
    values = _values(told, place)
    found = refusal(row, told.code, said, what=what, values=values, page=CODES_PAGE)
    if shortage and found.scope is Scope.REGION:
        found.hint = f"`{shortage.increase(region=values['region'])}`, or {PAGE}; every region has its own: try another --region"
    return found


def _values(told: Said, place: str) -> dict[str, str]:
    """What `{…}` in a row stands for, out of the words of the refusal."""
    region = re.match(r"[a-z0-9]+", place)
    values = {"region": region[0] if region else "REGION", "action": "this", "scope": "the subscription", "who": "OBJECT-ID"}
    values |= {"provider": "NAMESPACE", "policy": "of the organization", "assignment": "in Azure's words"}
    for pattern in (_ACTION, _WHO, _LOCKED, _PROVIDER):
        if (match := pattern.search(told.words)) is not None:
            values |= match.groupdict()
    of = _SUBSCRIPTION.match(values["scope"])  # what the scope names may not be there yet: a role is given above it
    values["subscription"] = of[0] if of else "/subscriptions/$AZURE_SUBSCRIPTION_ID"
    return values | _policy(told)


def _policy(told: Said) -> dict[str, str]:
    """Name of the violated policy and of its assignment, from what Azure adds, else from its words."""
    info = told.info
    policy = info.get("policyDefinitionDisplayName") or info.get("policyDefinitionName")
    assignment = info.get("policyAssignmentDisplayName") or info.get("policyAssignmentName")
    if policy is None and (match := _POLICIES.search(told.words)) is not None:
        try:
            first = json.loads(match["found"])[0]
            policy, assignment = first["policyDefinition"]["name"], first["policyAssignment"]["name"]
        except (ValueError, KeyError, IndexError, TypeError):
            return {}
    return {key: f"“{value}”" for key, value in (("policy", policy), ("assignment", assignment)) if value}
