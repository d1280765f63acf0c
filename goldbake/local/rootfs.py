"""The base root file system of a local image: mmdebstrap from this machine's own apt sources."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from goldbake import proc
from goldbake.config.model import Os
from goldbake.errors import BakeError, ProcessError
from goldbake.local import sources
from goldbake.log import Progress

PACKAGES = (
    "apt-utils", "ca-certificates", "curl", "dbus", "e2fsprogs", "gnupg", "initramfs-tools", "iproute2", "kmod", "less", "nftables",
    "openssh-server", "pciutils", "procps", "python3", "python3-apt", "sudo", "syslinux-common", "systemd", "systemd-boot-efi", "systemd-resolved", "systemd-sysv", "systemd-timesyncd",
    "udev", "zstd",
)  # fmt: skip
"""What a cloud's own base image brings, except cloud-init: the first-boot program reads user-data by itself.
zstd: without it the initramfs falls back to gzip."""

KERNELS = {"debian": ("linux-image-cloud-amd64", "linux-headers-cloud-amd64"), "ubuntu": ("linux-image-generic", "linux-headers-generic")}
"""Kernel and headers; the headers make DKMS build for the image's kernel and not for the host's."""

NETWORK = """\
[Match]
Name=en* eth*

[Network]
DHCP=yes
# A hypervisor gives every machine a MAC address of its own; waiting for a rival's answer costs 1.7 s before the network counts as online.
IPv6DuplicateAddressDetection=0
"""

EARLY_MODULES = """\
# In time for udev's first round, which takes network devices first: otherwise the card of a virtual machine is found last (4 s, emulated).
virtio_pci
virtio_net
"""

POLICY = """\
#!/bin/sh
# Present during the bake only: services of the image must not start on the bake host.
exit 101
"""


def make(system: Os, root: Path, progress: Progress, stop: threading.Event | None = None) -> None:
    """Fill the empty folder `root` with a minimal system of `system`.

    Raises BakeError when the mirror cannot be reached, MissingError without mmdebstrap. Leaves nothing mounted.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    listing = root.parent / "sources.list"
    listing.write_text(sources.text(system, sources.of_host(system)))
    # In a mount namespace of its own: mmdebstrap does not listen to SIGTERM, and whatever it has mounted ends with it.
    command: list[str | Path] = [
        "unshare",
        "--mount",
        "--propagation=private",
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join((*PACKAGES, *KERNELS[system.distribution]))}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        "--skip=cleanup/apt/lists",
        system.codename,
        root,
        listing,
    ]
    temporary = root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    try:
        # Killed, it leaves a folder of keys there, which goes with ours.
        proc.stream(command, lambda line: progress.detail("base", line), env={"TMPDIR": str(temporary)}, stop=stop, grace=0)
    except ProcessError as error:
        raise BakeError(
            f"the base of {system} could not be made: {error.message}",
            hint="if a mirror is named above: correct /etc/apt/sources.list* until `apt-get update` works, then run the same command again",
        ) from error
    shutil.rmtree(temporary)
    _settle(root)


def seal(system: Os, root: Path) -> None:
    """Last touch on a finished tree: nothing of the bake host stays in it.

    Public sources, an empty resolver link, no policy-rc.d, an empty machine-id (each VM makes its own), no trace of the container's
    own boot and of the SSH session that ran clean-image. The marks of systemd-update-done(8) say that users, libraries and hardware
    tables are up to date, so that no first boot does that work again.
    """
    (root / "etc/apt/sources.list").write_text(sources.text(system, sources.public(system)))
    _replace_link(root / "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("goldbake\n")
    changed = (root / "usr").stat().st_mtime_ns
    for folder in ("etc", "var"):
        mark = root / folder / ".updated"
        mark.write_text(f"# written by goldbake\nTIMESTAMP_NSEC={changed}\n")
        os.utime(mark, ns=(changed, changed))
    shutil.rmtree(root / "var/log/journal", ignore_errors=True)
    for path in (root / "var/log").rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)


def _settle(root: Path) -> None:
    # mmdebstrap's own name for the list; one file under the usual name is what people and scripts look for.
    (root / "etc/apt/sources.list.d/0000sources.list").replace(root / "etc/apt/sources.list")
    (root / "etc/hostname").write_text("goldbake\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 goldbake\n::1 localhost ip6-localhost ip6-loopback\n")
    (root / "etc/systemd/network/20-wired.network").write_text(NETWORK)
    (root / "etc/modules-load.d/virtio-net.conf").write_text(EARLY_MODULES)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(POLICY)
    policy.chmod(0o755)
    proc.run(["systemctl", f"--root={root}", "enable", "systemd-networkd.service", "systemd-resolved.service", "ssh.service"])


def _replace_link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
