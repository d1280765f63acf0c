"""One row of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and the fix when it is not good."""

    what: str
    state: str
    fix: str = ""
    required: bool = True

    @property
    def good(self) -> bool:
        return not self.fix

    def document(self) -> dict[str, str | bool]:
        return {"what": self.what, "state": self.state, "fix": self.fix, "required": self.required}
