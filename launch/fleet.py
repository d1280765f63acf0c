"""Starting the instances of one launch in parallel, each in the first place that takes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import CapacityError
from goldbake.log import Progress
from launch.agents import Directory, PoolView
from launch.base import Created, Instance, Launcher, LaunchSpec, Place
from launch.journal import Journal
from launch.userdata import agent_name
from launch.watch import Stopped, Timeline, wait_for_agent

TRIES = 4
"""Attempts at one create call whose failure may pass; 1, 2 and 4 seconds between them."""

_HINTS = 3
"""Different next steps that one error names: the command for a quota is among the first, since quotas are met before shortages."""
_AGENTS_EVERY_S = 2.0
_LOOPBACK_EVERY_S = 0.15


@dataclass(frozen=True)
class Started:
    """An instance, its agent, and the seconds since its create call began at which what happened."""

    instance: Instance
    agent: str
    marks: dict[str, float]

    @property
    def online(self) -> bool:
        return "online" in self.marks

    def document(self) -> dict[str, Any]:
        return {
            "number": self.instance.number,
            "id": self.instance.id,
            "agent": self.agent,
            "online": self.online,
            "kind": self.instance.kind,
            "place": self.instance.place,
            "address": self.instance.address,
            "reach": self.instance.reach,
            "expires": self.instance.expires,
            "seconds": self.marks.get("online"),
            "timeline": self.marks,
        }


class Places:
    """Where instances are still to be tried; shared by all threads of a launch, so that a full zone is found full once."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._open = list(places)
        self._refusals: list[str] = []
        self._hints: dict[str, None] = {}
        self._mutex = threading.Lock()

    def best(self) -> Place:
        """The best place that is not blocked. Raises CapacityError that names every refusal when there is none."""
        with self._mutex:
            if self._open:
                return self._open[0]
            raise CapacityError(
                f"no capacity anywhere it was allowed to look: {'; '.join(self._refusals) or 'there is no such place'}",
                hint="; ".join([*self._hints][:_HINTS]) or "allow more zones, regions or types, or try again later",
            )

    def block(self, place: Place, failure: Failure) -> None:
        """Do not try the place again, nor, for a failure of its region, any other place there; spot capacity and a type of machine that was
        asked for by itself have limits of their own.
        """
        with self._mutex:
            said = f"{place}: {failure.code}"
            if said not in self._refusals:
                self._refusals.append(said)
            if failure.hint:
                self._hints[failure.hint] = None
            if failure.scope is Scope.REGION:
                self._open = [
                    other for other in self._open if (other.region, other.spot, other.kind) != (place.region, place.spot, place.kind)
                ]
            else:
                self._open = [other for other in self._open if other != place]


class Fleet:
    """The instances of one launch while they start."""

    def __init__(
        self,
        spec: LaunchSpec,
        launcher: Launcher,
        directory: Directory,
        pool_id: int,
        journal: Journal,
        progress: Progress,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._launcher = launcher
        self._journal = journal
        self._progress = progress
        self._timeout = timeout
        self._clock = clock
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._active = 0
        self._places = Places(launcher.places(spec))
        self._view = PoolView(directory, pool_id, _LOOPBACK_EVERY_S if directory.simulated else _AGENTS_EVERY_S, clock)

    def start(self, *, wait: bool) -> tuple[Started, ...]:
        """Start all and, with `wait`, return when every agent is online. On the first failure no further one is started.

        When this raises, no create call is under way any more. Raises Failure or CapacityError.
        """
        numbers, size = range(1, self._spec.count + 1), self._launcher.batch
        groups = [numbers[at : at + size] for at in range(0, len(numbers), size)]
        pool = ThreadPoolExecutor(max_workers=self._spec.count + len(groups), thread_name_prefix="launch")
        try:
            work = [pool.submit(self._group, pool, group, wait) for group in groups]
            _first_failure(work)
            return tuple(started for future in work for started in future.result())
        finally:
            self._end()
            pool.shutdown(wait=True, cancel_futures=True)

    def _end(self) -> None:
        """No create call begins from now on, and none is under way when this returns.

        The pool's own shutdown is not enough: interrupted while it starts a thread, it does not know that thread.
        """
        with self._turn:
            self._stop.set()
            self._turn.wait_for(lambda: self._active == 0)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._turn:
            if self._stop.is_set():
                raise Stopped
            self._active += 1
        try:
            yield
        finally:
            with self._turn:
                self._active -= 1
                self._turn.notify_all()

    def _group(self, pool: ThreadPoolExecutor, numbers: Sequence[int], wait: bool) -> list[Started]:
        """Start one batch, and wait for all of it at a time."""
        with self._at_work():
            began = self._clock()
            if self._spec.count == 1 or len(numbers) > 1:
                stage = "instance" if self._spec.count == 1 else "instances"
            else:
                stage = f"instance {numbers[0]}"
            with self._progress.stage(stage):
                found = self._create(numbers, stage)
                if not wait:
                    return [Started(instance, self._agent(instance), {"created": self._clock() - began}) for instance in found]
                if len(found) == 1:
                    return [self._awaited(found[0], began, stage)]
                online = self._counted(stage, len(found))
                work = [pool.submit(self._one, instance, began, online) for instance in found]
                _first_failure(work)
                return [future.result() for future in work]

    def _counted(self, stage: str, wanted: int) -> Callable[[], None]:
        """What says in the stage's line that one agent more is online, from any thread."""
        mutex, counted = threading.Lock(), 0

        def tell(more: int = 1) -> None:
            nonlocal counted
            with mutex:
                counted += more
                self._progress.detail(stage, f"{counted} of {wanted} agents online")

        tell(0)
        return tell

    def _one(self, instance: Instance, began: float, online: Callable[[], None]) -> Started:
        with self._at_work():
            started = self._awaited(instance, began, f"instance {instance.number}")
            online()
            return started

    def _awaited(self, instance: Instance, began: float, stage: str) -> Started:
        agent, timeline = self._agent(instance), Timeline()
        timeline.marks["created"] = self._clock() - began
        wait_for_agent(
            self._launcher, instance, agent, self._view, timeline, self._progress,
            stage=stage, began=began, timeout=self._timeout, stop=self._stop, clock=self._clock,
        )  # fmt: skip
        return Started(instance, agent, timeline.rounded())

    def _agent(self, instance: Instance) -> str:
        return agent_name(self._spec.prefix, instance.id)

    def _create(self, numbers: Sequence[int], stage: str) -> list[Instance]:
        """Start all of a batch, here and there; each is in the journal as soon as it is known."""
        found: list[Instance] = []
        left, tries = list(numbers), 0
        while left and not self._stop.is_set():
            place = self._best(found, numbers)
            self._progress.detail(stage, f"starting in {place}")
            asked = left
            created = self._try(asked, place)
            self._journal.note_instances(self._spec.launch_id, {instance.id: self._agent(instance) for instance in created.instances})
            found += created.instances
            left = [number for number in left if number not in {instance.number for instance in found}]
            failure = created.failure
            if failure is None or not left:
                continue
            tries += 1
            if failure.scope in (Scope.ACCOUNT, Scope.REQUEST) or (failure.scope is Scope.RETRY and tries >= TRIES):
                raise failure
            if failure.scope is Scope.RETRY:
                self._progress.detail(stage, f"{failure.code}: trying again")
                self._stop.wait(2.0 ** (tries - 1))
            else:
                some = f"{len(created.instances)} of {len(asked)} started; " if created.instances else ""
                self._progress.info(f"{place}: {some}{failure.message}")
                self._places.block(place, failure)
                tries = 0
        if left:
            raise Stopped
        return found

    def _best(self, found: Sequence[Instance], numbers: Sequence[int]) -> Place:
        """The best place for those that are still to be started. Raises CapacityError, which says how many there would have been."""
        try:
            return self._places.best()
        except CapacityError as error:
            if not found:
                raise
            fewer = f", or fewer: --count {len(found)}" if len(numbers) == self._spec.count else ""
            raise CapacityError(
                f"{len(found)} of {len(numbers)} could be started, and for the others there is {error.message}", hint=error.hint + fewer
            ) from error

    def _try(self, numbers: Sequence[int], place: Place) -> Created:
        try:
            return self._launcher.create(self._spec, numbers, place)
        except Failure as failure:
            return Created((), failure)


def _first_failure(work: Sequence[Future[Any]]) -> None:
    """Wait for all; raise the first failure as soon as there is one. An instance that only stopped because of it is not one."""
    done, _ = wait(work, return_when=FIRST_EXCEPTION)
    failures = [error for future in done if (error := future.exception()) is not None]
    real = [error for error in failures if not isinstance(error, Stopped)]
    if failures:
        raise (real or failures)[0]
