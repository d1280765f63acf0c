"""Which action each call of Azure's SDK needs, told from the address that the SDK itself builds for it; and which calls a module makes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

_MODULES = (
    "azure.mgmt.compute.operations._operations",
    "azure.mgmt.network.operations._operations",
    "azure.mgmt.resource.resources.operations._operations",
    "azure.mgmt.resource.subscriptions.operations._operations",
    "azure.mgmt.authorization.v2022_04_01.operations._permissions_operations",
)
_BUILD = re.compile(r"build_(\w+)_request")
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_OTHERS = {
    "/subscriptions/x": "Microsoft.Resources/subscriptions",
    "/subscriptions/x/locations": "Microsoft.Resources/subscriptions/locations",
    "/subscriptions/x/resources": "Microsoft.Resources/subscriptions/resources",
    "/subscriptions/x/providers/x": "Microsoft.Resources/subscriptions/providers",
    "/subscriptions/x/resourcegroups": "Microsoft.Resources/subscriptions/resourceGroups",
    "/subscriptions/x/resourcegroups/x": "Microsoft.Resources/subscriptions/resourceGroups",
    "/subscriptions/x/resourcegroups/x/resources": "Microsoft.Resources/subscriptions/resourcegroups/resources",
}
"""Addresses without a provider in them."""


def actions() -> Mapping[tuple[str, str], str]:
    """(group of calls, method without `begin_`) → the action, for every call that the SDK has below a subscription."""
    found = {}
    for name in _MODULES:
        module = importlib.import_module(name)
        groups = {_snake(kind.removesuffix("Operations")) for kind in dir(module) if kind.endswith("Operations")}
        for builder in filter(None, map(_BUILD.fullmatch, dir(module))):
            group = max((group for group in groups if builder[1].startswith(f"{group}_")), key=len, default="")
            if not group:  # the module has one group, and leaves its name out
                (group,) = groups if len(groups) == 1 else ("",)
            action = _action(module, builder[0])
            if group and action:
                found[group, builder[1].removeprefix(f"{group}_")] = action
    return found


def calls(file: Path, known: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Every call of the SDK that a module makes: `client.GROUP.METHOD(…)`, also where GROUP was given a name before."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    groups = {group for group, _ in known}
    named: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        for target, value in _assigned(node):
            for one in ast.walk(value):
                if isinstance(one, ast.Attribute) and one.attr in groups:
                    named.setdefault(target, set()).add(one.attr)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        of = node.value
        candidates = {of.attr} if isinstance(of, ast.Attribute) else named.get(of.id, set()) if isinstance(of, ast.Name) else set()
        for group in candidates & groups:
            method = node.attr.removeprefix("begin_")
            if (group, method) in known:
                yield group, method


def action_of(method: str, address: str) -> str:
    """The action that a request needs; empty for what is below no subscription."""
    path = re.sub(r"(?i)/resourcegroups", "/resourcegroups", urlsplit(address).path.rstrip("/"))
    head, _, rest = path.partition("/providers/")
    if "/" not in rest:
        plain = re.sub(r"(?<=/subscriptions/)[^/]+|(?<=/resourcegroups/)[^/]+|(?<=/providers/)[^/]+", "x", path)
        kind = _OTHERS.get(plain, "")
    else:
        namespace, *words = rest.split("/")
        kind = "/".join([namespace, *words[::2]])
        if method == "POST":
            return f"{kind}/action"
    return f"{kind}/{_VERBS[method]}" if kind and head.startswith("/subscriptions/") and method in _VERBS else ""


def _action(module: ModuleType, builder: str) -> str:
    build = getattr(module, builder)
    given = {
        name: "x"
        for name, one in inspect.signature(build).parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    }
    try:
        request = build(**given)
    except (TypeError, ValueError, AttributeError, KeyError):
        return ""
    action = action_of(request.method, request.url)
    return "" if "/x/" in action else action  # the address of anything at all says nothing


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            pairs = (
                zip(target.elts, node.value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                else [(target, node.value)]
            )
            for one, value in pairs:
                if isinstance(one, ast.Name):
                    yield one.id, value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
