"""What must start by itself does, and a machine without a GPU is not degraded by it."""

from __future__ import annotations

import pytest
from facts import Facts


@pytest.mark.image
@pytest.mark.parametrize(
    "unit",
    [
        "docker.socket",
        "nvidia-persistenced.service",
        "nvidia-cdi-refresh.service",
        "nvidia-cdi-refresh.path",
        "goldbake-firstboot.service",
        "goldbake-agent.service",
        "goldbake-metadata-guard.service",
        "goldbake-ttl.service",
        "goldbake-hostkeys.service",
        "goldbake-apparmor.service",
    ],
)
def test_unit_is_enabled(image: Facts, unit: str) -> None:
    assert dict(map(_pair, image.table("unit_states"))).get(unit) == "enabled"


@pytest.mark.image
@pytest.mark.parametrize("unit", ["docker.service", "containerd.service", "apparmor.service", "e2scrub_reap.service"])
def test_unit_does_not_hold_up_the_boot(image: Facts, unit: str) -> None:
    """The agent needs none of these; they cost 20 s of processor time on an emulated machine."""
    assert dict(map(_pair, image.table("unit_states"))).get(unit) != "enabled"


@pytest.mark.booted
def test_system_is_running(machine: Facts) -> None:
    """No failed unit; the drop-ins keep persistenced and cdi-refresh quiet where there is no GPU."""
    assert machine.text("system_state") == "running", f"failed: {machine.text('failed_units')}"


@pytest.mark.booted
def test_disk_has_a_gib_free(machine: Facts) -> None:
    """What the first job needs to begin at all."""
    assert int(machine.text("disk_free")) >= 1 << 30


def _pair(row: list[str]) -> tuple[str, str]:
    return row[0], row[1] if len(row) > 1 else ""
