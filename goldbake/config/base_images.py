"""The public base image of each operating system on each cloud: publishers' own accounts and families, as data."""

from __future__ import annotations

from dataclasses import dataclass

from goldbake.config.model import Os


@dataclass(frozen=True)
class AwsBase:
    """The newest AMI of `owner` (an account number) whose name matches; the publisher fixes its root device and login user."""

    owner: str
    name: str
    root_device: str
    user: str


@dataclass(frozen=True)
class GcpBase:
    """The newest image of `family` in `project`."""

    project: str
    family: str


@dataclass(frozen=True)
class AzureBase:
    """A generation-2 marketplace image without a purchase plan."""

    publisher: str
    offer: str
    sku: str


_CANONICAL = "099720109477"
_DEBIAN = "136693071363"

AWS = {
    Os.DEBIAN_12: AwsBase(_DEBIAN, "debian-12-amd64-*", "/dev/xvda", "admin"),
    Os.DEBIAN_13: AwsBase(_DEBIAN, "debian-13-amd64-*", "/dev/xvda", "admin"),
    Os.UBUNTU_2204: AwsBase(_CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*", "/dev/sda1", "ubuntu"),
    Os.UBUNTU_2404: AwsBase(_CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*", "/dev/sda1", "ubuntu"),
}
"""Owners: https://wiki.debian.org/Cloud/AmazonEC2Image and https://documentation.ubuntu.com/aws/."""

GCP = {
    Os.DEBIAN_12: GcpBase("debian-cloud", "debian-12"),
    Os.DEBIAN_13: GcpBase("debian-cloud", "debian-13"),
    Os.UBUNTU_2204: GcpBase("ubuntu-os-cloud", "ubuntu-2204-lts"),
    Os.UBUNTU_2404: GcpBase("ubuntu-os-cloud", "ubuntu-2404-lts-amd64"),
}
"""https://cloud.google.com/compute/docs/images/os-details."""

AZURE = {
    Os.DEBIAN_12: AzureBase("Debian", "debian-12", "12-gen2"),
    Os.DEBIAN_13: AzureBase("Debian", "debian-13", "13-gen2"),
    Os.UBUNTU_2204: AzureBase("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    Os.UBUNTU_2404: AzureBase("Canonical", "ubuntu-24_04-lts", "server"),
}
"""https://learn.microsoft.com/azure/virtual-machines/linux/endorsed-distros."""
