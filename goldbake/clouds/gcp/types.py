"""Which machine types of Compute Engine have which NVIDIA GPU, which one is taken when nobody names any, and what goes with a type."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from goldbake.clouds.types import cheapest
from goldbake.config.gcp import BUILT_IN_GPU, disk_type_of
from goldbake.config.model import Gpu
from goldbake.errors import UsageError

CHEAPEST: tuple[tuple[str, Gpu], ...] = (
    ("n1-standard-4+nvidia-tesla-t4", Gpu.T4),
    ("g2-standard-4", Gpu.L4),
    ("n1-standard-4+nvidia-tesla-p4", Gpu.P4),
    ("n1-standard-4+nvidia-tesla-p100", Gpu.P100),
    ("n1-standard-4+nvidia-tesla-v100", Gpu.V100),
    ("a2-highgpu-1g", Gpu.A100),
    ("g4-standard-48", Gpu.RTX_PRO_6000),
    ("a3-ultragpu-8g", Gpu.H200),
    ("a3-highgpu-8g", Gpu.H100),
    ("a4-highgpu-8g", Gpu.B200),
)
"""The smallest type with each GPU that is sold on demand, cheapest first by the hour in us-central1 (https://cloud.google.com/compute/vm-instance-pricing
and …/compute/gpus-pricing). A3 High with fewer than eight H100 is sold as spot and flex-start only (https://cloud.google.com/compute/docs/gpus).
Compute Engine has no K80 any more, and never had A10, A10G, L40S or GH200."""

_ATTACHABLE = "n1-"
"""The only series to which GPUs are attached (https://cloud.google.com/compute/docs/gpus)."""
_WRITTEN = re.compile(r"(?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)+)(?:\+(?:(?P<count>[1248])x)?(?P<accelerator>nvidia-[a-z0-9-]+))?")


@dataclass(frozen=True)
class MachineType:
    """A machine type, and what GPUs are attached to it; those that are built in are part of the type."""

    name: str
    accelerator: str = ""
    count: int = 0

    def __str__(self) -> str:
        attached = f"{self.count}x{self.accelerator}" if self.count > 1 else self.accelerator
        return f"{self.name}+{attached}" if attached else self.name

    @property
    def has_gpu(self) -> bool:
        """Whether it cannot be moved to another host while it runs: `onHostMaintenance` has to be TERMINATE."""
        return bool(self.accelerator) or self.name.startswith(BUILT_IN_GPU)

    @property
    def is_custom(self) -> bool:
        """Whether it is of one's own making: no listing has it, and every zone is asked only when it is to start."""
        return "custom-" in self.name

    @property
    def disk(self) -> str:
        """The type of its root disk. N1's own default is a spinning one."""
        return disk_type_of(self.name)


def machine_type(text: str) -> MachineType:
    """`g2-standard-4`, `n1-standard-8+nvidia-tesla-t4` or `n1-standard-8+2xnvidia-tesla-t4`. Raises UsageError."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text} is no machine type",
            hint="as g2-standard-4, or n1-standard-8+2xnvidia-tesla-t4 for attached GPUs: 1, 2, 4 or 8 of them",
        )
    accelerator = found["accelerator"] or ""
    if accelerator and not text.startswith(_ATTACHABLE):
        raise UsageError(
            f"GPUs cannot be attached to {found['name']}, only to types of N1",
            hint=f"--instance-type {found['name']} has its own" if text.startswith(BUILT_IN_GPU) else f"as n1-standard-8+{accelerator}",
        )
    return MachineType(found["name"], accelerator, int(found["count"] or 1) if accelerator else 0)


def default_types(gpus: Collection[Gpu]) -> tuple[str, ...]:
    """The cheapest type whose GPU the image is made for. Raises UsageError when there is none."""
    return cheapest(CHEAPEST, gpus, kind="machine type of Compute Engine", example="g2-standard-4")
