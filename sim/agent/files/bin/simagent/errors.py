"""What ends a verb: each error is one line on stderr, and `configure`, `remove` and `reauth` turn every one of them into exit code 1."""

from __future__ import annotations


class AgentError(Exception):
    """Base of all failures that are reported as one line."""


class InputError(AgentError):
    """A value is missing or cannot be, and nobody is there to be asked."""


class NotConfigured(AgentError):
    """There is no `.agent` in this folder."""


class NetworkError(AgentError):
    """No answer: name, connection, TLS, time-out, or bytes that are no HTTP. `may_pass`: another try can succeed."""

    def __init__(self, message: str, *, timed_out: bool = False, may_pass: bool = True) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.may_pass = may_pass and not timed_out


class ServiceError(AgentError):
    """An answer that is not the one that was asked for. `type_key` is the name by which the service tells failures apart."""

    def __init__(self, message: str, *, status: int = 0, type_key: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.type_key = type_key


class Unauthorized(ServiceError):
    """The credential was refused."""


class TokenError(AgentError):
    """No token. `skewed`: the endpoint says what time it is, because the clock is wrong. `refused`: it does not know this agent, or its key."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.skewed = "Current server time is" in message
        self.refused = refused and not self.skewed
