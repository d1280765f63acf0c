"""YAML text → a tree that knows its lines. Only what images.yaml needs: mappings, lists and plain values.

Built from PyYAML's events and not from its composed nodes: composing recurses as deep as the document does, and expands aliases. Anchors,
aliases, merge keys and tags are refused by name; `extends` is images.yaml's own way to share keys.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import yaml

MAX_BYTES = 1_000_000
"""A configuration larger than this is not one; reading it would only cost time."""
MAX_DEPTH = 16
"""Levels of nesting that are read; the deepest key of the model is at level 7."""
MAX_TEXT = 1000
"""Characters of one value: nothing here is longer, and Python refuses to read numbers of more than 4300 digits."""
_SHOWN = 60
"""Characters of a wrong value that a message repeats."""
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_TAG = "tag:yaml.org,2002:"

Keys = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in lists, from the top."""


class Kind(StrEnum):
    """What a value is to YAML, in the words of a message."""

    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    TRUTH = "true or false"
    DATE = "a date"
    NOTHING = "nothing"
    MAPPING = "a mapping"
    LIST = "a list"
    REFUSED = "refused"
    """Already reported; whatever else is wrong about it does not matter."""


class Mistake(NamedTuple):
    """Something wrong at a line. `line` 0 means the whole file."""

    line: int
    keys: Keys
    text: str


@dataclass
class Node:
    """A value and the line (from 1) on which it, or the key that introduces it, stands."""

    line: int
    kind: Kind
    text: str = ""
    """A plain value as written."""
    entries: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    partial: bool = False
    """A part of this mapping was refused: what is missing in it is no news."""

    @property
    def shown(self) -> str:
        """The value as a message repeats it."""
        if self.kind in (Kind.MAPPING, Kind.LIST, Kind.NOTHING):
            return self.kind.value
        return quoted(self.text) if self.kind is Kind.TEXT else shortened(self.text)

    def data(self) -> object:
        """The value as JSON has it. What the model knows no place for (dates, fractions) becomes a fraction: wrong wherever it stands."""
        if self.kind is Kind.MAPPING:
            return {key: node.data() for key, node in self.entries.items()}
        if self.kind is Kind.LIST:
            return [node.data() for node in self.items]
        if self.kind is Kind.TEXT:
            return self.text
        if self.kind is Kind.TRUTH and self.text.lower() in ("true", "false"):
            return self.text.lower() == "true"
        if self.kind is Kind.WHOLE and _DECIMAL.fullmatch(self.text):
            return int(self.text[:18])  # 18 digits are beyond every bound of the model, and within those of JSON readers
        return None if self.kind is Kind.NOTHING else 0.5

    def find(self, keys: Keys) -> tuple[Node, int]:
        """The node that `keys` lead to, or the last one on the way, and how many keys led there."""
        node = self
        for used, key in enumerate(keys):
            following = node.entries.get(key) if isinstance(key, str) else node.items[key] if key < len(node.items) else None
            if following is None:
                return node, used
            node = following
        return node, len(keys)


def shortened(text: str, length: int = _SHOWN) -> str:
    """`text` on one line, cut after `length` characters."""
    visible = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: length + 1])
    return visible if len(visible) <= length else f"{visible[:length]}…"


def quoted(text: str) -> str:
    return f"'{shortened(text)}'"


def read(data: bytes) -> tuple[Node | None, list[Mistake]]:
    """The tree of one document and every mistake in its form; no tree when it cannot be read at all. Never raises."""
    if len(data) > MAX_BYTES:
        return None, [Mistake(0, (), f"{len(data)} bytes are too many; {MAX_BYTES} are read")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Mistake(line, (), f"byte 0x{data[error.start]:02x} is no UTF-8; save the file as UTF-8")]
    if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        return None, [Mistake(line, (), f"the character U+{ord(bad.group()):04X} is not allowed in YAML; remove it")]
    builder = _Builder(text)
    try:
        return builder.document(), builder.mistakes
    except _TooDeep as error:
        found = Mistake(error.line, (), f"more than {MAX_DEPTH} levels of nesting; no key stands that deep")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found = Mistake(mark.line + 1 if mark else 0, (), f"this is no YAML: {_reason(error)}; correct the line")
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # PyYAML's scanner lets some of Python's own errors through, as chr()'s for "\UFFFFFFFF" or int()'s for "%YAML 1.(5000 digits)".
        found = Mistake(builder.line, (), f"this is no YAML: {shortened(str(error))}; correct the line")
    return None, [*builder.mistakes, found]


def _reason(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return shortened(", ".join(parts).replace("<", "'").replace(">", "'"), 200)


class _TooDeep(Exception):
    """Deeper than MAX_DEPTH; there the reading ends."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Builder:
    def __init__(self, text: str) -> None:
        self.loader = yaml.SafeLoader(text)
        self.mistakes: list[Mistake] = []

    @property
    def line(self) -> int:
        """The line that the scanner has reached."""
        return int(self.loader.line) + 1

    def document(self) -> Node | None:
        events = self._events()
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            self.mistakes.append(Mistake(0, (), "the file is empty"))
            return None
        root = self._node(next(events), events, ())
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.mistakes.append(Mistake(_line(event), (), "a second document begins here; remove the line `---`"))
                return None
        return root

    def _events(self) -> Iterator[yaml.Event]:
        while self.loader.check_event():
            event: yaml.Event = self.loader.get_event()  # type: ignore[no-untyped-call]
            yield event

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> Node:
        line = _line(event)
        if len(keys) > MAX_DEPTH:
            raise _TooDeep(line)
        if isinstance(event, yaml.AliasEvent):
            alias = quoted(f"*{event.anchor}")
            self._refuse(line, keys, f"the alias {alias} is not supported; repeat the value, or use `extends` to share keys")
            return Node(line, Kind.REFUSED)
        assert isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.ScalarEvent))  # all that YAML's grammar leaves
        if event.anchor:
            anchor = quoted(f"&{event.anchor}")
            self._refuse(line, keys, f"the anchor {anchor} is not supported; remove it, and use `extends` to share keys")
        if isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(line, events, keys)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(line, Kind.LIST)
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                node.items.append(self._node(item, events, (*keys, len(node.items))))
        else:
            node = self._value(event, keys)
        if event.tag is not None and event.tag != "!":
            self._refuse(line, keys, f"the tag {quoted(_plain_tag(event.tag))} is not supported; remove it")
            return Node(line, Kind.REFUSED)
        return node

    def _mapping(self, line: int, events: Iterator[yaml.Event], keys: Keys) -> Node:
        node = Node(line, Kind.MAPPING)
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key_line = _line(event)
            key = self._key(event, events, keys)
            value = self._node(next(events), events, (*keys, key or "?"))
            if key is None:
                node.partial = True
            elif key in node.entries:
                self._refuse(key_line, (*keys, key), f"the key stands already in line {node.key_lines[key]}; remove one of the two")
            else:
                if value.kind in (Kind.MAPPING, Kind.LIST):
                    value.line = key_line
                node.entries[key], node.key_lines[key] = value, key_line
        return node

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> str | None:
        """The text of a key; None when it is refused."""
        line = _line(event)
        before = len(self.mistakes)
        merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.style is None
        node = self._node(event, events, (*keys, "?"))
        if len(self.mistakes) > before:
            return None
        if node.kind in (Kind.MAPPING, Kind.LIST):
            self._refuse(line, keys, f"a key must be text, not {node.kind}")
        elif merge:
            self._refuse(line, keys, "the merge key '<<' is not supported; use `extends` to share keys")
        elif node.kind is Kind.NOTHING:
            self._refuse(line, keys, f"a key must be text; {quoted(node.text)} is read as nothing")
        elif node.kind is not Kind.TEXT:
            self._refuse(
                line, keys, f'a key must be text; {shortened(node.text)} is read as {node.kind}, so quote it: "{shortened(node.text)}"'
            )
        else:
            return node.text
        return None

    def _value(self, event: yaml.ScalarEvent, keys: Keys) -> Node:
        line, text = _line(event), event.value
        if len(text) > MAX_TEXT:
            self._refuse(line, keys, f"{quoted(text)} is too long: {len(text)} characters; at most {MAX_TEXT}")
            return Node(line, Kind.REFUSED, text[:MAX_TEXT])
        if bad := next((char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")), None):
            what = "a line break" if bad in "\n\u2028\u2029\x85" else f"the control character U+{ord(bad):04X}"
            self._refuse(line, keys, f"{quoted(text)} holds {what}; write it on one line")
            return Node(line, Kind.REFUSED, text)
        tag: str = self.loader.resolve(yaml.ScalarNode, text, event.implicit) if event.tag is None else ""  # type: ignore[no-untyped-call]
        return Node(line, _KINDS.get(tag.removeprefix(_TAG), Kind.TEXT), text)

    def _refuse(self, line: int, keys: Keys, text: str) -> None:
        self.mistakes.append(Mistake(line, keys, text))


_KINDS = {
    "int": Kind.WHOLE,
    "float": Kind.NUMBER,
    "bool": Kind.TRUTH,
    "null": Kind.NOTHING,
    "timestamp": Kind.DATE,
}
"""YAML 1.1's implicit types by tag; `=`, `<<` and all else is text."""


def _plain_tag(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
