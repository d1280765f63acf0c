"""Which Azure VM sizes have which NVIDIA GPU, and which one is taken when nobody names any."""

from __future__ import annotations

from collections.abc import Collection

from goldbake.clouds.types import cheapest
from goldbake.config.model import Gpu

CHEAPEST: tuple[tuple[str, Gpu], ...] = (
    ("Standard_NC4as_T4_v3", Gpu.T4),
    ("Standard_NV6ads_A10_v5", Gpu.A10),
    ("Standard_NC16lds_xl_RTXPRO6000BSE_v6", Gpu.RTX_PRO_6000),
    ("Standard_NC24ads_A100_v4", Gpu.A100),
    ("Standard_NC40ads_H100_v5", Gpu.H100),
    ("Standard_ND96isr_H200_v5", Gpu.H200),
)
"""The smallest size with each GPU, cheapest first by the hour in eastus (https://azure.microsoft.com/pricing/details/virtual-machines/linux/),
but for the A10: its smallest sizes hold a part of one, cost less than a T4 and work with the GRID driver only, so no image without one gets
them. Sizes with K80, P100, P40, M60 and V100 are retired; Azure has no L4, L40S and A10G, and B200 only beside ARM processors."""


def default_types(gpus: Collection[Gpu]) -> tuple[str, ...]:
    """The cheapest size whose GPU the image is made for. Raises UsageError when there is none."""
    return cheapest(CHEAPEST, gpus, kind="VM size of Azure", example="Standard_NC4as_T4_v3")
