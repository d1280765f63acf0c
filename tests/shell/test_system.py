"""configure-apt, install-kernel, remove-old-kernels, disable-nouveau."""

from __future__ import annotations

import os

import pytest

from tests.servers import closed_port
from tests.shell import packages
from tests.shell.conftest import Mirror, Started
from tests.shell.machine import Machine
from tests.shell.repository import Package
from tests.shell.states import debian_kernel, ubuntu_base, ubuntu_kernel

KEYRING = "/usr/share/keyrings/stand-in.gpg"


def modules(machine: Machine) -> list[str]:
    return machine.ok("ls", "/lib/modules").split()


def test_apt_is_configured_once(machine: Machine, debian: dict[str, str]) -> None:
    machine.does_twice("configure-apt", debian)
    assert machine.ok("apt-config", "shell", "R", "Acquire::Retries", "I", "APT::Install-Recommends") == "R='3'\nI='false'\n"


def test_everything_is_brought_up_to_date(machine: Machine, mirror: Mirror, debian: dict[str, str]) -> None:
    machine.install(mirror.publisher.pool, Package("apparmor", "0.1"))
    machine.does("configure-apt", debian)
    assert machine.installed()["apparmor"] == "1:1"


def test_another_system_is_refused_before_anything_changes(machine: Machine, ubuntu: dict[str, str]) -> None:
    output = machine.fails("configure-apt", ubuntu)
    assert "this machine runs debian-12, the image is for ubuntu-24.04" in output
    assert machine.changes() == []


@pytest.mark.parametrize("components", ["main", "main non-free-firmware", "main contrib non-free non-free-firmware"])
def test_debians_driver_gets_its_components_in_a_one_line_source(
    machine: Machine, mirror: Mirror, distro: dict[str, str], components: str
) -> None:
    url = mirror.publisher.server.url
    machine.write("/etc/apt/sources.list", f"deb [signed-by={KEYRING}] {url}/debian bookworm {components}\n")
    machine.does_twice("configure-apt", distro)
    expected = f"deb [signed-by={KEYRING}] {url}/debian bookworm main contrib non-free non-free-firmware\n"
    assert machine.read("/etc/apt/sources.list") == expected


@pytest.mark.parametrize("components", ["main", "main non-free-firmware"])
def test_debians_driver_gets_its_components_in_a_source_of_paragraphs(
    machine: Machine, mirror: Mirror, distro: dict[str, str], components: str
) -> None:
    url = mirror.publisher.server.url
    machine.write("/etc/apt/sources.list", "")
    text = "Types: deb\nURIs: {url}/debian\nSuites: bookworm\nComponents: {components}\nSigned-By: {keyring}\n"
    machine.write("/etc/apt/sources.list.d/debian.sources", text.format(url=url, components=components, keyring=KEYRING))
    machine.does_twice("configure-apt", distro)
    whole = text.format(url=url, components="main contrib non-free non-free-firmware", keyring=KEYRING)
    assert machine.read("/etc/apt/sources.list.d/debian.sources") == whole


def test_sources_of_others_keep_their_components(machine: Machine, mirror: Mirror, distro: dict[str, str]) -> None:
    # Google's and Amazon's images bring sources of their own, which have no component but main.
    url = mirror.publisher.suite("/tools", "tools-bookworm-stable", {"main": []})
    line = f"deb [signed-by={KEYRING}] {url} tools-bookworm-stable main\n"
    machine.write("/etc/apt/sources.list.d/tools.list", line)
    paragraph = f"Types: deb\nURIs: {url}\nSuites: tools-bookworm-stable\nComponents: main\nSigned-By: {KEYRING}\n"
    machine.write(
        "/etc/apt/sources.list.d/more-tools.sources",
        paragraph.replace(url, mirror.publisher.suite("/more", "tools-bookworm-stable", {"main": []})),
    )
    before = machine.read("/etc/apt/sources.list.d/more-tools.sources")
    machine.does("configure-apt", distro)
    assert machine.read("/etc/apt/sources.list.d/tools.list") == line
    assert machine.read("/etc/apt/sources.list.d/more-tools.sources") == before


def test_nvidias_driver_leaves_the_sources_alone(machine: Machine, debian: dict[str, str]) -> None:
    before = machine.read("/etc/apt/sources.list")
    machine.does("configure-apt", debian)
    assert machine.read("/etc/apt/sources.list") == before


def test_a_mirror_that_is_down_ends_the_bake(machine: Machine, debian: dict[str, str]) -> None:
    url = closed_port()
    machine.write("/etc/apt/sources.list", f"deb [signed-by={KEYRING}] {url}/debian bookworm main\n")
    output = machine.fails("configure-apt", debian)
    assert "apt cannot read its sources" in output
    assert url in output


@pytest.mark.parametrize(("code", "passes"), [(0, True), (1, False), (2, True)])
def test_cloud_init_is_waited_for_and_may_have_recovered(machine: Machine, debian: dict[str, str], code: int, passes: bool) -> None:
    machine.write("/usr/bin/cloud-init", f'#!/bin/sh\necho "$*" >/cloud-init.asked\nexit {code}\n', 0o755)
    ended = machine.script("configure-apt", debian)
    assert machine.read("/cloud-init.asked") == "status --wait\n"
    assert (ended.code == 0) is passes
    assert passes or "cloud-init of the base image failed" in ended.output


def test_the_kernel_for_clouds_comes_with_its_headers(machine: Machine, debian: dict[str, str]) -> None:
    assert "newest kernel: 6.1.0-99-cloud-amd64" in machine.does_twice("install-kernel", debian)
    assert {"linux-image-cloud-amd64", "linux-headers-6.1.0-99-cloud-amd64"} <= machine.installed().keys()
    assert machine.exists("/lib/modules/6.1.0-99-cloud-amd64/build/Makefile")


@pytest.mark.parametrize(("cloud", "kernel"), [("local", "6.8.0-52-generic"), ("aws", "6.8.0-1021-aws")])
def test_ubuntus_kernel_is_the_clouds_own(after: Started, ubuntu: dict[str, str], cloud: str, kernel: str) -> None:
    machine = after(ubuntu_base)
    machine.does("install-kernel", {**ubuntu, "GOLDBAKE_CLOUD": cloud})
    assert modules(machine) == [kernel]
    assert machine.exists(f"/lib/modules/{kernel}/build/Makefile")


def test_a_newer_kernel_gets_the_headers_that_no_metapackage_brings(after: Started, mirror: Mirror, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.install(mirror.publisher.pool, packages.kernel("6.1.0-101-cloud-amd64"))
    url = mirror.publisher.flat("/headers", packages.headers("6.1.0-101-cloud-amd64", "6.1.0-101-common"))
    machine.write("/etc/apt/sources.list.d/headers.list", f"deb [signed-by={KEYRING}] {url} /\n")
    machine.ok("apt-get", "-q", "update")
    machine.does("install-kernel", debian)
    assert machine.exists("/lib/modules/6.1.0-101-cloud-amd64/build/Makefile")


def test_a_newest_kernel_whose_headers_nobody_has_is_an_error(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.ok("apt-get", "-q", "-y", "install", "linux-image-6.1.0-100-cloud-amd64")
    assert "apt cannot install linux-headers-6.1.0-100-cloud-amd64" in machine.fails("install-kernel", debian)


def test_only_the_newest_kernel_stays_with_its_headers(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.ok("apt-get", "-q", "-y", "install", "linux-image-6.1.0-98-cloud-amd64", "linux-headers-6.1.0-98-cloud-amd64")
    machine.write("/lib/modules/6.1.0-98-cloud-amd64/updates/dkms/nvidia.ko", "left by dkms")
    machine.does_twice("remove-old-kernels", debian)
    kernels = [name for name in machine.installed() if name.startswith("linux-") and name[-1] != "r" and "6.1.0" in name]
    assert sorted(kernels) == ["linux-headers-6.1.0-99-cloud-amd64", "linux-headers-6.1.0-99-common", "linux-image-6.1.0-99-cloud-amd64"]
    assert modules(machine) == ["6.1.0-99-cloud-amd64"]
    assert machine.exists("/lib/modules/6.1.0-99-cloud-amd64/build/Makefile")


def test_ubuntus_modules_and_headers_without_flavour_go_with_their_kernel(after: Started, ubuntu: dict[str, str]) -> None:
    machine = after(ubuntu_kernel)
    machine.ok("apt-get", "-q", "-y", "install", "linux-image-6.8.0-51-generic", "linux-headers-6.8.0-51-generic")
    machine.ok("apt-get", "-q", "-y", "install", "linux-modules-6.8.0-51-generic", "linux-modules-extra-6.8.0-51-generic")
    machine.does_twice("remove-old-kernels", ubuntu)
    assert sorted(name for name in machine.installed() if "6.8.0" in name) == [
        "linux-headers-6.8.0-52",
        "linux-headers-6.8.0-52-generic",
        "linux-image-6.8.0-52-generic",
        "linux-modules-extra-6.8.0-52-generic",
    ]
    assert modules(machine) == ["6.8.0-52-generic"]


def test_a_release_that_begins_like_the_newest_is_another_kernel(after: Started, mirror: Mirror, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.install(mirror.publisher.pool, *packages.headers("6.1.0-9-cloud-amd64", "6.1.0-9-common"))
    machine.does("remove-old-kernels", debian)
    assert not {"linux-headers-6.1.0-9-cloud-amd64", "linux-headers-6.1.0-9-common"} & machine.installed().keys()


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_cloud_must_run_its_newest_kernel(after: Started, debian: dict[str, str], cloud: str) -> None:
    machine = after(debian_kernel)
    output = machine.fails("remove-old-kernels", {**debian, "GOLDBAKE_CLOUD": cloud})
    assert f"the machine runs {os.uname().release}, its newest kernel is 6.1.0-99-cloud-amd64" in output
    assert machine.changes() == []


def test_a_cloud_that_runs_its_newest_kernel_loses_the_others(after: Started, mirror: Mirror, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    running = os.uname().release
    # Sorts after the running one, so only a newer name than all others is right here.
    machine.ok("sh", "-c", "rm /boot/*; rm -r /lib/modules/*; dpkg --purge --force-all $(dpkg-query -W -f '${Package} ' 'linux-*-6.1*')")
    machine.write(f"/boot/vmlinuz-{running}", "kernel")
    machine.write(f"/lib/modules/{running}/modules.order", "")
    machine.write("/lib/modules/0.1-old/modules.order", "")
    machine.does("remove-old-kernels", {**debian, "GOLDBAKE_CLOUD": "aws"})
    assert modules(machine) == [running]


def test_a_kernel_that_no_package_owns_is_an_error(after: Started, debian: dict[str, str]) -> None:
    machine = after(debian_kernel)
    machine.write("/boot/vmlinuz-5.0.0-handmade", "kernel")
    output = machine.fails("remove-old-kernels", debian)
    assert "kernels that belong to no package are left: 5.0.0-handmade 6.1.0-99-cloud-amd64" in output


def test_without_a_kernel_there_is_nothing_to_keep(machine: Machine, debian: dict[str, str]) -> None:
    assert "there is no kernel in /boot" in machine.fails("remove-old-kernels", debian)
    assert machine.changes() == []


def test_nouveau_is_kept_out(machine: Machine) -> None:
    machine.does_twice("disable-nouveau", {})
    assert "blacklist nouveau\n" in machine.read("/etc/modprobe.d/goldbake-nouveau.conf")
