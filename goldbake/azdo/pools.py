"""Pools and agents, as a launcher needs them: single calls, nothing waits.

Fields and routes are those of Microsoft's API description 7.1 (distributedTask/taskAgent.json); `connectionData` and `jobrequests` are not
in it: they are asked as the agent, and as KEDA's scaler, ask.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from goldbake.azdo.answers import Asked
from goldbake.azdo.client import VERSION, Client, may_have_happened
from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.errors import UsageError

PREVIEW = f"{VERSION}-preview"
"""connectionData has never left the preview, and the service insists on the word."""

_POOLS = "_apis/distributedtask/pools"
_ANYBODY = ("System:PublicAccess", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa")


def _in_utc(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)


Moment = Annotated[datetime.datetime, AfterValidator(_in_utc)]
"""A time in UTC; .NET leaves the zone out of its earliest time."""

Id = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Document(BaseModel):
    """Base of what the service tells: camelCase, immutable. Fields that it adds over the years are not looked at."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Identity(_Document):
    """Whose PAT it is."""

    id: str
    provider_display_name: str = ""
    descriptor: str = ""

    @property
    def name(self) -> str:
        return self.provider_display_name or self.id

    @property
    def is_anybody(self) -> bool:
        """Whether the service took the caller for nobody in particular: a public organization answers even without a PAT."""
        return self.descriptor.startswith(_ANYBODY[0]) or self.id == _ANYBODY[1]


class _ConnectionData(_Document):
    authenticated_user: Identity


class Pool(_Document):
    """An agent pool. `size`: how many agents are registered in it."""

    id: Id
    name: str
    is_hosted: bool = False
    pool_type: str = "automation"
    auto_update: bool | None = None
    auto_provision: bool | None = None
    size: int | None = None


class AgentStatus(StrEnum):
    """Whether the agent holds a session."""

    ONLINE = "online"
    OFFLINE = "offline"


class JobRequest(_Document):
    """A job that waits for an agent, runs on one, or is over."""

    request_id: Id
    job_name: str | None = None
    queue_time: Moment | None = None
    assign_time: Moment | None = None
    receive_time: Moment | None = None
    finish_time: Moment | None = None
    result: str | None = None

    @property
    def is_queued(self) -> bool:
        """Whether no agent has taken it yet (KEDA's azure_pipelines_scaler reads it the same way)."""
        return self.result is None and self.receive_time is None


class Agent(_Document):
    """A registered agent; `status_changed_on` is when it last went online or offline."""

    id: Id
    name: str
    status: AgentStatus
    enabled: bool = True
    version: str | None = None
    created_on: Moment | None = None
    status_changed_on: Moment | None = None
    assigned_request: JobRequest | None = None
    system_capabilities: dict[str, str] | None = None

    @property
    def is_online(self) -> bool:
        return self.status is AgentStatus.ONLINE


class Pools:
    """The pools of the organization that `client` speaks with. All calls raise AzureDevOpsError."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def check(self) -> Identity:
        """Prove that the organization is there and takes the PAT; returns whose it is.

        Whether the PAT may read pools is seen by `find_pool`, whether it may register agents by `require_manage`.
        """
        data = self.client.get("_apis/connectionData", _ConnectionData, version=PREVIEW)
        if data.authenticated_user.is_anybody:
            raise self._asked().error(Kind.PAT_REJECTED, status="it takes us for nobody in particular")
        return data.authenticated_user

    def find_pool(self, name: str) -> Pool:
        """The pool of this name, in whatever case. Raises when there is none (naming similar ones), or when it is Microsoft's."""
        found = self._named(name)
        if found is None:
            close = difflib.get_close_matches(name, [pool.name for pool in self.pools()], n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise self._asked(name).error(Kind.POOL_UNKNOWN, meant=meant)
        if found.is_hosted:
            raise self._asked(name).error(Kind.POOL_HOSTED)
        return found

    def pools(self) -> list[Pool]:
        """All pools of own agents that the PAT's user may see."""
        return [pool for pool in self.client.get_all(_POOLS, Pool, {"poolType": "automation"}) if not pool.is_hosted]

    def create_pool(self, name: str, *, auto_update: bool = False) -> Pool:
        """Make the pool, or return the one of this name that exists.

        `auto_update`: whether the service may replace the agent inside running machines; a golden image wants its own version.
        """
        body: dict[str, object] = {"name": name, "autoProvision": False, "autoUpdate": auto_update}
        try:
            return self.client.post(_POOLS, body, Pool, pool=name)
        except AzureDevOpsError as error:
            if error.kind is not Kind.CONFLICT and not may_have_happened(error):
                raise
            found = self._named(name)
            if found is None:
                raise
            return found

    def require_manage(self, pool: Pool) -> None:
        """Prove that the PAT may register agents in the pool, without a change: what a machine would find out minutes later.

        The role: `actionFilter=manage` lists only pools that the user administers. The scope: agent 0 never exists, and the scope is looked
        at before the agent, so removing it is answered by 403 or by "no such agent".
        """
        query = {"poolName": pool.name, "poolType": "automation", "actionFilter": "manage"}
        if not any(found.id == pool.id for found in self.client.get_all(_POOLS, Pool, query, pool=pool.name)):
            raise self._asked(pool.name).error(Kind.PERMISSION, said=": its user is no Administrator of the pool")
        try:
            self.client.delete(f"{_POOLS}/{pool.id}/agents/0", pool=pool.name)
        except AzureDevOpsError as error:
            if error.kind not in (Kind.AGENT_UNKNOWN, Kind.REFUSED):
                raise

    def agents(self, pool_id: int, name: str | None = None, *, capabilities: bool = False) -> list[Agent]:
        """The agents of a pool with their running jobs; with `name` the one of this name or none."""
        query = {"includeAssignedRequest": "true", "includeCapabilities": "true" if capabilities else "false"}
        if name is not None:
            query["agentName"] = name
        found = self.client.get_all(f"{_POOLS}/{pool_id}/agents", Agent, query, pool=str(pool_id))
        return [agent for agent in found if name is None or agent.name.casefold() == name.casefold()]

    def remove_agent(self, pool_id: int, agent_id: int) -> bool:
        """Remove an agent from its pool; False when it was not there any more. Raises when it is running a job."""
        try:
            self.client.delete(f"{_POOLS}/{pool_id}/agents/{agent_id}", pool=str(pool_id))
        except AzureDevOpsError as error:
            if error.kind is Kind.AGENT_UNKNOWN:
                return False
            raise
        return True

    def disable_agent(self, pool_id: int, agent: Agent) -> Agent:
        """Give the agent no more jobs; the one that it runs goes on."""
        body: dict[str, object] = {"id": agent.id, "name": agent.name, "enabled": False}
        return self.client.patch(f"{_POOLS}/{pool_id}/agents/{agent.id}", body, Agent, pool=str(pool_id))

    def queue_length(self, pool_id: int) -> int:
        """How many jobs wait for an agent of the pool."""
        query = {"completedRequestCount": "0"}
        jobs = self.client.get_all(f"{_POOLS}/{pool_id}/jobrequests", JobRequest, query, pool=str(pool_id), version=PREVIEW)
        return sum(job.is_queued for job in jobs)

    def stale_agents(
        self,
        pool_id: int,
        prefix: str,
        *,
        offline_for: datetime.timedelta = datetime.timedelta(0),
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> list[Agent]:
        """Agents named `prefix-…` that are offline (at least that long) and have no job: what reap may remove. Foreign ones are never among them."""
        if not prefix:
            raise UsageError(
                "an empty prefix would name every agent of the pool", hint="name the prefix that the agents were launched with"
            )
        latest = now() - offline_for
        return [
            agent
            for agent in self.agents(pool_id)
            if agent.name.startswith(f"{prefix}-")
            and not agent.is_online
            and agent.assigned_request is None
            and (agent.status_changed_on is None or agent.status_changed_on <= latest)
        ]

    def _named(self, name: str) -> Pool | None:
        found = self.client.get_all(_POOLS, Pool, {"poolName": name, "poolType": "automation"}, pool=name)
        return next((pool for pool in found if pool.name.casefold() == name.casefold()), None)

    def _asked(self, pool: str = "") -> Asked:
        return Asked("GET", _POOLS, self.client.url, pool)
