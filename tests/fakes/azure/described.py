"""What the SDK itself says about every call that it can make: method, path, version, what is sent and what comes back.

The operations are read out of the SDK's own generated code, and the shapes are its own models: neither is a list of ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("azure.mgmt.compute", "azure.mgmt.network", "azure.mgmt.resource.resources", "azure.mgmt.resource.subscriptions")
AUTHORIZATION = "azure.mgmt.authorization.v2022_04_01"
"""The one package of ours that is of the SDK's older kind."""

ANY = "*"
"""In place of a model's name: a document that no model describes."""

_BUILDER = re.compile(r"^def (build_\w+)\(", re.M)
_CLASS = re.compile(r"^class (\w+)Operations\b", re.M)
_METHOD = re.compile(r"^    def (\w+)\(", re.M)
_OPTIONS = frozenset({"$top", "$filter", "$expand", "$select", "$orderby"})


def prepare() -> None:
    """Let every model find its own fields now: it writes into its class when it is made first, in whatever thread that is, and we read there."""
    for package in PACKAGES:
        for kind in vars(importlib.import_module(f"{package}.models")).values():
            if isinstance(kind, type) and hasattr(kind, "_calculated"):
                kind.__new__(kind)


@dataclass(frozen=True)
class Operation:
    """One call of the SDK."""

    package: str
    group: str
    """As the client names it: virtual_machines."""
    name: str
    """As the client names it, without begin_."""
    method: str
    template: str
    version: str
    statuses: frozenset[int]
    """Those that the SDK takes for success."""
    request: str = ""
    """Name of the model that is sent; empty: none; `ANY`."""
    response: str = ""
    listed: bool = False
    """`response` is what `value` holds many of."""
    bare: bool = False
    """The answer is an array of `response`."""
    parameters: frozenset[str] = frozenset()
    """What the query may hold."""

    def __str__(self) -> str:
        return f"{self.group}.{self.name}"

    def model(self, name: str) -> Any:
        """A model of this package by its name."""
        return getattr(importlib.import_module(f"{self.package}.models"), name)


def find(method: str, path: str) -> list[Operation]:
    """The operations that a path may belong to; the one with the most words of its own first."""
    parts = _parts(path)
    found = [one for one, pattern in _index()[method, len(parts)] if _fits(pattern, parts)]
    return sorted(found, key=lambda one: one.template.count("{"))


def _fits(pattern: tuple[str, ...], parts: list[str]) -> bool:
    return all(want.startswith("{") or want == have.lower() for want, have in zip(pattern, parts, strict=True))


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")


@cache
def _index() -> dict[tuple[str, int], list[tuple[Operation, tuple[str, ...]]]]:
    index: dict[tuple[str, int], list[tuple[Operation, tuple[str, ...]]]] = defaultdict(list)
    for one in operations():
        parts = [part if part.startswith("{") else part.lower() for part in _parts(one.template)]
        index[one.method, len(parts)].append((one, tuple(parts)))
    return index


@cache
def operations() -> tuple[Operation, ...]:
    """All of them (half a second of reading), but for those that take any resource and any version."""
    found = [one for package in (*PACKAGES, AUTHORIZATION) for text in _sources(package) for one in _read(package, text)]
    return tuple(one for one in found if one.version)


def _sources(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "operations"
    return [path.read_text() for path in sorted(folder.glob("_*operations.py"))]


def _read(package: str, text: str) -> list[Operation]:
    builders = dict(_cut(_BUILDER, text[: _CLASS.search(text).start()]))  # type: ignore[union-attr]
    found = []
    for name, body in _cut(_CLASS, text):
        methods: dict[str, str] = {}
        for method, one in _cut(_METHOD, body):
            methods[method] = one  # of overloads the last, which is the real one
        for method, one in methods.items():
            for builder in dict.fromkeys(re.findall(r"\b(build_\w+)\(", one)):
                plain = method.removeprefix("begin_").removeprefix("_").removesuffix("_initial")
                whole = one + methods.get(f"begin_{plain}", "")
                found.append(_operation(package, _snake(name), plain, builders[builder], whole))
    return found


def _operation(package: str, group: str, name: str, builder: str, body: str) -> Operation:
    template = re.search(r'_url = (?:kwargs\.pop\(\s*"template_url",\s*)?\(?\s*"([^"]+)"', builder)
    version = re.search(r'"api-version", "([\w-]+)"', builder)
    method = re.search(r'HttpRequest\(method="(\w+)"', builder)
    assert template is not None, builder
    assert method is not None, builder
    sent = re.search(r"Union\[\s*_models\.(\w+),[^\]]*IO\[bytes\],?\s*\]", body)
    listed = re.search(r"[Ll]ist\[_models\.(\w+)\],\s*\w+\.get\(\"value\"", body)
    single = re.search(r"[^\w]_deserialize\(\s*_models\.(\w+), response\.json\(\)", body)
    bare = re.search(r"_deserialize\(\s*[Ll]ist\[_models\.(\w+)\], response\.json\(\)", body)
    old = re.search(r"self\._deserialize\(\s*\"(\w+)\", pipeline_response", body)
    back = listed or single or bare or old
    statuses = [int(code) for codes in re.findall(r"status_code not in \[([\d, ]+)\]", body) for code in codes.split(",")]
    return Operation(
        package, group, name, method[1], template[1], version[1] if version else "", frozenset(statuses),
        request=sent[1] if sent else "",
        response=back[1] if back else "",
        listed=listed is not None,
        bare=bare is not None,
        parameters=frozenset(re.findall(r'_params\["([^"]+)"\]', builder)) | {"api-version"},
    )  # fmt: skip


def _cut(pattern: re.Pattern[str], text: str) -> list[tuple[str, str]]:
    found = list(pattern.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    return [(one[1], text[one.start() : end]) for one, end in zip(found, ends, strict=True)]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
