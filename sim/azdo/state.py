"""The organization: everything that the service remembers, behind one lock, and what happens between the parts.

Nothing runs by itself: what a clock causes (a session or a job's lock runs out) is applied before each look at the state.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, RLock
from typing import Any

from sim.azdo.agents import Agent, Agents, Registration
from sim.azdo.clock import stamp
from sim.azdo.elastic import ElasticPool
from sim.azdo.errors import ServiceError
from sim.azdo.jobs import Demand, JobRequest
from sim.azdo.packages import Packages
from sim.azdo.pats import Pats
from sim.azdo.pools import Pool, Pools
from sim.azdo.queues import Queues
from sim.azdo.sessions import Message, Session, Sessions
from sim.azdo.tokens import Tokens


@dataclass(frozen=True)
class Times:
    """The seconds that the service takes for things; the defaults are those of the real one."""

    poll: float = 50.0
    session: float = 300.0
    job_lock: float = 600.0
    token: float = 2999.0


class State:
    """An organization. Take `lock` for every look and every change; `now` is seconds since 1970."""

    def __init__(self, organization: str, url: str, times: Times, now: Callable[[], float] = time.time) -> None:
        self.organization = organization
        self.url = url
        self.times = times
        self.now = now
        self.lock = RLock()
        self.instance_id = str(uuid.uuid4())
        self.pats = Pats()
        self.pools = Pools()
        self.agents = Agents()
        self.sessions = Sessions()
        self.packages = Packages()
        self.queues = Queues()
        self.elastic: dict[int, ElasticPool] = {}
        self.jobs: dict[int, JobRequest] = {}
        self.tokens = Tokens(f"{url}/_apis/oauth2/token", now, times.token)
        self.closing = False
        self.pools.add("Default", now())

    # agents

    def register(self, pool: Pool, registration: Registration) -> Agent:
        """A new agent. Raises ServiceError when its name is taken or cannot be."""
        agent = self.agents.add(pool.id, registration.name, self.now())
        agent.register(registration)
        return agent

    def replace(self, agent: Agent, registration: Registration) -> None:
        """Another machine takes the place of `agent`: same number and client id, new key, so old tokens open nothing. Raises ServiceError."""
        self.agents.check_name(agent.pool_id, registration.name, besides=agent)
        agent.name = registration.name
        agent.register(registration)

    def remove_agent(self, agent: Agent) -> None:
        """Forget an agent. Raises ServiceError while it runs a job."""
        self._refuse_busy(agent)
        if session := self.sessions.of_agent(agent.id):
            self.close_session(session)
        del self.agents.by_id[agent.id]

    def _refuse_busy(self, agent: Agent) -> None:
        if self.current_job(agent) is not None:
            pool = self.pools.get(agent.pool_id)
            raise ServiceError("TaskAgentJobStillRunningException", f'Agent "{agent.name}" is running a job for pool "{pool.name}"')

    def add_pool(self, name: str, **settings: Any) -> Pool:
        """A new pool, and its queues when it is provisioned in all projects. Raises ServiceError."""
        pool = self.pools.add(name, self.now(), **settings)
        if pool.auto_provision:
            self.queues.provision(pool.id, pool.name)
        return pool

    def add_elastic_pool(self, name: str, azure_id: str) -> Pool:
        """A new pool with a scale set behind it. Raises ServiceError."""
        pool = self.add_pool(name, options="elasticPool")
        self.elastic[pool.id] = ElasticPool(pool.id, azure_id)
        return pool

    def remove_pool(self, pool: Pool) -> None:
        """Forget a pool with its agents. Raises ServiceError while one of them runs a job."""
        for agent in self.agents.of_pool(pool.id):
            self._refuse_busy(agent)
        for agent in self.agents.of_pool(pool.id):
            self.remove_agent(agent)
        for job in self.jobs.values():
            if job.pool_id == pool.id and job.result is None:
                job.finish("canceled", self.now(), "The pool was deleted.")
        self.queues.forget(pool.id)
        self.elastic.pop(pool.id, None)
        del self.pools.by_id[pool.id]

    # sessions

    def open_session(self, agent: Agent, owner: str, capabilities: dict[str, str]) -> Session:
        """A session for `agent`, which is online from now on, with these capabilities if there are any. Raises ServiceError when it has one."""
        if self.sessions.of_agent(agent.id) is not None:
            raise ServiceError("TaskAgentSessionConflictException", f"A session for agent {agent.name} already exists.")
        now = self.now()
        session = Session(agent.id, agent.pool_id, owner, now, now, Condition(self.lock))
        self.sessions.by_id[session.id] = session
        agent.system_capabilities = capabilities or agent.system_capabilities
        agent.turn(True, now)
        self.dispatch()
        return session

    def close_session(self, session: Session, expired_at: float | None = None) -> None:
        """End a session: its agent is offline, a job that it had not yet taken is queued again."""
        at = self.now() if expired_at is None else expired_at
        self.sessions.close(session, expired=expired_at is not None)
        self.agents.by_id[session.agent_id].turn(False, at)
        for message in session.messages:
            job = self.jobs.get(message.request_id or 0)
            if job is not None and job.state == "assigned":
                job.give_back(at)
        self.dispatch()

    def acknowledge(self, session: Session, message_id: int) -> None:
        """The agent has read a message. Deleting one twice is no error."""
        for message in [message for message in session.messages if message.id == message_id]:
            session.messages.remove(message)
            if message.request_id is not None:
                self.jobs[message.request_id].acknowledge(self.now())

    # jobs

    def queue_job(self, pool: Pool, name: str, demands: Sequence[str], script: str) -> JobRequest:
        """Queue a job; it fails at once when no agent of the pool, online or not, could ever take it: the real service does so too."""
        parsed = tuple(Demand.parse(line) for line in demands)
        job = JobRequest(len(self.jobs) + 1, pool.id, name, parsed, script, self.now())
        self.jobs[job.id] = job
        if not self.matching(job):
            wanted = ", ".join(str(demand) for demand in parsed) or "none"
            job.finish("failed", self.now(), f"No agent found in pool {pool.name} which satisfies the following demands: {wanted}.")
        self.dispatch()
        return job

    def matching(self, job: JobRequest) -> list[Agent]:
        """The agents of the job's pool that meet its demands."""
        return [agent for agent in self.agents.of_pool(job.pool_id) if job.met_by(agent)]

    def current_job(self, agent: Agent) -> JobRequest | None:
        """The job that is assigned to an agent and not finished, or None."""
        return next((job for job in self.jobs.values() if job.agent_id == agent.id and job.result is None), None)

    def last_job(self, agent: Agent) -> JobRequest | None:
        """The job that an agent finished last, or None."""
        done = [job for job in self.jobs.values() if job.agent_id == agent.id and job.result is not None]
        return max(done, key=lambda job: job.finished or 0.0, default=None)

    def dispatch(self) -> None:
        """Give every queued job to an idle agent, if there is one."""
        for job in self.jobs.values():
            if job.state == "queued":
                for agent in self.matching(job):
                    session = self.sessions.of_agent(agent.id)
                    if session is not None and agent.enabled and self.current_job(agent) is None:
                        job.assign(agent, self.now(), self.times.job_lock)
                        self.sessions.send(session, "PipelineAgentJobRequest", job.payload(self.url), job.id)
                        break

    def finish_job(self, job: JobRequest, result: str, message: str = "") -> None:
        """End a job; its agent is free for the next."""
        job.finish(result, self.now(), message)
        self.dispatch()

    def cancel_job(self, job: JobRequest) -> None:
        """Cancel a job: at once when no agent has taken it, else its agent is asked to."""
        session = self.sessions.of_agent(job.agent_id) if job.agent_id is not None else None
        if job.state == "running" and session is not None:
            self.sessions.send(session, "JobCancellation", {"jobId": job.job_id, "timeout": "00:01:00"})
        elif job.result is None:
            if session is not None:
                session.messages = [message for message in session.messages if message.request_id != job.id]
            self.finish_job(job, "canceled")

    def refresh_agent(self, agent_id: int, version: str) -> Message:
        """Tell an agent to update itself. Raises KeyError unless it is online."""
        session = self.sessions.of_agent(agent_id)
        if session is None:
            raise KeyError(f"agent {agent_id} is not online")
        self.agents.by_id[agent_id].target_version = version
        return self.sessions.send(session, "AgentRefresh", {"agentId": agent_id, "targetVersion": version, "timeout": "00:05:00"})

    # time

    def tick(self) -> None:
        """Apply what the clock has caused since the last look."""
        now = self.now()
        for session in list(self.sessions.by_id.values()):
            if session.seen + self.times.session <= now:
                self.close_session(session, expired_at=session.seen + self.times.session)
        for job in list(self.jobs.values()):
            if job.locked_until is not None and job.locked_until <= now:
                job.finish("abandoned", job.locked_until, "The agent did not renew its lock on the job.")
                self.dispatch()

    def wait_for_message(self, session: Session, last: int | None, alive: Callable[[], bool]) -> Message | None:
        """The next message of a session, after at most `times.poll` seconds; None when there is none. Raises ServiceError.

        `alive` is asked every half second whether the client still listens: a client that went away does not keep its session.
        """
        deadline = time.monotonic() + self.times.poll
        while True:
            self.tick()
            if not session.open:
                raise ServiceError("TaskAgentSessionExpiredException", f"The session {session.id} is not open any more. Create a new one.")
            left = deadline - time.monotonic()
            if not alive():
                return None
            session.seen = self.now()
            message = session.after(last)
            if message is not None or left <= 0 or self.closing:
                return message
            session.arrived.wait(min(left, 0.5))

    def close(self) -> None:
        """Wake everybody who waits: the service ends."""
        with self.lock:
            self.closing = True
            for session in self.sessions.by_id.values():
                session.arrived.notify_all()

    # look

    def document(self) -> dict[str, Any]:
        """Everything, as one JSON document without a secret."""
        with self.lock:
            self.tick()
            return {
                "service": "azure-devops",
                "organization": self.organization,
                "pools": [pool.document(len(self.agents.of_pool(pool.id))) for pool in self.pools.by_id.values()],
                "agents": [self._agent(agent) for agent in self.agents.by_id.values()],
                "sessions": [
                    {"id": s.id, "agentId": s.agent_id, "poolId": s.pool_id, "owner": s.owner, "createdOn": stamp(s.created)}
                    for s in self.sessions.by_id.values()
                ],
                "jobs": [self.job_document(job) for job in self.jobs.values()],
                "queues": [queue.document(self.pools.get(queue.pool_id).reference()) for queue in self.queues.by_id.values()],
                "pats": self.pats.counts(),
            }

    def _agent(self, agent: Agent) -> dict[str, Any]:
        document = agent.document()
        return document | {
            "poolId": agent.pool_id,
            "pool": self.pools.get(agent.pool_id).name,
            "capabilities": agent.capabilities,
            "key": agent.key.fingerprint() if agent.key else None,
            "statusChanges": [{"at": stamp(at), "status": status} for at, status in agent.changes],
        }

    def job_document(self, job: JobRequest) -> dict[str, Any]:
        """One job: its state, its result, its agent and its history."""
        pool = self.pools.by_id.get(job.pool_id)
        return {
            "requestId": job.id,
            "name": job.name,
            "pool": pool.name if pool else None,
            "state": job.state,
            "result": job.result,
            "message": job.message,
            "demands": [str(demand) for demand in job.demands],
            "agent": (job.agent_reference or {}).get("name"),
            "agentId": job.agent_id,
            "renewals": job.renewals,
            "history": [{"at": stamp(at), "event": event} for at, event in job.history],
        }
