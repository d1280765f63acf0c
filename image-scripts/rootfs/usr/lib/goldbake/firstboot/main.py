"""First boot, from user-data to an agent that listens."""

from __future__ import annotations

import os

from . import TYPE_CHECKING, gpu, register, sources, trust, userdata
from .errors import Problem
from .probe import probe
from .retry import pause
from .run import run
from .settings import Settings
from .status import Status, write
from .wipe import overwrite, wipe

if TYPE_CHECKING:
    from .register import Registered
    from .sources import Found
    from .userdata import Input


class FirstBoot:
    """One run of the program. Killed anywhere, the next run ends with the same agent registered once:

    the user-data stays where it came from until the agent is registered, `unfinished` stays until the user-data is wiped, and the agent's
    unit does not start while `unfinished` is there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._status = Status(settings)
        self._unfinished = f"{settings.state}/unfinished"

    def run(self) -> int:
        """Returns the exit code: 0, or that of the error class."""
        found: Found | None = None
        pat = ""
        try:
            self._status.phase("started")
            sources.refuse_scale_set(self._settings)
            found = sources.find(self._settings)
            if self._was_wiping(found):
                from . import nocloud

                self._finish(found or nocloud.remains(self._settings), None, "")
                return 0
            if found is None:
                return self._not_configured("this machine received no user-data")
            if not userdata.is_ours(found.data):
                return self._not_configured(f"the user-data ({found.source}) is not goldbake's")
            self._status.phase("input", source=found.source)
            given = userdata.parse(found.data)
            pat = given.pat
            self._status.secrets = [pat]
            if not found.instance_id:
                raise Problem("input", f"the machine's description ({found.source}) has no instance id")
            name = userdata.agent_name(given.prefix, found.instance_id)
            self._finish(found, given, name)
        except Problem as problem:
            if problem.permanent and problem.kind != "scale-set":
                self._wipe(found, pat)
            self._status.failed(problem)
            return problem.code
        return 0

    def _was_wiping(self, found: Found | None) -> bool:
        """Whether a run before this one registered the machine and was cut off while it wiped: what is left of the user-data means nothing."""
        if not (os.path.exists(self._unfinished) and register.is_registered(self._settings)):
            return False
        try:
            return found is None or not userdata.is_ours(found.data) or not userdata.parse(found.data)
        except Problem:
            return True

    def _not_configured(self, reason: str) -> int:
        self._status.phase("not-configured", reason=reason, hint="launch it with `./inv launch`, or give it user-data yourself")
        return 0

    def _finish(self, found: Found | None, given: Input | None, name: str) -> None:
        """From checked user-data to an agent that listens; without user-data from a registration whose wipe was interrupted."""
        settings = self._settings
        if given is not None:
            self._status.fields["organization"] = given.organization
            self._status.fields["agent"] = {"name": name, "pool": given.pool, "version": self._status.version}
            self._limit_life(given.ttl)
        self._guard()
        agent = self._left_by_an_earlier_run(given, name)
        if agent is None:
            assert given is not None
            agent = self._registered(given, name)
        self._status.fields["agent"] = {"id": agent.agent_id, "name": agent.name, "pool": agent.pool, "version": self._status.version}
        if given is not None:
            _flag(f"{settings.state}/ephemeral", given.ephemeral)
            register.persist(settings)
        self._wipe(found, given.pat if given is not None else "")
        overwrite(self._unfinished)
        self._status.phase("start")
        self._start()
        self._status.phase("online")
        self._status.tell_boot()

    def _left_by_an_earlier_run(self, given: Input | None, name: str) -> Registered | None:
        """The agent that a run before this one registered; None when there is none, or only half of one. Raises Problem."""
        if not register.is_registered(self._settings):
            return None
        self._status.phase("verify")
        try:
            return register.verify(self._settings, given, name)
        except Problem as problem:
            if given is None or problem.permanent:
                raise
        return None

    def _registered(self, given: Input, name: str) -> Registered:
        """Ask the service, look at the GPUs, and call config.sh until it succeeds, within bounds. Raises Problem."""
        settings = self._settings
        deadline = settings.monotonic() + settings.probe_budget_s
        labels: dict[str, str] | None = None
        calls = 0
        while True:
            self._status.attempts += 1
            try:
                self._status.phase("probe")
                probe(settings, given)
                if labels is None:
                    labels = {**self._gpus(), **given.labels}
                self._status.phase("register")
                ca = trust.install(settings, given.ca)
                write(self._unfinished, "", 0o600)
                calls += 1
                register.register(settings, given, name, labels, ca)
                self._status.phase("verify")
                agent = register.verify(settings, given, name)
            except Problem as problem:
                wait = pause(settings, self._status.attempts, problem.retry_after)
                if problem.permanent or calls >= settings.register_attempts or settings.monotonic() + wait > deadline:
                    raise
                self._status.trouble(problem)
                self._status.publish()
                settings.sleep(wait)
            else:
                self._status.fine()
                return agent

    def _gpus(self) -> dict[str, str]:
        if not gpu.count(self._settings):
            return {}
        self._status.phase("gpu")
        found = gpu.check(self._settings)
        write(f"{self._settings.run}/gpu-healthy", "", 0o644)
        return found

    def _guard(self) -> None:
        """The rule that keeps jobs from the metadata service, before there can be a job."""
        systemctl, unit = self._settings.systemctl, "goldbake-metadata-guard.service"
        if run([*systemctl, "start", unit], 60.0).code == 0:
            return
        if run([*systemctl, "is-failed", "--quiet", unit], 60.0).code == 0:
            raise Problem("guard", "the rule that blocks the metadata service for jobs cannot be loaded")
        # It never ran: the machine is being shut down. The PAT is needed at the next boot.
        raise Problem("system", f"systemd did not start {unit}")

    def _limit_life(self, ttl: int) -> None:
        """Keep the time at which the machine ends; the first one counts, however often this is run."""
        path = f"{self._settings.state}/expires"
        if not ttl or os.path.exists(path):
            return
        write(path, f"{int(self._settings.clock()) + ttl}\n", 0o644)
        run([*self._settings.systemctl, "start", "--no-block", "goldbake-ttl.service"], 30.0)

    def _wipe(self, found: Found | None, pat: str) -> None:
        for line in wipe(self._settings, found, pat):
            print(f"not wiped: {line}", flush=True)

    def _start(self) -> None:
        busy = f"{self._settings.run}/first-boot"  # goldbake-report stays quiet while this is there
        write(busy, "", 0o644)
        try:
            done = run([*self._settings.systemctl, "start", "goldbake-agent.service"], self._settings.start_s)
        finally:
            overwrite(busy)
        if done.code != 0:
            raise Problem("agent", "the agent is registered, and its service does not get online")


def _flag(path: str, wanted: bool) -> None:
    if wanted:
        write(path, "", 0o644)
    else:
        overwrite(path)


def main(settings: Settings | None = None) -> int:
    """The program. Ends with 0, the code of an error class, or 1 after a mistake of its own, of which the console sees no traceback."""
    settings = settings or Settings()
    try:
        return FirstBoot(settings).run()
    except Exception as error:  # a traceback could hold a value of the user-data
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where is not None else "?"
        problem = Problem("internal", f"{type(error).__name__} at {place}")
        Status(settings).failed(problem)
        return problem.code
