"""Job requests: queued in a pool, assigned to an idle agent that meets the demands, acknowledged, renewed, finished."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.azdo.agents import Agent
from sim.azdo.clock import stamp
from sim.azdo.errors import ServiceError

RESULTS = ("succeeded", "succeededWithIssues", "failed", "canceled", "skipped", "abandoned")
"""How a job can end (TaskResult of the API description)."""

_COMMAND_LINE_TASK = "d9bafed4-0b18-4f58-968d-86655b4d2ce9"
_FORMATS = ("{name}", "{name} -equals {value}")


@dataclass(frozen=True)
class Demand:
    """What an agent must have: a capability, or a capability with this value."""

    name: str
    value: str | None = None

    @classmethod
    def parse(cls, line: str) -> Demand:
        """`NAME` or `NAME -equals VALUE`."""
        name, _, value = line.partition(" -equals ")
        if not name.strip():
            raise ValueError(f"{line!r} is no demand; it is NAME or NAME -equals VALUE")
        return cls(name.strip(), value.strip() or None)

    def met(self, capabilities: Mapping[str, str]) -> bool:
        """Whether these capabilities meet it; names and values are compared without regard to case."""
        found = next((value for name, value in capabilities.items() if name.casefold() == self.name.casefold()), None)
        return found is not None and (self.value is None or found.casefold() == self.value.casefold())

    def __str__(self) -> str:
        return _FORMATS[self.value is not None].format(name=self.name, value=self.value)


@dataclass
class JobRequest:
    """One job on its way; times are seconds since 1970, None until it happened."""

    id: int
    pool_id: int
    name: str
    demands: tuple[Demand, ...]
    script: str
    queued: float
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    plan_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    scope_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    assigned: float | None = None
    received: float | None = None
    finished: float | None = None
    locked_until: float | None = None
    agent_id: int | None = None
    agent_reference: dict[str, Any] | None = None
    result: str | None = None
    message: str = ""
    renewals: int = 0
    history: list[tuple[float, str]] = field(default_factory=list)

    @property
    def state(self) -> str:
        """`queued`, `assigned` (message waits for its agent), `running` or `completed`."""
        if self.result is not None:
            return "completed"
        if self.received is not None:
            return "running"
        return "queued" if self.agent_id is None else "assigned"

    def met_by(self, agent: Agent) -> bool:
        """Whether the agent could run it."""
        return all(demand.met(agent.capabilities) for demand in self.demands)

    def assign(self, agent: Agent, at: float, lock: float) -> None:
        """Reserve `agent` for it, for `lock` seconds unless renewed."""
        self.agent_id, self.agent_reference = agent.id, agent.reference()
        self.assigned, self.locked_until = at, at + lock
        self.history.append((at, f"assigned to {agent.name}"))

    def give_back(self, at: float) -> None:
        """Its agent went away before it took the job: queue it again."""
        self.agent_id = self.agent_reference = self.assigned = self.locked_until = None
        self.history.append((at, "queued again"))

    def acknowledge(self, at: float) -> None:
        """The agent has the message."""
        if self.received is None:
            self.received = at
            self.history.append((at, "received"))

    def finish(self, result: str, at: float, message: str = "") -> None:
        """It is over."""
        self.result, self.finished, self.message, self.locked_until = result, at, message, None
        self.history.append((at, result))

    def document(self, matched: Sequence[Agent] = ()) -> dict[str, Any]:
        """This request as a TaskAgentJobRequest; `matched` are the agents that could take it."""
        document: dict[str, Any] = {
            "requestId": self.id,
            "queueTime": stamp(self.queued),
            "serviceOwner": "00025394-6065-48ca-87d9-7f5672854ef7",
            "hostId": self.scope_id,
            "scopeId": self.scope_id,
            "planType": "Build",
            "planId": self.plan_id,
            "jobId": self.job_id,
            "jobName": self.name,
            "demands": [str(demand) for demand in self.demands],
            "matchedAgents": [agent.reference() for agent in matched],
            "definition": {"id": 1, "name": "simulated", "_links": {}},
            "owner": {"id": self.id, "name": self.name, "_links": {}},
            "data": {"ParallelismTag": "Private", "IsScheduledKey": "False"},
            "poolId": self.pool_id,
            "orchestrationId": f"{self.plan_id}.{self.name.lower()}",
            "matchesAllAgentsInPool": not self.demands,
            "priority": 0,
        }
        for name, at in (("assignTime", self.assigned), ("receiveTime", self.received), ("finishTime", self.finished)):
            if at is not None:
                document[name] = stamp(at)
        if self.locked_until is not None:
            document["lockedUntil"] = stamp(self.locked_until)
        if self.agent_reference is not None:
            document["reservedAgent"] = self.agent_reference
        if self.result is not None:
            document["result"] = self.result
        if self.message:
            document["statusMessage"] = self.message
        return document

    def payload(self, service_url: str) -> dict[str, Any]:
        """What the agent receives: a PipelineAgentJobRequest with one command-line step."""
        return {
            "messageType": "PipelineAgentJobRequest",
            "plan": {"scopeIdentifier": self.scope_id, "planType": "Build", "version": 12, "planId": self.plan_id, "planGroup": "Build"},
            "timeline": {"id": self.plan_id, "changeId": 1, "location": None},
            "jobId": self.job_id,
            "jobDisplayName": self.name,
            "jobName": self.name,
            "requestId": self.id,
            "lockedUntil": stamp(self.locked_until or self.queued),
            "resources": {"endpoints": [{"name": "SystemVssConnection", "url": service_url, "isReady": True}]},
            "variables": {"system.debug": {"value": "false"}, "agent.jobstatus": {"value": None}},
            "workspace": {},
            "steps": [
                {
                    "type": "task",
                    "id": str(uuid.uuid5(uuid.UUID(self.job_id), "step")),
                    "name": "CmdLine",
                    "displayName": "Command Line Script",
                    "enabled": True,
                    "condition": "succeeded()",
                    "reference": {"id": _COMMAND_LINE_TASK, "name": "CmdLine", "version": "2.0.0"},
                    "inputs": {"script": self.script},
                }
            ],
        }


def checked_result(value: object) -> str:
    """A result that an agent reports. Raises ServiceError for one that does not exist."""
    result = next((known for known in RESULTS if isinstance(value, str) and known.casefold() == value.casefold()), None)
    if result is None:
        raise ServiceError("VssPropertyValidationException", f"{value!r} is no result of a job.")
    return result
