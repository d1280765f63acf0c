"""GPUs are found, passed through and given back; where that is impossible, the reason is said. The machine is a tree of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.errors import MissingError
from launch import gpu

CARD, AUDIO, OTHER = "0000:65:00.0", "0000:65:00.1", "0000:66:00.0"


class Machine:
    """A /sys with PCI devices, and a kernel that acts on what is written to it."""

    def __init__(self, top: Path) -> None:
        self.sys, self.dev, self.proc = top / "sys", top / "dev", top / "proc"
        for folder in (self.sys / "bus/pci/devices", self.sys / "bus/pci/drivers", self.dev, self.proc):
            folder.mkdir(parents=True)
        self.stubborn = False

    def driver(self, name: str) -> None:
        (self.sys / "bus/pci/drivers" / name).mkdir(exist_ok=True)

    def device(self, address: str, *, vendor: str = "0x10de", kind: str = "0x030200", driver: str = "nvidia", group: str = "") -> None:
        real = self.sys / "devices" / address
        real.mkdir(parents=True)
        for name, text in (("vendor", vendor), ("class", kind), ("driver_override", "(null)")):
            (real / name).write_text(f"{text}\n")
        (self.sys / "bus/pci/devices" / address).symlink_to(real)
        if group:
            members = self.sys / "kernel/iommu_groups" / group / "devices"
            members.mkdir(parents=True, exist_ok=True)
            (members / address).symlink_to(real)
            (real / "iommu_group").symlink_to(members.parent)
        if driver:
            self.bind(address, driver)

    def bind(self, address: str, driver: str) -> None:
        self.driver(driver)
        (self.sys / "devices" / address / "driver").symlink_to(self.sys / "bus/pci/drivers" / driver)

    def bound(self, address: str) -> str:
        link = self.sys / "devices" / address / "driver"
        return link.resolve().name if link.exists() else ""

    def write(self, path: Path, text: str) -> None:
        if path.name == "driver_override":
            path.write_text(text)
        elif path.name == "unbind":
            if not self.stubborn:
                (self.sys / "devices" / text / "driver").unlink()
        elif path.name == "drivers_probe" and not self.bound(text):
            override = (self.sys / "devices" / text / "driver_override").read_text().strip()
            self.bind(text, override or "nvidia")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.driver("vfio-pci")
    return made


def test_only_nvidia_display_devices_are_gpus(machine: Machine) -> None:
    machine.device(CARD, group="14")
    machine.device(AUDIO, kind="0x040300", driver="snd_hda_intel", group="14")
    machine.device("0000:00:02.0", vendor="0x8086", kind="0x030000")
    assert gpu.found(machine.sys) == [gpu.Gpu(CARD, "nvidia", "14", (AUDIO,))]


def test_a_card_goes_to_a_vm_with_all_its_functions_and_comes_back(machine: Machine) -> None:
    machine.device(CARD, group="14")
    machine.device(AUDIO, kind="0x040300", driver="snd_hda_intel", group="14")
    machine.device("0000:64:00.0", vendor="0x8086", kind="0x060400", driver="pcieport", group="14")  # a bridge stays with the host
    addresses = gpu.for_vm(1, "kvm", machine.sys)
    assert addresses == [CARD, AUDIO]
    gpu.take(addresses, machine.sys, machine.write)
    assert [machine.bound(address) for address in addresses] == ["vfio-pci", "vfio-pci"]
    gpu.give_back(addresses, machine.sys, machine.write)
    assert machine.bound(CARD) == "nvidia"
    assert (machine.sys / "devices" / CARD / "driver_override").read_text() == "\n"


def test_a_device_that_is_not_ours_is_not_given_back(machine: Machine) -> None:
    machine.device(CARD, group="14")
    gpu.give_back([CARD], machine.sys, lambda *_: pytest.fail("nothing was to be written"))


def test_a_card_that_its_driver_holds_is_an_error(machine: Machine) -> None:
    machine.device(CARD, group="14")
    machine.stubborn = True
    with pytest.raises(MissingError, match=f"{CARD} could not be bound to vfio-pci"):
        gpu.take([CARD], machine.sys, machine.write)


@pytest.mark.parametrize(
    ("group", "other", "acceleration", "message"),
    [
        ("", "", "kvm", "no IOMMU group"),
        ("14", "14", "kvm", f"shares its IOMMU group 14 with {OTHER}"),
        ("14", "15", "tcg", "only with KVM"),
    ],
)
def test_why_a_vm_cannot_have_the_card(machine: Machine, group: str, other: str, acceleration: str, message: str) -> None:
    machine.device(CARD, group=group)
    machine.device(OTHER, vendor="0x8086", kind="0x020000", driver="ixgbe", group=other)
    with pytest.raises(MissingError, match=message) as caught:
        gpu.for_vm(1, acceleration, machine.sys)
    assert caught.value.hint


def test_vfio_has_to_be_loaded(machine: Machine) -> None:
    machine.device(CARD, group="14")
    (machine.sys / "bus/pci/drivers/vfio-pci").rmdir()
    with pytest.raises(MissingError, match="vfio-pci is not loaded"):
        gpu.for_vm(1, "kvm", machine.sys)


def test_a_machine_without_a_gpu_says_so(machine: Machine) -> None:
    machine.device(OTHER, vendor="0x8086", kind="0x020000", driver="ixgbe")
    for ask in (lambda: gpu.for_vm(1, "kvm", machine.sys), lambda: gpu.for_container("535", machine.sys, machine.dev, machine.proc)):
        with pytest.raises(MissingError, match="no NVIDIA GPU"):
            ask()


def test_more_gpus_than_there_are_name_the_number(machine: Machine) -> None:
    machine.device(CARD, group="14", driver="vfio-pci")
    machine.device(OTHER, group="15")
    with pytest.raises(MissingError, match="2 GPUs are wanted, and this machine has 2, 1 of them passed to a VM already") as caught:
        gpu.for_vm(2, "kvm", machine.sys)
    assert caught.value.hint == "--count 1 at most"


def _load(machine: Machine, version: str) -> None:
    (machine.proc / "driver/nvidia").mkdir(parents=True)
    text = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Sep  5 14:02:21 UTC 2024\nGCC version: gcc 12\n"
    (machine.proc / "driver/nvidia/version").write_text(text)


def test_a_container_gets_the_device_nodes_when_driver_and_libraries_agree(machine: Machine) -> None:
    machine.device(CARD)
    _load(machine, "535.309.01")
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-nvswitch0", "null"):
        (machine.dev / name).touch()
    (machine.dev / "nvidia-caps").mkdir()
    nodes = gpu.for_container("535.309.01", machine.sys, machine.dev, machine.proc)
    assert [node.name for node in nodes] == ["nvidia-uvm", "nvidia0", "nvidia1", "nvidiactl", "nvidia-caps"]


def test_a_container_whose_libraries_are_of_another_version_names_both(machine: Machine) -> None:
    machine.device(CARD)
    _load(machine, "550.127.05")
    with pytest.raises(MissingError, match=r"kernel module is 550\.127\.05 and the image's libraries are 535\.309\.01") as caught:
        gpu.for_container("535.309.01", machine.sys, machine.dev, machine.proc)
    assert "--engine vm" in caught.value.hint


def test_the_open_kernel_module_has_a_version_too(machine: Machine) -> None:
    (machine.proc / "driver/nvidia").mkdir(parents=True)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (root@x)\n"
    (machine.proc / "driver/nvidia/version").write_text(text)
    assert gpu.host_driver(machine.proc) == "580.95.05"


@pytest.mark.parametrize(("loaded", "message"), [(False, "kernel module is not loaded"), (True, "no device nodes")])
def test_why_a_container_cannot_have_the_card(machine: Machine, loaded: bool, message: str) -> None:
    machine.device(CARD)
    if loaded:
        _load(machine, "535.1")
    with pytest.raises(MissingError, match=message):
        gpu.for_container("535.1", machine.sys, machine.dev, machine.proc)
