"""One job: the script of its command-line steps run by bash as this user, its lock kept, its result reported."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

from .errors import AgentError
from .pace import RENEW_JOB_S, scaled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .console import Console
    from .service import Session
    from .store import Store

LOCK_TOKEN = "00000000-0000-0000-0000-000000000000"
_GRACE = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 5.0))
"""What a cancelled script gets, and how many seconds after each it is waited for."""


class Job:
    """A job on its thread, with connections of its own. `on_end` is called there when it is over."""

    def __init__(
        self,
        message: dict[str, Any],
        pool: int,
        settings: dict[str, Any],
        files: Store,
        connect: Callable[[], Session],
        console: Console,
        on_end: Callable[[], None],
    ) -> None:
        self.id = str(message.get("jobId", "")).lower()
        self.name = str(message.get("jobDisplayName") or message.get("jobName") or "job")
        self._request = int(message["requestId"])
        self._scripts = [str(step["inputs"]["script"]) for step in message.get("steps") or [] if "script" in (step.get("inputs") or {})]
        self._variables = {
            name: entry["value"]
            for name, entry in (message.get("variables") or {}).items()
            if isinstance(entry, dict) and entry.get("value") is not None and not entry.get("isSecret")
        }
        self._pool, self._settings, self._files, self._console, self._on_end = pool, settings, files, console, on_end
        self._connect = connect
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"job-{self._request}")

    @property
    def done(self) -> bool:
        """Whether its result has been reported, or cannot be."""
        return self._ended.is_set()

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        self._cancelled.set()

    def wait(self) -> None:
        self._thread.join()

    def _work(self) -> None:
        self._console.event(f"Running job: {self.name}")
        session = self._connect()
        stop = threading.Event()
        keeper = threading.Thread(target=self._keep_lock, args=(stop,), name=f"lock-{self._request}")
        keeper.start()
        result = "failed"
        try:
            result = self._run()
        except OSError as error:
            self._console.error(f"Job {self.name} cannot run: {error}")
        finally:
            stop.set()
            keeper.join()
            self._report(session, result)
            session.close()
            self._console.event(f"Job {self.name} completed with result: {result[0].upper()}{result[1:]}")
            self._ended.set()
            self._on_end()

    def _run(self) -> str:
        work = os.path.join(self._files.folder, str(self._settings.get("workFolder", "_work")))
        folder, temporary = f"{work}/{self._request}", f"{work}/_temp"
        for needed in (folder, temporary):
            os.makedirs(needed, exist_ok=True)
        for number, text in enumerate(self._scripts, 1):
            path = f"{temporary}/{self._request}-{number}.sh"
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            try:
                code = self._script(path, folder, self._environment(work, temporary))
            finally:
                os.unlink(path)
            if self._cancelled.is_set():
                return "canceled"
            if code != 0:
                self._console.error(f"Job {self.name}: the script exited with {code}.")
                return "failed"
        return "canceled" if self._cancelled.is_set() else "succeeded"

    def _script(self, path: str, folder: str, environment: dict[str, str]) -> int:
        log = f"{self._files.folder}/_diag/Job_{self._request}.log"
        with open(log, "ab") as output:
            command = ["bash", "--noprofile", "--norc", path]
            child = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            while child.poll() is None:
                if self._cancelled.wait(0.05):
                    _end(child)
            return child.returncode

    def _environment(self, work: str, temporary: str) -> dict[str, str]:
        named = {name.upper().replace(".", "_").replace(" ", "_"): value for name, value in self._variables.items()}
        return {
            **os.environ,
            **named,
            "TF_BUILD": "True",
            "AGENT_ID": str(self._settings["agentId"]),
            "AGENT_NAME": str(self._settings["agentName"]),
            "AGENT_JOBNAME": self.name,
            "AGENT_HOMEDIRECTORY": self._files.folder,
            "AGENT_ROOTDIRECTORY": work,
            "AGENT_WORKFOLDER": work,
            "AGENT_TEMPDIRECTORY": temporary,
            "SYSTEM_JOBID": self.id,
        }

    def _keep_lock(self, stop: threading.Event) -> None:
        session = self._connect()
        try:
            while not stop.wait(scaled(RENEW_JOB_S)):
                try:
                    session.call("PATCH", self._url(session), {"requestId": self._request})
                except AgentError as error:
                    self._console.log(f"the lock on job {self._request} was not renewed: {error}")
        finally:
            session.close()

    def _report(self, session: Session, result: str) -> None:
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            session.call("PATCH", self._url(session), {"requestId": self._request, "finishTime": finished, "result": result})
        except AgentError as error:
            self._console.error(f"The result of job {self.name} could not be reported: {error}")

    def _url(self, session: Session) -> str:
        return session.url("jobrequests", f"lockToken={LOCK_TOKEN}", poolId=self._pool, requestId=self._request)


def _end(child: subprocess.Popen[bytes]) -> None:
    for number, seconds in _GRACE:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            pass
        try:
            child.wait(scaled(seconds))
            return
        except subprocess.TimeoutExpired:
            pass
