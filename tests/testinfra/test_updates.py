"""Nothing changes kernel, driver or container engine behind the image's back."""

from __future__ import annotations

import re

import pytest
from facts import DOCKER_NAMES, KERNEL_NAMES, NVIDIA_NAMES, Facts

pytestmark = pytest.mark.image


def test_kernel_packages_are_held(image: Facts) -> None:
    """The metapackages too: they would bring a kernel that has no driver."""
    assert image.unheld(KERNEL_NAMES) == []


def test_nvidia_packages_are_held(image: Facts) -> None:
    """Every one: a library newer than the module is a "driver/library version mismatch"."""
    assert image.unheld(NVIDIA_NAMES) == []


def test_docker_packages_are_held(image: Facts) -> None:
    assert image.unheld(DOCKER_NAMES) == []


def test_upgrade_leaves_held_packages_alone(image: Facts) -> None:
    """A full upgrade is simulated while a newer version of every held package is on offer."""
    text = image.text("upgrade")
    assert image.codes["upgrade"] == 0, text
    assert "kept back" in text, f"nothing that is on offer was kept back: {text}"
    touched = re.findall(r"^(?:Inst|Remv) (\S+)", text, re.MULTILINE)
    held = set(image.lines("holds"))
    assert [name for name in touched if name in held or KERNEL_NAMES.search(name) or NVIDIA_NAMES.search(name)] == []


@pytest.mark.parametrize("timer", ["apt-daily.timer", "apt-daily-upgrade.timer"])
def test_timer_is_masked(image: Facts, timer: str) -> None:
    assert [timer, "masked"] in image.table("unit_states")


def test_unattended_upgrade_is_off(image: Facts) -> None:
    assert image.text("periodic") in {"", "value='0'"}
