"""What a finished tree says about how it boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.errors import BakeError
from goldbake.local import disk

BUILT_IN = "CONFIG_PCI=y\nCONFIG_BLK_DEV_NVME=y\nCONFIG_EXT4_FS=y\nCONFIG_EFI_PARTITION=y\nCONFIG_DEVTMPFS=y\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "vmlinuz-6.1.0-1-cloud-amd64").touch()
    (boot / "initrd.img-6.1.0-1-cloud-amd64").touch()
    (boot / "config-6.1.0-1-cloud-amd64").write_text(BUILT_IN)
    return tmp_path


def test_kernel_that_has_disk_and_file_system_in_it_starts_directly(root: Path) -> None:
    assert disk.starts_directly(root, disk.boot_files(root))


@pytest.mark.parametrize("name", ["PCI", "BLK_DEV_NVME", "EXT4_FS", "EFI_PARTITION", "DEVTMPFS"])
def test_kernel_that_has_a_part_in_a_module_needs_its_initrd(root: Path, name: str) -> None:
    (root / "boot/config-6.1.0-1-cloud-amd64").write_text(BUILT_IN.replace(f"CONFIG_{name}=y", f"CONFIG_{name}=m"))
    assert not disk.starts_directly(root, disk.boot_files(root))


def test_kernel_without_a_configuration_needs_its_initrd(root: Path) -> None:
    (root / "boot/config-6.1.0-1-cloud-amd64").unlink()
    assert not disk.starts_directly(root, disk.boot_files(root))


def test_two_kernels_are_refused_by_name(root: Path) -> None:
    (root / "boot/vmlinuz-6.1.0-2-cloud-amd64").touch()
    with pytest.raises(BakeError, match=r"vmlinuz-6\.1\.0-1-cloud-amd64, vmlinuz-6\.1\.0-2-cloud-amd64"):
        disk.boot_files(root)


def test_kernel_without_an_initrd_is_refused(root: Path) -> None:
    (root / "boot/initrd.img-6.1.0-1-cloud-amd64").unlink()
    with pytest.raises(BakeError, match="no initrd"):
        disk.boot_files(root)
