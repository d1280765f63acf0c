"""Sessions of agents, and the messages that wait in them. An agent is online exactly while it has a session."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from sim.azdo.errors import ServiceError


@dataclass(frozen=True)
class Message:
    """A message; it is delivered again until the agent deletes it."""

    id: int
    type: str
    body: dict[str, Any]
    request_id: int | None = None

    def document(self) -> dict[str, Any]:
        """This message as a TaskAgentMessage; its body is JSON in a string, not encrypted because the session has no key."""
        return {"messageId": self.id, "messageType": self.type, "body": json.dumps(self.body, separators=(",", ":"))}


@dataclass
class Session:
    """A session: `seen` is when its agent last asked for messages."""

    agent_id: int
    pool_id: int
    owner: str
    created: float
    seen: float
    arrived: Condition
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    messages: list[Message] = field(default_factory=list)
    open: bool = True

    def after(self, last: int | None) -> Message | None:
        """The oldest message that is newer than number `last`, or the oldest of all."""
        return next((message for message in self.messages if last is None or message.id > last), None)


class Sessions:
    """The sessions that are open, and the names of those that expired."""

    def __init__(self) -> None:
        self.by_id: dict[str, Session] = {}
        self.expired: set[str] = set()
        self._last_message = 0

    def of_agent(self, agent_id: int) -> Session | None:
        """The open session of an agent, or None."""
        return next((session for session in self.by_id.values() if session.agent_id == agent_id), None)

    def get(self, pool_id: int, session_id: str) -> Session:
        """The open session of this id. Raises ServiceError: it expired, or never was."""
        session = self.by_id.get(session_id.lower())
        if session is None or session.pool_id != pool_id:
            raise ServiceError("TaskAgentSessionExpiredException", f"The session {session_id} is not open any more. Create a new one.")
        return session

    def close(self, session: Session, expired: bool = False) -> None:
        """End a session; who waits in it is woken."""
        session.open = False
        self.by_id.pop(session.id, None)
        if expired:
            self.expired.add(session.id)
        session.arrived.notify_all()

    def send(self, session: Session, kind: str, body: dict[str, Any], request_id: int | None = None) -> Message:
        """Put a message into a session and wake who waits in it."""
        self._last_message += 1
        message = Message(self._last_message, kind, body, request_id)
        session.messages.append(message)
        session.arrived.notify_all()
        return message
