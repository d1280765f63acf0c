"""Codes about who asks, what may be done in a project, and what its organization allows; and the SDK's own about credentials."""

from __future__ import annotations

from goldbake.clouds.failure import Scope, rows
from goldbake.clouds.gcp.refusals import AUTOSCALER
from goldbake.clouds.gcp.session import NO_CREDENTIALS

ROLE = "docs/reference/gcp-role.yaml has all that is needed; `./inv doctor --cloud gcp` names what is missing"
NETWORK = "check the network and HTTPS_PROXY; `./inv doctor --cloud gcp` shows what answers"
ENABLE = "`gcloud services enable {service} --project {project}`, then wait some minutes"
GOOGLE_AUTH = "google-auth, google/auth/exceptions.py"
REQUESTS = "requests, requests/exceptions.py"
SIGN_IN = f"sign in again: {NO_CREDENTIALS}"
ERROR_PAGE = "https://cloud.google.com/apis/design/errors"

ACCESS = (
    *rows(
        Scope.ACCOUNT,
        ERROR_PAGE,
        ("forbidden", "These credentials may not do this: {permission} is missing.", ROLE),
        ("IAM_PERMISSION_DENIED", "These credentials may not do this: {permission} is missing.", ROLE),
        ("PERMISSION_DENIED", "These credentials may not do this: {permission} is missing.", ROLE),
        ("accessNotConfigured", "The API {service} is not enabled in the project {project}.", ENABLE),
        ("SERVICE_DISABLED", "The API {service} is not enabled in the project {project}.", ENABLE),
        ("authError", "Google does not accept these credentials.", SIGN_IN),
        ("UNAUTHENTICATED", "Google does not accept these credentials.", SIGN_IN),
    ),
    *rows(
        Scope.ACCOUNT,
        AUTOSCALER,
        ("PERMISSIONS_ERROR", "An account that this needs may not do it: {permission} is missing.", ROLE),
    ),
)

SDK = (
    *rows(
        Scope.ACCOUNT,
        GOOGLE_AUTH,
        ("DefaultCredentialsError", "There are no credentials of Google Cloud, or they cannot be read.", NO_CREDENTIALS),
        ("RefreshError", "Google does not renew these credentials: they have expired, or were revoked.", SIGN_IN),
        ("GoogleAuthError", "The credentials cannot be used.", SIGN_IN),
    ),
    *rows(
        Scope.RETRY,
        GOOGLE_AUTH,
        ("TransportError", "Google's token service was not reached.", NETWORK),
    ),
    *rows(
        Scope.RETRY,
        REQUESTS,
        ("RequestException", "Google was not reached.", NETWORK),
    ),
)
