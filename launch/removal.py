"""Removing what was launched, and proving it: delete by tag, list again until nothing is listed, then the agents, then the journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, UsageError
from goldbake.log import Progress
from launch.agents import AgentState, Directory
from launch.base import Launcher, PartlySeen, Resource
from launch.doomed import Doomed, RemovalPlan, RemovalReport
from launch.journal import BAKE, Entry, Journal, State
from launch.userdata import agent_name

__all__ = ["Doomed", "OpenDirectory", "Removal", "RemovalPlan", "RemovalReport", "carry_out", "plan_destroy", "plan_reap"]

OpenDirectory = Callable[[Entry], AbstractContextManager[Directory] | None]
"""The directory in which a launch's agents are registered; None when there is no PAT to ask it with."""

_AT_ONCE = 8
_HOPELESS_S = 60.0
"""How long a cloud is asked again that refuses for good, by a lock or for want of a permission, while nothing else changes."""
_FOR_GOOD = (Scope.ACCOUNT, Scope.REQUEST)
_AGENTS_S = 15.0
"""Longest wait until the service notices that an agent's machine is gone: its session ends with the connection, or with a message poll."""


def plan_destroy(
    journal: Journal,
    launchers: Mapping[Cloud, Launcher],
    launch_id: str | None,
    *,
    everything: bool = False,
    named: Collection[Cloud] | None = None,
) -> RemovalPlan:
    """What the end of one launch, or of all, would remove. Raises UsageError when there is no such launch, or none is named.

    A failure to look at a cloud that is not in `named`, or at a part of one, is part of the plan; without `named` every failure is raised.
    """
    if launch_id is not None and (entry := journal.read(launch_id)) is not None and entry.cloud in launchers:
        resources, part = _seen(launchers[entry.cloud], launch_id)
        doomed = Doomed(launch_id, entry.cloud, "asked for", tuple(resources), entry)
        return RemovalPlan((doomed,), unseen=(_in_part(entry.cloud, part),) if part else ())
    known, unseen, refused = _known(journal, launchers, named)
    if launch_id is not None and launch_id not in known:
        raise UsageError(f"there is no launch {launch_id}", hint="; ".join((_choice(known), *unseen)))
    if launch_id is None and not everything:
        raise UsageError("which launch is to be destroyed?", hint=_choice(known))
    if launch_id is not None:  # it was found: that something else could not be looked at is told, and is no failure
        return RemovalPlan((replace(known[launch_id], why="asked for"),), unseen=unseen)
    return RemovalPlan(tuple(replace(found, why="asked for") for found in known.values()), unseen=unseen, refused=refused)


def plan_reap(journal: Journal, launchers: Mapping[Cloud, Launcher], now: float, *, named: Collection[Cloud] | None = None) -> RemovalPlan:
    """What is past its time, or was left by a process that was killed. `now` is seconds since 1970; `named` as for `plan_destroy`."""
    doomed, busy = [], []
    known, unseen, refused = _known(journal, launchers, named)
    for launch_id, found in known.items():
        why = _overdue(found, launchers[found.cloud].shared, journal.is_known(launch_id), now)
        if why and journal.is_locked(launch_id):
            busy.append(launch_id)
        elif why:
            doomed.append(replace(found, why=why))
    return RemovalPlan(tuple(doomed), tuple(busy), unseen, refused)


def carry_out(
    plan: RemovalPlan,
    journal: Journal,
    launchers: Mapping[Cloud, Launcher],
    open_directory: OpenDirectory,
    progress: Progress,
    *,
    cautious: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RemovalReport:
    """Remove what the plan names. `cautious` leaves agents that the service calls online or busy, as reap does.

    Launches of other clouds than this machine go several at a time: each waits minutes for its machines. Goes on with the next launch when one cannot
    be removed: see `RemovalReport.require_nothing_left`. Can be repeated after any interruption.
    """
    report = RemovalReport(launches=[doomed.launch_id for doomed in plan.launches], unseen=list(plan.unseen))
    began, stop = clock(), threading.Event()

    def pause(seconds: float) -> None:
        sleep(seconds)
        if stop.is_set():
            raise _Interrupted

    def one(doomed: Doomed) -> None:
        try:
            if stop.is_set():
                raise _Interrupted
            with journal.locked(doomed.launch_id), progress.stage(f"remove {doomed.launch_id}"):
                Removal(doomed, journal, launchers[doomed.cloud], open_directory, progress, report, cautious, clock, pause).run()
        except Left:
            report.unfinished.append(doomed.launch_id)
        except GoldbakeError as error:
            report.left.append(f"launch {doomed.launch_id}: {error.message}")
            report.unfinished.append(doomed.launch_id)
        except BaseException:
            progress.warn(f"launch {doomed.launch_id} is only half removed: run `./inv destroy --launch {doomed.launch_id} --yes`")
            raise

    elsewhere = [doomed for doomed in plan.launches if launchers[doomed.cloud].shared]
    together = elsewhere if len(elsewhere) > 1 else []
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="removal")
    try:
        work = [pool.submit(one, doomed) for doomed in together]
        for doomed in plan.launches:
            if doomed not in together:
                one(doomed)
        for future in work:
            future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    report.seconds = clock() - began
    return report


class _Interrupted(Exception):
    """The person has had enough; what is not removed yet stays for the next time."""


class Left(Exception):
    """Something of a launch is still there, and the report says what."""


@dataclass
class Removal:
    """The removal of one launch; its journal is locked by the caller."""

    doomed: Doomed
    journal: Journal
    launcher: Launcher
    open_directory: OpenDirectory
    progress: Progress
    report: RemovalReport
    cautious: bool
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    told: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Raises Left, or what the cloud, the journal or the pool raise."""
        entry = self.journal.read(self.doomed.launch_id)
        if self.cautious and entry is not None and entry.state is State.RUNNING and not self._was_running():
            return  # it was being created when the plan was made, and has come up since
        found, part = _seen(self.launcher, self.doomed.launch_id)
        if entry is not None:
            entry = self._with_agents_of(entry, [*self.doomed.resources, *found])
        if not self._machines(found, part):
            raise Left
        if entry is None:
            return
        entry = self.journal.set_state(entry, State.AGENTS_LEFT)
        if not self._agents(entry):
            raise Left
        self.journal.remove(entry.launch_id)

    def _was_running(self) -> bool:
        return self.doomed.entry is not None and self.doomed.entry.state is State.RUNNING

    def _with_agents_of(self, entry: Entry, resources: Iterable[Resource]) -> Entry:
        """An instance whose create call was the last that a killed process made is known by its tags only: remember its agent first."""
        known = dict(entry.instances)
        for resource in resources:
            if resource.instance_id and resource.instance_id not in known:
                known[resource.instance_id] = agent_name(entry.prefix, resource.instance_id)
        return self.journal.set_state(replace(entry, instances=known), State.REMOVING)

    def _machines(self, found: Sequence[Resource], part: PartlySeen | None) -> bool:
        """Delete and list again until the list is empty, the time is over, or the cloud refuses for good and nothing changes any more.

        What is where nobody could look may still be there: then this is not the end of the launch, whatever else of it is gone.
        """
        deadline, pause, seen = self.clock() + self.launcher.removal_s, 0.0, dict[str, None]()
        hopeless, last = 0.0, found[:0]
        while found:
            seen |= dict.fromkeys(map(str, found))  # an instance and its disk may have the same id
            if self.clock() >= deadline:
                break
            refused = self._delete(found)
            if not refused or found != last or any(resource.going for resource in found):
                hopeless, last = self.clock() + _HOPELESS_S, found
            elif self.clock() >= hopeless:
                self.report.hints += [refused.hint] if refused.hint else []
                break
            self.progress.detail(f"remove {self.doomed.launch_id}", f"{len(found)} left")
            if pause:
                self.sleep(pause)
            pause = min(pause * 2 or 0.1, 5.0)
            found, part = _seen(self.launcher, self.doomed.launch_id)
        left = [str(resource) for resource in found]
        self.report.removed += [text for text in seen if text not in left]
        self.report.left += left
        if part is not None:
            self.report.left.append(f"what launch {self.doomed.launch_id} may have elsewhere: {part.message}")
            self.report.hints += [part.hint] if part.hint else []
        return not found and part is None

    def _delete(self, resources: Sequence[Resource]) -> Failure | None:
        """Ask the cloud for the end of all; returns why it refuses for good, which is told once."""
        try:
            self.launcher.delete(resources)
        except Failure as error:
            if error.scope is not Scope.RETRY and error.message not in self.told:
                self.told.add(error.message)
                self.progress.warn(error.message)
            return error if error.scope in _FOR_GOOD else None
        return None

    def _agents(self, entry: Entry) -> bool:
        names = tuple(entry.instances.values())
        if not names:
            return True
        try:
            opened = self.open_directory(entry)
            if opened is None:
                self.report.agents_left |= dict.fromkeys(names, f"no PAT for {entry.organization}")
                return False
            with opened as directory:
                return self._remove_agents(directory, entry, names)
        except AzureDevOpsError as error:
            if entry.simulated and error.kind is Kind.NOT_LISTENING:
                return True  # the simulated service ended, and its agents with it
            self.report.agents_left |= dict.fromkeys(names, error.message)
            return False

    def _remove_agents(self, directory: Directory, entry: Entry, names: Sequence[str]) -> bool:
        deadline = self.clock() + _AGENTS_S
        removed = set[str]()
        while True:
            registered = directory.agents(entry.pool_id)
            ours = [registered[name] for name in names if name in registered]
            if not ours:
                self.report.agents += sorted(removed)
                return True
            refused: dict[str, str] = {}
            for agent in ours:
                why = self._remove_agent(directory, entry.pool_id, agent)
                if why:
                    refused[agent.name] = why
                else:
                    removed.add(agent.name)
            if refused and self.clock() >= deadline:
                self.report.agents += sorted(removed - set(refused))
                self.report.agents_left |= refused
                return False
            self.sleep(0.5 if refused else 0)

    def _remove_agent(self, directory: Directory, pool_id: int, agent: AgentState) -> str:
        """Remove an agent whose machine is gone; returns why it could not be."""
        if self.cautious and (agent.online or agent.busy):
            return "the service calls it " + ("busy" if agent.busy else "online")
        try:
            directory.remove(pool_id, agent.id)
        except AzureDevOpsError as error:
            if error.kind is not Kind.AGENT_BUSY:
                raise
            return "the service says that it runs a job"
        return ""


def _seen(launcher: Launcher, launch_id: str | None = None) -> tuple[Sequence[Resource], PartlySeen | None]:
    """What there is, and why it may not be all. Raises GoldbakeError where nothing could be looked at."""
    try:
        return launcher.resources(launch_id), None
    except PartlySeen as part:
        return part.found, part


def _in_part(cloud: Cloud, part: PartlySeen) -> str:
    return f"{cloud} was looked at in part: {part.message}"


def _known(
    journal: Journal, launchers: Mapping[Cloud, Launcher], named: Collection[Cloud] | None
) -> tuple[dict[str, Doomed], tuple[str, ...], tuple[GoldbakeError, ...]]:
    """Every launch that has a journal here or a resource anywhere we look, oldest journal first; what was not looked at, and, of that, why what was
    to be looked at was not.
    """
    entries = {entry.launch_id: entry for entry in journal.all() if entry.cloud in launchers}
    found: dict[str, list[Resource]] = {launch_id: [] for launch_id in entries}
    clouds = {launch_id: entry.cloud for launch_id, entry in entries.items()}
    unseen, refused = list[str](), list[GoldbakeError]()
    for cloud, launcher in launchers.items():
        insisted = named is None or cloud in named
        try:
            resources, part = _seen(launcher)
        except GoldbakeError as error:
            if insisted:
                raise
            unseen.append(f"{cloud} was not looked at: {error.message}")
            continue
        if part is not None:
            unseen.append(_in_part(cloud, part))
            refused += [part] if insisted else []
        for resource in resources:
            found.setdefault(resource.launch_id, []).append(resource)
            clouds.setdefault(resource.launch_id, cloud)
    doomed = {name: Doomed(name, clouds[name], "", tuple(of), entries.get(name)) for name, of in found.items()}
    return doomed, tuple(unseen), tuple(refused)


def _overdue(found: Doomed, shared: bool, known: bool, now: float) -> str:
    """Why reap may take a launch; empty when it may not. `known`: it was begun on this machine."""
    expires = [resource.expires for resource in found.resources if resource.expires is not None]
    expires += [found.entry.expires] if found.entry else []
    if expires and max(expires) <= now:
        return f"its time was over {now - max(expires):.0f} s ago"
    if found.entry is None and found.launch_id.startswith(BAKE):
        return "the bake that made it is gone" if known else ""
    if found.entry is None:
        return "" if shared else "it has no journal"
    return {
        State.CREATING: "the process that launched it is gone",
        State.REMOVING: "its removal was interrupted",
        State.AGENTS_LEFT: "its machines are gone, its agents were left",
        State.RUNNING: "",
    }[found.entry.state]


def _choice(known: Mapping[str, Doomed]) -> str:
    if not known:
        return "nothing is launched: see `./inv instances`"
    return "name one of " + ", ".join(f"--launch {launch_id}" for launch_id in list(known)[:5]) + ", or --all"
