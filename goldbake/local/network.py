"""A network of its own for a container: a namespace mounted on a file, and slirp4netns as its way out.

Address translation is done by a user process, so nothing of the host's interfaces, routes or firewall changes. Inside, 10.0.2.2 is the
host's loopback, as in QEMU's user network.
"""

from __future__ import annotations

import time
from pathlib import Path

from goldbake import proc
from goldbake.errors import GoldbakeError
from goldbake.local import leftovers

HOST = "10.0.2.2"
"""The host's loopback, as a guest sees it (slirp's default, the same in QEMU)."""

DNS = "10.0.2.3"
"""slirp's name server, which asks the host's."""

_READY_S = 30.0
_LOOK_S = 1.0
"""How often slirp4netns is looked for: it may have ended, or been ended."""


def make_namespace(file: Path) -> None:
    """A new network namespace, mounted on `file`: it lives until that is unmounted and the last process in it ends."""
    file.touch()
    proc.run(["unshare", f"--net={file}", "ip", "link", "set", "lo", "up"])


def connect(file: Path, log: Path, *, host_loopback: bool) -> None:
    """Start slirp4netns for the namespace and return when the network is up. Without `host_loopback` the host's own services stay unreachable.

    Its command line holds `file`, which is how it is found again. Raises GoldbakeError when the network does not come up.
    """
    command: list[str | Path] = ["slirp4netns", "--netns-type=path", "--configure", "--mtu=65520"]
    command += [] if host_loopback else ["--disable-host-loopback"]
    proc.detached([*command, file, "tap0"], log)
    began = looked = time.monotonic()
    while time.monotonic() - began < _READY_S:
        if "tap0" in proc.run(["nsenter", f"--net={file}", "ip", "-4", "-brief", "address", "show", "up"], check=False).stdout:
            return
        if time.monotonic() - looked > _LOOK_S:
            looked = time.monotonic()
            if not leftovers.processes_of(file.parent, programs=("setsid", "slirp4netns")):
                break
        time.sleep(0.02)
    said = log.read_text(errors="replace").strip().splitlines()
    raise GoldbakeError(
        f"the container's network did not come up: {said[-1] if said else 'slirp4netns said nothing'}",
        hint="slirp4netns needs /dev/net/tun",
    )
