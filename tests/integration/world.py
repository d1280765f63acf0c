"""The instances of a fake cloud as machines: each one is a container of the root that its image stands for, in a network where the metadata service
answers.

What the cloud itself does before and around a machine is done here: the login user's key, the metadata service, the console, the end when the
machine powers itself off. Everything inside is the image's own. A cloud completes it with one `Provider`: see awsworld.py.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from goldbake import host
from goldbake.log import Progress
from tests.integration.worldmachine import Disk, Login, Machine, Service
from tests.integration.worldnet import Relay, listener, within

_SSH_S = 120.0
"""How long a connection waits for a machine's SSH server."""


class Provider(Protocol):
    """What the world asks of a cloud's fake. A disk and an image are named as the provider likes, by ids that are never used again."""

    def attach(self, world: World) -> Callable[[], None]:
        """Call the world's `started`, `ended` and `imaged` for what happens in the fake, and let the fake ask its `console`; returns what undoes
        that.
        """

    def image(self, instance_id: str) -> str:
        """The image that the instance was started from."""

    def disk(self, instance_id: str) -> str:
        """The disk that it boots from."""

    def firmware(self, instance_id: str) -> Mapping[str, str]:
        """The DMI names of its machine, as /sys/class/dmi/id has them."""

    def login(self, instance_id: str) -> Login | None:
        """Whom the cloud or its agent lets in; None: nobody."""

    def files(self, instance_id: str) -> Mapping[str, bytes]:
        """What the cloud's agent has written when first boot begins on a new disk; by their paths below the root."""

    def metadata(self, instance_id: str, entrance: socket.socket) -> Service:
        """Its metadata service, on a socket that listens."""

    def power_off(self, instance_id: str) -> None:
        """The machine has powered itself off."""

    def crashes(self) -> Sequence[str]:
        """What went wrong in the fake itself."""


class World:
    """Pairs every instance whose image stands for a root with a container, as long as it is open."""

    def __init__(self, provider: Provider, folder: Path, *, services: Sequence[int] = ()) -> None:
        """`services` are ports of this machine's loopback that the machines reach as their own loopback's."""
        self.provider = provider
        self.machines: list[Machine] = []
        """All that were ever started, oldest first."""
        self.problems: list[str] = []
        """What went wrong in a thread of ours; a test asserts that nothing did."""
        self._folder = folder
        self._services = services
        self._images: dict[str, tuple[Path, ...]] = {}
        self._disks: dict[str, Disk] = {}
        self._mutex = threading.RLock()
        self._ssh: Relay | None = None
        self._closing = threading.Event()
        self._detach = provider.attach(self)

    def stands_for(self, image: str, layers: Sequence[Path]) -> None:
        """From now on an instance of this image is a container of these layers, topmost first."""
        self._images[image] = tuple(layers)

    def open_ssh(self) -> tuple[str, int]:
        """An address of this machine whose connections reach the SSH server of the newest machine that has a login."""
        entrance = listener("127.0.0.1", 0)
        port: int = entrance.getsockname()[1]
        self._ssh = Relay(entrance, self._enter)
        return "127.0.0.1", port

    def close(self) -> None:
        """End all machines; their files and networks go with them."""
        self._closing.set()
        if self._ssh is not None:
            self._ssh.stop()
        for machine in self.machines:
            machine.ask_to_end(politely=False)
        for machine in self.machines:
            self._wait(machine)
        self._detach()
        shutil.rmtree(self._folder, ignore_errors=True)

    def machine(self, instance_id: str, timeout: float = 120) -> Machine:
        """The machine of an instance, once it is by itself."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            machine = self._newest(instance_id)
            if machine is not None and machine.is_by_itself:
                return machine
            time.sleep(0.02)
        raise AssertionError(f"{instance_id} did not start: {self.problems}")

    # --- what the cloud tells, and asks

    def started(self, instance_id: str) -> None:
        """An instance runs, for the first time or again."""
        before = self._newest(instance_id)
        if before is not None:  # it was stopped, or there was another of its name
            self._wait(before)
        with self._mutex:
            disk_id = self.provider.disk(instance_id)
            before_it = self._disks.get(disk_id)
            disk = self._disk(disk_id, self.provider.image(instance_id))
            if disk is None:
                return
            files = self.provider.files(instance_id) if disk is not before_it else {}
            machine = Machine(instance_id, disk, self.provider.firmware(instance_id), self.provider.login(instance_id), files)
            self.machines.append(machine)
        machine.start(
            self.provider.metadata, self._services, off=lambda: self.provider.power_off(instance_id), problem=self.problems.append
        )

    def ended(self, instance_id: str) -> None:
        """An instance was stopped or deleted: its machine gets a moment to shut down."""
        machine = self._newest(instance_id)
        if machine is not None:
            machine.ask_to_end(politely=True)

    def imaged(self, source: str, image: str) -> None:
        """An image was made of a disk whose machine is going or gone, or of another image."""
        disk = self._disks.get(source)
        if disk is not None:
            for machine in self.machines:
                if machine.disk is disk:
                    self._wait(machine)
            disk.frozen = True
            self._images[image] = disk.layers
        elif source in self._images:
            self._images[image] = self._images[source]

    def console(self, instance_id: str) -> str | None:
        """What the machine of an instance has printed; None where there is no machine."""
        machine = self._newest(instance_id)
        return machine.console if machine is not None else None

    # --- within

    def _newest(self, instance_id: str) -> Machine | None:
        return next((machine for machine in reversed(self.machines) if machine.id == instance_id), None)

    def _disk(self, disk_id: str, image: str) -> Disk | None:
        """The disk as it is now; a new one has the image's layers. None where the image stands for no root."""
        found = self._disks.get(disk_id)
        if found is None and image not in self._images:
            return None
        if found is None or found.frozen:
            name = re.sub(r"[^A-Za-z0-9-]", "-", disk_id)[-64:]  # a mount's options end at a colon or comma
            layers = self._images[image] if found is None else found.layers
            self._disks[disk_id] = found = Disk(self._folder / f"{len(self.machines)}-{name}", layers)
        return found

    def _wait(self, machine: Machine) -> None:
        if not machine.wait():
            self.problems.append(f"{machine.id} did not end")

    def _enter(self) -> socket.socket:
        """Waits for a server that is about to listen: who is refused tries again only after some seconds."""
        deadline = time.monotonic() + _SSH_S
        while True:
            try:
                newest = next(machine for machine in reversed(self.machines) if machine.login is not None and machine.is_running)
                return within(newest.namespace, lambda: socket.create_connection(("127.0.0.1", 22), timeout=2))
            except (StopIteration, OSError):
                if self._closing.wait(0.1) or time.monotonic() > deadline:
                    raise ConnectionRefusedError from None


@contextmanager
def world(provider: Provider, folder: Path, *, services: Sequence[int] = ()) -> Iterator[World]:
    """A world; no machine is left afterwards, and nothing went wrong in it."""
    host.ensure_packages(host.LAUNCH_CONTAINER, Progress())
    made = World(provider, folder, services=services)
    try:
        yield made
    finally:
        made.close()
    assert made.problems == []
    assert provider.crashes() == []
