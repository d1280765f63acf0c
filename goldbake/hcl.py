"""Python values as HCL2 text in Packer's canonical format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Value = str | bool | int | Sequence[str] | Mapping[str, str]

_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BARE_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")


def literal(value: Value, indent: int = 0) -> str:
    """`value` as an HCL expression whose value is exactly it: nothing in a string is interpolated.

    Lists and maps stand on several lines, their items `indent` + 2 columns in. Raises ValueError for what `quote` refuses.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Mapping):
        return _map(value, indent)
    return _list(value, indent)


def quote(text: str) -> str:
    """`text` as a quoted HCL string.

    Raises ValueError for NUL, which no program can be given, and for half of a surrogate pair, which is no character.
    """
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(f"{text!r} holds NUL or half of a surrogate pair, which cannot be passed to a program")
    parts: list[str] = []
    for at, char in enumerate(text):
        if char in _NAMED:
            parts.append(_NAMED[char])
        elif char in "$%" and text[at + 1 : at + 2] == "{":
            parts.append(f"\\u{ord(char):04x}")  # doubling it would be ambiguous after another $ or %
        elif not char.isprintable():
            parts.append(f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}")
        else:
            parts.append(char)
    return '"' + "".join(parts) + '"'


def prose(text: str) -> str:
    """`text` for an argument that Packer reads as a Go template, as an image's description: `{{` becomes `{ {`.

    No escape would do: some arguments are rendered again and again until nothing changes.
    """
    return re.sub(r"\{(?=\{)", "{ ", text)


def _list(items: Sequence[str], indent: int) -> str:
    if not items:
        return "[]"
    inner = " " * (indent + 2)
    return "[\n" + "".join(f"{inner}{quote(item)},\n" for item in items) + " " * indent + "]"


def _map(items: Mapping[str, str], indent: int) -> str:
    if not items:
        return "{}"
    keys = {key: key if _BARE_KEY.match(key) else quote(key) for key in items}
    width = max(len(key) for key in keys.values())
    inner = " " * (indent + 2)
    return "{\n" + "".join(f"{inner}{keys[key]:<{width}} = {quote(value)}\n" for key, value in items.items()) + " " * indent + "}"
