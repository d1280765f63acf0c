"""Calls that the installed SDK has not, and clients make all the same: with the versions of their own, and the SDK's shapes where it has them.

Packer 1.6.6 asks with versions of 2018 and 2019 (https://github.com/hashicorp/packer/tree/v1.6.6/builder/azure/arm). The permissions of a whole subscription are in the REST reference of
Microsoft.Authorization (https://learn.microsoft.com/rest/api/authorization/permissions), schedules in that of Microsoft.DevTestLab
(https://learn.microsoft.com/rest/api/dtl/schedules): the SDK makes them as resources of any kind.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.azure.described import ANY, AUTHORIZATION, Operation

_SUBSCRIPTION = "/subscriptions/{subscriptionId}"


def _one(method: str, template: str, version: str, *statuses: int, package: str = "", **more: str | bool) -> Operation:
    return Operation(package, "beside", template.rpartition("/")[2], method, template, version, frozenset(statuses), **more)  # type: ignore[arg-type]


_GROUP = f"{_SUBSCRIPTION}/resourcegroups/{{resourceGroupName}}"
_DEPLOYMENT = f"{_GROUP}/providers/Microsoft.Resources/deployments/{{deploymentName}}"
_OLD = "2018-02-01"
_SCHEDULES = f"{_SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}/providers/Microsoft.DevTestLab/schedules"
_LAB = "2018-09-15"
_RESOURCES = "azure.mgmt.resource.resources"
TABLE = (
    _one("PUT", f"{_SCHEDULES}/{{name}}", _LAB, 200, 201, package=_RESOURCES, request="GenericResource", response="GenericResource"),
    _one("GET", f"{_SCHEDULES}/{{name}}", _LAB, 200, package=_RESOURCES, response="GenericResource"),
    _one("DELETE", f"{_SCHEDULES}/{{name}}", _LAB, 200, 202, 204),
    _one("POST", f"{_DEPLOYMENT}/validate", _OLD, 200, request=ANY, response=ANY),
    _one("PUT", _DEPLOYMENT, _OLD, 200, 201, request=ANY, response=ANY),
    _one("GET", _DEPLOYMENT, _OLD, 200, response=ANY),
    _one("DELETE", _DEPLOYMENT, _OLD, 202, 204),
    _one("GET", f"{_GROUP}/deployments/{{deploymentName}}/operations", _OLD, 200, response=ANY),
    _one("GET", f"{_DEPLOYMENT}/operations", _OLD, 200, response=ANY),
    _one(
        "GET",
        f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/permissions",
        "2022-04-01",
        200,
        package=AUTHORIZATION,
        response="PermissionGetResult",
    ),
)


PACKER = frozenset({
    ("resource_groups.get", "2018-02-01"), ("resource_groups.check_existence", "2018-02-01"), ("resource_groups.create_or_update", "2018-02-01"),
    ("resource_groups.delete", "2018-02-01"), ("images.get", "2018-04-01"), ("images.create_or_update", "2018-04-01"), ("images.delete", "2018-04-01"),
    ("gallery_images.get", "2019-03-01"), ("gallery_image_versions.get", "2019-03-01"), ("gallery_image_versions.create_or_update", "2019-03-01"),
    ("virtual_machines.get", "2018-04-01"), ("virtual_machines.deallocate", "2018-04-01"), ("virtual_machines.generalize", "2018-04-01"),
    ("virtual_machines.power_off", "2018-04-01"), ("virtual_machines.delete", "2018-04-01"), ("disks.delete", "2018-04-01"),
    ("disks.get", "2018-04-01"), ("public_ip_addresses.get", "2018-01-01"), ("public_ip_addresses.delete", "2018-01-01"),
    ("network_interfaces.get", "2018-01-01"), ("network_interfaces.delete", "2018-01-01"), ("virtual_networks.delete", "2018-01-01"),
    ("virtual_networks.list", "2018-01-01"), ("subnets.list", "2018-01-01"), ("network_security_groups.delete", "2018-01-01"),
})  # fmt: skip
"""Operations of the SDK that Packer 1.6.6 asks for with an older version."""


def modern(name: str, version: str, body: Any) -> Any:
    """The body of an older version as today's has it."""
    if (name, version) == ("gallery_image_versions.create_or_update", "2019-03-01"):
        properties = body["properties"]
        profile = dict(properties["publishingProfile"])
        image = profile.pop("source")["managedImage"]["id"]
        return {**body, "properties": {**properties, "publishingProfile": profile, "storageProfile": {"source": {"id": image}}}}
    return body


def find(method: str, path: str) -> list[Operation]:
    """Those that a path is."""
    parts = path.strip("/").split("/")
    return [one for one in TABLE if one.method == method and _fits(one.template.strip("/").split("/"), parts)]


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        want.startswith("{") or want.lower() == have.lower() for want, have in zip(pattern, parts, strict=True)
    )
