"""Machine types are understood as people write them, and bring what belongs to them."""

from __future__ import annotations

import pytest

from goldbake.clouds.gcp.types import CHEAPEST, MachineType, default_types, machine_type
from goldbake.config.model import Gpu
from goldbake.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("g2-standard-4", MachineType("g2-standard-4")),
        ("n1-standard-8+nvidia-tesla-t4", MachineType("n1-standard-8", "nvidia-tesla-t4", 1)),
        ("n1-custom-6-3072+2xnvidia-tesla-v100", MachineType("n1-custom-6-3072", "nvidia-tesla-v100", 2)),
        ("a3-megagpu-8g", MachineType("a3-megagpu-8g")),
    ],
)
def test_a_type_is_read_and_written_the_same(text: str, found: MachineType) -> None:
    assert machine_type(text) == found
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("G2", "G2 is no machine type", "n1-standard-8+2xnvidia-tesla-t4"),
        ("n1-standard-8+t4", "is no machine type", "nvidia-tesla-t4"),
        ("n1-standard-8+0xnvidia-tesla-t4", "is no machine type", ""),
        ("n1-standard-8+3xnvidia-tesla-t4", "is no machine type", "1, 2, 4 or 8"),
        ("g2-standard-4+nvidia-l4", "cannot be attached to g2-standard-4", "has its own"),
        ("n2-standard-4+nvidia-tesla-t4", "cannot be attached to n2-standard-4", "n1-standard-8+nvidia-tesla-t4"),
    ],
)
def test_what_is_no_type_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        machine_type(text)
    assert hint in caught.value.hint


def test_the_default_type_is_the_cheapest_that_fits() -> None:
    assert default_types(()) == ("n1-standard-4+nvidia-tesla-t4",)
    assert default_types((Gpu.H100, Gpu.L4)) == ("g2-standard-4",)
    with pytest.raises(UsageError, match="k80") as caught:
        default_types((Gpu.K80,))
    assert "--instance-type" in caught.value.hint
    assert len(set(CHEAPEST)) == len(CHEAPEST)
    assert all(machine_type(name).has_gpu for name, _ in CHEAPEST)


@pytest.mark.parametrize(
    ("text", "gpu", "disk"),
    [
        ("n1-standard-4+nvidia-tesla-t4", True, "pd-balanced"),
        ("n1-standard-4", False, "pd-balanced"),
        ("g2-standard-4", True, "pd-balanced"),
        ("a3-ultragpu-8g", True, "hyperdisk-balanced"),
        ("a3-highgpu-8g", True, "pd-balanced"),
        ("a4-highgpu-8g", True, "hyperdisk-balanced"),
        ("g4-standard-48", True, "hyperdisk-balanced"),
        ("n4-standard-4", False, "hyperdisk-balanced"),
    ],
)
def test_a_type_brings_its_disk_and_stops_for_maintenance_when_it_has_a_gpu(text: str, gpu: bool, disk: str) -> None:
    found = machine_type(text)
    assert (found.has_gpu, found.disk) == (gpu, disk)
