"""The order in which `./inv test` runs everything: what tells most in the least time comes first, and a failure ends it there."""

from __future__ import annotations

import os
from pathlib import Path

UNIT = ("tests/unit",)
REAL = ("tests/shell", "tests/integration")
PARALLEL = ("-n", "auto", "--dist", "worksteal")
"""Unit tests share nothing: who has none left takes of those that wait elsewhere."""
WAITING = ("-n", str(2 * len(os.sched_getaffinity(0))), "--dist", "worksteal")
"""Slow unit tests wait for real programs half of their time: two for each processor."""
IN_THREES = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
"""The others share a machine: three at a time, since first boots and agents wait more than they work; those of a file one after the other,
because they share a booted image or a mirror. The image is baked once: who comes second waits for it. Files are handed out as `turn` says,
not by how many tests they have."""

FIRST = (
    "integration/test_sabotage.py",  # bakes; until there is an image, the others have these:
    "shell/test_finish.py", "shell/test_driver.py", "shell/test_containers.py", "shell/test_system.py", "shell/test_agent.py",
    "shell/test_trim.py", "shell/test_inputs.py", "integration/test_agent_fidelity.py", "integration/test_launch_local.py",
    "integration/test_lint.py", "integration/test_launch_interrupted.py", "integration/test_azure_fake_machines.py", "integration/test_gcp_fake.py",
    # those that look at the image, the longest first:
    "integration/test_first_boot_vm.py", "integration/test_first_boot_container.py", "integration/test_pat_hygiene.py",
    "integration/test_azure_bake.py", "integration/test_gcp_packer.py", "integration/test_faults.py", "integration/test_gcp_bake.py",
    "integration/test_aws_bake.py", "integration/test_packer.py", "integration/test_azure_launch.py", "integration/test_gcp_launch.py",
    "integration/test_aws_launch.py", "integration/test_secure_boot.py", "integration/test_demo.py",
)  # fmt: skip
"""The files that take long, in the order in which they are handed out. All others come after them, so that the workers end together."""

FAST = (*UNIT, "-m", "not slow", *PARALLEL)


def turn(path: Path) -> int:
    """When it is the turn of a file of tests: those of `FIRST` in their order, then all others."""
    name = f"{path.parent.name}/{path.name}"
    return FIRST.index(name) if name in FIRST else len(FIRST)


def plan(*, fast: bool, expression: str) -> list[tuple[str, ...]]:
    """pytest's arguments, one tuple per run. Coverage is collected over all runs and judged after the last one."""
    if expression:
        return [("-k", expression, *(("-m", "not slow") if fast else ()))]
    if fast:
        return [FAST, (*REAL, "-m", "not slow", *IN_THREES)]
    return [
        (*FAST, "--cov", "--cov-report=", "--cov-fail-under=0"),
        (*UNIT, "-m", "slow", *WAITING, "--cov", "--cov-append", "--cov-report=", "--cov-fail-under=0"),
        (*REAL, *IN_THREES, "--cov", "--cov-append", "--cov-report=term"),
    ]
