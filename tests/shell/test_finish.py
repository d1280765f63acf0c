"""install-firstboot, configure-services, hold-packages, disable-timers, clean-image: the last layer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from goldbake.paths import PROJECT
from tests.shell import packages
from tests.shell.conftest import Mirror
from tests.shell.machine import UPLOADED, Machine
from tests.shell.repository import Package

UNITS = "/usr/lib/systemd/system"
CDI = {f"{UNITS}/nvidia-cdi-refresh.{kind}": "[Install]\nWantedBy=multi-user.target\n" for kind in ("service", "path")}
HAS_DEVICE = PROJECT / "image-scripts/rootfs/usr/lib/goldbake/has-nvidia-device"


@pytest.fixture
def served(machine: Machine, mirror: Mirror) -> Machine:
    """With the units of Ubuntu's driver and of the toolkit."""
    machine.install(mirror.publisher.pool, packages.persistenced("nvidia-compute-utils-580", "580.159.04-1ubuntu1"))
    for path, text in CDI.items():
        machine.write(path, text)
    return machine


def is_enabled(machine: Machine, unit: str) -> str:
    return machine.run("systemctl", "is-enabled", unit).output.strip()


NFTABLES = Package("nftables", "1.0.6-2")
ENABLED = ("firstboot", "agent", "metadata-guard", "ttl", "hostkeys")


def test_first_boot_is_installed_and_enabled(machine: Machine, mirror: Mirror) -> None:
    machine.install(mirror.publisher.pool, NFTABLES)
    machine.does_twice("install-firstboot", {})
    assert [unit for unit in ENABLED if is_enabled(machine, f"goldbake-{unit}.service") != "enabled"] == []
    assert is_enabled(machine, "goldbake-gpu-gate.service") == "static"


def test_first_boot_is_compiled_and_runs(machine: Machine, mirror: Mirror) -> None:
    machine.install(mirror.publisher.pool, NFTABLES)
    machine.write("/usr/lib/goldbake/firstboot/removed.py", "of an older image")
    machine.does("install-firstboot", {})
    assert not machine.exists("/usr/lib/goldbake/firstboot/removed.py")
    assert machine.exists("/usr/lib/goldbake/firstboot/__pycache__/main.cpython-311.pyc")
    assert "goldbake: not-configured" in machine.ok("/usr/lib/goldbake/goldbake-firstboot")
    assert "phase         not-configured" in machine.run("goldbake-status").output


def test_first_boot_does_not_go_without_nftables(machine: Machine) -> None:
    assert "apt cannot install nftables" in machine.fails("install-firstboot", {})


def test_persistenced_persists_and_is_skipped_without_a_gpu(served: Machine) -> None:
    served.does_twice("configure-services", {})
    assert is_enabled(served, "nvidia-persistenced.service") == "enabled"
    lines = served.read("/etc/systemd/system/nvidia-persistenced.service.d/goldbake.conf").splitlines()
    assert "ExecCondition=/usr/lib/goldbake/has-nvidia-device gpu" in lines
    assert lines[-2:] == ["ExecStart=", "ExecStart=/usr/bin/nvidia-persistenced --user nvidia-persistenced --verbose"]


def test_the_refresh_of_cdi_is_enabled_and_skipped_without_a_gpu(served: Machine) -> None:
    served.does("configure-services", {})
    assert is_enabled(served, "nvidia-cdi-refresh.service") == is_enabled(served, "nvidia-cdi-refresh.path") == "enabled"
    assert "has-nvidia-device gpu" in served.read("/etc/systemd/system/nvidia-cdi-refresh.service.d/goldbake.conf")


@pytest.mark.parametrize(("package", "version"), [("nvidia-fabricmanager", "580.159.04-1"), ("nvidia-fabricmanager-570", "570.211.01-1")])
def test_fabricmanager_is_enabled_for_machines_with_nvswitch(served: Machine, mirror: Mirror, package: str, version: str) -> None:
    served.install(mirror.publisher.pool, packages.fabricmanager(package, version))
    served.does_twice("configure-services", {})
    assert is_enabled(served, "nvidia-fabricmanager.service") == "enabled"
    assert "has-nvidia-device nvswitch" in served.read("/etc/systemd/system/nvidia-fabricmanager.service.d/goldbake.conf")


def test_without_fabricmanager_nothing_speaks_of_it(served: Machine) -> None:
    served.does("configure-services", {})
    assert not served.exists("/etc/systemd/system/nvidia-fabricmanager.service.d")


@pytest.mark.parametrize("unit", ["nvidia-persistenced.service", "nvidia-cdi-refresh.service"])
def test_a_unit_that_no_package_brought_is_named(served: Machine, unit: str) -> None:
    served.ok("rm", f"{UNITS}/{unit}")
    assert f"there is no unit {unit}" in served.fails("configure-services", {})


def test_a_unit_without_a_command_is_refused(served: Machine) -> None:
    served.write(f"{UNITS}/nvidia-persistenced.service", "[Service]\nType=forking\n")
    assert "nvidia-persistenced.service has no ExecStart" in served.fails("configure-services", {})


def pci(folder: Path, *devices: tuple[str, str]) -> Path:
    """A tree as /sys/bus/pci/devices, of (vendor, class)."""
    for number, (vendor, kind) in enumerate(devices):
        device = folder / f"0000:00:{number:02x}.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    folder.mkdir(exist_ok=True)
    return folder


NVIDIA, INTEL = "0x10de", "0x8086"


@pytest.mark.parametrize(
    ("devices", "gpu", "nvswitch"),
    [
        ([(INTEL, "0x060000"), (NVIDIA, "0x030200")], 0, 1),  # 3D controller, as a data centre's GPU
        ([(NVIDIA, "0x030000")], 0, 1),  # display controller
        ([(NVIDIA, "0x068000")], 1, 0),
        ([(NVIDIA, "0x030200"), (NVIDIA, "0x068000")], 0, 0),
        ([(INTEL, "0x030000")], 1, 1),
        ([(INTEL, "0x068000")], 1, 1),
        ([(NVIDIA, "0x020000")], 1, 1),  # NVIDIA makes network adapters, too
        ([], 1, 1),
    ],
)
def test_an_nvidia_device_is_known_by_vendor_and_class(tmp_path: Path, devices: list[tuple[str, str]], gpu: int, nvswitch: int) -> None:
    tree = pci(tmp_path / "devices", *devices)
    codes = [
        subprocess.run(["sh", HAS_DEVICE, kind], env={"PCI_DEVICES": str(tree)}, check=False, capture_output=True).returncode
        for kind in ("gpu", "nvswitch")
    ]
    assert codes == [gpu, nvswitch]


@pytest.mark.parametrize("arguments", [[], ["tpu"]])
def test_an_unknown_kind_of_device_fails_the_unit_and_not_only_skips_it(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(["sh", HAS_DEVICE, *arguments], env={"PCI_DEVICES": str(tmp_path)}, check=False, capture_output=True, text=True)
    assert done.returncode == 255  # systemd.service(5), ExecCondition=: 1 to 254 skip
    assert "gpu or nvswitch" in done.stderr


HELD = """
linux-image-6.8.0-52-generic linux-image-generic linux-headers-6.8.0-52 linux-headers-generic linux-modules-6.8.0-52-generic linux-generic
linux-modules-extra-6.8.0-52-generic linux-aws linux-aws-headers-6.8.0-1021 linux-image-cloud-amd64
nvidia-driver-cuda nvidia-kernel-open-dkms nvidia-persistenced nvidia-fabricmanager nvidia-driver-pinning-580.159.04 libnvidia-compute-580
libnvidia-ml1 libnvcuvid1 libcuda1 cuda-keyring libnvoptix1 cuda-drivers firmware-nvidia-gsp libxnvctrl0
nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container1 libnvidia-container-tools
docker-ce docker-ce-cli docker.io docker-cli containerd containerd.io runc
"""
FREE = """
linux-base linux-libc-dev libnvme1 libnvpair3 cuda-toolkit-12-9 docker-buildx-plugin docker-compose-plugin docker-doc runcible git dkms
"""


def test_exactly_kernel_driver_toolkit_and_engine_are_held(machine: Machine) -> None:
    listed = "".join(f"{Package(name, '1').control}Status: install ok installed\n\n" for name in [*HELD.split(), *FREE.split()])
    machine.ok("sh", "-c", 'printf "%s" "$1" >>/var/lib/dpkg/status', "sh", listed)
    machine.does_twice("hold-packages", {})
    assert sorted(machine.ok("apt-mark", "showhold").split()) == sorted(HELD.split())


def test_a_package_that_is_gone_but_for_its_settings_is_not_held(machine: Machine, mirror: Mirror) -> None:
    files = {"/etc/nvidia/old.conf": ""}
    machine.install(mirror.publisher.pool, Package("nvidia-old", "1", files=files, conffiles=tuple(files)), Package("docker-ce", "1"))
    machine.ok("dpkg", "--remove", "nvidia-old")
    machine.does("hold-packages", {})
    assert machine.ok("apt-mark", "showhold") == "docker-ce\n"


def test_an_image_without_anything_to_hold_was_baked_in_the_wrong_order(machine: Machine) -> None:
    assert "there is nothing to hold" in machine.fails("hold-packages", {})


def test_timers_are_masked_and_apt_does_nothing_by_itself(machine: Machine) -> None:
    machine.write(f"{UNITS}/man-db.timer", "[Timer]\nOnCalendar=daily\n")
    machine.does_twice("disable-timers", {})
    for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "unattended-upgrades.service", "man-db.timer"):
        assert is_enabled(machine, unit) == "masked"
    assert not machine.exists("/etc/systemd/system/motd-news.timer")
    assert "Enable='0'" in machine.ok("apt-config", "shell", "Enable", "APT::Periodic::Enable")


GONE = [
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/root/.ssh/authorized_keys",
    "/home/someone/.ssh/authorized_keys2",
    "/root/.bash_history",
    "/home/someone/.python_history",
    "/home/someone/.sudo_as_admin_successful",
    "/root/.wget-hsts",
    "/root/.lesshst",
    "/root/.cache/pip/wheel",
    "/root/.gnupg/private-keys-v1.d/key",
    "/home/someone/.cache/thing",
    "/var/lib/cloud/instances/i-123/user-data.txt",
    "/var/lib/dhcp/dhclient.leases",
    "/var/lib/goldbake/status.json",
    "/var/lib/waagent/ovf-env.xml",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/dbus/machine-id",
    "/var/lib/dkms/mok.key",
    "/var/lib/shim-signed/mok/MOK.priv",
    "/var/lib/apt/lists/mirror_dists_bookworm_InRelease",
    "/var/cache/apt/archives/hello_1_amd64.deb",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/debconf/config.dat-old",
    "/var/lib/dpkg/status-old",
    "/var/log/journal/0123/system.journal",
    "/var/log/syslog.1",
    "/var/log/apt/history.log.2.gz",
    "/var/log/boot.log.old",
    "/var/tmp/systemd-private-1/tmp/file",
]


@pytest.mark.parametrize("path", GONE)
def test_r05_nothing_of_the_bake_or_of_one_machine_stays(machine: Machine, path: str) -> None:
    machine.write(path, "of the bake")
    machine.does("clean-image", {})
    assert not machine.exists(path)


def test_an_image_is_cleaned_twice_with_the_same_result(machine: Machine) -> None:
    for path in GONE:
        machine.write(path, "of the bake")
    machine.does_twice("clean-image", {})


def test_r05_the_machine_id_is_empty_so_that_each_machine_makes_its_own(machine: Machine) -> None:
    machine.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    machine.does("clean-image", {})
    assert machine.ok("stat", "-c", "%s", "/etc/machine-id") == "0\n"


def test_logs_are_emptied_and_keep_their_owners(machine: Machine) -> None:
    machine.write("/var/log/auth.log", "Accepted publickey for root")
    machine.ok("chown", "root:adm", "/var/log/auth.log")
    machine.ok("chmod", "640", "/var/log/auth.log")
    machine.does("clean-image", {})
    assert machine.ok("stat", "-c", "%s %a %U:%G", "/var/log/auth.log") == "0 640 root:adm\n"


def test_cloud_init_forgets_by_itself(machine: Machine) -> None:
    machine.write("/usr/bin/cloud-init", '#!/bin/sh\necho "$*" >/cloud-init.asked\n', 0o755)
    machine.does("clean-image", {})
    assert machine.read("/cloud-init.asked") == "clean --logs --seed\n"


def test_what_the_bake_still_reads_stays(machine: Machine) -> None:
    machine.write(f"{UPLOADED}/files/manifest.json", "{}")
    machine.does("clean-image", {})
    assert machine.read(f"{UPLOADED}/files/manifest.json") == "{}"
    assert machine.exists(f"{UPLOADED}/scripts/clean-image.sh")


def test_packages_that_nothing_needs_go(machine: Machine, mirror: Mirror) -> None:
    machine.install(mirror.publisher.pool, Package("linux-aws-headers-6.8.0-1020", "1"), Package("docker-ce", "1"))
    machine.ok("apt-mark", "auto", "linux-aws-headers-6.8.0-1020")
    machine.does("clean-image", {})
    assert "linux-aws-headers-6.8.0-1020" not in machine.installed()
    assert "docker-ce" in machine.installed()


def test_a_clouds_manifest_is_completed_with_kernels_and_packages(machine: Machine) -> None:
    machine.write(f"{UPLOADED}/files/manifest.json", '{"image": "x", "kernels": [], "variables": {"A": "é"}, "packages": {}}')
    machine.write("/boot/vmlinuz-6.1.0-9-amd64", "")
    machine.write("/boot/vmlinuz-6.1.0-10-amd64", "")
    machine.does_twice("write-manifest", {})
    manifest = json.loads(machine.read("/usr/share/goldbake/manifest.json"))
    assert list(manifest) == ["image", "kernels", "variables", "packages"]
    assert manifest["kernels"] == ["6.1.0-10-amd64", "6.1.0-9-amd64"]
    assert manifest["variables"] == {"A": "é"}
    assert manifest["packages"] == machine.installed()
    assert machine.ok("stat", "-c", "%a %U", "/usr/share/goldbake/manifest.json").strip() == "644 root"


def test_without_a_manifest_to_complete_nothing_is_written(machine: Machine) -> None:
    assert "there is no manifest.json to complete" in machine.fails("write-manifest", {})
    assert not machine.exists("/usr/share/goldbake/manifest.json")
