"""Codes about requests that are wrong, about things that are not there or in use, and about what passes."""

from __future__ import annotations

from goldbake.clouds.failure import Scope, rows
from goldbake.clouds.gcp.refusals import AGAIN, CREATING, MORE, REPORT, SKYPILOT
from goldbake.errors import Exit

PASSING = (
    *rows(
        Scope.RETRY,
        CREATING,
        ("rateLimitExceeded", "Too many requests in a short time.", AGAIN),
        ("RATE_LIMIT_EXCEEDED", "Too many requests in a short time.", AGAIN),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", "Too many changes of one thing in a short time.", AGAIN),
        ("backendError", "A fault inside Google.", AGAIN),
        ("internalError", "A fault inside Google.", AGAIN),
        ("INTERNAL_ERROR", "A fault inside Google.", AGAIN),
        ("resourceNotReady", "Something that this needs is not ready yet.", AGAIN),
    ),
)

REQUEST = (
    *rows(
        Scope.ZONE,
        SKYPILOT,
        ("UNSUPPORTED_OPERATION", "This zone does not offer what was asked for, or took the machine back while it started.", MORE),
    ),
    *rows(
        Scope.REQUEST,
        CREATING,
        ("invalid", "Google does not accept a value of the request.", REPORT),
        ("badRequest", "Google does not accept the request.", REPORT),
        ("required", "The request lacks something.", REPORT),
        ("notFound", "Something that was named is not there.", "check the names: project, zone, image, network"),
        ("RESOURCE_NOT_FOUND", "Something that was named is not there.", "check the names: project, zone, image, network"),
        ("alreadyExists", "There is already one of this name.", "run the same command again: the next one has another name"),
        ("resourceInUseByAnotherResource", "Something else still uses this.", "remove that first; `./inv reap --cloud gcp` removes ours"),
        exit_code=Exit.FAILED,
    ),
)
