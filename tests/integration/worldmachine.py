"""A machine of a cloud as a container: what the cloud does before and around it, its boots and reboots, and its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from goldbake import proc
from goldbake.local import cgroups, container, leftovers, network
from tests.integration.worldnet import METADATA, Relay, hypervisor, listener, passage, within

REBOOT = 133
"""What systemd-nspawn with --keep-unit ends with when the machine wants to start again."""

MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service", "systemd-resolved.service",
    "systemd-timesyncd.service", "systemd-pstore.service", "console-getty.service",
)  # fmt: skip
"""Units that cannot or need not work in a container: as `launch.local` does it for this machine's own."""

PROGRAMS = ("systemd-nspawn", "slirp4netns", "setsid", "sh", "unshare", "nsenter", "ip", "mount", "umount")
POLITE_S = 10.0
"""How long a machine may take to shut down when its cloud asks it to."""

_FIRST_BOOT = """\
# A container has no firmware: the names that its cloud gives a machine lie in /run/world/dmi. First boot leaves a container's metadata service
# alone, because it would be the host's; this one has its own.
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -IS -c "import sys; sys.path.insert(0, '/usr/lib/goldbake'); \\
 from firstboot.settings import Settings; from firstboot.main import main; \\
 found = Settings(); found.dmi = '/run/world/dmi'; found.container = '/run/world/no-container'; sys.exit(main(found))"
"""

_UNAME = """\
#!/bin/sh
# A container runs on its host's kernel: -r tells the one that the machine would have started.
[ "$*" != -r ] || exec cat /run/world/kernel
exec /run/world/uname "$@"
"""

_KMOD = """\
#!/bin/bash
# kmod under all its names. A container runs on its host's kernel: of NVIDIA's module it is asked whether it fits the one that the machine would
# have started, and then told what that kernel says where the device is not.
module=${*: -1}
if [[ ${0##*/} == modprobe && $module == nvidia* ]]; then
    kernel=$(cat /run/world/kernel)
    for name in "$module" "$module-current"; do
        if [[ $(exec -a modinfo /run/world/kmod -k "$kernel" -F vermagic "$name" 2>/dev/null) == "$kernel "* ]]; then
            echo "modprobe: ERROR: could not insert '$name': No such device" >&2
            exit 1
        fi
    done
    echo "modprobe: FATAL: Module $module not found in directory /lib/modules/$kernel" >&2
    exit 1
fi
exec -a "$0" /run/world/kmod "$@"
"""


class Service(Protocol):
    """A metadata service that serves from `start` to `stop` on a socket that it was made with."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


Serve = Callable[[str, socket.socket], Service]
"""Makes the metadata service of an instance on a socket that listens already."""


@dataclass(frozen=True)
class Login:
    """Who may log in, and with which public key."""

    user: str
    key: str


@dataclass
class Disk:
    """What a machine boots from: layers that others share, topmost first, and one of its own over them."""

    folder: Path
    lower: tuple[Path, ...]
    frozen: bool = False
    """Its own layer belongs to an image now."""

    @property
    def layers(self) -> tuple[Path, ...]:
        return (self.folder / "upper", *self.lower)


@dataclass
class Machine:
    """One instance and its container."""

    id: str
    disk: Disk
    firmware: Mapping[str, str]
    """DMI names, as /sys/class/dmi/id has them."""
    login: Login | None = None
    """None: nobody can log in."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Written before the first boot, by path below the root; only root may read them."""
    boots: int = 0
    stopping: threading.Event = field(default_factory=threading.Event, init=False)
    metadata: Service | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _relays: list[Relay] = field(default_factory=list, init=False)
    _mutex: threading.RLock = field(default_factory=threading.RLock, init=False)

    @property
    def folder(self) -> Path:
        return self.disk.folder

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def namespace(self) -> Path:
        return self.folder / "netns"

    @property
    def group(self) -> str:
        return f"goldbake-{self.id}"

    @property
    def console(self) -> str:
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def is_running(self) -> bool:
        return cgroups.has_leader(self.group)

    @property
    def is_by_itself(self) -> bool:
        """Its first process runs, in its own network: until nspawn has put it there it is in ours, and so is what a test runs beside it."""
        first = container.first_process(cgroups.processes(self.group))
        try:
            return first is not None and Path(f"/proc/{first}/ns/net").stat().st_ino == self.namespace.stat().st_ino
        except OSError:  # it ended
            return False

    def run(self, script: str, timeout: float = 300) -> str:
        """Run bash text as root inside; its output."""
        pid = container.first_process(cgroups.processes(self.group))
        return proc.run(["nsenter", "--all", "--target", str(pid), "/bin/bash", "-c", script], timeout=timeout).stdout

    def power_off(self) -> None:
        """As a person does inside. Whoever asks is in it too, and may be ended before the answer comes."""
        pid = container.first_process(cgroups.processes(self.group))
        proc.run(["nsenter", "--all", "--target", str(pid), "systemctl", "--no-block", "poweroff"], check=False, timeout=60)

    # --- its life

    def start(self, serve: Serve, services: Sequence[int], *, off: Callable[[], None], problem: Callable[[str], None]) -> None:
        """Begin its life in a thread of its own. `serve` makes its metadata service; it reaches the ports `services` of this machine's loopback as
        its own loopback's. `off` is told when it powered itself off, `problem` what went wrong.
        """

        def life() -> None:
            try:
                try:
                    self._prepare(serve, services)
                except Exception:
                    if not self.stopping.is_set():  # deleted before it was there
                        raise
                while not self.stopping.is_set() and self._boot() == REBOOT:
                    pass
                if not self.stopping.is_set():
                    threading.Thread(target=off, name="power-off", daemon=True).start()
            except BaseException as error:
                problem(f"{self.id}: {type(error).__name__}: {error}")
            finally:
                try:
                    self._clean()
                except BaseException as error:
                    problem(f"{self.id}: its end: {type(error).__name__}: {error}")

        self._thread = threading.Thread(target=life, name=f"machine-{self.id}", daemon=True)
        self._thread.start()

    def ask_to_end(self, *, politely: bool) -> None:
        self.stopping.set()
        with self._mutex:
            if self._child is not None and self._child.poll() is None:
                self._child.send_signal(signal.SIGTERM if politely else signal.SIGKILL)

    def wait(self, timeout: float = 120) -> bool:
        """Whether it has ended and nothing of it is left."""
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def _prepare(self, serve: Serve, services: Sequence[int]) -> None:
        folder = self.folder
        for name in ("upper", "work", "root", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        lower = ":".join(map(str, self.disk.lower))
        proc.run(["mount", "-t", "overlay", "goldbake", "-o", f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work", self.root])
        network.make_namespace(self.namespace)
        network.connect(self.namespace, folder / "slirp.log", host_loopback=False)
        below = hypervisor(self.namespace, folder / "hypervisor")
        self.metadata = serve(self.id, within(below, lambda: listener(METADATA, 80)))
        self.metadata.start()
        self._relays += [passage(self.namespace, port) for port in services]
        self._write_run(folder / "run")
        if self.login is not None:
            _let_in(self.root, self.login)
        for path, content in self.files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)
            (self.root / path).chmod(0o600)

    def _write_run(self, run: Path) -> None:
        dmi = run / "dmi"
        dmi.mkdir(exist_ok=True)
        for name, text in self.firmware.items():
            (dmi / name).write_text(f"{text}\n")
        dropin = run / "goldbake-firstboot.service.d"
        dropin.mkdir(exist_ok=True)
        (dropin / "world.conf").write_text(_FIRST_BOOT)
        (run / "resolv.conf").write_text(f"nameserver {network.DNS}\n")
        for name, text in (("uname", _UNAME), ("kmod", _KMOD)):
            shutil.copy2(self.root / "usr/bin" / name, run / name)
            (run / f"{name}.sh").write_text(text)
            (run / f"{name}.sh").chmod(0o755)

    def _boot(self) -> int:
        """Start the container and wait for its end; what it ended with."""
        folder, run = self.folder, self.folder / "run"
        (run / "kernel").write_text(f"{_newest_kernel(self.root)}\n")
        masked = [f"systemd.mask={unit}" for unit in MASKED]
        command: list[str | Path] = [
            "systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", "--register=no", "--keep-unit", f"--machine={self.id[:64].replace('_', '-')}",
            "--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--settings=no",
            # What Docker needs beside the network.
            f"--network-namespace-path={self.namespace}", "--capability=all", "--system-call-filter=add_key keyctl bpf",
            f"--bind-ro={run}:/run/world",
            f"--bind-ro={run}/resolv.conf:/run/systemd/resolve/stub-resolv.conf",
            f"--bind-ro={run}/uname.sh:/usr/bin/uname", f"--bind-ro={run}/kmod.sh:/usr/bin/kmod",
            f"--bind-ro={run}/goldbake-firstboot.service.d:/run/systemd/system/goldbake-firstboot.service.d",
            "--", *masked,
        ]  # fmt: skip
        groups = cgroups.make(self.group)
        with (folder / "console.log").open("ab") as log:
            with self._mutex:
                if self.stopping.is_set():
                    return 0
                self._child = subprocess.Popen(
                    ["sh", "-c", cgroups.ENTER, "sh", *groups, "--", *command],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            self.boots += 1
            self._let_docker_count(self._child)
            code = self._ended(self._child)
        leftovers.end_processes_of(folder / "no-such", lambda: cgroups.processes(self.group))
        cgroups.remove(self.group)
        return code

    def _let_docker_count(self, child: subprocess.Popen[bytes]) -> None:
        """systemd-nspawn mounts the controllers of the first hierarchy read-only: Docker makes a group for each of its containers."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and child.poll() is None:
            first = container.first_process(cgroups.processes(self.group))
            # Before it is systemd, it is what still mounts things.
            if first is not None and _name_of(first) == "systemd":
                script = "for point in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $point; done"
                proc.run(["nsenter", "--mount", f"--target={first}", "sh", "-c", script], check=False)
                return
            time.sleep(0.02)

    def _ended(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for its end; one that does not listen is ended after a while."""
        while child.poll() is None:
            if self.stopping.wait(0.05):
                try:
                    child.wait(POLITE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        return child.returncode

    def _clean(self) -> None:
        for relay in self._relays:
            relay.stop()
        if self.metadata is not None:
            self.metadata.stop()
        leftovers.end_processes_of(self.folder, lambda: cgroups.processes(self.group), PROGRAMS)
        leftovers.unmount_below(self.folder)
        cgroups.remove(self.group)
        _remove_groups_of_docker()


def _name_of(pid: int) -> str:
    """Of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _remove_groups_of_docker() -> None:
    """Docker's own group stays, empty, in every hierarchy of this machine; all that have a Docker share it, and one may be about to use it."""
    if cgroups.named("goldbake-"):
        return
    for folder in Path("/sys/fs/cgroup").glob("*/docker"):
        try:
            folder.rmdir()
        except OSError:  # another machine's Docker is at work
            pass


def _let_in(root: Path, login: Login) -> None:
    """What cloud-init or a cloud's own agent does with the key of a launch."""
    user = login.user
    if f"{user}:" not in (root / "etc/passwd").read_text():
        proc.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "--user-group", user])
        proc.run(["chroot", root, "usermod", "--password", "*", user])
    rule = root / "etc/sudoers.d/90-cloud-init-users"
    rule.write_text(f"{user} ALL=(ALL) NOPASSWD:ALL\n")
    rule.chmod(0o440)
    folder = root / "home" / user / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(f"{login.key}\n")
    owner = next(line.split(":") for line in (root / "etc/passwd").read_text().splitlines() if line.startswith(f"{user}:"))
    for path in (folder, folder / "authorized_keys"):
        os.chown(path, int(owner[2]), int(owner[3]))


def _newest_kernel(root: Path) -> str:
    found = [path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*")]
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default="none")
