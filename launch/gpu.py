"""NVIDIA GPUs of this machine, handed to an instance: whole, by vfio, to a VM; as device nodes to a container.

`sys`, `dev` and `proc_fs` are where the kernel shows its devices; a test has trees of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldbake.errors import MissingError

SYS = Path("/sys")
DEV = Path("/dev")
PROC = Path("/proc")

Write = Callable[[Path, str], None]
"""Writes to a file of the kernel; the kernel acts before it returns."""

_NVIDIA = "0x10de"
_DISPLAY = "0x03"
_BRIDGE = "0x06"
_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
_INTO_BIOS = (
    "turn on VT-d or AMD-Vi in the firmware and boot with intel_iommu=on or amd_iommu=on; `dmesg | grep -i iommu` shows the outcome"
)


@dataclass(frozen=True)
class Gpu:
    """A GPU. `companions`: the other devices of its IOMMU group, which the hardware cannot keep apart from it."""

    address: str
    driver: str
    group: str
    companions: tuple[str, ...]


def found(sys: Path = SYS) -> list[Gpu]:
    """The NVIDIA GPUs on the PCI bus, by address."""
    devices = sorted((sys / "bus/pci/devices").glob("*"))
    return [_gpu(path) for path in devices if _text(path / "vendor") == _NVIDIA and _text(path / "class").startswith(_DISPLAY)]


def for_vm(count: int, acceleration: str, sys: Path = SYS) -> list[str]:
    """PCI addresses to pass to a VM for `count` GPUs, companions included. Raises MissingError that says why it is impossible."""
    gpus = _enough(count, sys)
    if acceleration != "kvm":
        raise MissingError(
            "a GPU can be passed to a VM only with KVM, which does not work here", hint="enable virtualisation, or use --engine container"
        )
    addresses: list[str] = []
    for gpu in gpus:
        if not gpu.group:
            raise MissingError(f"GPU {gpu.address} has no IOMMU group: this machine cannot pass devices through", hint=_INTO_BIOS)
        foreign = [address for address in gpu.companions if not _same_card(address, gpu.address)]
        if foreign:
            raise MissingError(
                f"GPU {gpu.address} shares its IOMMU group {gpu.group} with {', '.join(foreign)}",
                hint="use another slot, or --engine container: what is in one group goes to one VM only",
            )
        if not (sys / "bus/pci/drivers/vfio-pci").is_dir():
            raise MissingError("the driver vfio-pci is not loaded", hint="run `modprobe vfio-pci`")
        addresses += [gpu.address, *gpu.companions]
    return addresses


def for_container(image_driver: str, sys: Path = SYS, dev: Path = DEV, proc_fs: Path = PROC) -> list[Path]:
    """Device nodes to bind into a container. Raises MissingError when host and image do not fit.

    The libraries are the image's, the kernel module is the host's, and NVIDIA's driver insists that both are of one version.
    """
    _enough(1, sys)
    loaded = host_driver(proc_fs)
    if not loaded:
        raise MissingError("the host's NVIDIA kernel module is not loaded", hint="install the driver on this host, or use --engine vm")
    if loaded != image_driver:
        raise MissingError(
            f"the host's NVIDIA kernel module is {loaded} and the image's libraries are {image_driver or 'of no known version'}",
            hint=f"put driver {loaded} into images.yaml and bake again, or use --engine vm, which brings its own module",
        )
    nodes = sorted(path for path in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name) or path.name in _NODES)
    if not nodes:
        raise MissingError(f"there are no device nodes {dev}/nvidia*", hint="run `nvidia-modprobe -u -c 0`")
    return [*nodes, *sorted(dev.glob("nvidia-caps"))]


def host_driver(proc_fs: Path = PROC) -> str:
    """Version of the NVIDIA kernel module that runs here; empty without one."""
    match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", _text(proc_fs / "driver/nvidia/version"))
    return match[1] if match else ""


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def take(addresses: Sequence[str], sys: Path = SYS, write: Write = _write) -> None:
    """Bind devices to vfio-pci. Raises MissingError when one keeps its driver; give all of them back then."""
    for address in addresses:
        _rebind(address, "vfio-pci", sys, write)
        if _driver(sys / "bus/pci/devices" / address) != "vfio-pci":
            raise MissingError(f"{address} could not be bound to vfio-pci", hint="is it in use? `nvidia-smi` and `dmesg | tail` say more")


def give_back(addresses: Sequence[str], sys: Path = SYS, write: Write = _write) -> None:
    """Let the host's own driver have the devices again; those that are not at vfio-pci stay as they are."""
    for address in addresses:
        if _driver(sys / "bus/pci/devices" / address) == "vfio-pci":
            _rebind(address, "", sys, write)


def _enough(count: int, sys: Path) -> list[Gpu]:
    gpus = found(sys)
    if not gpus:
        raise MissingError("this machine has no NVIDIA GPU", hint="leave --gpu out, or launch in a cloud")
    free = [gpu for gpu in gpus if gpu.driver != "vfio-pci"]
    if len(free) < count:
        taken = f", {len(gpus) - len(free)} of them passed to a VM already" if len(gpus) > len(free) else ""
        raise MissingError(f"{count} GPUs are wanted, and this machine has {len(gpus)}{taken}", hint=f"--count {max(len(free), 1)} at most")
    return free[:count]


def _gpu(path: Path) -> Gpu:
    group = path / "iommu_group"
    if not group.exists():
        return Gpu(path.name, _driver(path), "", ())
    members = [other for other in sorted((group / "devices").iterdir()) if other.name != path.name]
    companions = [other.name for other in members if not _text(other / "class").startswith(_BRIDGE)]
    return Gpu(path.name, _driver(path), group.resolve().name, tuple(companions))


def _same_card(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def _driver(device: Path) -> str:
    link = device / "driver"
    return link.resolve().name if link.exists() else ""


def _rebind(address: str, driver: str, sys: Path, write: Write) -> None:
    device = sys / "bus/pci/devices" / address
    write(device / "driver_override", f"{driver}\n")
    if (device / "driver").exists():
        write(device / "driver/unbind", address)
    write(sys / "bus/pci/drivers_probe", address)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
