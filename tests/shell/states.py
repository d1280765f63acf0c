"""States of a machine that tests continue from: what the layers before a script leave, made by the scripts themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tests.shell.machine import Machine

UBUNTU_RELEASE = 'PRETTY_NAME="Ubuntu 24.04.2 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n'


class Mirror(Protocol):
    """What is needed of conftest's Mirror."""

    @property
    def inputs(self) -> Mapping[str, Mapping[str, str]]: ...


def debian_kernel(machine: Machine, mirror: Mirror) -> None:
    """Debian 12 with the kernel for clouds and its headers, and what the real bases bring for their initramfs."""
    machine.ok("apt-get", "-q", "-y", "install", "initramfs-tools")
    machine.does("install-kernel", mirror.inputs["gpu-agent-debian"])


def ubuntu_base(machine: Machine, mirror: Mirror) -> None:
    """Ubuntu 24.04 by name: its own packages are stand-ins, the system below is the same Debian."""
    machine.write("/usr/lib/os-release", UBUNTU_RELEASE)
    machine.ok("sed", "-i", "s,/debian bookworm main non-free,/ubuntu noble main,", "/etc/apt/sources.list")
    machine.ok("apt-get", "-q", "update")


def ubuntu_kernel(machine: Machine, mirror: Mirror) -> None:
    """Ubuntu 24.04 with its general kernel and headers."""
    ubuntu_base(machine, mirror)
    machine.ok("apt-get", "-q", "-y", "install", "initramfs-tools")
    machine.does("install-kernel", mirror.inputs["gpu-agent"])


def debian_docker(machine: Machine, mirror: Mirror) -> None:
    """Debian 12 with its own Docker."""
    machine.does("install-docker", mirror.inputs["gpu-agent-distro"])


def agent_user(machine: Machine, mirror: Mirror) -> None:
    """Debian 12 with Docker and the user that jobs run as."""
    debian_docker(machine, mirror)
    machine.does("create-users", mirror.inputs["gpu-agent-distro"])
