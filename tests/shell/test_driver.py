"""install-driver: NVIDIA's and Debian's packages, their pins, keys and modules."""

from __future__ import annotations

import pytest

from tests.servers import Answer, closed_port
from tests.shell import packages
from tests.shell.conftest import Mirror, Started
from tests.shell.repository import Package, tampered
from tests.shell.states import debian_kernel, ubuntu_kernel

KERNEL = "6.1.0-99-cloud-amd64"


def candidate(policy: str) -> str:
    """The version that apt would install, of `apt-cache policy`."""
    return next(line.split()[-1] for line in policy.splitlines() if "Candidate:" in line)


def test_debian_gets_the_exact_version_and_again_changes_nothing(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does_twice("install-driver", debian)
    installed = machine.installed()
    names = ("nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-persistenced", "nvidia-fabricmanager", "libcuda1")
    assert {installed[name] for name in names} == {"580.159.04-1"}
    assert machine.ok("dkms", "status") == f"nvidia/580.159.04, {KERNEL}, x86_64: installed\n"


def test_pins_hold_back_the_newer_driver_and_leave_the_toolkit_alone(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    assert candidate(machine.ok("apt-cache", "policy", "libcuda1")) != "580.159.04-1"
    machine.does("install-driver", debian)
    machine.does("install-toolkit", debian)
    assert candidate(machine.ok("apt-cache", "policy", "libcuda1")) == "580.159.04-1"
    assert candidate(machine.ok("apt-cache", "policy", "nvidia-kernel-open-dkms")) == "580.159.04-1"
    assert candidate(machine.ok("apt-cache", "policy", "nvidia-container-toolkit")) == "1.20.0-1"


def test_the_repository_is_there_once_and_only_where_the_pin_says(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does("install-driver", debian)
    assert machine.run("grep", "-r", "cuda.invalid", "/etc/apt").code == 1
    machine.does("install-driver", debian)
    assert machine.ok("grep", "-rhc", debian["GOLDBAKE_CUDA_REPOSITORY_URL"], "/etc/apt/sources.list.d").split() == ["1"]


def test_no_key_that_signs_modules_stays(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.write("/var/lib/shim-signed/mok/MOK.priv", "private")
    machine.does("install-driver", debian)
    assert machine.exists("/var/lib/dkms/nvidia")
    assert not any(machine.exists(f"/var/lib/dkms/mok.{end}") for end in ("key", "pub"))
    assert not machine.exists("/var/lib/shim-signed/mok/MOK.priv")


def test_modules_are_loaded_by_udev_and_not_at_boot(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does("install-driver", debian)
    assert machine.ok("readlink", "/etc/modules-load.d/nvidia.conf") == "/dev/null\n"
    assert "nvidia-uvm" in machine.read("/etc/udev/rules.d/70-goldbake-nvidia.rules")


def test_the_initramfs_is_built_once_for_all_kernels(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does("install-driver", debian)
    assert machine.read("/var/log/update-initramfs.calls") == "-u -k all\n"
    assert "update_initramfs=yes" in machine.read("/etc/initramfs-tools/update-initramfs.conf")


@pytest.mark.parametrize(
    ("module", "package", "other"),
    [("open", "nvidia-kernel-open-dkms", "nvidia-kernel-dkms"), ("proprietary", "nvidia-kernel-dkms", "nvidia-kernel-open-dkms")],
)
def test_the_wanted_flavour_of_the_module_is_built(after: Started, debian: dict[str, str], module: str, package: str, other: str) -> None:
    machine = after(debian_kernel)
    machine.does("install-driver", {**debian, "GOLDBAKE_DRIVER_MODULE": module})
    assert package in machine.installed()
    assert other not in machine.installed()
    assert machine.read(f"/var/lib/dkms/nvidia/580.159.04/{KERNEL}") == f"{module}\n"


@pytest.mark.parametrize(
    ("version", "module", "expected"),
    [
        (
            "570.211.01",
            "open",
            ["libnvidia-compute-570", "nvidia-compute-utils-570", "nvidia-dkms-570-open", "nvidia-fabricmanager-570", "nvidia-utils-570"],
        ),
        (
            "580.159.04",
            "open",
            ["libnvidia-compute-580", "nvidia-compute-utils-580", "nvidia-dkms-580-open", "nvidia-fabricmanager", "nvidia-utils-580"],
        ),
        (
            "580.159.04",
            "proprietary",
            ["libnvidia-compute-580", "nvidia-compute-utils-580", "nvidia-dkms-580", "nvidia-fabricmanager", "nvidia-utils-580"],
        ),
        ("590.44.01", "open", ["libnvidia-compute", "nvidia-compute-utils", "nvidia-dkms-open", "nvidia-fabricmanager", "nvidia-utils"]),
        ("590.44.01", "proprietary", ["libnvidia-compute", "nvidia-compute-utils", "nvidia-dkms", "nvidia-fabricmanager", "nvidia-utils"]),
    ],
)
def test_ubuntu_names_follow_branch_and_flavour(
    after: Started, ubuntu: dict[str, str], version: str, module: str, expected: list[str]
) -> None:
    machine = after(ubuntu_kernel)
    machine.does("install-driver", {**ubuntu, "GOLDBAKE_DRIVER_VERSION": version, "GOLDBAKE_DRIVER_MODULE": module})
    installed = machine.installed()
    assert sorted(name for name in installed if "nvidia" in name and "pinning" not in name) == expected
    assert {installed[name].partition("-")[0] for name in expected} == {version}
    assert f"nvidia-driver-pinning-{version}" in installed


def test_ubuntu_again_changes_nothing_and_the_newer_driver_stays_out(after: Started, ubuntu: dict[str, str]) -> None:
    machine = after(ubuntu_kernel)
    machine.does_twice("install-driver", {**ubuntu, "GOLDBAKE_DRIVER_VERSION": "590.44.01"})
    assert candidate(machine.ok("apt-cache", "policy", "libnvidia-compute")) == "590.44.01-1ubuntu1"


def test_debians_own_driver_is_pinned_to_its_version(after: Started, distro: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does_twice("install-driver", distro)
    installed = machine.installed()
    names = ("libcuda1", "libnvidia-ml1", "libnvidia-ptxjitcompiler1", "nvidia-kernel-dkms", "nvidia-smi")
    assert {installed[name] for name in names} == {"535.309.01-0+deb12u1"}
    assert {"nvidia-persistenced", "nvidia-modprobe"} <= installed.keys()
    for name in ("libcuda1", "libnvidia-ptxjitcompiler1"):
        assert candidate(machine.ok("apt-cache", "policy", name)) == "535.309.01-0+deb12u1"


def test_debians_open_module_is_its_own_package(after: Started, distro: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.does("install-driver", {**distro, "GOLDBAKE_DRIVER_MODULE": "open"})
    assert machine.installed()["nvidia-open-kernel-dkms"] == "535.309.01-0+deb12u1"
    assert "nvidia-kernel-dkms" not in machine.installed()


def test_ubuntu_has_no_driver_of_debian(after: Started, ubuntu: dict[str, str]) -> None:
    output = after(ubuntu_kernel).fails("install-driver", {**ubuntu, "GOLDBAKE_DRIVER_SOURCE": "debian"})
    assert "source debian is not for ubuntu-24.04" in output


def test_a_version_that_is_not_there_lists_those_that_are(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    output = machine.fails("install-driver", {**debian, "GOLDBAKE_DRIVER_VERSION": "580.159.05"})
    assert "nvidia-driver-cuda 580.159.05 is not in the repositories; there is: 590.44.01-1 580.159.04-1" in output
    assert "nvidia-driver-cuda" not in machine.installed()


def test_a_version_is_no_prefix_of_another(after: Started, debian: dict[str, str]) -> None:
    assert "is not in the repositories" in after(debian_kernel).fails("install-driver", {**debian, "GOLDBAKE_DRIVER_VERSION": "580.159.0"})


def test_a_keyring_with_another_hash_is_not_installed(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    output = machine.fails("install-driver", {**debian, "GOLDBAKE_CUDA_KEYRING_SHA256": "0" * 64})
    assert debian["GOLDBAKE_CUDA_KEYRING_SHA256"] in output
    assert f"pinned is {'0' * 64}" in output
    assert "cuda-keyring" not in machine.installed()


@pytest.mark.parametrize("where", ["nowhere on the server", "no server"])
def test_a_keyring_that_cannot_be_fetched_is_named(after: Started, debian: dict[str, str], mirror: Mirror, where: str) -> None:
    url = (closed_port() if where == "no server" else mirror.publisher.server.url) + "/gone.deb"
    output = after(debian_kernel).fails("install-driver", {**debian, "GOLDBAKE_CUDA_KEYRING_URL": url})
    assert f"error: {url} cannot be fetched" in output


def test_a_repository_signed_by_a_stranger_is_refused(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(debian_kernel)
    url = mirror.stranger.flat("/stranger/cuda", packages.cuda_debian())
    output = machine.fails("install-driver", {**debian, "GOLDBAKE_CUDA_REPOSITORY_URL": url})
    assert "apt cannot read its sources" in output
    assert url in output
    assert "nvidia-driver-cuda" not in machine.installed()


def test_a_repository_changed_after_signing_is_refused(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(debian_kernel)
    url = mirror.publisher.flat("/tampered/cuda", packages.cuda_debian())
    tampered(mirror.publisher.server, "/tampered/cuda")
    output = machine.fails("install-driver", {**debian, "GOLDBAKE_CUDA_REPOSITORY_URL": url})
    assert "apt cannot read its sources" in output
    assert "nvidia-driver-cuda" not in machine.installed()


def test_a_package_changed_after_signing_is_refused(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    machine = after(debian_kernel)
    url = mirror.publisher.flat("/swapped/cuda", packages.cuda_debian())
    evil = mirror.publisher.pool.deb(packages.persistenced("nvidia-persistenced", "580.159.04-1"))[:-1] + b"!"
    mirror.publisher.server.serve("/swapped/cuda/nvidia-persistenced_580.159.04-1_amd64.deb", Answer(evil))
    output = machine.fails("install-driver", {**debian, "GOLDBAKE_CUDA_REPOSITORY_URL": url})
    assert "apt cannot install" in output
    assert "nvidia-persistenced" not in machine.installed()
    assert "update_initramfs=yes" in machine.read("/etc/initramfs-tools/update-initramfs.conf")


def test_a_kernel_without_headers_has_no_module_and_is_named(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.ok("apt-get", "-q", "-y", "install", "linux-image-5.10.0-1-lonely-amd64")
    output = machine.fails("install-driver", debian)
    assert "DKMS did not install the module for kernel 5.10.0-1-lonely-amd64" in output
    assert f"nvidia/580.159.04, {KERNEL}, x86_64: installed" in output
    assert "built for" in output  # the end of the log


def test_the_compiler_of_the_kernel_is_installed(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    assert "gcc-12" not in machine.installed()
    machine.does("install-driver", debian)
    assert "gcc-12" in machine.installed()
    assert "gcc-13" not in machine.installed()


def test_a_kernel_that_names_no_compiler_wishes_none(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.write(f"/boot/config-{KERNEL}", "CONFIG_64BIT=y\n")
    machine.does("install-driver", debian)
    assert "gcc-12" not in machine.installed()


def test_packages_without_nvidia_smi_are_no_driver(after: Started, debian: dict[str, str], mirror: Mirror) -> None:
    lacking = [package for package in packages.cuda_debian() if package.name != "nvidia-driver-cuda"]
    url = mirror.publisher.flat("/lacking/cuda", [*lacking, Package("nvidia-driver-cuda", "580.159.04-1")])
    output = after(debian_kernel).fails("install-driver", {**debian, "GOLDBAKE_CUDA_REPOSITORY_URL": url})
    assert "the driver's packages brought no nvidia-smi" in output
