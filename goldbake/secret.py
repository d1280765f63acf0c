"""A value that must not be seen: it prints as ***, and every log line is searched for it."""

from __future__ import annotations

import hmac

_known: set[str] = set()


class Secret:
    """Holds a secret; `reveal()` is the only way to its text.

    Values shorter than six characters are not searched for in log lines: they would blank ordinary words.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= 6:
            _known.add(value)

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret cannot be pickled or copied")


def redact(text: str) -> str:
    """`text` with every secret that this process has met replaced by ***."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, "***")
    return text
