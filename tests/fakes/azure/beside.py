"""Calls that the installed SDK has not, and clients make all the same: with the versions of their own, and the SDK's shapes where it has them.

Packer 1.6.6 asks with versions of 2018 and 2019 (https://github.com/hashicorp/packer/tree/v1.6.6/builder/azure/arm). The permissions of a whole subscription are in the REST reference of
Microsoft.Authorization (https://learn.microsoft.com/rest/api/authorization/permissions).
"""

from __future__ import annotations

from tests.fakes.azure.described import AUTHORIZATION, Operation

_SUBSCRIPTION = "/subscriptions/{subscriptionId}"


def _one(method: str, template: str, version: str, *statuses: int, package: str = "", **more: str | bool) -> Operation:
    return Operation(package, "beside", template.rpartition("/")[2], method, template, version, frozenset(statuses), **more)  # type: ignore[arg-type]


TABLE = (
    _one(
        "GET",
        f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/permissions",
        "2022-04-01",
        200,
        package=AUTHORIZATION,
        response="PermissionGetResult",
    ),
)


def find(method: str, path: str) -> list[Operation]:
    """Those that a path is."""
    parts = path.strip("/").split("/")
    return [one for one in TABLE if one.method == method and _fits(one.template.strip("/").split("/"), parts)]


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        want.startswith("{") or want.lower() == have.lower() for want, have in zip(pattern, parts, strict=True)
    )
