"""The agents of a pool, as a launcher needs them: is it online, is it busy, remove it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from goldbake.azdo.client import Client
from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.azdo.pools import Pools
from goldbake.errors import GoldbakeError
from goldbake.log import Progress
from goldbake.secret import Secret


@dataclass(frozen=True)
class AgentState:
    """A registered agent; `busy` while a job is assigned to it."""

    id: int
    name: str
    online: bool
    busy: bool


class Directory(Protocol):
    """Where agents are registered. Every call raises GoldbakeError."""

    @property
    def simulated(self) -> bool:
        """Whether it is the simulated service."""

    def pool(self, name: str, *, create: bool) -> int:
        """The id of the pool, once it is proven that agents may be registered in it; `create` makes a missing one."""

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        """All agents of the pool by name."""

    def remove(self, pool_id: int, agent_id: int) -> None:
        """Remove an agent; one that is gone already is fine."""


class AzureDevOps:
    """The real directory."""

    def __init__(self, client: Client) -> None:
        self._pools = Pools(client)

    @property
    def simulated(self) -> bool:
        return self._pools.client.simulated

    def pool(self, name: str, *, create: bool) -> int:
        self._pools.check()
        try:
            found = self._pools.find_pool(name)
        except AzureDevOpsError as error:
            if error.kind is not Kind.POOL_UNKNOWN or not create:
                raise
            found = self._pools.create_pool(name)
        self._pools.require_manage(found)
        return found.id

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        found = self._pools.agents(pool_id)
        return {agent.name: AgentState(agent.id, agent.name, agent.is_online, agent.assigned_request is not None) for agent in found}

    def remove(self, pool_id: int, agent_id: int) -> None:
        self._pools.remove_agent(pool_id, agent_id)


@contextmanager
def azure_devops(organization: str, pat: Secret, *, ca: Path | None = None, progress: Progress | None = None) -> Iterator[Directory]:
    """The directory of an organization."""
    with Client(organization, pat, ca=ca, progress=progress) as client:
        yield AzureDevOps(client)


class PoolView:
    """The agents of one pool for many threads that wait: the service is asked at most every `every` seconds in all.

    An answer that did not come is no reason to give up a machine that boots; `trouble` has it until the next good answer. A PAT that is
    not taken any more is one, and is raised.
    """

    def __init__(self, directory: Directory, pool_id: int, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._pool_id = pool_id
        self._every = every
        self._clock = clock
        self._mutex = threading.Lock()
        self._asked: float | None = None
        self._found: Mapping[str, AgentState] = {}
        self.trouble = ""

    def find(self, name: str) -> AgentState | None:
        """The agent of this name as it was at most `every` seconds ago."""
        with self._mutex:
            if self._asked is None or self._clock() - self._asked >= self._every:
                self._ask()
                self._asked = self._clock()
            return self._found.get(name)

    def _ask(self) -> None:
        try:
            self._found = self._directory.agents(self._pool_id)
            self.trouble = ""
        except GoldbakeError as error:
            if int(error.exit_code) != 1:  # not a passing one: access, or a name that is gone
                raise
            self.trouble = error.message
