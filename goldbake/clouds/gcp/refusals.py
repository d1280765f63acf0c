"""The codes of Compute Engine about capacity and quotas: how far each reaches, what it means, what to do.

`{place}`, `{project}`, `{service}`, `{permission}`, `{constraint}`, `{metric}` and `{limit}` in a text stand for what the error was about.
`errors.py` puts the tables together, docs/reference/errors-gcp.md is made of them.
"""

from __future__ import annotations

from goldbake.clouds.failure import Scope, Worded, rows
from goldbake.errors import Exit

CREATING = "https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation"
AVAILABILITY = "https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability"
AUTOSCALER = "kubernetes/autoscaler, cluster-autoscaler/cloudprovider/gce/autoscaling_gce_client.go"
SKYPILOT = "skypilot-org/skypilot, sky/backends/cloud_vm_ray_backend.py"
QUOTA_GUIDE = "https://cloud.google.com/compute/resource-usage"

MORE = "allow more zones or types: --zone A,B, --instance-type A,B, or another --region"
AGAIN = "nothing: it is tried again; run the same command later if that was not enough"
REPORT = "report this with the command that was run"
QUOTAS_PAGE = "https://console.cloud.google.com/iam-admin/quotas?project={project}"

CAPACITY = (
    *rows(
        Scope.ZONE,
        AVAILABILITY,
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "Google has no free machine of this kind in this zone.", MORE),
        ("RESOURCE_POOL_EXHAUSTED", "Google has no free machine of this kind here.", MORE),
        ("insufficientCapacity", "Google has no free machine of this kind here.", MORE),
        ("stockout", "Google has no free machine of this kind here.", MORE),
        ("VM_MIN_COUNT_NOT_REACHED", "Fewer machines could be started than were asked for.", MORE),
        ("OPERATION_UNFINISHED", "Google did not finish this in time.", "run the same command again; whatever was begun is removed"),
    ),
)

QUOTAS = (
    *rows(
        Scope.REGION,
        AUTOSCALER,
        ("QUOTA_EXCEEDED", "The quota {metric} is used up: {limit} in {place}.", f"raise it at {QUOTAS_PAGE}, or use another --region"),
        ("quotaExceeded", "The quota {metric} is used up: {limit} in {place}.", f"raise it at {QUOTAS_PAGE}, or use another --region"),
    ),
)

_EVERYWHERE = (
    "The quota {metric} of the whole project is used up: {limit} in all regions together. Google counts GPUs twice: in all regions together"
    " (GPUS_ALL_REGIONS, 0 in a new project) and by kind in each region."
)
_EVERYWHERE_FIX = (
    f"ask for more of {{metric}} at {QUOTAS_PAGE}, and for the region's quota of this kind of GPU; docs/how-to/gcp.md says how"
)

WORDED = tuple(
    Worded("_ALL_REGIONS", row)
    for row in rows(
        Scope.ACCOUNT,
        AUTOSCALER,
        ("QUOTA_EXCEEDED", _EVERYWHERE, _EVERYWHERE_FIX),
        ("quotaExceeded", _EVERYWHERE, _EVERYWHERE_FIX),
        exit_code=Exit.CAPACITY,
    )
)

PREFIXES = ("ZONE_RESOURCE_POOL_EXHAUSTED", "RESOURCE_POOL_EXHAUSTED", "QUOTA_EXCEEDED")
"""Codes that come with suffixes that say nothing more, as `ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS`."""
NEUTRAL = frozenset({"VM_MIN_COUNT_NOT_REACHED"})
"""Summaries: the reason is another error beside them."""
