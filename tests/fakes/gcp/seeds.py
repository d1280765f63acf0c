"""What is there before anything is made: regions, zones, machine types, accelerators and public images, as Google publishes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

PROJECT = "goldbake-fake"
NUMBER = "424242424242"
REGION = "us-central1"
ZONE = "us-central1-a"

REGIONS: Mapping[str, str] = {
    "asia-northeast1": "abc", "asia-southeast1": "abc", "europe-north1": "abc", "europe-west1": "bcd", "europe-west2": "abc", "europe-west4": "abc",
    "us-central1": "abcf", "us-east1": "bcd", "us-east4": "abc", "us-west1": "abc", "us-west4": "abc",
}  # fmt: skip
"""Some of Google's regions with the letters of their zones: https://cloud.google.com/compute/docs/regions-zones."""

_PLACES: Mapping[str, str] = {
    "nvidia-tesla-t4": "us-central1abcf us-east1cd us-east4abc us-west1ab us-west4ab europe-west1bcd europe-west2ab europe-west4abc "
    "asia-northeast1ac asia-southeast1abc",
    "nvidia-l4": "us-central1abc us-east1bcd us-east4ac us-west1abc us-west4ac europe-west1bc europe-west2ab europe-west4abc asia-northeast1abc "
    "asia-southeast1abc",
    "nvidia-tesla-a100": "us-central1abcf us-east1b us-west1b us-west4b europe-west4ab asia-northeast1ac asia-southeast1bc",
    "nvidia-a100-80gb": "us-central1ac us-east4c europe-west4a asia-southeast1c",
    "nvidia-h100-80gb": "us-central1abc us-east4abc us-west1ab us-west4a europe-west1bc europe-west4bc asia-northeast1b asia-southeast1bc",
    "nvidia-h100-mega-80gb": "us-central1abc us-east4ab us-west1ab us-west4a europe-west1bc europe-west4bc asia-southeast1b",
    "nvidia-h200-141gb": "us-central1b us-east1d us-east4b us-west1c europe-west1b",
    "nvidia-rtx-pro-6000": "us-central1b us-east1b us-east4b europe-west4a",
    "nvidia-tesla-v100": "us-central1abcf us-east1c us-west1ab europe-west4abc",
    "nvidia-tesla-p100": "us-central1cf us-east1bc us-west1ab europe-west1bd europe-west4a",
    "nvidia-tesla-p4": "us-central1ac us-east4abc europe-west4bc asia-southeast1bc",
}
"""Accelerator → regions, each with the letters of the zones that have it: https://cloud.google.com/compute/docs/gpus/gpu-regions-zones."""


PER_FAMILY = "GPUS_PER_GPU_FAMILY"
"""https://cloud.google.com/compute/resource-usage#gpu_quota"""


@dataclass(frozen=True)
class Accelerator:
    """A GPU model as Compute Engine sells it."""

    name: str
    description: str
    cards: int
    """Most of them in one instance."""
    metric: str
    """Its regional quota, as Compute Engine lists it; newer models share one, GPUS_PER_GPU_FAMILY, each with a dimension of its own."""
    attachable: bool = False
    """It is added to an N1 machine; the others come with their machine types."""


ACCELERATORS: Mapping[str, Accelerator] = {
    one.name: one
    for one in (
        Accelerator("nvidia-tesla-t4", "NVIDIA T4", 4, "NVIDIA_T4_GPUS", attachable=True),
        Accelerator("nvidia-tesla-v100", "NVIDIA V100", 8, "NVIDIA_V100_GPUS", attachable=True),
        Accelerator("nvidia-tesla-p100", "NVIDIA Tesla P100", 4, "NVIDIA_P100_GPUS", attachable=True),
        Accelerator("nvidia-tesla-p4", "NVIDIA Tesla P4", 4, "NVIDIA_P4_GPUS", attachable=True),
        Accelerator("nvidia-l4", "NVIDIA L4", 8, "NVIDIA_L4_GPUS"),
        Accelerator("nvidia-tesla-a100", "NVIDIA A100 40GB", 16, "NVIDIA_A100_GPUS"),
        Accelerator("nvidia-a100-80gb", "NVIDIA A100 80GB", 8, "NVIDIA_A100_80GB_GPUS"),
        Accelerator("nvidia-h100-80gb", "NVIDIA H100 80GB", 8, f"{PER_FAMILY}:NVIDIA_H100"),
        Accelerator("nvidia-h100-mega-80gb", "NVIDIA H100 80GB Mega", 8, f"{PER_FAMILY}:NVIDIA_H100_MEGA"),
        Accelerator("nvidia-h200-141gb", "NVIDIA H200 141GB", 8, f"{PER_FAMILY}:NVIDIA_H200"),
        Accelerator("nvidia-rtx-pro-6000", "NVIDIA RTX PRO 6000", 8, f"{PER_FAMILY}:NVIDIA_RTX_PRO_6000"),
    )
}


@dataclass(frozen=True)
class Shape:
    """A machine type."""

    name: str
    cpus: int
    memory_gb: float
    accelerator: str = ""
    cards: int = 0
    architecture: str = "X86_64"
    local_ssds: int = 0

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]


def _shapes() -> list[Shape]:
    found = [Shape("e2-micro", 2, 1), Shape("e2-small", 2, 2), Shape("e2-medium", 2, 4), Shape("n1-standard-1", 1, 3.75)]
    found += [Shape(f"e2-standard-{n}", n, 4 * n) for n in (2, 4, 8, 16, 32)]
    found += [Shape(f"n1-standard-{n}", n, 3.75 * n) for n in (2, 4, 8, 16, 32, 64, 96)]
    found += [Shape(f"n1-highmem-{n}", n, 6.5 * n) for n in (2, 4, 8, 16, 32, 64, 96)]
    found += [Shape(f"n2-standard-{n}", n, 4 * n) for n in (2, 4, 8, 16, 32, 48, 64, 80)]
    found += [Shape(f"t2a-standard-{n}", n, 4 * n, architecture="ARM64") for n in (1, 2, 4, 8)]
    l4 = {4: (16, 1), 8: (32, 1), 12: (48, 1), 16: (64, 1), 24: (96, 2), 32: (128, 1), 48: (192, 4), 96: (384, 8)}
    found += [Shape(f"g2-standard-{n}", n, gb, "nvidia-l4", cards) for n, (gb, cards) in l4.items()]
    a100 = {1: (12, 85), 2: (24, 170), 4: (48, 340), 8: (96, 680)}
    found += [Shape(f"a2-highgpu-{n}g", cpus, gb, "nvidia-tesla-a100", n) for n, (cpus, gb) in a100.items()]
    found += [Shape("a2-megagpu-16g", 96, 1360, "nvidia-tesla-a100", 16)]
    found += [Shape(f"a2-ultragpu-{n}g", cpus, 2 * gb, "nvidia-a100-80gb", n, local_ssds=n) for n, (cpus, gb) in a100.items()]
    h100 = {1: 2, 2: 4, 4: 8, 8: 16}
    found += [Shape(f"a3-highgpu-{n}g", 26 * n, 234 * n, "nvidia-h100-80gb", n, local_ssds=ssds) for n, ssds in h100.items()]
    found += [Shape("a3-megagpu-8g", 208, 1872, "nvidia-h100-mega-80gb", 8, local_ssds=16)]
    found += [Shape("a3-ultragpu-8g", 224, 2952, "nvidia-h200-141gb", 8, local_ssds=32)]
    found += [Shape(f"g4-standard-{48 * n}", 48 * n, 180 * n, "nvidia-rtx-pro-6000", n) for n in (1, 2, 4, 8)]
    return found


SHAPES: Mapping[str, Shape] = {one.name: one for one in _shapes()}
"""https://cloud.google.com/compute/docs/machine-resource and …/gpus."""
_CUSTOM = re.compile(r"(?:(?:n1|n2|e2)-)?custom-([1-9][0-9]*)-([1-9][0-9]*)(?:-ext)?")


def shape(name: str) -> Shape | None:
    """The machine type of this name; a custom one has its vCPUs and MiB in its name and is in no listing."""
    custom = _CUSTOM.fullmatch(name)
    return Shape(name, int(custom[1]), int(custom[2]) / 1024) if custom else SHAPES.get(name)


_DISKS: Mapping[str, tuple[str, ...]] = {
    "g2": ("pd-balanced", "pd-ssd"),
    "a2": ("pd-standard", "pd-balanced", "pd-ssd"),
    "a3-highgpu": ("pd-balanced", "pd-ssd", "hyperdisk-balanced"),
    "a3-megagpu": ("pd-balanced", "pd-ssd", "hyperdisk-balanced"),
    "a3-ultragpu": ("hyperdisk-balanced", "hyperdisk-extreme"),
    "g4": ("hyperdisk-balanced", "hyperdisk-extreme"),
}
"""Families or series → the types that their boot disks can have; the others take every pd-…: https://cloud.google.com/compute/docs/disks."""
DISK_TYPES = (
    "pd-standard", "pd-balanced", "pd-ssd", "pd-extreme", "hyperdisk-balanced", "hyperdisk-extreme", "hyperdisk-throughput",
)  # fmt: skip


def boots_from(shape: Shape, disk: str) -> bool:
    """Whether a machine type takes a boot disk of this type."""
    series = "-".join(shape.name.split("-")[:2])
    return disk in _DISKS.get(series, _DISKS.get(shape.family, DISK_TYPES[:4]))


_T2A = frozenset(
    {"us-central1-a", "us-central1-b", "us-central1-f", "europe-west4-a", "europe-west4-b", "europe-west4-c", "asia-southeast1-b"}
)


@lru_cache
def zones(region: str = "") -> tuple[str, ...]:
    """The zones of a region, or all."""
    return tuple(f"{name}-{letter}" for name, letters in REGIONS.items() if region in ("", name) for letter in letters)


@lru_cache
def zones_with(accelerator: str) -> frozenset[str]:
    """Where this GPU model is."""
    found = set()
    for place in _PLACES[accelerator].split():
        region = next(name for name in REGIONS if place.startswith(name))
        found |= {f"{region}-{letter}" for letter in place.removeprefix(region)}
    return frozenset(found)


@lru_cache
def offered(zone: str, kind: str) -> bool:
    """Whether a zone has a machine type."""
    found = shape(kind)
    if found is None:
        return False
    if found.accelerator:
        return zone in zones_with(found.accelerator)
    return zone in _T2A if found.family == "t2a" else True


@dataclass(frozen=True)
class Seed:
    """A public image."""

    project: str
    name: str
    family: str
    created: str
    architecture: str = "X86_64"
    size_gb: int = 10
    features: tuple[str, ...] = ("UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE", "GVNIC", "SEV_CAPABLE")
    deprecated: str = ""
    """DEPRECATED or OBSOLETE."""

    @property
    def id(self) -> str:
        return f"projects/{self.project}/global/images/{self.name}"


NEWEST_DEBIAN = Seed("debian-cloud", "debian-12-bookworm-v20261110", "debian-12", "2026-11-10T12:00:00.000-08:00")
NEWEST_NOBLE = Seed("ubuntu-os-cloud", "ubuntu-2404-noble-amd64-v20261115", "ubuntu-2404-lts-amd64", "2026-11-15T12:00:00.000-08:00")
SEEDS: tuple[Seed, ...] = (
    NEWEST_DEBIAN,
    NEWEST_NOBLE,
    Seed("debian-cloud", "debian-12-bookworm-v20261012", "debian-12", "2026-10-12T12:00:00.000-07:00", deprecated="DEPRECATED"),
    Seed("debian-cloud", "debian-12-bookworm-arm64-v20261110", "debian-12-arm64", "2026-11-10T12:10:00.000-08:00", "ARM64"),
    Seed("debian-cloud", "debian-13-trixie-v20261109", "debian-13", "2026-11-09T12:00:00.000-08:00"),
    Seed(
        "ubuntu-os-cloud",
        "ubuntu-2404-noble-amd64-v20261001",
        "ubuntu-2404-lts-amd64",
        "2026-10-01T12:00:00.000-07:00",
        deprecated="DEPRECATED",
    ),
    Seed("ubuntu-os-cloud", "ubuntu-2404-noble-arm64-v20261115", "ubuntu-2404-lts-arm64", "2026-11-15T12:10:00.000-08:00", "ARM64"),
    Seed("ubuntu-os-cloud", "ubuntu-2204-jammy-v20261105", "ubuntu-2204-lts", "2026-11-05T12:00:00.000-08:00"),
)
