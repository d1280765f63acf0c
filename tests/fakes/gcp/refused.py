"""Errors as Google's services tell them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.gcp.calls import status_of
from tests.fakes.http import Answer

_RPC = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
        412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


class Refused(Exception):
    """The fake refuses a call, in the service's words."""

    def __init__(
        self,
        reason: str,
        message: str,
        status: int = 0,
        *,
        details: Sequence[Mapping[str, Any]] = (),
        domain: str = "global",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = status or status_of(reason)
        self.details = tuple(details)
        self.domain = domain
        self.more = dict(more or {})


class Broken(Exception):
    """A request that no service of Google's would be asked: the test that sent it fails."""


def answer(refused: Refused, *, compute: bool = True) -> Answer:
    """The HTTP answer: Compute Engine has a list of errors in it, the newer services only a status and details."""
    inner: dict[str, Any] = {"code": refused.status, "message": refused.message}
    if compute:
        inner["errors"] = [{"message": refused.message, "domain": refused.domain, "reason": refused.reason, **refused.more}]
    if not compute or refused.details or refused.status in (401, 403):
        inner["status"] = _RPC.get(refused.status, "UNKNOWN")
    if refused.details:
        inner["details"] = [dict(one) for one in refused.details]
    return Answer(refused.status, json.dumps({"error": inner}).encode(), {"Content-Type": "application/json; charset=UTF-8"})


def missing(path: str) -> Refused:
    """There is no such resource."""
    return Refused("notFound", f"The resource '{path}' was not found")


def invalid(field: str, value: str, why: str) -> Refused:
    """A field's value that cannot be."""
    return Refused("invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def forbidden(permission: str, path: str) -> Refused:
    """The caller lacks a permission."""
    return Refused("forbidden", f"Required '{permission}' permission for '{path}'")


def disabled(api: str, title: str, number: str) -> Refused:
    """The API is off in this project."""
    url = f"https://console.developers.google.com/apis/api/{api}/overview?project={number}"
    text = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then retry. If you enabled this "
        "API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    metadata = {
        "consumer": f"projects/{number}", "service": api, "serviceTitle": title, "containerInfo": number, "activationUrl": url,
    }  # fmt: skip
    return Refused(
        "accessNotConfigured",
        text,
        domain="usageLimits",
        more={"extendedHelp": "https://console.developers.google.com"},
        details=[
            _info("SERVICE_DISABLED", metadata),
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": text},
            {
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{"description": "Google developers console API activation", "url": url}],
            },
        ],
    )


def no_billing(api: str, number: str) -> Refused:
    """The project has no billing account."""
    url = f"https://console.developers.google.com/billing/enable?project={number}"
    text = (
        f"This API method requires billing to be enabled. Please enable billing on project #{number} by visiting {url} then retry. If you "
        "enabled billing for this project recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    return Refused(
        "accessNotConfigured",
        text,
        domain="usageLimits",
        more={"extendedHelp": url},
        details=[
            {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Google developers console billing", "url": url}]},
            _info("BILLING_DISABLED", {"consumer": f"projects/{number}", "service": api}),
        ],
    )


def unauthenticated(api: str, method: str) -> Refused:
    """No token, or one that is not known."""
    return Refused(
        "authError",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication "
        "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        401,
        more={"message": "Invalid Credentials", "location": "Authorization", "locationType": "header"},
        details=[_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", {"service": api, "method": method})],
    )


def _info(reason: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": dict(metadata)}
