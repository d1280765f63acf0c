"""Which EC2 instance types have which NVIDIA GPU, and which one is taken when nobody names any."""

from __future__ import annotations

from collections.abc import Collection

from goldbake.clouds.types import cheapest
from goldbake.config.model import Gpu

CHEAPEST: tuple[tuple[str, Gpu], ...] = (
    ("g4dn.xlarge", Gpu.T4),
    ("g6.xlarge", Gpu.L4),
    ("g5.xlarge", Gpu.A10G),
    ("g6e.xlarge", Gpu.L40S),
    ("p3.2xlarge", Gpu.V100),
    ("g7e.2xlarge", Gpu.RTX_PRO_6000),
    ("p5.4xlarge", Gpu.H100),
    ("p4d.24xlarge", Gpu.A100),
    ("p5en.48xlarge", Gpu.H200),
    ("p6-b200.48xlarge", Gpu.B200),
    ("p6-b300.48xlarge", Gpu.B300),
)
"""The smallest type with each GPU, cheapest first by the hour on demand in us-east-1 (https://aws.amazon.com/ec2/pricing/on-demand/).
EC2 has no K80, P4, P100, A10 or GH200 any more, or never had."""


def default_types(gpus: Collection[Gpu]) -> tuple[str, ...]:
    """The cheapest type whose GPU the image is made for. Raises UsageError when there is none."""
    return cheapest(CHEAPEST, gpus, kind="EC2 instance type", example="g6.xlarge")
