"""Boot a disk in QEMU, with KVM when guests really run on it and with TCG otherwise."""

from __future__ import annotations

import base64
import functools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from goldbake import proc
from goldbake.errors import BakeError
from goldbake.local.container import Login, free_port, keygen
from goldbake.log import Progress

BOOT_S = {"kvm": 120.0, "tcg": 600.0}
"""Longest wait for SSH; an image needs 30–60 s under TCG on an idle 2-core machine."""


@functools.cache
def accelerator() -> str:
    """`kvm` when a guest can run on /dev/kvm, else `tcg`: the device may exist and still refuse, so it is tried once."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-machine", "q35", "-cpu", "host", "-display", "none", "-nodefaults", "-S"]
    with proc.started([*argv, "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, grace=2) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(b'{"execute":"qmp_capabilities"}{"execute":"cont"}{"execute":"query-status"}\n')
            child.stdin.flush()
        except BrokenPipeError:
            return "tcg"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if child.poll() is not None:
                return "tcg"
            line = child.stdout.readline()
            if b'"status"' in line:
                return "kvm" if b'"running"' in line else "tcg"
    return "tcg"


@contextmanager
def booted(
    disk: Path, work: Path, progress: Progress, *, cpus: int = 2, memory_mib: int = 2048, stop: threading.Event | None = None
) -> Iterator[Login]:
    """Boot `disk` (qcow2, left unchanged: all writes go to an overlay below `work`) until root can log in; yields the login.

    The key arrives as a systemd credential by SMBIOS, so the image needs no user-data and keeps no key. Raises BakeError with the
    end of the serial console when the VM ends or does not answer in time.
    """
    work.mkdir(parents=True, exist_ok=True)
    overlay, serial = work / "vm.qcow2", work / "serial.log"
    overlay.unlink(missing_ok=True)
    proc.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk.absolute(), overlay])
    credential = work / "credential"
    public = keygen(work / "vm_key")
    credential.write_text("io.systemd.credential.binary:ssh.authorized_keys.root=" + base64.b64encode(public.encode() + b"\n").decode())
    port, how = free_port(), accelerator()
    command: list[str | Path] = [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "kvm" if how == "kvm" else "tcg,thread=multi",
        "-cpu", "host" if how == "kvm" else "max", "-smp", str(cpus), "-m", str(memory_mib),
        "-display", "none", "-nodefaults", "-no-user-config", "-serial", f"file:{serial}",
        "-drive", f"file={overlay},format=qcow2,if=virtio,cache=unsafe,discard=unmap",
        "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22,restrict=on", "-device", "virtio-net-pci,netdev=net0",
        "-device", "virtio-rng-pci", "-smbios", f"type=11,path={credential}",
    ]  # fmt: skip
    errors = work / "qemu.log"
    known = work / "vm_known_hosts"
    with errors.open("wb") as log, proc.started(command, stdout=log, stderr=subprocess.STDOUT, grace=3) as child:
        login = Login("127.0.0.1", port, work / "vm_key", known)
        _wait(login, child, serial, errors, BOOT_S[how], progress, stop)
        yield login


def _wait(
    login: Login, child: subprocess.Popen[bytes], serial: Path, errors: Path, limit: float, progress: Progress, stop: threading.Event | None
) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and child.poll() is None and not (stop and stop.is_set()):
        line = _last_line(serial)
        progress.detail("check", line)
        if _banner(login.port) and _trust(login) and proc.run(login.ssh("true"), check=False, timeout=90).code == 0:
            return
        time.sleep(0.5)
    tail = "\n".join("    " + text for text in (errors.read_text(errors="replace") + serial.read_text(errors="replace")).splitlines()[-15:])
    raise BakeError(f"the VM did not come up within {limit:.0f} s; its console ends:\n{tail}", hint=f"the whole console: {serial}")


def _banner(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False


def _trust(login: Login) -> bool:
    """Learn the VM's own host key over loopback: it was made at this boot, nobody else can know it earlier."""
    scanned = proc.run(["ssh-keyscan", "-T", "60", "-t", "ed25519", "-p", str(login.port), login.host], check=False, timeout=90)
    if scanned.code != 0 or not scanned.stdout.strip():
        return False
    login.known_hosts.write_text(scanned.stdout)
    return True


def _last_line(serial: Path) -> str:
    try:
        lines = serial.read_text(errors="replace").replace("\r", "\n").splitlines()
    except FileNotFoundError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
