"""A finished tree → one disk that boots by BIOS and by UEFI → a compressed qcow2.

GPT with a FAT system partition (systemd-boot, kernel, initrd; written with mtools, nothing is mounted) and an ext4 root written by
`mke2fs -d` straight into the raw file; extlinux in the root for BIOS.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goldbake import proc
from goldbake.errors import BakeError

MIB = 1024 * 1024
ESP_START_MIB = 1
ESP_MIB = 128
"""Room for two kernels with their initrds (about 45 MiB each with MODULES=most)."""
ROOT_START_MIB = ESP_START_MIB + ESP_MIB
_TAIL_MIB = 1  # the backup GPT

KERNEL_ARGUMENTS = "rw console=tty0 console=ttyS0,115200n8 net.ifnames=0 panic=30 loglevel=4"
"""loglevel=4: the kernel's errors, not its diary: every line of it goes through an emulated serial port."""


KERNEL_SUFFIX = ".vmlinuz"
"""The image's kernel lies beside its qcow2 under the same name with this suffix."""


@dataclass(frozen=True)
class Boot:
    """The one kernel of a tree."""

    version: str
    kernel: Path
    initrd: Path


def boot_files(root: Path) -> Boot:
    """Kernel and initrd of the tree.

    Raises BakeError unless there is exactly one kernel: a second one would boot without a driver some day.
    """
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        names = ", ".join(path.name for path in kernels) or "none"
        raise BakeError(f"the image must hold exactly one kernel, it has: {names}", hint="see image-scripts/remove-old-kernels.sh")
    version = kernels[0].name.removeprefix("vmlinuz-")
    initrd = root / "boot" / f"initrd.img-{version}"
    if not initrd.exists():
        raise BakeError(f"there is no initrd for kernel {version}", hint="see update-initramfs in image-scripts/install-driver.sh")
    return Boot(version, kernels[0], initrd)


def starts_directly(root: Path, boot: Boot) -> bool:
    """Whether the kernel finds its root on an NVMe disk without an initrd: drivers and file system are in it, not in modules.

    Debian's cloud kernel does; Ubuntu's generic one has NVMe as a module.
    """
    config = root / "boot" / f"config-{boot.version}"
    built_in = config.read_text().splitlines() if config.exists() else []
    return all(f"CONFIG_{name}=y" in built_in for name in ("PCI", "BLK_DEV_NVME", "EXT4_FS", "EFI_PARTITION", "DEVTMPFS"))


def assemble(root: Path, raw: Path, size_gib: int, say: Callable[[str], None]) -> None:
    """Write the tree into a sparse, bootable raw disk of `size_gib` GiB.

    Raises BakeError when the tree has no single kernel, ProcessError when a tool fails (mke2fs says when the tree does not fit).
    """
    boot = boot_files(root)
    disk_id, root_id = uuid.uuid4(), uuid.uuid4()
    root_mib = size_gib * 1024 - ROOT_START_MIB - _TAIL_MIB
    raw.unlink(missing_ok=True)
    with raw.open("wb") as file:
        file.truncate(size_gib * 1024 * MIB)
    say("partition table")
    _partition(raw, root_mib, str(disk_id))
    _write_configuration(root, boot, str(root_id))
    say("root file system")
    proc.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "goldbake-root", "-U", str(root_id), "-O", "^64bit,^metadata_csum,^orphan_file", "-m", "1",
         "-E", f"offset={ROOT_START_MIB * MIB},lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0", "-d", root, raw, f"{root_mib}M"]
    )  # fmt: skip
    say("boot loaders")
    _write_esp(root, raw, boot, str(root_id))
    _install_extlinux(root, raw)


def compress(raw: Path, artifact: Path) -> None:
    """Convert a raw disk to the qcow2 that is published (zstd, 3.7 s against 19.7 s with zlib for the same size)."""
    partial = artifact.with_suffix(".partial")
    proc.run(["qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", "-W", "-m", "8", raw, partial])
    partial.replace(artifact)


@contextmanager
def mounted(raw: Path, point: Path) -> Iterator[Path]:
    """The root file system of a raw disk, read-only; unmounted when the block ends."""
    point.mkdir(parents=True, exist_ok=True)
    proc.run(["mount", "-o", f"loop,ro,noload,offset={ROOT_START_MIB * MIB}", raw, point])
    try:
        yield point
    finally:
        proc.run(["umount", point])


def _partition(raw: Path, root_mib: int, disk_id: str) -> None:
    table = (
        f"label: gpt\nlabel-id: {disk_id}\nunit: sectors\n"
        f"start={ESP_START_MIB * 2048}, size={ESP_MIB * 2048}, type=U, name=esp\n"
        f'start={ROOT_START_MIB * 2048}, size={root_mib * 2048}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root, attrs="LegacyBIOSBootable"\n'
    )
    proc.run(["sfdisk", "--quiet", raw], input=table)


def _write_configuration(root: Path, boot: Boot, root_id: str) -> None:
    """The root is found by UUID on the kernel's command line; without an entry in fstab a container boots the same tree."""
    (root / "etc/fstab").write_text("# the root is mounted from the kernel's command line\n")
    extlinux = root / "boot/extlinux"
    extlinux.mkdir(exist_ok=True)
    (extlinux / "extlinux.conf").write_text(
        "DEFAULT goldbake\nPROMPT 0\nTIMEOUT 1\n"
        f"LABEL goldbake\n  KERNEL /boot/{boot.kernel.name}\n  INITRD /boot/{boot.initrd.name}\n  APPEND root=UUID={root_id} {KERNEL_ARGUMENTS}\n"
    )


def _write_esp(root: Path, raw: Path, boot: Boot, root_id: str) -> None:
    work = raw.with_suffix(".esp")
    work.mkdir(exist_ok=True)
    try:
        (work / "loader.conf").write_text("default goldbake\ntimeout 0\n")
        (work / "goldbake.conf").write_text(
            f"title goldbake\nlinux /{boot.kernel.name}\ninitrd /{boot.initrd.name}\noptions root=UUID={root_id} {KERNEL_ARGUMENTS}\n"
        )
        image = f"{raw}@@{ESP_START_MIB}M"
        proc.run(["mformat", "-i", image, "-F", "-T", str(ESP_MIB * 2048), "-v", "ESP", "::"])
        for folder in ("EFI", "EFI/BOOT", "loader", "loader/entries"):
            proc.run(["mmd", "-i", image, f"::/{folder}"])
        loader = root / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
        for source, target in (
            (loader, "EFI/BOOT/BOOTX64.EFI"),
            (work / "loader.conf", "loader/loader.conf"),
            (work / "goldbake.conf", "loader/entries/goldbake.conf"),
            (boot.kernel, boot.kernel.name),
            (boot.initrd, boot.initrd.name),
        ):
            proc.run(["mcopy", "-o", "-i", image, source, f"::/{target}"])
    finally:
        shutil.rmtree(work)


def _install_extlinux(root: Path, raw: Path) -> None:
    """extlinux must write its blocks through the mounted file system; the boot code goes into the first 440 bytes of the disk."""
    point = raw.with_suffix(".mnt")
    point.mkdir(exist_ok=True)
    proc.run(["mount", "-o", f"loop,offset={ROOT_START_MIB * MIB}", raw, point])
    try:
        proc.run(["extlinux", "--install", point / "boot/extlinux"])
    finally:
        proc.run(["umount", point])
        point.rmdir()
    code = (root / "usr/lib/syslinux/mbr/gptmbr.bin").read_bytes()
    with raw.open("r+b") as file:
        file.write(code[:440])
