"""Boot a disk in QEMU, with KVM when guests really run on it and with TCG otherwise."""

from __future__ import annotations

import base64
import functools
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldbake import proc
from goldbake.errors import BakeError, ProcessError
from goldbake.local.container import Login, free_port, keygen
from goldbake.local.disk import KERNEL_ARGUMENTS
from goldbake.log import Progress

QMP = "qmp"
"""Name of the control socket in a VM's folder."""

BOOT_S = {"kvm": 120.0, "tcg": 600.0}
"""Longest wait for SSH; an image needs 30–60 s under TCG on an idle 2-core machine."""


def processor() -> list[str]:
    """QEMU's options for machine and processor: only what a headless machine needs, because each device costs an emulated one its search.

    la57=off: the fifth level of page tables costs an emulated machine a tenth of its time.
    """
    how = accelerator()
    return [
        "-machine", "q35,sata=off,smbus=off,hpet=off",
        "-accel", "kvm" if how == "kvm" else "tcg,thread=multi", "-cpu", "host" if how == "kvm" else "max,la57=off",
    ]  # fmt: skip


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
        deadline = time.monotonic() + 20
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
    credential.write_text(_authorized(public))
    port, how = free_port(), accelerator()
    command: list[str | Path] = [
        "qemu-system-x86_64", *processor(), "-smp", str(cpus), "-m", str(memory_mib),
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


@dataclass(frozen=True)
class Machine:
    """A VM that goes on after the process that starts it. All its files are in `folder`, whose path is how its process is found."""

    folder: Path
    disk: Path
    """qcow2; left unchanged."""
    kernel: Path | None
    """The image's own kernel: started directly, it saves firmware, boot loader and initial RAM disk."""
    cpus: int = 2
    memory_mib: int = 2048
    ssh_port: int | None = None
    """A port of this host's loopback that leads to the VM's SSH."""
    ssh_key: str = ""
    """Public key that lets root in."""
    passthrough: Sequence[str] = ()
    """PCI addresses of this host, bound to vfio-pci."""


def start(machine: Machine, seed: Path) -> None:
    """Start a VM with `seed` as its second disk, and return. Raises ProcessError with what QEMU said when it does not start."""
    folder = machine.folder
    overlay = folder / "disk.qcow2"
    proc.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", machine.disk.absolute(), overlay])
    forward = f",hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22" if machine.ssh_port else ""
    command: list[str | Path] = [
        "qemu-system-x86_64", *processor(), "-smp", str(machine.cpus), "-m", str(machine.memory_mib),
        "-display", "none", "-nodefaults", "-no-user-config", "-daemonize", "-pidfile", folder / "pid", "-serial", f"file:{folder}/console.log",
        # Relative, because the path of a socket has 108 bytes at most.
        "-qmp", f"unix:{QMP},server=on,wait=off",
        "-drive", f"file={overlay},format=qcow2,if=none,id=root,cache=unsafe,discard=unmap", *_root_device(machine.kernel),
        # The seed is taken out while the VM runs; only what is behind a port of its own can be.
        "-device", "pcie-root-port,id=seedport,chassis=1",
        "-drive", f"file={seed},format=raw,if=none,id=seed,cache=writethrough", "-device", "virtio-blk-pci,drive=seed,id=seed0,bus=seedport",
        "-netdev", f"user,id=net0{forward}", "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip
    for address in machine.passthrough:
        command += ["-device", f"vfio-pci,host={address}"]
    if machine.ssh_key:
        credential = folder / "credential"
        credential.write_text(_authorized(machine.ssh_key))
        command += ["-smbios", f"type=11,path={credential}"]
    proc.run(command, cwd=folder, timeout=60)


def _root_device(kernel: Path | None) -> list[str]:
    """How the root disk is attached. NVMe and ext4 are in a cloud kernel itself, virtio is in modules: without an initrd only NVMe boots."""
    if kernel is None:
        return ["-device", "virtio-blk-pci,drive=root"]
    arguments = f"root=PARTLABEL=root rootwait {KERNEL_ARGUMENTS}"
    return ["-kernel", str(kernel), "-append", arguments, "-device", "nvme,drive=root,serial=goldbake"]


def _authorized(public: str) -> str:
    """The systemd credential that lets root in with a key."""
    return "io.systemd.credential.binary:ssh.authorized_keys.root=" + base64.b64encode(public.encode() + b"\n").decode()


class Monitor:
    """QEMU's control socket of the VM in `folder`; a context manager. Raises OSError when there is none, ProcessError for a refused command."""

    def __init__(self, folder: Path, timeout: float = 10.0) -> None:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.settimeout(timeout)
        handle = os.open(folder, os.O_PATH)
        try:
            self._link.connect(f"/proc/self/fd/{handle}/{QMP}")
            self._file = self._link.makefile("rb")
            self._file.readline()
            self.command("qmp_capabilities")
        except BaseException:
            self._link.close()
            raise
        finally:
            os.close(handle)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._link.close()

    def command(self, name: str, **arguments: object) -> Any:
        """Run a command and return what it answers; events that come meanwhile are dropped."""
        self._link.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self._file.readline()
            if not line:
                raise ProcessError(f"QEMU ended during {name}")
            answer = json.loads(line)
            if "error" in answer:
                raise ProcessError(f"QEMU refused {name}: {answer['error'].get('desc', '')}")
            if "return" in answer:
                return answer["return"]

    def wait_for(self, event: str, **data: str) -> bool:
        """Wait for an event with this data; False when none came in time."""
        try:
            while line := self._file.readline():
                said = json.loads(line)
                if said.get("event") == event and all(said.get("data", {}).get(key) == value for key, value in data.items()):
                    return True
        except TimeoutError:
            pass
        return False


def _wait(
    login: Login, child: subprocess.Popen[bytes], serial: Path, errors: Path, limit: float, progress: Progress, stop: threading.Event | None
) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and child.poll() is None and not (stop and stop.is_set()):
        line = _last_line(serial)
        progress.detail("check", line)
        if banner(login.port) and _trust(login) and proc.run(login.ssh("true"), check=False, timeout=90).code == 0:
            return
        time.sleep(0.5)
    tail = "\n".join("    " + text for text in (errors.read_text(errors="replace") + serial.read_text(errors="replace")).splitlines()[-15:])
    raise BakeError(f"the VM did not come up within {limit:.0f} s; its console ends:\n{tail}", hint=f"the whole console: {serial}")


def banner(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as link:
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
