"""The fake: Compute Engine and what doctor asks besides it, on a port of loopback, for tests and by itself."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes.gcp import life, state
from tests.fakes.gcp.access import APIS, TOKEN, Access
from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.calls import Fault
from tests.fakes.gcp.seeds import NUMBER, PROJECT, REGION, SEEDS, ZONE, Seed
from tests.fakes.gcp.serving import Serving
from tests.fakes.held import Held
from tests.fakes.http import Answer

_READING = ("get", "list", "aggregatedList", "getFromFamily", "wait", "getIamPolicy", "getSerialPortOutput", "testIamPermissions", "batchGet",
            "getBillingInfo")  # fmt: skip


class FakeGcp(Serving):
    """A project. There can be several in a process, each with what it holds."""

    def __init__(self, port: int = 0, *, project: str = PROJECT, number: str = NUMBER, seeds: Iterable[Seed] = SEEDS) -> None:
        super().__init__(port, Book(project, number, tuple(seeds)))
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="fake-gcp-clock", daemon=True)
        self._folder: Path | None = None
        """Where the key file is, while it serves."""

    # --- life

    def start(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="fake-gcp-"))
        self._key_file.write_text(json.dumps(self.access.key_file(f"{self.url}/token")))
        self._key_file.chmod(0o600)
        super().start()
        self._ticker.start()
        return self

    def stop(self) -> None:
        self._ended.set()
        self._ticker.join()
        super().stop()
        shutil.rmtree(self._home, ignore_errors=True)
        self._folder = None

    def reset(self) -> None:
        """A project that was just made: nothing in it, no faults, no calls; every permission, every API."""
        with self.book.lock:
            self.book.forget()
        self.access = Access(self.project)
        self.keep_answers = True
        super().reset()

    # --- what a client needs

    def environment(self, *, token: bool = False, zone: str = ZONE, region: str = REGION) -> dict[str, str]:
        """The variables that lead SDKs and Packer here and nowhere else: with the key of a service account, or with a token instead."""
        found = {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{self.url}/compute/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": f"{self.url}/",
            "CLOUDSDK_CONFIG": str(self._home),
            "CLOUDSDK_CORE_PROJECT": self.project,
            "CLOUDSDK_COMPUTE_REGION": region,
            "CLOUDSDK_COMPUTE_ZONE": zone,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GCE_METADATA_HOST": "127.0.0.1:9",
            "NO_GCE_CHECK": "true",
        }
        if token:
            return found | {"CLOUDSDK_AUTH_ACCESS_TOKEN": TOKEN}
        return found | {"GOOGLE_APPLICATION_CREDENTIALS": str(self._key_file)}

    @property
    def _home(self) -> Path:
        assert self._folder is not None, "the fake does not serve"
        return self._folder

    @property
    def _key_file(self) -> Path:
        return self._home / "goldbake-key.json"

    # --- what a test sets

    @property
    def capacity(self) -> dict[tuple[str, str, bool], int]:
        """(zone, type, spot) → instances that can still be started there."""
        return self.book.capacity

    def refuse(self, code: str, method: str = "*", **more: Any) -> None:
        """Answer the next matching call with an error, or let its operation fail, or end what it made: see `Fault`."""
        self.book.faults.add(Fault(code, method, **more))

    def forbid(self, *permissions: str) -> None:
        """Take permissions from the caller."""
        self.book.forbidden |= set(permissions)

    def allow(self, *permissions: str) -> None:
        """Give them back; without any: all of them."""
        self.book.forbidden = self.book.forbidden - set(permissions) if permissions else set()

    def disable(self, *apis: str) -> None:
        """Turn APIs off, as compute.googleapis.com. Raises ValueError for one that the fake has not."""
        unknown = set(apis) - {api for api, _ in APIS.values()} - self.book.enabled
        if unknown:
            raise ValueError(f"the fake has no {', '.join(sorted(unknown))}")
        self.book.enabled -= set(apis)

    def enable(self, *apis: str) -> None:
        self.book.enabled |= set(apis)

    def advance(self, seconds: float) -> None:
        """Let time pass: operations end, instances reach the end of theirs."""
        with self.book.lock:
            self.book.clock.ahead_s += seconds
            self.book.pass_time()

    def preempt(self, name: str) -> str:
        """Take a running instance back. Returns TERMINATED or DELETED, as its termination action says. Raises KeyError."""
        with self.book.lock:
            return life.by_system(self.book, life.find(self.book, name), life.PREEMPTED)

    def power_off(self, name: str) -> str:
        """What Compute Engine does when a guest shuts itself down: it stays, TERMINATED. Empty: there is no such instance any more."""
        with self.book.lock:
            try:
                return life.by_system(self.book, life.find(self.book, name), "compute.instances.guestTerminate")
            except KeyError:
                return ""

    def vanish(self, name: str) -> None:
        """Delete an instance as another client of the project does. Raises KeyError."""
        with self.book.lock:
            life.delete(self.book, life.find(self.book, name))

    # --- what a test asks

    def instance(self, name: str) -> Document:
        """The instance as GET answers it, metadata and all. Raises KeyError."""
        with self.book.lock:
            return self.book.tables["instances"][life.find(self.book, name)]

    def disk(self, name: str) -> Document:
        """The disk as GET answers it. Raises KeyError."""
        with self.book.lock:
            return next(row for row in self.book.tables["disks"].values() if row["name"] == name)

    def image(self, name: str) -> Document:
        """The project's image as GET answers it. Raises KeyError."""
        with self.book.lock:
            return self.book.tables["images"][f"projects/{self.project}/global/images/{name}"]

    def held(self, *, ended: bool = False) -> list[Held]:
        """All that clients made and that is still there; `[str(one) for one in fake.held()] == []` is `nothing left`."""
        with self.book.lock:
            return state.held(self.book, ended=ended)

    def actions(self, *, reading: bool = False) -> list[str]:
        """The methods of the calls so far; those that only read are left out unless asked for."""
        return [call.method for call in list(self.calls) if reading or call.method.rpartition(".")[2] not in _READING]

    # --- serving

    def _tick(self) -> None:
        while not self._ended.wait(0.05):
            if self.book.agenda:
                self.book.pass_time()

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        path = urlsplit(target).path
        return self._control(method, path, body) if path.startswith("/_") else self.respond(method, target, headers, body)

    def _state(self) -> dict[str, Any]:
        with self.book.lock:
            return state.document(self.book)
