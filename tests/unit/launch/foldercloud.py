"""A small real cloud in a folder: every resource is a file, every call to it is a step at which a test may end or interrupt the caller."""

from __future__ import annotations

import json
import os
import signal
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from goldbake.azdo.errors import Kind, azdo_error
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.log import Progress
from launch.agents import AgentState
from launch.base import Created, Instance, LaunchSpec, Place, Resource

Fault = Callable[[str, int], None]
"""Called with the name of a call and how often it was made; raises what the call should fail with."""


class Steps:
    """Counts the moments before and after every external call, and does `act` at the one whose number is `at`."""

    def __init__(self, at: int = 0, act: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)) -> None:
        self.count = 0
        self.names: list[str] = []
        self._at = at
        self._act = act
        self._mutex = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._mutex:
            self.count += 1
            self.names.append(name)
            mine = self.count == self._at
        if mine:
            self._act()


class FolderCloud:
    """A `launch.base.Launcher`. An instance has a volume, made by a call of its own; both carry the tags."""

    cloud = Cloud.LOCAL
    poll_s = 0.005
    removal_s = 60.0
    batch = 1

    def __init__(self, folder: Path, steps: Steps | None = None, *, shared: bool = False, fault: Fault | None = None) -> None:
        self.folder = folder
        self.shared = shared
        self.steps = steps or Steps()
        self.calls: list[str] = []
        self.prints = ""
        self.dies = ""
        self.online = True
        self.order = [Place("north", "north-1"), Place("north", "north-2"), Place("south", "south-1")]
        self._fault = fault
        self._mutex = threading.Lock()
        for name in ("resources", "agents"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def seen_from_inside(self, organization: str) -> str:
        return organization

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        self._call("prepare", "")

    def places(self, spec: LaunchSpec) -> Sequence[Place]:
        return self.order

    def remembers(self, spec: LaunchSpec) -> Mapping[str, str]:
        return {"places": str(len(self.order))}

    def create(self, spec: LaunchSpec, numbers: Sequence[int], place: Place) -> Created:
        made: list[Instance] = []
        for number in numbers:
            try:
                made.append(self._one(spec, number, place))
            except Failure as failure:
                if not made:
                    raise
                return Created(tuple(made), failure)
        return Created(tuple(made))

    def _one(self, spec: LaunchSpec, number: int, place: Place) -> Instance:
        name = f"i-{spec.launch_id}-{number}"
        document = {"tags": spec.tags(), "instance": name, "number": number, "place": str(place), "launch": spec.launch_id}
        with self._step("create-volume", str(place)):
            self._put(f"vol-{name}", {**document, "kind": "volume"})
        with self._step("create", str(place)):
            self._put(name, {**document, "kind": "instance", "user_data": spec.user_data.reveal()})
            if self.online:
                self.register(f"{spec.prefix}-{name}")
        return self._instance(document)

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        with self._step("list"):
            found = self._all()
        return [
            Resource(
                self.cloud, item["kind"], name, item["tags"]["goldbake-launch"], int(item["tags"]["goldbake-expires"]), item["instance"]
            )
            for name, item in found.items()
            if item["tags"].get("managed-by") == "goldbake" and launch_id in (None, item["tags"]["goldbake-launch"])
        ]

    def delete(self, resources: Sequence[Resource]) -> None:
        for resource in resources:
            with self._step("delete"):
                path = self.folder / "resources" / f"{resource.id}.json"
                path.unlink(missing_ok=True)
                if resource.kind == "instance":
                    for agent in (self.folder / "agents").glob(f"*-{resource.id}.json"):
                        self._write(agent, {**json.loads(agent.read_text()), "online": False})

    def instances(self, launch_id: str | None = None) -> list[Instance]:
        return [self._instance(item) for item in self._all().values() if item["kind"] == "instance" and launch_id in (None, item["launch"])]

    def console(self, instance: Instance) -> str:
        return self.prints

    def death(self, instance: Instance) -> Failure | None:
        return Failure(Scope.ZONE, "Server.InternalError", self.dies) if self.dies else None

    def seal(self, instance: Instance) -> str:
        with self._step("seal"):
            return ""

    def register(self, agent: str, *, online: bool = True, busy: bool = False) -> None:
        self._write(self.folder / "agents" / f"{agent}.json", {"online": online, "busy": busy})

    def foreign(self) -> list[str]:
        """Put things of others there: with no tags, with somebody else's; returns their names."""
        self._put("theirs", {"kind": "instance", "tags": {}, "instance": "theirs", "number": 1, "launch": "", "place": "north-1"})
        tags = {"managed-by": "terraform", "goldbake-launch": "x", "goldbake-expires": "1"}
        self._put("tagged", {"kind": "volume", "tags": tags, "instance": "tagged", "number": 1, "launch": "x", "place": "north-1"})
        self.register("goldbake-theirs")
        return ["tagged", "theirs"]

    def names(self) -> list[str]:
        """Everything in the cloud."""
        return sorted(self._all())

    def agent_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "agents").glob("*.json"))

    def _step(self, name: str, place: str = "") -> _Step:
        self._call(name, place)
        return _Step(self.steps, name)

    def _call(self, name: str, place: str) -> None:
        with self._mutex:
            self.calls.append(f"{name} {place}".strip())
            count = sum(call.split(" ")[0] == name for call in self.calls)
        self.steps(f"before {name}")
        if self._fault is not None:
            self._fault(f"{name} {place}".strip(), count)

    def _put(self, name: str, document: dict[str, Any]) -> None:
        self._write(self.folder / "resources" / f"{name}.json", document)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        """Whole or not at all: a cloud does not lose its mind when its client dies."""
        partial = self.folder / f".{path.name}"
        partial.write_text(json.dumps(document))
        partial.replace(path)

    def _all(self) -> dict[str, Any]:
        found = {}
        for path in sorted((self.folder / "resources").glob("*.json")):
            try:
                found[path.stem] = json.loads(path.read_text())
            except FileNotFoundError:
                continue
        return found

    def _instance(self, item: dict[str, Any]) -> Instance:
        return Instance(
            self.cloud, item["launch"], item["number"], item["instance"], item["tags"].get("goldbake-image", ""), item["place"], 0.0, 0
        )


class _Step:
    def __init__(self, steps: Steps, name: str) -> None:
        self._steps = steps
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._steps(f"after {self._name}")


class FolderDirectory:
    """A `launch.agents.Directory` over the agents of a FolderCloud."""

    def __init__(self, cloud: FolderCloud, *, simulated: bool = True, fault: Fault | None = None) -> None:
        self.simulated = simulated
        self._cloud = cloud
        self._fault = fault
        self._asked = 0

    def pool(self, name: str, *, create: bool) -> int:
        return 7

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        self._asked += 1
        if self._fault is not None:
            self._fault("agents", self._asked)
        found = {}
        for path in sorted((self._cloud.folder / "agents").glob("*.json")):
            try:
                item = json.loads(path.read_text())
            except FileNotFoundError:  # another launch is being removed just now
                continue
            found[path.stem] = AgentState(zlib.crc32(path.stem.encode()), path.stem, item["online"], item["busy"])
        return found

    def remove(self, pool_id: int, agent_id: int) -> None:
        name = next(agent.name for agent in self.agents(pool_id).values() if agent.id == agent_id)
        self._cloud.steps("before remove-agent")
        path = self._cloud.folder / "agents" / f"{name}.json"
        if json.loads(path.read_text())["busy"]:
            raise azdo_error(Kind.AGENT_BUSY, organization="https://example.test/demo", pool="'Default'", said="")
        path.unlink()
        self._cloud.steps("after remove-agent")
