"""The fake of a cloud as the world's provider of machines: what the providers of awsworld.py, gcpworld.py and azureworld.py have in common."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import pytest

from tests.integration.world import World
from tests.integration.worldmachine import Login, Service

NEEDS = (
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root"),
)
"""Marks of tests whose instances are machines."""

_BEGINS = ("started", "restarted")
_ENDS = ("stopped", "terminated", "deleted")


class Fake(Protocol):
    """What every fake of a cloud has."""

    crashes: list[str]

    @property
    def book(self) -> Any:
        """With `listeners`, each of which is called with an event of the fake's own type, and `console_of`."""

    def power_off(self, instance_id: str, /) -> str: ...


F = TypeVar("F", bound=Fake)


class FakeCloud(ABC, Generic[F]):
    """A `world.Provider`: a cloud adds how its fake is asked, and what the firmware says."""

    def __init__(self, fake: F) -> None:
        self._fake = fake

    def attach(self, world: World) -> Callable[[], None]:
        def heard(event: Any) -> None:
            if event.what in _BEGINS:
                world.started(event.instance)
            elif event.what in _ENDS:
                world.ended(event.instance)
            elif event.what == "imaged":
                world.imaged(self.imaged_disk(event), self.known_as(event.image))

        self._fake.book.listeners.append(heard)
        self._fake.book.console_of = world.console
        return lambda: self._fake.book.listeners.remove(heard)

    @abstractmethod
    def image(self, instance_id: str) -> str: ...

    @abstractmethod
    def disk(self, instance_id: str) -> str: ...

    @abstractmethod
    def firmware(self, instance_id: str) -> Mapping[str, str]: ...

    @abstractmethod
    def login(self, instance_id: str) -> Login | None: ...

    @abstractmethod
    def metadata(self, instance_id: str, entrance: socket.socket) -> Service: ...

    def files(self, instance_id: str) -> Mapping[str, bytes]:
        """Nothing, where user-data is in the metadata service."""
        return {}

    def imaged_disk(self, event: Any) -> str:
        """The disk of which an image was made."""
        return self.disk(event.instance)

    def known_as(self, image: str) -> str:
        """The name by which the world knows an image of the fake's."""
        return image

    def power_off(self, instance_id: str) -> None:
        self._fake.power_off(instance_id)

    def crashes(self) -> Sequence[str]:
        return self._fake.crashes


def open_to_packer(machines: World, patch: pytest.MonkeyPatch, **more: str) -> None:
    """Packer finds the way into the newest machine, and waits as long as a container takes; `more` are other variables of its template."""
    host, port = machines.open_ssh()
    for name, value in {"ssh_host": host, "ssh_port": str(port), "reboot_pause": "10s", **more}.items():
        patch.setenv(f"PKR_VAR_{name}", value)
