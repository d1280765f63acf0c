"""The verb `run`: a session that makes the agent online, and messages until a signal, an update or the service ends it."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select

from . import jsontext, store
from .capabilities import system
from .configure import connect, credential_of
from .errors import AgentError, NetworkError, ServiceError, TokenError, Unauthorized
from .network import Network
from .oauth import Pat
from .pace import CLOCK_SKEW_S, LEAST_END_S, SESSION_CONFLICT_S, SESSION_END_S, SESSION_RETRY_S, scaled
from .rsa import Key
from .service import Session
from .stream import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .console import Console
    from .inputs import Inputs
    from .jobs import Job
    from .store import Store

SUCCESS, TERMINATED, RETRYABLE, UPDATING, ONCE_UPDATING = range(5)
_FATAL = frozenset(("TaskAgentNotFoundException", "TaskAgentPoolNotFoundException", "AccessDeniedException"))
"""Refusals that no repetition can change."""
_SERVER_RETRY_S = 15.0
"""Between two tries to get messages from a service that fails."""


class Stopped(BaseException):
    """SIGINT or SIGTERM came."""


class Wake:
    """A pipe that becomes readable when something has happened that a blocked listener must see: a signal, or the end of a job."""

    def __init__(self) -> None:
        self.fd, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ring(self) -> None:
        try:
            os.write(self._writing, b".")
        except (BlockingIOError, OSError):  # full, or closed: seen already
            pass

    def clear(self) -> None:
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass

    def sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until it rings."""
        select.select([self.fd], [], [], scaled(seconds))

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._writing)


class Listener:
    """One agent at work."""

    def __init__(self, inputs: Inputs, files: Store, console: Console, version: str) -> None:
        self._settings = files.settings()
        saved = files.load(store.CREDENTIALS)
        try:
            key = Key.of(files.load(store.KEY)) if saved.get("scheme") != "PAT" else None
        except (KeyError, ValueError, TypeError) as error:
            raise AgentError(f"{store.KEY} holds no key: {error or type(error).__name__}") from error
        self._credential = Pat(str(saved["data"]["token"])) if key is None else credential_of(saved, key)
        self._files, self._console, self._version = files, console, version
        self._service = inputs.given("startuptype").lower() == "service"
        self._once = inputs.flag("once")
        self._network = Network.of_files(files, os.environ)
        self._session = Session(str(self._settings["serverUrl"]), self._credential, self._network, console, version)
        self._pool, self._agent = self._settings["poolId"], self._settings["agentId"]
        self._id = ""
        self._job: Job | None = None
        self._wake = Wake()
        self._stopping = False
        self._session.sleep = self._pause

    def run(self) -> int:
        """Listen until the end; the session is deleted on every way out that leaves time for it."""
        console = self._console
        try:
            console.line("Scanning for tool capabilities.")
            console.line("Connecting to the server.")
            if not self._open():
                return TERMINATED
            console.event("Listening for Jobs")
            return self._listen()
        except Stopped:
            console.line("Exiting...")
            return SUCCESS
        finally:
            _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
            if self._job is not None:
                self._job.cancel()
                self._job.wait()
            self._close()
            self._session.close()
            self._wake.close()

    def stop(self) -> None:
        """End soon; safe to call from a signal handler."""
        self._stopping = True
        self._wake.ring()

    def _pause(self, seconds: float) -> None:
        """Wait for `seconds`. Raises Stopped."""
        self._wake.sleep(seconds)
        self._look()

    def _look(self) -> None:
        """See why it rang. Raises Stopped."""
        self._wake.clear()  # first: a signal that comes between the two lines rings again
        if self._stopping:
            raise Stopped

    def _open(self) -> bool:
        """Get a session, whatever time it takes; False when there is no hope of one."""
        conflicts = skews = 0
        while True:
            try:
                connect(self._session)
                self._look()
                self._create()
                return True
            except TokenError as error:
                if not error.skewed:
                    self._console.error(f"Failed to create session. {error}")
                    return False
                skews += 1
                self._console.error("The clock of this machine differs from the service's by more than five minutes: set it.")
                if skews * SESSION_RETRY_S >= CLOCK_SKEW_S:
                    return False
            except ServiceError as error:
                if error.type_key == "TaskAgentSessionConflictException":
                    self._console.error("A session for this agent already exists.")
                    if conflicts * SESSION_RETRY_S >= SESSION_CONFLICT_S:
                        self._console.error(f"Stop retry on SessionConflictException after retried for {SESSION_CONFLICT_S:.0f} seconds.")
                        return False
                    conflicts += 1
                elif not self._may_pass(error):
                    return False
            except NetworkError as error:
                self._console.event(f"Agent connect error: {error} Retrying until reconnected.")
            self._pause(SESSION_RETRY_S)

    def _create(self) -> None:
        machine = os.uname()
        agent = {
            "id": self._agent,
            "name": self._settings["agentName"],
            "version": self._version,
            "osDescription": f"{machine.sysname} {machine.release}",
        }
        wanted = {
            "sessionId": "00000000-0000-0000-0000-000000000000",
            "ownerName": machine.nodename,
            "agent": agent,
            "systemCapabilities": system(os.environ, self._files.folder, str(self._settings["agentName"]), self._version),
        }
        made = self._session.call("POST", self._session.url("sessions", poolId=self._pool), wanted)
        self._id = str(made["sessionId"])

    def _may_pass(self, error: ServiceError) -> bool:
        if error.type_key == "TaskAgentNotFoundException":
            self._console.error("The agent no longer exists on the server. Please reconfigure the agent.")
            return False
        if error.type_key in _FATAL or isinstance(error, Unauthorized):
            self._console.error(f"Failed to create session. {error}")
            return False
        self._console.event(f"Agent connect error: {error} Retrying until reconnected.")
        return True

    def _listen(self) -> int:
        last: int | None = None
        broken = False
        while True:
            if self._job is not None and self._job.done:
                self._job.wait()
                self._job = None
                if self._once:
                    return SUCCESS
            try:
                message = self._next(last)
                if broken:
                    self._console.event("Agent reconnected.")
                    broken = False
                if message is None:
                    continue
                last = int(message["messageId"])
                code = self._handle(message)
                self._acknowledge(last)
                if code is not None:
                    return code
            except (ServiceError, NetworkError, TokenError) as error:
                if _ends_session(error):
                    last = None
                    if not self._open():
                        return TERMINATED
                elif _ends_agent(error):
                    self._console.error(str(error))
                    return TERMINATED
                else:
                    broken = self._trouble(error, broken)

    def _trouble(self, error: AgentError, said: bool) -> bool:
        if not said:
            self._console.event(f"Agent connect error: {error} Retrying until reconnected.")
        self._pause(_SERVER_RETRY_S)
        return True

    def _next(self, last: int | None) -> dict[str, Any] | None:
        """The next message, None when the service had none for about 50 s."""
        query = f"sessionId={self._id}" + ("" if last is None else f"&lastMessageId={last}")
        self._session.wake = self._wake.fd
        try:
            return self._session.call("GET", self._session.url("messages", query, poolId=self._pool)) or None
        except Interrupted:
            self._look()
            return None
        finally:
            self._session.wake = -1

    def _acknowledge(self, message: int) -> None:
        """Say that a message was taken. It was, whatever the service answers."""
        try:
            self._session.call("DELETE", self._session.url("messages", f"sessionId={self._id}", poolId=self._pool, messageId=message))
        except AgentError as error:
            self._console.log(f"message {message} was not deleted: {error}")

    def _handle(self, message: dict[str, Any]) -> int | None:
        """Act on a message; a code when the listener has to end."""
        kind = str(message.get("messageType", ""))
        content = jsontext.loads(message.get("body") or "{}")
        self._console.log(f"message {message['messageId']}: {kind}")
        if kind in {"PipelineAgentJobRequest", "JobRequest"}:
            from .jobs import Job

            if self._job is not None:
                self._job.wait()
            self._job = Job(content, self._pool, self._settings, self._files, self._session.another, self._console, self._wake.ring)
            self._job.start()
        elif kind == "JobCancellation" and self._job is not None and self._job.id == str(content.get("jobId", "")).lower():
            self._job.cancel()
        elif kind == "AgentRefresh":
            from .update import update

            if self._job is not None:
                self._job.wait()
            if update(
                content, self._session, self._pool, self._agent, self._files, self._console, self._version, relaunch=not self._service
            ):
                return ONCE_UPDATING if self._once else UPDATING
        return None

    def _close(self) -> None:
        if self._id:
            self._session.hurry(max(scaled(SESSION_END_S), LEAST_END_S))
            try:
                self._session.call("DELETE", self._session.url("sessions", poolId=self._pool, sessionId=self._id))
            except AgentError as error:
                self._console.log(f"the session was not deleted: {error}")


def _ends_session(error: AgentError) -> bool:
    return isinstance(error, ServiceError) and error.type_key in {
        "TaskAgentSessionExpiredException",
        "TaskAgentAccessTokenExpiredException",
    }


def _ends_agent(error: AgentError) -> bool:
    """Whether no repetition can change it: the service does not know this agent any more, or does not let it in."""
    if isinstance(error, TokenError):
        return error.refused
    return isinstance(error, Unauthorized) or (isinstance(error, ServiceError) and error.type_key in _FATAL)


def run(inputs: Inputs, files: Store, console: Console, version: str) -> int:
    """Be an agent. Raises AgentError when this folder holds none."""
    listener = Listener(inputs, files, console, version)
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, lambda *_: listener.stop())
    return listener.run()
