"""The NVIDIA driver is there for every kernel, in one version, and nothing competes with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from facts import DRIVER_SOURCES, NVIDIA_NAMES, TOOLKIT_NAMES, Facts

LICENCES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}
REQUIRED = ("nvidia", "nvidia-modeset", "nvidia-drm", "nvidia-uvm")
"""nvidia-peermem is left out: it needs an InfiniBand stack."""


@pytest.mark.image
def test_dkms_installed_the_module_for_every_kernel(image: Facts) -> None:
    """An empty `dkms status` is a failure too."""
    status = image.text("dkms_status")
    built = set(re.findall(r"^nvidia[\w-]*/\S+, (\S+), \w+: installed", status, re.MULTILINE))
    assert built >= set(image.kernels), f"dkms status: {status or '(empty)'}"


@pytest.mark.image
def test_modules_exist_for_every_kernel(image: Facts) -> None:
    found = {(module.kernel, module.name) for module in image.modules}
    assert image.kernels, "no kernel is installed"
    assert [(kernel, name) for kernel in image.kernels for name in REQUIRED if (kernel, name) not in found] == []


@pytest.mark.image
def test_modules_have_the_wanted_version(image: Facts, expected: Mapping[str, Any]) -> None:
    wanted = expected["driver"]["version"]
    assert {f"{m.kernel} {m.name}": m.fields.get("version") for m in image.modules if m.fields.get("version") != wanted} == {}


@pytest.mark.image
def test_modules_were_built_for_their_kernel(image: Facts) -> None:
    """vermagic begins with the kernel's release; the kernel refuses any other."""
    assert {m.name: m.fields["vermagic"] for m in image.modules if m.fields["vermagic"].split()[0] != m.kernel} == {}


@pytest.mark.image
def test_module_has_the_wanted_flavour(image: Facts, expected: Mapping[str, Any]) -> None:
    """Open and proprietary modules differ in their licence; only the first module tells them apart."""
    wanted = LICENCES[expected["driver"]["module"]]
    assert {m.kernel: m.fields.get("license") for m in image.modules if m.name == "nvidia" and m.fields.get("license") != wanted} == {}


@pytest.mark.image
def test_modules_have_one_signer(image: Facts) -> None:
    """All signed by the same key, or none: a mixture fails to load in part under Secure Boot."""
    signers = {m.fields.get("signer", "nobody") for m in image.modules}
    assert len(signers) <= 1, f"signed by {sorted(signers)}"


@pytest.mark.image
def test_driver_packages_have_one_version(image: Facts, expected: Mapping[str, Any]) -> None:
    """ "Driver/library mismatch" is what users see otherwise."""
    driver = expected["driver"]
    if driver["source"] == "debian":
        parts = [package for package in image.packages if DRIVER_SOURCES.search(package.source)]
    else:
        parts = [package for package in image.packages if NVIDIA_NAMES.search(package.name) and not TOOLKIT_NAMES.search(package.name)]
        parts = [package for package in parts if re.match(r"\d+\.\d+", package.upstream) and "pinning" not in package.name]
    assert parts, "no package of the driver is installed"
    assert {package.name: package.version for package in parts if package.upstream != driver["version"]} == {}


@pytest.mark.image
def test_nvidia_smi_is_installed(image: Facts) -> None:
    assert "nvidia-smi" in [path.rpartition("/")[2] for path in image.lines("programs")]


@pytest.mark.image
@pytest.mark.parametrize("library", ["libcuda.so.1", "libnvidia-ml.so.1"])
def test_library_is_found_by_the_linker(image: Facts, library: str) -> None:
    assert library in image.lines("libraries")


@pytest.mark.image
def test_nouveau_is_blacklisted(image: Facts) -> None:
    assert "nouveau" in image.lines("modprobe_blacklist")


@pytest.mark.image
def test_nouveau_is_not_in_the_initramfs(image: Facts) -> None:
    assert [kernel for kernel, _, nouveau in image.table("initramfs") if int(nouveau) > 0] == []


@pytest.mark.image
def test_driver_is_not_loaded_blindly_at_boot(image: Facts) -> None:
    """65 MB of module at every boot, GPU or not (9.8 s on an emulated machine); udev loads it when there is a GPU."""
    assert image.lines("loaded_at_boot") == []


@pytest.mark.booted
def test_secure_boot_is_on_where_the_modules_are_signed_for_it(machine: Facts, expected: Mapping[str, Any]) -> None:
    """So that the next check shows whether the kernel takes their signature."""
    assert not expected.get("secure_boot") or machine.text("secure_boot") == "on"


@pytest.mark.booted
def test_module_fits_the_running_kernel(machine: Facts) -> None:
    """Without a GPU a fitting module loads, finds nothing and says "No such device"; any other answer means that it does not fit."""
    if machine.lines("gpus"):
        pytest.skip("there is a GPU: test_gpu.py tells more")
    assert machine.codes["modprobe_nvidia"] != 0
    assert "No such device" in machine.text("modprobe_nvidia")
