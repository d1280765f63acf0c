"""Machines of the baked image against a simulated service of their own: started, looked into, cut off from power, started again."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import math
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.config.model import Cloud
from goldbake.errors import ProcessError
from goldbake.local import cgroups, container, leftovers, vm
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.base import Instance, LaunchSpec
from launch.local import Engine, LocalLauncher, LocalOptions
from launch.service import LaunchReport, LaunchRequest
from launch.userdata import UserData
from launch.watch import statuses
from sim.azdo import SimulatedAzureDevOps

AGENT = "/opt/azure-pipelines-agent"
FAST = {"SIMULATED_AGENT_PACE": "0.05"}
"""Label that makes the simulated agent wait a twentieth of what the real one does: a session conflict is asked about every 1.5 s."""

WAIT_S = 300.0
"""A container is online after 2 to 3 s on an idle machine; tests share theirs."""

Prepare = Callable[[Path], None]


class Waiting(AssertionError):
    """What was waited for did not come."""


def until(what: str, found: Callable[[], Any], timeout: float = WAIT_S, pause: float = 0.02) -> Any:
    """The first true answer of `found`. Raises Waiting."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        if time.monotonic() > deadline:
            raise Waiting(f"not within {timeout:.0f} s: {what}")
        time.sleep(pause)
    return answer


@dataclass(frozen=True)
class Machine:
    """One instance. `start` starts it, the same way each time."""

    launcher: LocalLauncher
    instance: Instance
    azdo: SimulatedAzureDevOps
    starter: Callable[[], None]

    @property
    def folder(self) -> Path:
        return self.launcher.root / self.instance.launch_id / str(self.instance.number)

    @property
    def name(self) -> str:
        """Name of its agent."""
        return f"goldbake-{self.instance.id}"

    @property
    def engine(self) -> Engine:
        return Engine(self.instance.kind)

    @property
    def group(self) -> str:
        return f"goldbake-{self.instance.id}"

    @property
    def root(self) -> Path:
        """The files of a container, as they are now."""
        return self.folder / "root"

    @property
    def netns(self) -> Path:
        return self.folder / "netns"

    @property
    def pid(self) -> int | None:
        """Process 1 of a container, or QEMU."""
        if self.engine is Engine.CONTAINER:
            return container.first_process(cgroups.processes(self.group))
        return next((process.pid for process in self.processes if process.name == "qemu-system-x86_64"), None)

    @property
    def processes(self) -> list[leftovers.Process]:
        """All that belongs to it, as this host sees it: for a container also what runs inside."""
        return leftovers.processes_of(self.folder, cgroups.processes(self.group))

    @property
    def console(self) -> str:
        """All that it has printed since it was started last."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def statuses(self) -> list[dict[str, Any]]:
        return statuses(self.console)

    @property
    def status(self) -> dict[str, Any]:
        """The last status on its console, empty before the first."""
        found = self.statuses
        return found[-1] if found else {}

    @property
    def phases(self) -> list[str]:
        return [found["phase"] for found in self.statuses]

    @property
    def status_file(self) -> dict[str, Any]:
        """The status file of a container."""
        found: dict[str, Any] = json.loads((self.root / "var/lib/goldbake/status.json").read_text())
        return found

    @property
    def agents(self) -> list[dict[str, Any]]:
        """The agents of its name that the service knows: there must never be two."""
        return [agent for agent in self.azdo.state()["agents"] if agent["name"] == self.name]

    @property
    def agent(self) -> dict[str, Any]:
        (found,) = self.agents
        return found

    @property
    def is_online(self) -> bool:
        return [agent["status"] for agent in self.agents] == ["online"]

    def wait_for(self, *phases: str, timeout: float = WAIT_S, pause: float = 0.02) -> dict[str, Any]:
        """The first status of one of these phases. Raises Waiting with the end of the console, also when first boot fails meanwhile."""

        def found() -> dict[str, Any] | None:
            for status in self.statuses:
                if status["phase"] in phases:
                    return status
                if status["phase"] == "failed":
                    raise Waiting(f"{self.instance.id} has failed: {status}")
            return None

        try:
            status: dict[str, Any] = until(" or ".join(phases), found, timeout, pause)
        except Waiting as error:
            raise Waiting(f"{error}; its console ends:\n{self.console[-3000:]}") from None
        return status

    def wait_online(self, timeout: float = WAIT_S) -> dict[str, Any]:
        """The status `online`; the service says so too."""
        status = self.wait_for("online", timeout=timeout)
        until(f"the service sees {self.name} online", lambda: self.is_online)
        return status

    def run(self, script: str, *, check: bool = True, timeout: float = WAIT_S) -> proc.Result:
        """Run bash text as root inside a container."""
        pid = until("a first process", lambda: self.pid)
        return proc.run(["nsenter", "--all", "--target", str(pid), "/bin/bash", "-c", script], check=check, timeout=timeout)

    def cut_power(self) -> None:
        """End it without a word."""
        if self.engine is Engine.VM:
            pid = self.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until("QEMU is gone", lambda: leftovers.has_ended(pid))
            return
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)  # the kernel ends all others of its namespace

        def gone() -> bool:
            left = cgroups.processes(self.group)
            for each in left:
                with _suppressed():
                    os.kill(each, signal.SIGKILL)
            return not left

        until("its processes are gone", gone)

    def start(self) -> None:
        """Start it again, as it was started first; the console begins anew, the old one is kept beside it."""
        console = self.folder / "console.log"
        if console.exists():
            number = next(n for n in itertools.count(1) if not (self.folder / f"console-{n}.log").exists())
            console.rename(self.folder / f"console-{number}.log")
        self.starter()

    def restart(self) -> None:
        """Cut it off and start it again."""
        self.cut_power()
        self.start()

    def shut_down(self, timeout: float = WAIT_S) -> float:
        """Ask it to power off, a VM until it does; seconds until it is off."""
        began = time.monotonic()
        if self.engine is Engine.VM:
            pid = self.pid
            assert pid is not None

            pressed = -math.inf

            def ended() -> bool:
                """The button is pressed again now and then: a guest that was not ready to hear it never hears that it was pressed."""
                nonlocal pressed
                if time.monotonic() - pressed > 10:
                    pressed = time.monotonic()
                    with contextlib.suppress(OSError, ProcessError, ValueError), vm.Monitor(self.folder) as monitor:
                        monitor.command("system_powerdown")
                return leftovers.has_ended(pid)

            until("QEMU is gone", ended, timeout)
        else:
            for process in [each for each in self.processes if each.name == "systemd-nspawn"]:
                os.kill(process.pid, signal.SIGTERM)
            self.wait_off(timeout)
        return time.monotonic() - began

    def wait_off(self, timeout: float = WAIT_S) -> None:
        until(f"{self.instance.id} is off", lambda: self.launcher.death(self.instance) is not None, timeout)


class Machines:
    """Starts machines on this host, and removes them all in the end. Journals, instances and consoles are in a folder of their own."""

    def __init__(self, record: ImageRecord, folder: Path, azdo: SimulatedAzureDevOps, patch: pytest.MonkeyPatch) -> None:
        self.azdo = azdo
        self.record = record
        common = Paths.from_environment()
        self.paths = Paths(common.project, common.cache, folder / "state")
        Records(self.paths.records).add(record)
        self.progress = Progress(io.StringIO())
        self._starters: dict[Path, Callable[[], None]] = {}
        self._prepare: Prepare | None = None
        self._binds: list[str] = []
        self._watch(patch)

    def launcher(self, engine: Engine = Engine.CONTAINER, **options: Any) -> LocalLauncher:
        return LocalLauncher(self.paths, LocalOptions(engine=engine, **options))

    def launch(self, *, engine: Engine = Engine.CONTAINER, **changes: Any) -> tuple[LaunchReport, list[Machine]]:
        """The whole of `./inv launch`, until every agent is online."""
        request = LaunchRequest(
            organization=self.azdo.url, pat=Secret(self.azdo.pat), artifact=self.record.artifact, ca=self.azdo.ca_path,
            labels=FAST, timeout=300, local=LocalOptions(engine=engine),
        )  # fmt: skip
        report = service.launch(self.paths, self.progress, dataclasses.replace(request, **changes))
        return report, [self._machine(self.launcher(engine), started.instance) for started in report.started]

    def start(
        self,
        *,
        engine: Engine = Engine.CONTAINER,
        user_data: str | None = None,
        prepare: Prepare | None = None,
        binds: list[str] | None = None,
        labels: Mapping[str, str] = FAST,
        **told: Any,
    ) -> Machine:
        """Only the create call: nobody waits, nobody wipes. `prepare` changes the files of a container before it starts.

        `told` are fields of `launch.userdata.UserData`; `user_data` is the whole text instead.
        """
        launcher = self.launcher(engine)
        if user_data is None:
            given = {"organization": launcher.seen_from_inside(self.azdo.url), "pat": Secret(self.azdo.pat), "ca": self.azdo.ca_pem}
            user_data = UserData(**{**given, "labels": labels, **told}).text(Cloud.LOCAL).reveal()
        spec = LaunchSpec(
            launch_id=f"t{secrets.token_hex(3)}",
            cloud=Cloud.LOCAL,
            image=self.record.image,
            artifact=self.record.artifact,
            sha256=self.record.sha256,
            driver="",
            count=1,
            prefix="goldbake",
            organization=self.azdo.url,
            expires=int(time.time()) + 3600,
            user_data=Secret(user_data),
        )
        launcher.prepare(spec, self.progress)
        self._prepare, self._binds = prepare, binds or []
        try:
            created = launcher.create(spec, (1,), launcher.places(spec)[0])
            return self._machine(launcher, created.instances[0])
        finally:
            self._prepare, self._binds = None, []

    def remove_all(self) -> None:
        """End all of them; nothing may be left."""
        launcher = self.launcher()
        deadline = time.monotonic() + WAIT_S
        while (found := launcher.resources()) and time.monotonic() < deadline:
            for instance in launcher.instances():
                machine = self._machine(launcher, instance)
                if launcher.death(instance) is None:
                    machine.cut_power()
            launcher.delete(found)
        assert found == []

    def _machine(self, launcher: LocalLauncher, instance: Instance) -> Machine:
        folder = launcher.root / instance.launch_id / str(instance.number)
        return Machine(launcher, instance, self.azdo, self._starters.get(folder, lambda: None))

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        """Remember how the launcher starts each machine, which is how it is started again."""
        in_container, in_vm = container.start, vm.start

        def start_container(root: Path, folder: Path, **how: Any) -> None:
            if self._prepare is not None:
                self._prepare(root)
            how["binds"] = [*how["binds"], *self._binds]

            def again() -> None:
                group = how["groups"][0].name
                cgroups.remove(group)
                in_container(root, folder, **{**how, "groups": cgroups.make(group)})

            self._starters[folder] = again
            in_container(root, folder, **how)

        def start_vm(machine: vm.Machine, seed: Path) -> None:
            in_vm(machine, seed)
            qemu = int((machine.folder / "pid").read_text())
            words = Path(f"/proc/{qemu}/cmdline").read_bytes().decode().split("\0")[:-1]

            def again() -> None:
                if not seed.exists():  # it was taken out while the VM ran
                    seed.write_bytes(bytes(160 * 1024))
                proc.run(words, cwd=machine.folder, timeout=WAIT_S)

            self._starters[machine.folder] = again

        patch.setattr(container, "start", start_container)
        patch.setattr(vm, "start", start_vm)


@contextmanager
def machines(
    record: ImageRecord, folder: Path, patch: pytest.MonkeyPatch, *, session_timeout: float = 300.0, **times: Any
) -> Iterator[Machines]:
    """Machines and their service; none is left afterwards."""
    with SimulatedAzureDevOps(organization="demo", session_timeout=session_timeout, **times) as azdo:
        found = Machines(record, folder, azdo, patch)
        try:
            yield found
        finally:
            found.remove_all()


@contextmanager
def _suppressed() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        pass
