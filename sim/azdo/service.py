"""The simulated service as one object: made, started, asked and ended by a test or a demo."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme

from sim.azdo.access import Rejection
from sim.azdo.application import Application, Recorded
from sim.azdo.faults import Fault
from sim.azdo.packages import Package
from sim.azdo.pats import MANAGE
from sim.azdo.pools import Pool
from sim.azdo.server import Server
from sim.azdo.sessions import Message
from sim.azdo.state import State, Times

NAMES = ("localhost", "127.0.0.1", "10.0.2.2")
"""Names in the certificate: this machine, and how a guest with user networking calls it."""


class SimulatedAzureDevOps:
    """A simulated Azure DevOps organization on loopback, over TLS with a certificate authority of its own.

    Serves inside its `with` block. Seconds: `poll_seconds` is the longest wait of a message poll, `session_timeout` how long an agent may
    be silent before its session ends, `job_lock` how long a job waits for a renewal, `token_seconds` how long a bearer token lives.
    `rejection` is how unknown tokens are turned away ("401", "203", "302"). Raises ValueError for a host that is not loopback.
    """

    def __init__(
        self,
        organization: str = "demo",
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        poll_seconds: float = 50.0,
        session_timeout: float = 300.0,
        job_lock: float = 600.0,
        token_seconds: float = 2999.0,
        rejection: str = "401",
        now: Callable[[], float] = time.time,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not loopback: the simulated service is for this machine only")
        if not organization or "/" in organization or organization.startswith("_"):
            raise ValueError(f"{organization!r} cannot be the name of an organization")
        self.organization = organization
        self._host = host
        self._wanted_port = port
        self._times = Times(poll_seconds, session_timeout, job_lock, token_seconds)
        self._rejection = Rejection(rejection)
        self._now = now

    def __enter__(self) -> SimulatedAzureDevOps:
        authority = trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*NAMES).configure_cert(tls)
        self.ca_pem: str = authority.cert_pem.bytes().decode()
        with ExitStack() as made:
            server = Server(self._host, self._wanted_port, tls)
            made.callback(server.stop)
            self.ca_path = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="simulated-azdo-"))) / "ca.pem"
            self.ca_path.write_text(self.ca_pem)
            self.port = server.port
            self.url = f"https://{self._host}:{self.port}/{self.organization}"
            self._state = State(self.organization, self.url, self._times, self._now)
            made.callback(self._state.close)
            self._application = Application(self._state, self._rejection)
            self.pat = self.add_pat()
            server.serve(self._application.reply)
            self._made = made.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._made.close()

    @property
    def requests(self) -> list[Recorded]:
        """The last 10 000 requests, without credentials; control requests are not among them."""
        return self._application.recorded()

    def state(self) -> dict[str, Any]:
        """The document of GET /_state."""
        return self._state.document()

    def add_pat(self, scopes: Iterable[str] = (MANAGE,), expired: bool = False) -> str:
        """A new personal access token."""
        with self._state.lock:
            return self._state.pats.add(scopes, expired)

    def revoke(self, pat: str) -> None:
        """From now on `pat` opens nothing. Raises KeyError when it was never given out."""
        with self._state.lock:
            self._state.pats.revoke(pat)

    def expire_tokens(self) -> None:
        """The bearer tokens of all agents expire."""
        with self._state.lock:
            self._state.tokens.expire_all()

    def add_pool(self, name: str, auto_provision: bool = False, **settings: Any) -> int:
        """A new pool; returns its number. `settings` are those of `pools.Pool`."""
        with self._state.lock:
            return self._state.add_pool(name, auto_provision=auto_provision, **settings).id

    def add_elastic_pool(self, name: str, azure_id: str = "/subscriptions/0/resourceGroups/g/providers/vmss/s") -> int:
        """A new pool whose agents Microsoft's service would start in the scale set `azure_id`; returns its number."""
        with self._state.lock:
            return self._state.add_elastic_pool(name, azure_id).id

    def add_project(self, name: str) -> None:
        """A new project; "demo" is there from the start."""
        with self._state.lock:
            self._state.queues.projects[name] = str(uuid.uuid4())

    def add_package(self, version: str, content: bytes, platform: str = "linux-x64", *, hashed: bool = True) -> None:
        """Offer an agent package for download; without `hashed` its metadata has no hash."""
        with self._state.lock:
            self._state.packages.add(Package(version, platform, content, self._state.now(), hashed=hashed))

    def queue_job(self, pool: str | int, name: str = "job", demands: Sequence[str] = (), script: str = "echo hello") -> int:
        """Queue a job and return the number of its request; it fails at once when the pool has no agent that could take it."""
        with self._state.lock:
            self._state.tick()
            return self._state.queue_job(self._pool(pool), name, demands, script).id

    def cancel_job(self, request_id: int) -> None:
        """Cancel a job: at once when no agent has it, else its agent is asked to."""
        with self._state.lock:
            self._state.cancel_job(self._state.jobs[request_id])

    def job(self, request_id: int) -> dict[str, Any]:
        """A job as GET /_state has it: `state` is queued, assigned, running or completed; `result` is None until then."""
        with self._state.lock:
            self._state.tick()
            return self._state.job_document(self._state.jobs[request_id])

    def refresh_agent(self, agent_id: int, version: str) -> Message:
        """Tell an agent to update itself to `version`. Raises KeyError unless it is online."""
        with self._state.lock:
            self._state.tick()
            return self._state.refresh_agent(agent_id, version)

    def fault(self, fault: Fault) -> None:
        """Let `fault` happen."""
        self._application.faults.add(fault)

    def clear_faults(self) -> None:
        """No more faults."""
        self._application.faults.clear()

    def _pool(self, pool: str | int) -> Pool:
        found = self._state.pools.by_id.get(pool) if isinstance(pool, int) else self._state.pools.find(pool)
        if found is None:
            raise KeyError(f"there is no pool {pool}")
        return found
