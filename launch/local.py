"""The instance side of this machine: VMs and containers that go on after the launcher, one folder each.

The folder is made first and goes last, and its path is in the command line of every process that belongs to it. So whatever is left of an
instance at any moment is found from the folder alone: processes, mounts, control group, GPUs, files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from goldbake import host, proc
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import Exit, GoldbakeError, MissingError, ProcessError, UsageError
from goldbake.local import cgroups, container, leftovers, network, vm
from goldbake.local.disk import KERNEL_SUFFIX
from goldbake.log import Progress
from goldbake.paths import Paths
from launch import gpu, seed
from launch import localnote as notes
from launch.base import Created, Instance, LaunchSpec, Place, Resource
from launch.localnote import Engine, Note
from launch.rootdisk import RootDisks
from launch.watch import last_lines

__all__ = ["NEEDS", "Engine", "LocalLauncher", "LocalOptions"]

NEEDS = {Engine.VM: host.LAUNCH_VM, Engine.CONTAINER: host.LAUNCH_CONTAINER}
"""Program → Debian and Ubuntu package, per engine."""

_PROGRAMS = (
    "qemu-system-x86_64", "qemu-img", "mformat", "mcopy", "systemd-nspawn", "slirp4netns", "setsid", "sh", "unshare", "nsenter", "ip",
    "mount", "umount",
)  # fmt: skip
"""What this module starts. Only these are ended because of the folder in their command line: not the pager of who reads a log there."""

_MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service", "systemd-resolved.service",
    "systemd-timesyncd.service", "systemd-pstore.service", "console-getty.service",
)  # fmt: skip
"""Units that cannot or need not work in a container: address and name server are there before it starts, and the clock is the host's."""

_START_S = 20.0
_APPEAR_S = 60.0
"""Longest waits for a container's program, and for its first process: 0.1 s on an idle machine, seconds where many start at once."""
_POLITE_S = 20.0
"""How long a machine whose agent was online may take to shut down; the agent tells the service meanwhile that it goes."""


@dataclass(frozen=True)
class LocalOptions:
    """What only this machine knows."""

    engine: Engine = Engine.VM
    cpus: int = 2
    memory_mib: int = 2048
    gpu: bool = False
    ssh_key: str = ""
    """Public key that lets root into a VM; without one there is no way in."""


class LocalLauncher:
    """A `launch.base.Launcher`."""

    cloud = Cloud.LOCAL
    shared = False
    poll_s = 0.1
    removal_s = 45.0
    batch = 1

    def __init__(self, paths: Paths, options: LocalOptions) -> None:
        self._options = options
        self.root = paths.state / "instances"
        self._disks = RootDisks(paths, self.root)
        self._gpus: list[str] = []
        self._mutex = threading.Lock()

    def seen_from_inside(self, organization: str) -> str:
        parts = urlsplit(organization)
        if not _is_loopback(parts.hostname or ""):
            return organization
        return parts._replace(netloc=network.HOST + (f":{parts.port}" if parts.port else "")).geturl()

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        options = self._options
        if options.cpus < 1 or options.memory_mib < 256:
            raise UsageError(f"{options.cpus} CPUs and {options.memory_mib} MiB cannot boot", hint="at least 1 and 256")
        if options.engine is Engine.CONTAINER:
            if not container.is_root():
                raise MissingError("a container needs root: it mounts the image and makes a network", hint="run `sudo ./inv launch …`")
            if options.ssh_key:
                raise UsageError("--ssh-key is for VMs", hint="root on this machine needs none: the launch prints the nsenter command")
        host.ensure_packages(NEEDS[options.engine], progress)
        if options.gpu:
            self._prepare_gpus(spec)
        if options.engine is Engine.CONTAINER:
            self._disks.unpack(Path(spec.artifact), spec.sha256, progress)
        elif vm.accelerator() != "kvm":
            progress.info("KVM does not work here: the machine is emulated and several times slower")

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        return (Place("local"),)

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        return {}

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        (number,) = numbers
        folder = self.root / spec.launch_id / str(number)
        note = Note(spec.tags(), number, self._options.engine, spec.sha256, time.time())
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir()
            notes.write(folder, note)
            note = self._start_vm(spec, folder, note) if note.engine is Engine.VM else self._start_container(spec, folder, note)
        except Failure:
            raise
        except GoldbakeError as error:
            raise Failure(Scope.REQUEST, type(error).__name__, error.message, hint=error.hint, exit_code=error.exit_code) from error
        return Created((notes.instance_of(folder, note),))

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        found: list[Resource] = []
        for folder in self._folders(launch_id):
            launch = folder.parent.name
            note = notes.read(folder)
            expires = note.expires if note else None
            add = [("process", f"{process.pid} ({process.name})") for process in self._processes(folder)]
            add += [("mount", point) for point in leftovers.mounts_below(folder)]
            add += [("control group", notes.group_of(folder))] if notes.group_of(folder) in cgroups.named(notes.group_of(folder)) else []
            add += [("folder", str(folder))]
            found += [Resource(self.cloud, kind, name, launch, expires, notes.id_of(folder)) for kind, name in add]
        empty = [launch for launch in self._launches(launch_id) if not notes.within(launch)]
        found += [Resource(self.cloud, "folder", str(launch), launch.name) for launch in empty]
        return found + self._image_mounts(launch_id)

    def delete(self, resources: Sequence[Resource]) -> None:
        launches = {resource.launch_id for resource in resources}
        wanted = {resource.instance_id for resource in resources}
        folders = [folder for launch in launches for folder in self._folders(launch) if notes.id_of(folder) in wanted]
        self._ask_to_stop(folders)
        problems = []
        for folder in folders:
            try:
                self._remove(folder)
            except (GoldbakeError, OSError) as error:
                problems.append(f"{folder}: {error}")
        for launch in launches:
            with contextlib.suppress(OSError):  # another instance is still in it, or it went already
                (self.root / launch).rmdir()
        self._disks.release_unused(self._is_used)
        if problems:
            raise Failure(Scope.RETRY, "in-use", "; ".join(problems))

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        found = [(folder, note) for folder in self._folders(launch_id) if (note := notes.read(folder)) is not None]
        return [
            replace(notes.instance_of(folder, note), state="running" if _is_alive(folder, note.engine) else "stopped")
            for folder, note in found
        ]

    def console(self, instance: Instance) -> str:
        return notes.console_of(self._folder(instance))

    def death(self, instance: Instance) -> Failure | None:
        folder = self._folder(instance)
        if _is_alive(folder, Engine(instance.kind)):
            return None
        ends = last_lines(notes.console_of(folder), 8)
        said = f"; its console ends:\n{ends}" if ends else "; it printed nothing"
        return Failure(Scope.REQUEST, "ended", f"the {instance.kind} {instance.id} ended by itself{said}", exit_code=Exit.FAILED)

    def seal(self, instance: Instance) -> str:
        folder = self._folder(instance)
        note = notes.read(folder)
        if note is None:
            return ""
        notes.write(folder, replace(note, online=True))
        path = folder / ("seed.img" if note.engine is Engine.VM else "seed")
        clean = seed.is_clean(path)
        if not clean:
            seed.wipe(path)
        if note.engine is Engine.VM:
            _detach_seed(folder)
        return "" if clean else f"{instance.id} had not wiped its user-data; it was wiped from outside"

    def _prepare_gpus(self, spec: LaunchSpec) -> None:
        if self._options.engine is Engine.VM:
            if spec.count > 1:
                raise UsageError("--gpu gives all GPUs of this machine to one VM", hint="--count 1, or --engine container")
            self._gpus = gpu.for_vm(len(gpu.found()) or 1, vm.accelerator())
        else:
            self._gpus = [str(node) for node in gpu.for_container(spec.driver)]

    def _start_vm(self, spec: LaunchSpec, folder: Path, note: Note) -> Note:
        options = self._options
        port = container.free_port() if options.ssh_key else None
        if port:
            note = replace(note, reach=f"ssh -p {port} root@127.0.0.1")
        if self._gpus:
            note = replace(note, gpus=self._gpus)
        notes.write(folder, note)
        gpu.take(note.gpus)
        seed.make_disk(folder / "seed.img", notes.id_of(folder), spec.user_data)
        kernel = Path(spec.artifact).with_suffix(KERNEL_SUFFIX)
        machine = vm.Machine(
            folder=folder,
            disk=Path(spec.artifact),
            kernel=kernel if kernel.is_file() else None,
            cpus=options.cpus,
            memory_mib=options.memory_mib,
            ssh_port=port,
            ssh_key=options.ssh_key,
            passthrough=note.gpus,
        )
        vm.start(machine, folder / "seed.img")
        return note

    def _start_container(self, spec: LaunchSpec, folder: Path, note: Note) -> Note:
        lower = self._disks.mount(spec.sha256)
        upper, work, root, netns = folder / "upper", folder / "work", folder / "root", folder / "netns"
        for path in (upper, work, root, upper / "etc"):
            path.mkdir(mode=0o755)
        (upper / "etc/resolv.conf").write_text(f"nameserver {network.DNS}\n")
        (upper / "etc/hostname").write_text(f"{notes.id_of(folder)}\n")
        seed.make_folder(folder / "seed", notes.id_of(folder), spec.user_data)
        proc.run(["mount", "-t", "overlay", "goldbake", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", root])
        network.make_namespace(netns)
        network.connect(netns, folder / "slirp.log", host_loopback=_is_loopback(urlsplit(spec.organization).hostname or ""))
        groups = cgroups.make(notes.group_of(folder))
        masked = [f"systemd.mask={unit}" for unit in (*_MASKED, "ssh.service", "goldbake-hostkeys.service")]
        container.start(
            root,
            folder,
            name=notes.id_of(folder)[:64],
            network=netns,
            binds=[f"{folder}/seed:/var/lib/cloud/seed/nocloud", *self._gpus],
            arguments=masked,
            groups=groups,
        )
        note = replace(note, reach=f"nsenter --all --target {self._init(folder)}")
        notes.write(folder, note)
        return note

    def _init(self, folder: Path) -> int:
        """The container's first process. Raises Failure when it does not appear."""
        began, ran = time.monotonic(), False
        group = notes.group_of(folder)
        while True:
            # Slow to start is not the same as never started, or over: then its group is empty.
            runs = cgroups.has_leader(group)
            if (ran and not runs) or time.monotonic() - began >= (_APPEAR_S if runs else _START_S):
                break
            ran = runs
            if (first := container.first_process(cgroups.processes(group))) is not None:
                return first
            time.sleep(0.03)
        ends = last_lines(notes.console_of(folder), 5) or "    it printed nothing"
        raise Failure(
            Scope.REQUEST,
            "not-started",
            f"the container did not start; its console:\n{ends}",
            hint="see `./inv doctor`",
            exit_code=Exit.FAILED,
        )

    def _ask_to_stop(self, folders: Sequence[Path]) -> None:
        """Let machines with an agent shut down, all at once; what does not is ended by `_remove`."""
        asked: list[tuple[Sequence[leftovers.Process], float]] = []
        for folder in folders:
            note = notes.read(folder)
            if note is not None and note.online and _is_alive(folder, note.engine):
                asked.append((_shut_down(folder, note.engine, self._processes(folder)), time.monotonic() + _POLITE_S))
                notes.write(folder, replace(note, online=False))
        for processes, deadline in asked:
            while time.monotonic() < deadline and not all(leftovers.has_ended(process.pid) for process in processes):
                time.sleep(0.05)

    def _remove(self, folder: Path) -> None:
        note = notes.read(folder)
        group = notes.group_of(folder)
        leftovers.end_processes_of(folder, lambda: cgroups.processes(group), _PROGRAMS)
        if note is not None and note.engine is Engine.VM:
            gpu.give_back(note.gpus)
        leftovers.unmount_below(folder)
        cgroups.remove(group)
        if note is not None:
            self._disks.release(note.sha256, lambda: self._is_used(note.sha256, but=folder))
        for path in sorted(folder.iterdir(), key=lambda path: path.name == notes.NOTE):  # what it is goes last
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        folder.rmdir()

    def _is_used(self, sha256: str, but: Path | None = None) -> bool:
        others = [note for folder in self._folders() if folder != but and (note := notes.read(folder)) is not None]
        return any(note.sha256[:16] == sha256[:16] and note.engine is Engine.CONTAINER for note in others)

    def _image_mounts(self, launch_id: str | None) -> list[Resource]:
        """Mounted artifacts, each with the launch that uses it: not with one of several, and with none called "" when it has no user."""
        users: dict[Path, set[str]] = {}
        for folder in self._folders():
            if (note := notes.read(folder)) is not None and note.engine is Engine.CONTAINER:
                users.setdefault(self._disks.point(note.sha256), set()).add(folder.parent.name)
        found = []
        for point in self._disks.points():
            owners = users.get(point, {""})
            if len(owners) == 1 and launch_id in (None, *owners):
                found.append(Resource(self.cloud, "mount", str(point), owners.pop()))
        return found

    def _processes(self, folder: Path) -> list[leftovers.Process]:
        return leftovers.processes_of(folder, cgroups.processes(notes.group_of(folder)), _PROGRAMS)

    def _launches(self, launch_id: str | None) -> list[Path]:
        found = [path for path in notes.within(self.root) if path.is_dir() and not path.name.startswith(".")]
        return [path for path in found if launch_id in (None, path.name)]

    def _folders(self, launch_id: str | None = None) -> Iterator[Path]:
        for launch in self._launches(launch_id):
            yield from sorted((path for path in notes.within(launch) if path.name.isdigit()), key=lambda path: int(path.name))

    def _folder(self, instance: Instance) -> Path:
        return self.root / instance.launch_id / str(instance.number)


def _is_alive(folder: Path, engine: Engine) -> bool:
    """Whether the machine runs, at the price of a few small files: this is asked many times a second."""
    if engine is Engine.CONTAINER:
        return cgroups.has_leader(notes.group_of(folder))
    try:
        pid = int((folder / "pid").read_text())
        return f"{folder}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def _shut_down(folder: Path, engine: Engine, processes: Sequence[leftovers.Process]) -> list[leftovers.Process]:
    """Ask a machine to stop. Returns those of its processes that end when it has; none when it does not listen."""
    if engine is Engine.VM:
        with contextlib.suppress(OSError, ProcessError, ValueError):
            with vm.Monitor(folder, timeout=2) as monitor:
                monitor.command("system_powerdown")
                return [process for process in processes if process.name == "qemu-system-x86_64"]
        return []
    asked = [process for process in processes if process.name == "systemd-nspawn"]
    for process in asked:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    return asked


def _detach_seed(folder: Path) -> None:
    """Take the seed disk out of a VM and remove its file; a guest that does not let go keeps a disk of zeros."""
    with contextlib.suppress(OSError, ProcessError, ValueError):
        with vm.Monitor(folder, timeout=5) as monitor:
            monitor.command("device_del", id="seed0")
            if monitor.wait_for("DEVICE_DELETED", device="seed0"):
                (folder / "seed.img").unlink()


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost" or name.lower().endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
