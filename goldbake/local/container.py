"""A systemd container on a stack of overlay layers, with an sshd of ours that leaves no trace in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goldbake import proc
from goldbake.errors import BakeError, ProcessError
from goldbake.local import cgroups

_TARGET = """\
[Unit]
Description=Provisioning by goldbake
Requires=basic.target bake-sshd.service
After=basic.target bake-sshd.service
AllowIsolate=yes
"""

_SSHD_UNIT = """\
[Unit]
Description=The bake's own SSH server
After=basic.target

[Service]
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
ExecStart=/usr/sbin/sshd -D -e -f /run/bake/sshd_config
"""

_SSHD_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey /run/bake/host_key
AuthorizedKeysFile /run/bake/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
"""

START_S = 60.0
"""Longest wait for the container's SSH server; measured 0.3–0.5 s on an idle machine."""


@dataclass(frozen=True)
class Login:
    """How to reach a booted image by SSH: root, by key, and only with the host key written in `known_hosts`."""

    host: str
    port: int
    key: Path
    known_hosts: Path
    user: str = "root"

    def ssh(self, *command: str) -> list[str]:
        """The argument list of an ssh call."""
        options = ["-F", "none", "-i", str(self.key), "-p", str(self.port), "-o", f"UserKnownHostsFile={self.known_hosts}"]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60"]
        return ["ssh", *options, f"{self.user}@{self.host}", *command]


@contextmanager
def overlay(lower: Sequence[Path], upper: Path, work: Path) -> Iterator[Path]:
    """Mount `lower` (topmost first) with `upper` as the writable layer; yields the merged root.

    `work` is emptied afterwards; `upper` keeps what was written. A kill -9 of this process leaves the mount: see `leftovers.sweep`.
    """
    merged, scratch = work / "merged", work / "overlay"
    for folder in (upper, merged, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={scratch}"
    proc.run(["mount", "-t", "overlay", "goldbake", "-o", options, merged])
    try:
        yield merged
    finally:
        _unmount(merged)
        shutil.rmtree(scratch, ignore_errors=True)
        merged.rmdir()


@contextmanager
def booted(root: Path, work: Path, *, name: str, stop: threading.Event | None = None) -> Iterator[Login]:
    """Boot `root` with systemd-nspawn up to an SSH server on loopback; yields its login.

    It shares this machine's network, so apt works as it does here; only `bake.target` runs, no service of the image.
    """
    run = work / "bake"
    login = _prepare(run)
    console = work / "console.log"
    command: list[str | Path] = [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={root}", "--register=no", "--keep-unit", f"--machine={name}",
        "--console=pipe", "--link-journal=no", "--resolv-conf=replace-host", "--timezone=off", "--settings=no", "--tmpfs=/tmp:mode=1777",
        f"--bind-ro={run}:/run/bake",
        f"--bind-ro={run}/bake.target:/run/systemd/system/bake.target",
        f"--bind-ro={run}/bake-sshd.service:/run/systemd/system/bake-sshd.service",
        "--", "systemd.unit=bake.target",
    ]  # fmt: skip
    with console.open("wb") as log, proc.started(command, stdout=log, stderr=subprocess.STDOUT) as child:
        _wait_for_ssh(login, child, console, stop)
        yield login


def start(
    root: Path, folder: Path, *, name: str, network: Path, binds: Sequence[str], arguments: Sequence[str], groups: Sequence[Path]
) -> None:
    """Boot `root` as a machine of its own that goes on after this process; its console goes to `folder`/console.log.

    It has the network namespace `network`, the control groups `groups`, `binds` as nspawn's --bind takes them, and `arguments` as its kernel
    command line. The console is a terminal that takes no input: with a pipe there would be no /dev/console to write a status to.
    Docker's own network and the metadata guard need CAP_NET_ADMIN, which is over its own namespace only.
    """
    command: list[str | Path] = [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={root}", "--register=no", "--keep-unit", f"--machine={name}",
        "--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--settings=no",
        f"--network-namespace-path={network}", "--capability=CAP_NET_ADMIN",
        *(f"--bind={bind}" for bind in binds), "--", *arguments,
    ]  # fmt: skip
    proc.detached(["sh", "-c", cgroups.ENTER, "sh", *groups, "--", *command], folder / "console.log")


def first_process(processes: Iterable[int]) -> int | None:
    """Which of these is process 1 of a container, None when there is none yet."""
    for pid in processes:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:  # it ended
            continue
        # Its id in each of the nested process namespaces, from here inwards (proc(5)).
        ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(ids) == 2 and ids[1] == "1":
            return pid
    return None


def free_port() -> int:
    """A TCP port of loopback that nothing listens on right now.

    Where there is a choice it is none of those that the kernel gives to whoever wants any (ip_local_port_range): it may be used a while later.
    """
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    others = [*range(10000, lowest), *range(highest + 1, 65536)]
    for wanted in (*secrets.SystemRandom().sample(others, min(len(others), 50)), 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", wanted))
            port: int = probe.getsockname()[1]
            return port
    raise AssertionError("the kernel always has a port")


def keygen(path: Path) -> str:
    """Make an Ed25519 key pair at `path` without a passphrase; returns the public line."""
    path.unlink(missing_ok=True)
    proc.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "goldbake", "-f", path])
    return path.with_name(path.name + ".pub").read_text().strip()


def _prepare(run: Path) -> Login:
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    port = free_port()
    host_key = keygen(run / "host_key")
    private = run.parent / "bake_key"
    (run / "authorized_keys").write_text(keygen(private) + "\n")
    (run / "bake.target").write_text(_TARGET)
    (run / "bake-sshd.service").write_text(_SSHD_UNIT)
    (run / "sshd_config").write_text(_SSHD_CONFIG.format(port=port))
    known = run.parent / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {host_key}\n")
    return Login("127.0.0.1", port, private, known)


def _wait_for_ssh(login: Login, child: subprocess.Popen[bytes], console: Path, stop: threading.Event | None) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not (stop and stop.is_set()):
        if child.poll() is not None:
            break
        try:
            with socket.create_connection((login.host, login.port), timeout=1) as link:
                if link.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    tail = "\n".join("    " + line for line in console.read_text(errors="replace").splitlines()[-15:])
    raise BakeError(f"the container did not start its SSH server:\n{tail}", hint="run `./inv doctor`; containers need root and cgroups")


def _unmount(point: Path) -> None:
    for _ in range(50):
        try:
            proc.run(["umount", point])
            return
        except ProcessError:
            time.sleep(0.1)
    proc.run(["umount", "--lazy", point])


def is_root() -> bool:
    """Whether this process may mount and start containers."""
    return os.geteuid() == 0
