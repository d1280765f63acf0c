"""What can go wrong, as one exception with a class from `explain.ERRORS`."""

from __future__ import annotations

from .explain import ERRORS


class Problem(Exception):
    """`kind` is a key of `explain.ERRORS`; `reason` is one line and never holds a value of the user-data.

    `retry_after`: seconds that the service asked us to wait, 0 when it did not.
    """

    def __init__(self, kind: str, reason: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.hint = hint or ERRORS[kind].fix
        self.retry_after = retry_after

    @property
    def permanent(self) -> bool:
        return ERRORS[self.kind].permanent

    @property
    def code(self) -> int:
        return ERRORS[self.kind].code
