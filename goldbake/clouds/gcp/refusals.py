"""The codes of Compute Engine about capacity, quotas and instances that end: how far each reaches, what it means, what to do.

`{place}`, `{region}`, `{project}`, `{service}`, `{permission}`, `{constraint}`, `{metric}` and `{limit}` in a text stand for what the error was
about. `errors.py` puts the tables together, docs/reference/errors-gcp.md is made of them.
"""

from __future__ import annotations

from goldbake.clouds.failure import Scope, Worded, rows
from goldbake.errors import Exit

CREATING = "https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation"
AVAILABILITY = "https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability"
CATALOGUE = "https://docs.cloud.google.com/compute/docs/reference/rest/2026-09-01/errors"
AUTOSCALER = "kubernetes/autoscaler, cluster-autoscaler/cloudprovider/gce/autoscaling_gce_client.go"
SKYPILOT = "skypilot-org/skypilot, sky/backends/cloud_vm_ray_backend.py"
EVENTS = "https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-reboots"

MORE = "allow more zones or types: --zone A,B, --instance-type A,B, or another --region"
AGAIN = "nothing: it is tried again; run the same command later if that was not enough"
REPORT = "report this with the command that was run"
QUOTAS_PAGE = "https://console.cloud.google.com/iam-admin/quotas?project={project}"
RAISE = f"ask for more of {{metric}} at {QUOTAS_PAGE} (filter by its name), or use another --region"

NEUTRAL = frozenset({"VM_MIN_COUNT_NOT_REACHED"})
"""Summaries: the reason is another error beside them."""
PREFIXES = ("ZONE_RESOURCE_POOL_EXHAUSTED", "REGION_RESOURCE_POOL_EXHAUSTED", "RESOURCE_POOL_EXHAUSTED", "QUOTA_EXCEEDED")
"""Codes that come with suffixes that say no more, as `ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS`: they are compared by their beginning."""

CAPACITY = (
    *rows(
        Scope.ZONE,
        AVAILABILITY,
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "Google has no free machine of this kind in this zone; a larger quota does not help.", MORE),
        ("RESOURCE_POOL_EXHAUSTED", "Google has no free machine, or no free address, of this kind here.", MORE),
        ("resource_availability", "Google has no free machine of this kind in this zone; a larger quota does not help.", MORE),
    ),
    *rows(
        Scope.ZONE,
        AUTOSCALER,
        ("stockout", "Google has no free machine of this kind in this zone.", MORE),
        ("insufficientCapacity", "Google has no free machine of this kind in this zone.", MORE),
    ),
    *rows(
        Scope.ZONE,
        SKYPILOT,
        ("UNSUPPORTED_OPERATION", "This zone does not offer what was asked for, or took a spot machine back while it started.", MORE),
        ("VM_MIN_COUNT_NOT_REACHED", "Fewer machines could be started than were asked for; the reason is named beside this.", MORE),
    ),
    *rows(
        Scope.REGION,
        AVAILABILITY,
        ("REGION_RESOURCE_POOL_EXHAUSTED", "Google has no free machine of this kind in this region.", MORE),
    ),
    *rows(
        Scope.REGION,
        AUTOSCALER,
        (
            "IP_SPACE_EXHAUSTED",
            "The subnet has no free address.",
            "remove what is not needed, name another --subnet, or make it larger: `gcloud compute networks subnets expand-ip-range`",
        ),
    ),
    *rows(
        Scope.ZONE,
        "goldbake/clouds/gcp/operations.py",
        (
            "OPERATION_UNFINISHED",
            "Compute Engine did not finish this in the time that it is given here.",
            "run the same command again; whatever was begun is removed. https://status.cloud.google.com shows faults of Google",
        ),
        exit_code=Exit.FAILED,
    ),
)

_QUOTA = ("QUOTA_EXCEEDED", "quotaExceeded")

QUOTAS = (
    *rows(
        Scope.REGION,
        AUTOSCALER,
        *((code, "The quota {metric} is used up; its limit is {limit} in {location}.", RAISE) for code in _QUOTA),
    ),
    *rows(
        Scope.REGION,
        "https://cloud.google.com/compute/resource-usage",
        ("LIMIT_EXCEEDED", "A limit of Compute Engine is reached; most of them cannot be raised.", "Google's own words name it"),
        ("limitExceeded", "A limit of Compute Engine is reached; most of them cannot be raised.", "Google's own words name it"),
    ),
    *rows(
        Scope.ACCOUNT,
        "google.api.ErrorReason, google/api/error_reason.proto",
        ("RESOURCE_QUOTA_EXCEEDED", "A quota of the project is used up.", f"Google's own words name it; raise it at {QUOTAS_PAGE}"),
        exit_code=Exit.CAPACITY,
    ),
)

_GPUS = (
    "The project may have {limit} GPUs in all regions together. Google counts GPUs twice: by GPUS_ALL_REGIONS, which is 0 in a new project, and"
    " by the kind of GPU in each region; both must allow it."
)
_GPUS_FIX = (
    f"ask for more of GPUS_ALL_REGIONS at {QUOTAS_PAGE} (filter “GPUs (all regions)”), and for the region's quota of this GPU as well; a free"
    " trial gets none until it is upgraded. docs/how-to/gcp.md says each step; `./inv doctor --cloud gcp` shows both"
)
_SPOT = "Spot GPUs have a quota of their own, {metric}; its limit is {limit} in {location}."
_SPOT_FIX = f"ask for more of {{metric}} at {QUOTAS_PAGE}, or launch without --spot, or in another --region"

QUOTAS_WORDED = (
    *(
        Worded("GPUS_ALL_REGIONS", row)
        for row in rows(Scope.ACCOUNT, AUTOSCALER, *((code, _GPUS, _GPUS_FIX) for code in _QUOTA), exit_code=Exit.CAPACITY)
    ),
    *(
        Worded(phrase, row)
        for phrase in ("_ALL_REGIONS", "globally")
        for row in rows(
            Scope.ACCOUNT,
            "https://github.com/GoogleCloudPlatform/ai-on-gke/issues/849",
            *(
                (code, "The quota {metric} of the whole project is used up; its limit is {limit} in all regions together.", RAISE)
                for code in _QUOTA
            ),
            exit_code=Exit.CAPACITY,
        )
    ),
    *(
        Worded("PREEMPTIBLE_", row)
        for row in rows(
            Scope.REGION, "https://cloud.google.com/compute/docs/instances/spot", *((code, _SPOT, _SPOT_FIX) for code in _QUOTA)
        )
    ),
    *(
        Worded("IN_USE_ADDRESSES", row)
        for row in rows(
            Scope.REGION,
            AUTOSCALER,
            *(
                (
                    code,
                    "The region's quota of external addresses in use is used up; its limit is {limit}.",
                    "launch without --public-ip (a private network needs Cloud NAT, see docs/how-to/gcp.md), or in another --region",
                )
                for code in _QUOTA
            ),
        )
    ),
)

STATES = (
    *rows(
        Scope.ZONE,
        EVENTS,
        ("compute.instances.preempted", "Google needed the spot capacity back.", "launch again, or without --spot"),
        ("compute.instances.hostError", "The machine under the instance failed.", "launch again"),
        ("compute.instances.terminateOnHostMaintenance", "Google maintains the host; a machine with a GPU cannot move.", "launch again"),
    ),
    *rows(
        Scope.REQUEST,
        EVENTS,
        (
            "compute.instances.guestTerminate",
            "The machine shut itself down: its time was over, or its first boot gave up.",
            "the serial port says why; a longer life: --ttl",
        ),
        ("compute.instances.stop", "Somebody stopped the machine, or its time was over.", "see Cloud Audit Logs for who; launch again"),
        ("stop", "Somebody stopped the machine, or its time was over.", "see Cloud Audit Logs for who; launch again"),
        ("compute.instances.suspend", "Somebody suspended the machine.", "see Cloud Audit Logs for who; launch again"),
        ("suspend", "Somebody suspended the machine.", "see Cloud Audit Logs for who; launch again"),
        ("compute.instances.delete", "Somebody deleted the machine, or its time was over.", "see Cloud Audit Logs for who; launch again"),
        ("delete", "Somebody deleted the machine, or its time was over.", "see Cloud Audit Logs for who; launch again"),
        exit_code=Exit.FAILED,
    ),
)
"""The code is the `operationType` of the operation that ended it."""
