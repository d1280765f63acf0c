"""The instances of the fake AWS as machines: each one is a container of the root that its AMI stands for, in a network where the metadata service answers.

What the cloud itself does before and around a machine is done here: the login user's key, the metadata service, the console, the end when the
machine powers itself off. Everything inside is the image's own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from goldbake import proc
from goldbake.local import cgroups, container, leftovers, network
from tests.fakes.aws import Event, FakeAws
from tests.fakes.aws.imds import ADDRESS, Imds
from tests.integration.awsnet import Relay, listener, within

REBOOT = 133
"""What systemd-nspawn with --keep-unit ends with when the machine wants to start again."""

MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service", "systemd-resolved.service",
    "systemd-timesyncd.service", "systemd-pstore.service", "console-getty.service",
)  # fmt: skip
"""Units that cannot or need not work in a container: as `launch.local` does it for this machine's own."""

PROGRAMS = ("systemd-nspawn", "slirp4netns", "setsid", "sh", "unshare", "nsenter", "ip", "mount", "umount")
POLITE_S = 10.0
"""How long a machine may take to shut down when EC2 asks it to."""

_FIRST_BOOT = """\
# A container has no firmware: the names that EC2 gives its machines lie in /run/ec2/dmi. First boot leaves a container's metadata service alone,
# because it would be the host's; this one has its own.
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -IS -c "import sys; sys.path.insert(0, '/usr/lib/goldbake'); \\
 from firstboot.settings import Settings; from firstboot.main import main; \\
 found = Settings(); found.dmi = '/run/ec2/dmi'; found.container = '/run/ec2/no-container'; sys.exit(main(found))"
"""

_UNAME = """\
#!/bin/sh
# A container runs on its host's kernel: -r tells the one that the machine would have started.
[ "$*" != -r ] || exec cat /run/ec2/kernel
exec /run/ec2/uname "$@"
"""

_KMOD = """\
#!/bin/bash
# kmod under all its names. A container runs on its host's kernel: of NVIDIA's module it is asked whether it fits the one that the machine would
# have started, and then told what that kernel says where the device is not.
module=${*: -1}
if [[ ${0##*/} == modprobe && $module == nvidia* ]]; then
    kernel=$(cat /run/ec2/kernel)
    for name in "$module" "$module-current"; do
        if [[ $(exec -a modinfo /run/ec2/kmod -k "$kernel" -F vermagic "$name" 2>/dev/null) == "$kernel "* ]]; then
            echo "modprobe: ERROR: could not insert '$name': No such device" >&2
            exit 1
        fi
    done
    echo "modprobe: FATAL: Module $module not found in directory /lib/modules/$kernel" >&2
    exit 1
fi
exec -a "$0" /run/ec2/kmod "$@"
"""


@dataclass
class Machine:
    """One instance and its container."""

    id: str
    folder: Path
    lower: tuple[Path, ...]
    """The root's layers below its own, topmost first."""
    key: str = ""
    """The public key of the login user; empty: nobody can log in."""
    frozen: bool = False
    """Its own layer belongs to an AMI now."""
    boots: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    child: subprocess.Popen[bytes] | None = None
    imds: Imds | None = None
    relays: list[Relay] = field(default_factory=list)

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

    def run(self, script: str, timeout: float = 60) -> str:
        """Run bash text as root inside; its output."""
        pid = container.first_process(cgroups.processes(self.group))
        return proc.run(["nsenter", "--all", "--target", str(pid), "/bin/bash", "-c", script], timeout=timeout).stdout


class World:
    """Pairs every instance whose AMI stands for a root with a container, as long as it is open."""

    def __init__(self, fake: FakeAws, folder: Path, *, user: str = "admin", services: Sequence[int] = ()) -> None:
        """`services` are ports of this machine's loopback that the machines reach as their own loopback's."""
        self.fake = fake
        self.machines: dict[str, Machine] = {}
        self.problems: list[str] = []
        """What went wrong in a thread of ours; a test asserts that nothing did."""
        self._folder = folder
        self._user = user
        self._services = services
        self._roots: dict[str, tuple[Path, ...]] = {}
        self._mutex = threading.RLock()
        self._ssh: Relay | None = None
        fake.book.listeners.append(self._heard)
        fake.book.console_of = self._console

    def stands_for(self, image_id: str, layers: Sequence[Path]) -> None:
        """From now on an instance of this AMI is a container of these layers, topmost first."""
        self._roots[image_id] = tuple(layers)

    def open_ssh(self) -> tuple[str, int]:
        """An address of this machine whose connections reach the SSH server of the newest machine that has a login."""
        entrance = listener("127.0.0.1", 0)
        port: int = entrance.getsockname()[1]
        self._ssh = Relay(entrance, self._login)
        return "127.0.0.1", port

    def close(self) -> None:
        """End all machines; their files and networks go with them."""
        if self._ssh is not None:
            self._ssh.stop()
        for machine in list(self.machines.values()):
            self._ask_to_end(machine, politely=False)
        for machine in list(self.machines.values()):
            self._wait(machine)
        self.fake.book.listeners.remove(self._heard)
        shutil.rmtree(self._folder, ignore_errors=True)

    def machine(self, instance_id: str, timeout: float = 30) -> Machine:
        """The machine of an instance, once its first process runs."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            machine = self.machines.get(instance_id)
            if machine is not None and container.first_process(cgroups.processes(machine.group)) is not None:
                return machine
            time.sleep(0.02)
        raise AssertionError(f"{instance_id} did not start: {self.problems}")

    # --- what EC2 tells

    def _heard(self, event: Event) -> None:
        if event.what == "started":
            self._start(event.instance)
        machine = self.machines.get(event.instance)
        if machine is None:
            return
        if event.what in ("stopped", "terminated"):
            self._ask_to_end(machine, politely=True)
        elif event.what == "imaged":
            self._wait(machine)
            machine.frozen = True
            self._roots[event.image] = (machine.folder / "upper", *machine.lower)

    def _start(self, instance_id: str) -> None:
        instance = self.fake.instance(instance_id)
        layers = self._roots.get(instance.image_id)
        if layers is None:
            return
        before = self.machines.get(instance_id)
        if before is not None:  # it was stopped, and perhaps made an image
            self._wait(before)
        pair = instance.ec2_backend.key_pairs.get(instance.key_name)
        folder = self._folder / instance_id
        if before is not None and before.frozen:
            layers = (before.folder / "upper", *before.lower)
            folder = self._folder / f"{instance_id}-{before.boots}"
        machine = Machine(instance_id, folder, layers, pair.public_key.strip() if pair else "")
        self.machines[instance_id] = machine
        machine.thread = threading.Thread(target=self._life, args=(machine,), name=f"machine-{instance_id}", daemon=True)
        machine.thread.start()

    def _ask_to_end(self, machine: Machine, *, politely: bool) -> None:
        machine.stopping.set()
        with self._mutex:
            if machine.child is not None and machine.child.poll() is None:
                machine.child.send_signal(signal.SIGTERM if politely else signal.SIGKILL)

    def _wait(self, machine: Machine) -> None:
        if machine.thread is not None:
            machine.thread.join(60)
            if machine.thread.is_alive():
                self.problems.append(f"{machine.id} did not end")

    def _console(self, instance_id: str) -> str | None:
        machine = self.machines.get(instance_id)
        return machine.console if machine is not None else None

    def _login(self) -> socket.socket:
        with_login = [machine for machine in self.machines.values() if machine.key and machine.is_running]
        if not with_login:
            raise ConnectionRefusedError
        return within(with_login[-1].namespace, lambda: socket.create_connection(("127.0.0.1", 22), timeout=2))

    # --- the life of a machine

    def _life(self, machine: Machine) -> None:
        try:
            self._prepare(machine)
            while self._boot(machine) == REBOOT and not machine.stopping.is_set():
                pass
            if not machine.stopping.is_set():
                threading.Thread(target=self.fake.power_off, args=(machine.id,), name="power-off", daemon=True).start()
        except BaseException as error:
            self.problems.append(f"{machine.id}: {type(error).__name__}: {error}")
        finally:
            self._clean(machine)

    def _prepare(self, machine: Machine) -> None:
        folder = machine.folder
        for name in ("upper", "work", "root", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        lower = ":".join(map(str, machine.lower))
        proc.run(
            ["mount", "-t", "overlay", "goldbake", "-o", f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work", machine.root]
        )
        network.make_namespace(machine.namespace)
        network.connect(machine.namespace, folder / "slirp.log", host_loopback=False)
        host = _hypervisor(machine)
        machine.imds = Imds(self.fake, machine.id, within(host, lambda: listener(ADDRESS, 80)))
        machine.imds.start()
        machine.relays += [_passage(machine.namespace, port) for port in self._services]
        self._write_run(folder / "run", machine)
        if machine.key:
            _let_in(machine.root, self._user, machine.key)

    def _write_run(self, run: Path, machine: Machine) -> None:
        dmi = run / "dmi"
        dmi.mkdir(exist_ok=True)
        instance = self.fake.instance(machine.id)
        firmware = {
            "sys_vendor": "Amazon EC2",
            "product_name": instance.instance_type,
            "bios_version": "1.0",
            "chassis_asset_tag": "Amazon EC2",
        }
        for name, text in firmware.items():
            (dmi / name).write_text(f"{text}\n")
        dropin = run / "goldbake-firstboot.service.d"
        dropin.mkdir(exist_ok=True)
        (dropin / "ec2.conf").write_text(_FIRST_BOOT)
        (run / "resolv.conf").write_text(f"nameserver {network.DNS}\n")
        for name, text in (("uname", _UNAME), ("kmod", _KMOD)):
            shutil.copy2(machine.root / "usr/bin" / name, run / name)
            (run / f"{name}.sh").write_text(text)
            (run / f"{name}.sh").chmod(0o755)

    def _boot(self, machine: Machine) -> int:
        """Start the container and wait for its end; what it ended with."""
        folder, run = machine.folder, machine.folder / "run"
        (run / "kernel").write_text(f"{_newest_kernel(machine.root)}\n")
        masked = [f"systemd.mask={unit}" for unit in MASKED]
        command: list[str | Path] = [
            "systemd-nspawn", "--quiet", "--boot", f"--directory={machine.root}", "--register=no", "--keep-unit", f"--machine={machine.id[:64]}",
            "--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--settings=no",
            # What Docker needs beside the network.
            f"--network-namespace-path={machine.namespace}", "--capability=all", "--system-call-filter=add_key keyctl bpf",
            f"--bind-ro={run}:/run/ec2",
            f"--bind-ro={run}/resolv.conf:/run/systemd/resolve/stub-resolv.conf",
            f"--bind-ro={run}/uname.sh:/usr/bin/uname", f"--bind-ro={run}/kmod.sh:/usr/bin/kmod",
            f"--bind-ro={run}/goldbake-firstboot.service.d:/run/systemd/system/goldbake-firstboot.service.d",
            "--", *masked,
        ]  # fmt: skip
        groups = cgroups.make(machine.group)
        with (folder / "console.log").open("ab") as log:
            with self._mutex:
                if machine.stopping.is_set():
                    return 0
                machine.child = subprocess.Popen(
                    ["sh", "-c", cgroups.ENTER, "sh", *groups, "--", *command],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            machine.boots += 1
            _let_docker_count(machine)
            code = _ended(machine)
        leftovers.end_processes_of(folder / "no-such", lambda: cgroups.processes(machine.group))
        cgroups.remove(machine.group)
        return code

    def _clean(self, machine: Machine) -> None:
        try:
            for relay in machine.relays:
                relay.stop()
            if machine.imds is not None:
                machine.imds.stop()
            leftovers.end_processes_of(machine.folder, lambda: cgroups.processes(machine.group), PROGRAMS)
            leftovers.unmount_below(machine.folder)
            cgroups.remove(machine.group)
            _remove_groups_of_docker()
        except BaseException as error:
            self.problems.append(f"{machine.id}: its end: {type(error).__name__}: {error}")


@contextmanager
def world(fake: FakeAws, folder: Path, *, services: Sequence[int] = ()) -> Iterator[World]:
    """A world; no machine is left afterwards, and nothing went wrong in it."""
    made = World(fake, folder, services=services)
    try:
        yield made
    finally:
        made.close()
    assert made.problems == []
    assert fake.crashes == []


def _hypervisor(machine: Machine) -> Path:
    """The network of what is below the machine: the metadata service is one hop away from it, and two from a container's network in it."""
    host, beside = machine.folder / "hypervisor", "169.254.169.253"
    network.make_namespace(host)
    inside, below = f"nsenter --net={machine.namespace}", f"nsenter --net={host}"
    script = f"""
        {inside} ip link add imds type veth peer name machine netns {host}
        {inside} ip address add {beside}/30 dev imds
        {inside} ip link set imds up
        {inside} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'  # Docker does that, where /proc/sys can be written
        {below} ip address add {ADDRESS}/30 dev machine
        {below} ip link set machine up
        {below} ip route add default via {beside}
    """
    proc.run(["sh", "-ec", script])
    return host


def _passage(namespace: Path, port: int) -> Relay:
    """Make a port of this machine's loopback one of the namespace's own."""

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=5)

    return Relay(within(namespace, lambda: listener("127.0.0.1", port)), connect)


def _let_docker_count(machine: Machine) -> None:
    """systemd-nspawn mounts the controllers of the first hierarchy read-only: Docker makes a group for each of its containers."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and machine.child is not None and machine.child.poll() is None:
        first = container.first_process(cgroups.processes(machine.group))
        # Before it is systemd, it is what still mounts things.
        if first is not None and Path(f"/proc/{first}/comm").read_text() == "systemd\n":
            script = "for point in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $point; done"
            proc.run(["nsenter", "--mount", f"--target={first}", "sh", "-c", script], check=False)
            return
        time.sleep(0.02)


def _remove_groups_of_docker() -> None:
    """Docker's own group stays, empty, in every hierarchy of this machine."""
    for folder in Path("/sys/fs/cgroup").glob("*/docker"):
        try:
            folder.rmdir()
        except OSError:  # another machine's Docker is at work
            pass


def _ended(machine: Machine) -> int:
    """Wait for a machine; one that does not listen is ended after a while."""
    child = machine.child
    assert child is not None
    while child.poll() is None:
        if machine.stopping.wait(0.05):
            try:
                child.wait(POLITE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    return child.returncode


def _let_in(root: Path, user: str, key: str) -> None:
    """What cloud-init does with the key of a launch."""
    if f"{user}:" not in (root / "etc/passwd").read_text():
        proc.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "--user-group", user])
        proc.run(["chroot", root, "usermod", "--password", "*", user])
    rule = root / "etc/sudoers.d/90-cloud-init-users"
    rule.write_text(f"{user} ALL=(ALL) NOPASSWD:ALL\n")
    rule.chmod(0o440)
    folder = root / "home" / user / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(f"{key}\n")
    owner = next(line.split(":") for line in (root / "etc/passwd").read_text().splitlines() if line.startswith(f"{user}:"))
    for path in (folder, folder / "authorized_keys"):
        os.chown(path, int(owner[2]), int(owner[3]))


def _newest_kernel(root: Path) -> str:
    found = [path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*")]
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default="none")
