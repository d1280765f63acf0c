"""Every installed kernel can boot, and it is the one that runs."""

from __future__ import annotations

import re

import pytest
from facts import Facts


def version_key(kernel: str) -> list[tuple[int, str]]:
    """Sorts 6.1.0-9 before 6.1.0-10, as the boot loader does."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", kernel) if part]


@pytest.mark.image
def test_every_kernel_has_headers(image: Facts) -> None:
    """DKMS silently skips a kernel without headers (dkms common.postinst) and exits 0."""
    assert image.lines("headers") == image.kernels != []


@pytest.mark.image
def test_every_kernel_has_an_initramfs(image: Facts) -> None:
    assert [kernel for kernel, files, _ in image.table("initramfs") if int(files) == 0] == []


@pytest.mark.image
def test_modules_belong_to_installed_kernels_only(image: Facts) -> None:
    """A tree of another kernel is a leftover, or a driver built for the kernel of the machine that baked."""
    assert sorted(set(image.lines("module_trees")) - set(image.kernels)) == []


@pytest.mark.booted
def test_newest_kernel_is_the_running_one(machine: Facts) -> None:
    assert machine.text("running_kernel") == max(machine.lines("boot_kernels"), key=version_key)
