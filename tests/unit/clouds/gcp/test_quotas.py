"""Machine types and their quotas; a refused quota explained."""

from __future__ import annotations

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp import quotas
from goldbake.clouds.gcp.errors import refused
from goldbake.clouds.gcp.session import Gcp
from goldbake.clouds.gcp.types import CHEAPEST, machine_type
from goldbake.config.gcp import BUILT_IN_GPU
from goldbake.errors import Exit
from tests.fakes.gcp import PROJECT, FakeGcp

REGION = "us-central1"
NONE_AT_ALL = "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."


def _failure(said: str, code: str = "QUOTA_EXCEEDED") -> Failure:
    return refused(code, said, doing="start instances", place=f"{REGION}-a")


@pytest.mark.parametrize(
    ("text", "accelerator", "many", "on_demand", "spot"),
    [
        ("g2-standard-4", "nvidia-l4", 1, "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ("g2-standard-24", "nvidia-l4", 2, "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ("g2-standard-96", "nvidia-l4", 8, "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ("n1-standard-4+nvidia-tesla-t4", "nvidia-tesla-t4", 1, "NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS"),
        ("n1-standard-8+2xnvidia-tesla-v100", "nvidia-tesla-v100", 2, "NVIDIA_V100_GPUS", "PREEMPTIBLE_NVIDIA_V100_GPUS"),
        ("a2-highgpu-8g", "nvidia-tesla-a100", 8, "NVIDIA_A100_GPUS", "PREEMPTIBLE_NVIDIA_A100_GPUS"),
        ("a2-megagpu-16g", "nvidia-tesla-a100", 16, "NVIDIA_A100_GPUS", "PREEMPTIBLE_NVIDIA_A100_GPUS"),
        ("a2-ultragpu-1g", "nvidia-a100-80gb", 1, "NVIDIA_A100_80GB_GPUS", "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS"),
        ("a3-highgpu-8g", "nvidia-h100-80gb", 8, "GPU_FAMILY:NVIDIA_H100", "PREEMPTIBLE_NVIDIA_H100_GPUS"),
        ("a3-ultragpu-8g", "nvidia-h200-141gb", 8, "GPU_FAMILY:NVIDIA_H200", None),
        ("a4-highgpu-8g", "nvidia-b200", 8, "GPU_FAMILY:NVIDIA_B200", None),
        ("g4-standard-48", "nvidia-rtx-pro-6000", 1, "GPU_FAMILY:NVIDIA_RTX_PRO_6000", None),
        ("g4-standard-384", "nvidia-rtx-pro-6000", 8, "GPU_FAMILY:NVIDIA_RTX_PRO_6000", None),
        ("n2-standard-4", "", 0, None, None),
    ],
)
def test_a_type_counts_against_the_quota_of_its_gpu(
    text: str, accelerator: str, many: int, on_demand: str | None, spot: str | None
) -> None:
    kind = machine_type(text)
    assert quotas.accelerator_of(kind) == (accelerator, many)
    found = [quotas.quota_of(kind, REGION, spot=one) for one in (False, True)]
    assert [quota.name if quota else None for quota in found] == [on_demand, spot]


@pytest.mark.parametrize(
    ("text", "many", "metric"),
    [
        ("n2-standard-4", 4, "N2_CPUS"),
        ("n1-standard-8+nvidia-tesla-t4", 8, "CPUS"),
        ("n1-custom-6-3072", 6, "CPUS"),
        ("e2-standard-16", 16, "CPUS"),
        ("c2d-highcpu-32", 32, "C2D_CPUS"),
        ("e2-medium", 0, None),
        ("a2-highgpu-1g", 0, None),
        ("g2-standard-4", 4, None),
    ],
)
def test_vcpus_count_against_the_quota_of_their_series(text: str, many: int, metric: str | None) -> None:
    kind = machine_type(text)
    quota = quotas.processors_quota_of(kind, REGION)
    assert (quotas.processors_of(kind), quota.metric if quota else None) == (many, metric)


def test_every_type_with_a_gpu_has_its_accelerator() -> None:
    assert all(quotas.accelerator_of(machine_type(name))[1] for name, _ in CHEAPEST)
    assert {begin.split("-")[0] for begin in quotas.BUILT_IN} <= {begin.rstrip("-") for begin in BUILT_IN_GPU}


def test_no_gpus_in_a_new_project_are_shown_on_both_levels(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas |= {("", "GPUS_ALL_REGIONS"): 0.0, (REGION, "NVIDIA_L4_GPUS"): 1.0}
    found = quotas.explained(gcp, _failure(NONE_AT_ALL), region=REGION, types=["g2-standard-4", "a2-highgpu-1g"], spot=False, count=3)
    assert (found.code, found.scope, found.exit_code) == ("QUOTA_EXCEEDED", Scope.ACCOUNT, Exit.CAPACITY)
    assert "the quota GPUS_ALL_REGIONS is 0 (0 in use) in all regions together" in found.message
    assert f"the quota NVIDIA_L4_GPUS is 1 (0 in use) in {REGION}; 3 × g2-standard-4 needs 3" in found.message
    assert f"--project={PROJECT} --quota-id=GPUS-ALL-REGIONS-per-project --preferred-value=3" in found.hint
    assert f"--quota-id=NVIDIA-L4-GPUS-per-project-region --dimensions=region={REGION} --preferred-value=4" in found.hint


def test_a_regions_quota_is_shown_with_what_is_in_use(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[REGION, "NVIDIA_T4_GPUS"] = 1.0
    said = f"Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 1.0 in region {REGION}."
    found = quotas.explained(gcp, _failure(said, "quotaExceeded"), region=REGION, types=["n1-standard-4+2xnvidia-tesla-t4"], spot=False)
    assert found.message.endswith(f"the quota NVIDIA_T4_GPUS is 1 (0 in use) in {REGION}; 1 × n1-standard-4+2xnvidia-tesla-t4 needs 2")
    assert "--preferred-value=3" in found.hint
    assert "GPUS_ALL_REGIONS" not in found.message


def test_a_quota_of_something_else_is_shown_without_a_need(gcp: Gcp) -> None:
    found = quotas.explained(
        gcp, _failure(f"Quota 'CPUS' exceeded.  Limit: 8.0 in region {REGION}."), region=REGION, types=["g2-standard-4"], spot=False
    )
    assert "the quota CPUS is " in found.message
    assert "needs" not in found.message


def test_a_quota_that_may_not_be_read_is_said_and_the_command_stays(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.forbid("compute.projects.get", "compute.regions.get")
    found = quotas.explained(gcp, _failure(NONE_AT_ALL), region=REGION, types=["g2-standard-4"], spot=False)
    assert "GPUS_ALL_REGIONS of all regions together could not be read (forbidden)" in found.message
    assert "--quota-id=GPUS-ALL-REGIONS-per-project --preferred-value=1" in found.hint


def test_the_quota_that_newer_gpus_share_is_asked_for_by_family(gcp: Gcp) -> None:
    said = f"Quota 'GPUS_PER_GPU_FAMILY' exceeded.  Limit: 0.0 in region {REGION}."
    found = quotas.explained(gcp, _failure(said), region=REGION, types=["a3-highgpu-8g"], spot=False)
    assert "GPU_FAMILY:NVIDIA_H100 of us-central1 is shown only by the console; 1 × a3-highgpu-8g needs 8" in found.message
    assert (
        f"--quota-id=GPUS-PER-GPU-FAMILY-per-project-region --dimensions=region={REGION},gpu_family=NVIDIA_H100 --preferred-value=8"
        in found.hint
    )


@pytest.mark.parametrize(
    ("code", "said"), [("ZONE_RESOURCE_POOL_EXHAUSTED", "Full."), ("forbidden", "No."), ("QUOTA_EXCEEDED", "Too much.")]
)
def test_what_names_no_quota_stays_as_it_is(fake_gcp: FakeGcp, gcp: Gcp, code: str, said: str) -> None:
    refusal = _failure(said, code)
    assert quotas.explained(gcp, refusal, region=REGION, types=[], spot=False) is refusal
    assert fake_gcp.calls == []
