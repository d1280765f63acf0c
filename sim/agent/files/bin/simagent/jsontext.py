"""JSON by the two C functions under Python's own module: that module imports re and enum, a third of this program's start.

The functions are the same in Python 3.10 to 3.14; a test runs the agent with each that is installed.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Plain:
    """What the scanner asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 (the scanner empties it itself)


_scan = make_scanner(_Plain())  # type: ignore[arg-type]


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    plain = (text.decode("utf-8-sig") if isinstance(text, bytes) else text).strip(" \t\n\r")
    try:
        value, end = _scan(plain, 0)
        if end == len(plain):
            return value
    except (StopIteration, RecursionError, SystemError):  # the last: it wants to raise an error of a module that is not loaded
        pass
    import json

    try:
        return json.loads(plain)  # says what is wrong, and where
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dumps(value: object, indent: str = "") -> str:
    """`value` as JSON, short, or with every member on a line of its own that begins with `indent`. Raises TypeError."""
    return _text(value, indent, "\n" if indent else "")


def _text(value: object, indent: str, line: str) -> str:
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    inner = line + indent
    if isinstance(value, dict):
        colon = ": " if indent else ":"
        parts = [f"{encode_basestring_ascii(str(name))}{colon}{_text(member, indent, inner)}" for name, member in value.items()]
        return f"{{{inner}{f',{inner}'.join(parts)}{line}}}" if parts else "{}"
    if isinstance(value, list | tuple):
        parts = [_text(member, indent, inner) for member in value]
        return f"[{inner}{f',{inner}'.join(parts)}{line}]" if parts else "[]"
    raise TypeError(f"a {type(value).__name__} is no JSON value")
