"""What Packer prints of Compute Engine's errors → the code, as far as the words tell it.

Plugin googlecompute prints an HTTP error as `googleapi: Error 403: WORDS, CODE`, and of an operation that failed only the words, without any code.
"""

from __future__ import annotations

import re

WORDS: tuple[tuple[str, str], ...] = (
    ("does not have enough resources available", "ZONE_RESOURCE_POOL_EXHAUSTED"),
    ("is currently unavailable in the", "ZONE_RESOURCE_POOL_EXHAUSTED"),
    ("failed to start due to preemption", "UNSUPPORTED_OPERATION"),
    ("resource pool is exhausted", "RESOURCE_POOL_EXHAUSTED"),
    ("IP space of", "IP_SPACE_EXHAUSTED"),
    ("Quota '", "QUOTA_EXCEEDED"),
    ("has not been used in project", "SERVICE_DISABLED"),
    ("billing to be enabled", "BILLING_DISABLED"),
    ("has billing disabled", "BILLING_DISABLED"),
    ("check billing account", "BILLING_DISABLED"),
    ("constraints/", "CONDITION_NOT_MET"),
    ("insufficient authentication scopes", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    ("does not have access to service account", "SERVICE_ACCOUNT_ACCESS_DENIED"),
    ("serviceAccounts.actAs", "SERVICE_ACCOUNT_ACCESS_DENIED"),
    ("' permission for '", "PERMISSIONS_ERROR"),
    ("invalid_grant", "RefreshError"),
    ("could not find default credentials", "DefaultCredentialsError"),
    ("does not exist in zone", "invalid"),
    ("live migration", "badRequest"),
    ("features are not compatible", "badRequest"),
    ("already exists", "alreadyExists"),
    ("is already being used by", "resourceInUseByAnotherResource"),
    ("Rate Limit Exceeded", "rateLimitExceeded"),
    ("is not ready", "resourceNotReady"),
    ("was not found", "notFound"),
    ("Invalid value for field", "invalid"),
    ("Internal error", "INTERNAL_ERROR"),
    ("Backend Error", "backendError"),
)
"""Words of Google's messages, as the sources of the tables in `refusals*.py` have them → the code that comes with them. The first one counts."""

_HTTP = re.compile(
    r"googleapi: (?:got HTTP response code|Error) (?P<status>[0-9]{3}):? (?P<said>.*?)(?:, (?P<code>[a-z][A-Za-z]+))?\s*$", re.DOTALL
)


def recognised(text: str) -> tuple[str, str] | None:
    """The code and the words of the first error of Google in what Packer printed; None when there is none that is known."""
    for line in text.splitlines():
        http = _HTTP.search(line)
        if http:
            said = http["said"].strip()
            return http["code"] or _by_words(said) or http["status"], said
        code = _by_words(line)
        if code:
            return code, line.rpartition("==> ")[2].strip()
    return None


def _by_words(said: str) -> str:
    return next((code for words, code in WORDS if words.lower() in said.lower()), "")
