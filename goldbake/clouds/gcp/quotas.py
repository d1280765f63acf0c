"""The quotas of Compute Engine: which one a machine type counts against, how large it is now, and how to get more.

GPUs are counted twice, and both must allow them: `GPUS_ALL_REGIONS` of the project, which is 0 in a new one, and one per kind of GPU in each
region, with another for spot. Source of the names: the `metric` values of the Compute Engine API (compute v1, Quota) and
https://cloud.google.com/compute/resource-usage. Newer GPUs have no metric of their own: they share GPUS_PER_GPU_FAMILY, which counts each family
(`gpu_family`) in each region; Compute Engine shows it as GPU_FAMILY:NVIDIA_H100 where it shows it at all, and the console always does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.cloud import compute_v1

from goldbake.clouds.failure import Failure
from goldbake.clouds.gcp.errors import QUOTA_CODES, RAISED, base_of, failure
from goldbake.clouds.gcp.refusals import QUOTAS_PAGE
from goldbake.clouds.gcp.types import MachineType, machine_type

if TYPE_CHECKING:
    from goldbake.clouds.gcp.session import Gcp

GLOBAL = "global"


@dataclass(frozen=True)
class Quota:
    """One quota: its metric, and where it counts: a region, or `global` for the whole project; of the shared one also which family of GPUs."""

    metric: str
    region: str = GLOBAL
    family: str = ""

    @property
    def name(self) -> str:
        """What Compute Engine calls it among the quotas of a region or a project."""
        return f"GPU_FAMILY:{self.family}" if self.family else self.metric

    @property
    def where(self) -> str:
        """Where it counts, for a sentence."""
        return "all regions together" if self.region == GLOBAL else self.region

    def increase(self, project: str, value: int) -> str:
        """The command that asks for more; Google answers to the address, as a rule within two or three working days.

        Only the newest gcloud has it without `beta`: that of June 2025 (528.0.0) does not.
        """
        scope = "per-project" if self.region == GLOBAL else "per-project-region"
        family = f",gpu_family={self.family}" if self.family else ""
        dimensions = "" if self.region == GLOBAL else f" --dimensions=region={self.region}{family}"
        return (
            f"gcloud beta quotas preferences create --service=compute.googleapis.com --project={project}"
            f" --quota-id={self.metric.replace('_', '-')}-{scope}{dimensions} --preferred-value={value} --email=YOUR-ADDRESS"
        )

    def page(self, project: str) -> str:
        """The page of the console that asks for more; its filter takes the metric."""
        return QUOTAS_PAGE.replace("{project}", project)


@dataclass(frozen=True)
class Value:
    """How large a quota is, and how much of it is in use."""

    limit: float
    usage: float

    def __str__(self) -> str:
        return f"{self.limit:g} ({self.usage:g} in use)"


GPUS: Mapping[str, str] = {
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-tesla-p4": "NVIDIA_P4_GPUS",
    "nvidia-tesla-p100": "NVIDIA_P100_GPUS",
    "nvidia-tesla-v100": "NVIDIA_V100_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
    "nvidia-l4": "NVIDIA_L4_GPUS",
}
"""Accelerator → the metric that counts it in a region; spot's begins with PREEMPTIBLE_."""
FAMILIES: Mapping[str, str] = {
    "nvidia-h100-80gb": "NVIDIA_H100",
    "nvidia-h100-mega-80gb": "NVIDIA_H100_MEGA",
    "nvidia-h200-141gb": "NVIDIA_H200",
    "nvidia-b200": "NVIDIA_B200",
    "nvidia-rtx-pro-6000": "NVIDIA_RTX_PRO_6000",
}
"""Accelerator → its family in the shared quota."""
SHARED = "GPUS_PER_GPU_FAMILY"
SPOT_ONLY: Mapping[str, str] = {"nvidia-h100-80gb": "PREEMPTIBLE_NVIDIA_H100_GPUS"}
"""Accelerators that have a metric on spot and none on demand."""
BUILT_IN: Mapping[str, str] = {
    "a2-highgpu-": "nvidia-tesla-a100",
    "a2-megagpu-": "nvidia-tesla-a100",
    "a2-ultragpu-": "nvidia-a100-80gb",
    "a3-highgpu-": "nvidia-h100-80gb",
    "a3-edgegpu-": "nvidia-h100-80gb",
    "a3-megagpu-": "nvidia-h100-mega-80gb",
    "a3-ultragpu-": "nvidia-h200-141gb",
    "a4-highgpu-": "nvidia-b200",
    "g2-": "nvidia-l4",
    "g4-": "nvidia-rtx-pro-6000",
}
"""How a type's name begins → the accelerator that is built in (https://cloud.google.com/compute/docs/gpus)."""
PROCESSORS: Mapping[str, str] = {
    **dict.fromkeys(("e2", "n1"), "CPUS"),
    "c2": "C2_CPUS",
    "c2d": "C2D_CPUS",
    "c3": "C3_CPUS",
    "n2": "N2_CPUS",
    "n2d": "N2D_CPUS",
    "t2d": "T2D_CPUS",
}
"""Series → the metric that counts its vCPUs on demand in a region; those of other series are shown only by the console."""
_COUNTED = re.compile(r"-([1-9][0-9]?)g$")
_L4 = {"g2-standard-24": 2, "g2-standard-48": 4, "g2-standard-96": 8}
_PRO_6000 = {"g4-standard-96": 2, "g4-standard-192": 4, "g4-standard-384": 8}
_SIZED = re.compile(r"-([1-9][0-9]*)$|-custom-([1-9][0-9]*)-")
_METRIC = re.compile(r"Quota '([A-Z][A-Z0-9_]+)'|quota ([A-Z][A-Z0-9_]{3,})")
EVERYWHERE = Quota("GPUS_ALL_REGIONS")
PROCESSORS_EVERYWHERE = Quota("CPUS_ALL_REGIONS")


def accelerator_of(kind: MachineType) -> tuple[str, int]:
    """The GPU of a machine type, and how many it has; none: an empty name and 0."""
    if kind.accelerator:
        return kind.accelerator, kind.count
    found = next((gpu for begin, gpu in BUILT_IN.items() if kind.name.startswith(begin)), "")
    counted = _COUNTED.search(kind.name)
    many = int(counted[1]) if counted else _L4.get(kind.name, _PRO_6000.get(kind.name, 1))
    return found, many if found else 0


def quota_of(kind: MachineType, region: str, *, spot: bool) -> Quota | None:
    """The region's quota that the GPUs of a type count against; None when it has none, or none is known for spot."""
    gpu = accelerator_of(kind)[0]
    if gpu in FAMILIES:
        return (Quota(SPOT_ONLY[gpu], region) if gpu in SPOT_ONLY else None) if spot else Quota(SHARED, region, FAMILIES[gpu])
    metric = GPUS.get(gpu)
    return Quota(f"PREEMPTIBLE_{metric}" if spot else metric, region) if metric else None


def processors_of(kind: MachineType) -> int:
    """The vCPUs of a type, as its name says them; 0 where it does not."""
    sized = _SIZED.search(kind.name)
    return int(sized[1] or sized[2]) if sized else 0


def processors_quota_of(kind: MachineType, region: str) -> Quota | None:
    """The region's quota that the vCPUs of a type on demand count against; None when Compute Engine shows none for it."""
    metric = PROCESSORS.get(kind.name.partition("-")[0])
    return Quota(metric, region) if metric and processors_of(kind) else None


def values(gcp: Gcp, region: str = GLOBAL, *, once: bool = False) -> dict[str, Value]:
    """Every quota of a region, or of the whole project, by its metric; `once`: not asked again when Google is not reached. Raises Failure."""
    try:
        if region == GLOBAL:
            more: Any = {"retry": None} if once else {}
            found = gcp.client(compute_v1.ProjectsClient).get(project=gcp.project, **more).quotas
        else:
            found = gcp.client(compute_v1.RegionsClient).get(project=gcp.project, region=region).quotas
    except RAISED as error:
        raise failure(error, doing="show the quotas", place=region) from error
    return {quota.metric: Value(quota.limit, quota.usage) for quota in found}


def explained(gcp: Gcp, refused: Failure, *, region: str, types: Sequence[str], spot: bool, count: int = 1) -> Failure:
    """The same failure with the values of the quotas that it is about, what is needed, and the command that asks for more.

    Of GPUS_ALL_REGIONS both levels are shown. Any other failure comes back as it is. Where quotas may not be read, the failure says so; nothing
    is raised.
    """
    if base_of(refused.code) not in QUOTA_CODES:
        return refused
    named = _METRIC.search(refused.message)
    metric = next((part for part in named.groups() if part), "") if named else ""
    kind = machine_type(types[0]) if types else None
    own = quota_of(kind, region, spot=spot) if kind else None
    everywhere = metric.endswith("_ALL_REGIONS") or " globally" in refused.message
    met = Quota(metric, GLOBAL if everywhere else region) if metric and not (own and own.metric == metric) else own
    if met is None:
        return refused
    about = [met] + ([own] if own and met == EVERYWHERE else [])
    need = count * accelerator_of(kind)[1] if kind and "GPUS" in met.metric else 0
    states, wanted = [], []
    for quota in about:
        state, value = _state(gcp, quota)
        states.append(state)
        if value is None or not need or value.limit - value.usage < need:
            wanted.append(f"`{quota.increase(gcp.project, int(value.limit if value else 0) + max(need, 1))}`")
    needs = f"; {count} × {kind} needs {need}" if need else ""
    return Failure(
        refused.scope,
        refused.code,
        f"{refused.message}; {' and '.join(states)}{needs}",
        hint=f"{refused.hint}; by command: {' and '.join(wanted)}" if wanted else refused.hint,
        exit_code=refused.exit_code,
    )


def _state(gcp: Gcp, quota: Quota) -> tuple[str, Value | None]:
    try:
        value = values(gcp, quota.region).get(quota.name)
    except Failure as unknown:
        return f"the quota {quota.name} of {quota.where} could not be read ({unknown.code})", None
    if value is None:
        return f"the quota {quota.name} of {quota.where} is shown only by the console", None
    return f"the quota {quota.name} is {value} in {quota.where}", value
