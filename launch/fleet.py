"""Starting the instances of one launch in parallel, each in the first place that takes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from goldbake.errors import CapacityError
from goldbake.log import Progress
from launch.agents import Directory, PoolView
from launch.base import Failure, Instance, Launcher, LaunchSpec, Place, Scope
from launch.journal import Journal
from launch.userdata import agent_name
from launch.watch import Stopped, Timeline, wait_for_agent

TRIES = 4
"""Attempts at one create call whose failure may pass; 1, 2 and 4 seconds between them."""

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
        self._mutex = threading.Lock()

    def best(self) -> Place:
        """The best place that is not blocked. Raises CapacityError that names every refusal when there is none."""
        with self._mutex:
            if self._open:
                return self._open[0]
            raise CapacityError(
                f"no capacity anywhere it was allowed to look: {'; '.join(self._refusals) or 'there is no such place'}",
                hint="allow more zones, regions or types, or try again later",
            )

    def block(self, place: Place, failure: Failure) -> None:
        """Do not try the place again, nor, for a failure of its region, any other place there."""
        with self._mutex:
            said = f"{place}: {failure.code}"
            if said not in self._refusals:
                self._refusals.append(said)
            if failure.scope is Scope.REGION:
                self._open = [other for other in self._open if other.region != place.region]
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
        pool = ThreadPoolExecutor(max_workers=self._spec.count, thread_name_prefix="launch")
        try:
            work = [pool.submit(self._one, number, wait) for number in range(1, self._spec.count + 1)]
            _first_failure(work)
            return tuple(future.result() for future in work)
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

    def _one(self, number: int, wait: bool) -> Started:
        with self._at_work():
            return self._started(number, wait)

    def _started(self, number: int, wait: bool) -> Started:
        stage = f"instance {number}" if self._spec.count > 1 else "instance"
        timeline = Timeline()
        with self._progress.stage(stage):
            began = self._clock()
            instance = self._create(number, stage)
            agent = agent_name(self._spec.prefix, instance.id)
            self._journal.note_instance(self._spec.launch_id, instance.id, agent)
            timeline.marks["created"] = self._clock() - began
            if wait:
                wait_for_agent(
                    self._launcher, instance, agent, self._view, timeline, self._progress,
                    stage=stage, began=began, timeout=self._timeout, stop=self._stop, clock=self._clock,
                )  # fmt: skip
        return Started(instance, agent, timeline.rounded())

    def _create(self, number: int, stage: str) -> Instance:
        tries = 0
        while not self._stop.is_set():
            place = self._places.best()
            self._progress.detail(stage, f"starting in {place}")
            try:
                return self._launcher.create(self._spec, number, place)
            except Failure as failure:
                tries += 1
                if failure.scope in (Scope.ACCOUNT, Scope.REQUEST) or (failure.scope is Scope.RETRY and tries >= TRIES):
                    raise
                if failure.scope is Scope.RETRY:
                    self._progress.detail(stage, f"{failure.code}: trying again")
                    self._stop.wait(2.0 ** (tries - 1))
                else:
                    self._progress.info(f"{place}: {failure.message}")
                    self._places.block(place, failure)
                    tries = 0
        raise Stopped


def _first_failure(work: Sequence[Future[Started]]) -> None:
    """Wait for all; raise the first failure as soon as there is one. An instance that only stopped because of it is not one."""
    done, _ = wait(work, return_when=FIRST_EXCEPTION)
    failures = [error for future in done if (error := future.exception()) is not None]
    real = [error for error in failures if not isinstance(error, Stopped)]
    if failures:
        raise (real or failures)[0]
