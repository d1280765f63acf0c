"""Codes about requests that are wrong, about things that are not there or in use, and about what passes."""

from __future__ import annotations

from goldbake.clouds.failure import Scope, Worded, rows
from goldbake.clouds.gcp.refusals import AGAIN, CATALOGUE, CREATING, MORE, REPORT, SKYPILOT
from goldbake.errors import Exit

LISTS = "`gcloud compute accelerator-types list` and `gcloud compute machine-types list` say where there are which; or another --zone"
NAMES = "check the names in the command, in images.yaml and in GOOGLE_CLOUD_PROJECT: project, image, network, subnet"

PASSING = (
    *rows(
        Scope.RETRY,
        SKYPILOT,
        ("rateLimitExceeded", "Too many requests in a short time.", AGAIN),
        ("RATE_LIMIT_EXCEEDED", "Too many requests in a short time.", AGAIN),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", "Too many changes of one thing in a short time.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        "https://cloud.google.com/compute/api-quota",
        ("userRateLimitExceeded", "Too many requests in a short time.", AGAIN),
        ("concurrentLimitExceeded", "Too many operations at the same time.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        "https://github.com/GoogleCloudPlatform/magic-modules/pull/13881",
        ("resourceNotReady", "Something that this needs is not ready yet.", AGAIN),
        ("RESOURCE_NOT_READY", "Something that this needs is not ready yet.", AGAIN),
    ),
    *rows(
        Scope.RETRY,
        CATALOGUE,
        ("SERVICE_UNAVAILABLE_FOR_LOCATION", "Compute Engine does not take requests for this place at the moment.", AGAIN),
        ("INTERNAL_ERROR", "A fault inside Google.", AGAIN),
        ("internalError", "A fault inside Google.", AGAIN),
        ("backendError", "A fault inside Google.", AGAIN),
        ("SERVICE_UNAVAILABLE", "The service is not there at the moment.", AGAIN),
        ("UNAVAILABLE", "The service is not there at the moment.", AGAIN),
    ),
)

_THERE = "There is already one of this name."
_THERE_FIX = "`./inv reap --cloud gcp --yes` removes what an earlier run left; names are new with each run"
_IN_USE = "Something else still uses this."
_IN_USE_FIX = "remove that first; `./inv reap --cloud gcp --yes` removes what is ours and past its time"
_VALUE = "Google does not accept a value of the request."

REQUEST = (
    *rows(
        Scope.REQUEST,
        CATALOGUE,
        ("INVALID_FIELD_VALUE", _VALUE, NAMES),
        ("FIELD_SIZE_TOO_LARGE", "A value of the request is too long.", REPORT),
        ("MISSING_REQUIRED_FIELD", "The request lacks something.", REPORT),
        ("PROJECT_NOT_FOUND", "There is no project of this name.", "check GOOGLE_CLOUD_PROJECT and gcp.project of images.yaml"),
        ("NETWORK_NOT_FOUND", "There is no network of this name.", "check gcp.network and gcp.subnet of images.yaml, or --subnet"),
    ),
    *rows(
        Scope.REQUEST,
        CREATING,
        ("invalid", _VALUE, NAMES),
        ("invalidParameter", _VALUE, NAMES),
        ("INVALID_ARGUMENT", _VALUE, NAMES),
        ("INVALID_USAGE", "The request asks for things that do not go together.", REPORT),
        ("badRequest", "The request asks for things that do not go together, or names what there is not.", NAMES),
        ("required", "The request lacks something.", REPORT),
        ("notFound", "Something that was named is not there.", NAMES),
        ("NOT_FOUND", "Something that was named is not there.", NAMES),
        ("RESOURCE_NOT_FOUND", "Something that was named is not there.", NAMES),
    ),
    *rows(
        Scope.REQUEST,
        "https://github.com/fog/fog-google/issues/467",
        ("alreadyExists", _THERE, _THERE_FIX),
        ("RESOURCE_ALREADY_EXISTS", _THERE, _THERE_FIX),
        exit_code=Exit.FAILED,
    ),
    *rows(
        Scope.REQUEST,
        "https://github.com/ClusterHQ/flocker/pull/2669",
        ("resourceInUseByAnotherResource", _IN_USE, _IN_USE_FIX),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", _IN_USE, _IN_USE_FIX),
        exit_code=Exit.FAILED,
    ),
)

_ABSENT_HERE = ("notFound", "RESOURCE_NOT_FOUND", "invalid", "INVALID_FIELD_VALUE", "badRequest")


def _here(phrase: str, meaning: str, fix: str, source: str, scope: Scope = Scope.ZONE, exit_code: Exit | None = None) -> tuple[Worded, ...]:
    """What one place does not have, whichever of these codes says it."""
    return tuple(Worded(phrase, row) for row in rows(scope, source, *((code, meaning, fix) for code in _ABSENT_HERE), exit_code=exit_code))


def _unfit(phrase: str, meaning: str, fix: str, source: str) -> tuple[Worded, ...]:
    return tuple(Worded(phrase, row) for row in rows(Scope.REQUEST, source, *((code, meaning, fix) for code in ("badRequest", "invalid"))))


REQUEST_WORDED = (
    *_here("acceleratorTypes/", "This zone does not have this GPU.", LISTS, "https://github.com/bsteuber/lizzie-gcloud-setup/issues/6"),
    *_here("machineTypes/", "This zone does not have this machine type.", LISTS, "https://github.com/fastai/course-v3/issues/493"),
    *_here("machine type with name", "This zone does not have this machine type.", LISTS, CREATING),
    *_here("diskTypes/", "This zone does not have this disk type.", MORE, CREATING),
    *_here(
        "subnetworks/",
        "The network has no subnet of this name in this region.",
        "name one with --subnet (launch) or gcp.subnet (images.yaml): `gcloud compute networks subnets list`",
        CREATING,
        Scope.REGION,
        Exit.USAGE,
    ),
    *_unfit(
        "live migration",
        "A machine with a GPU cannot move while it runs, and the request did not say so.",
        REPORT,
        "https://github.com/loft-sh/devpod/issues/973",
    ),
    *_unfit(
        "features are not compatible",
        "This machine type cannot have this GPU or this disk.",
        "name a type that has the GPU built in (g2-standard-4, a2-highgpu-1g), or an n1 type with T4, P4, P100 or V100",
        "https://github.com/skypilot-org/skypilot/issues/212",
    ),
    *_unfit(
        "accelerator cards",
        "A machine cannot have so many GPUs of this kind.",
        "as many as Google's words allow: --instance-type n1-standard-8+2xnvidia-tesla-t4, or gcp.accelerator_count of images.yaml",
        "https://cloud.google.com/compute/docs/gpus",
    ),
    *_unfit(
        "UEFI",
        "Secure Boot and Shielded VM need an image that boots by UEFI.",
        "bake again: goldbake's images are marked UEFI_COMPATIBLE",
        "https://cloud.google.com/compute/shielded-vm/docs/shielded-vm",
    ),
)
