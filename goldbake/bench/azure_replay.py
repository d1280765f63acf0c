"""The calls of a run once more, by a plain script: what they cost without anything around them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azure.identity import DefaultAzureCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure.session import setting

_OPERATIONS = {
    "Microsoft.Compute/skus": ("compute", "resource_skus"),
    "Microsoft.Compute/galleries/images": ("compute", "gallery_images"),
    "Microsoft.Compute/galleries/images/versions": ("compute", "gallery_image_versions"),
    "Microsoft.Compute/virtualMachines": ("compute", "virtual_machines"),
    "Microsoft.Compute/virtualMachineScaleSets": ("compute", "virtual_machine_scale_sets"),
    "Microsoft.Network/virtualNetworks": ("network", "virtual_networks"),
    "Microsoft.Network/networkInterfaces": ("network", "network_interfaces"),
    "Microsoft.Network/networkSecurityGroups": ("network", "network_security_groups"),
    "Microsoft.Network/publicIPAddresses": ("network", "public_ip_addresses"),
    "Microsoft.Network/natGateways": ("network", "nat_gateways"),
    "Microsoft.Resources/resourceGroups": ("resources", "resource_groups"),
    "Microsoft.DevTestLab/schedules": ("resources", "resources"),
    "resources": ("resources", "resources"),
    "providers": ("resources", "providers"),
}
"""Type of resource → the client and its operations."""
_QUERY = {
    "$filter": "filter",
    "$expand": "expand",
    "statusOnly": "status_only",
    "forceDeletion": "force_deletion",
    "forceDeletionTypes": "force_deletion_types",
}
_MACHINE, _SCHEDULE = "Microsoft.Compute/virtualMachines", "Microsoft.DevTestLab/schedules"
_PREFIX = "shutdown-computevm-"
_HIDDEN = re.compile(r"\((\d+) characters\)")


def run(calls: Sequence[Mapping[str, Any]]) -> None:
    """Issue the calls of the fake's log one after the other. Polls, pages and the look at what was made are the SDK's own; so is the sign-in."""
    credential, subscription = DefaultAzureCredential(), setting("SUBSCRIPTION_ID")
    clients: dict[str, Any] = {
        "compute": ComputeManagementClient(credential, subscription),
        "network": NetworkManagementClient(credential, subscription),
        "resources": ResourceManagementClient(credential, subscription),
    }
    made, started, now = "", list[str](), dict[str, str]()
    for call in calls:
        is_own = call["what"] in ("token", "operation") or "$skiptoken" in call["query"] or (call["method"], call["path"]) == ("GET", made)
        if is_own or call["code"]:
            continue
        if call["method"] == "PUT":
            made = call["path"]
        client, operations = _OPERATIONS[call["what"]]
        if call["what"] == _SCHEDULE:
            _schedule(clients[client].resources, call, started, now)
            continue
        found = _again(getattr(clients[client], operations), call)
        if call["what"] == _MACHINE and isinstance(found, list):
            started = [one.name for one in found]


def _again(operations: Any, call: Mapping[str, Any]) -> Any:
    """The call once more; what it answers."""
    names = [call["name"]] if call["what"] == "providers" else _names(call["path"])
    given = {_QUERY[key]: value for key, value in call["query"].items() if key != "api-version"}
    if "force_deletion" in given:
        given["force_deletion"] = given["force_deletion"] == "true"
    verbs: dict[str, Callable[[], Any]] = {
        "PUT": lambda: _one(operations, "create_or_update")(*names, _whole(call["body"])),
        "DELETE": lambda: _one(operations, "delete")(*names, **given),
        "HEAD": lambda: operations.check_existence(*names),
        "GET": lambda: operations.get(*names, **given) if call["name"] else list(_list(operations, names)(*names, **given)),
    }
    found = verbs[call["method"]]()
    return found.result() if hasattr(found, "result") else found


def _schedule(resources: Any, call: Mapping[str, Any], started: list[str], now: dict[str, str]) -> None:
    """A schedule is named after its machine, and Azure has named the machines anew: each stands for the next that was started now."""
    before = call["name"].removeprefix(_PREFIX)
    if before not in now:
        now[before] = started[len(now)]
    path, body = (text.replace(before, now[before]) for text in (call["path"], json.dumps(call["body"])))
    resources.begin_create_or_update_by_id(path, json.loads(body), api_version=call["version"]).result()


def _one(operations: Any, name: str) -> Any:
    return getattr(operations, f"begin_{name}", None) or getattr(operations, name)


def _list(operations: Any, names: Sequence[str]) -> Any:
    """That of a group, or that of the whole subscription."""
    if names:
        return getattr(operations, "list_by_resource_group", None) or operations.list
    return getattr(operations, "list_all", None) or operations.list


def _names(path: str) -> list[str]:
    """The names in a path: of the group, and of what is in it."""
    words = path.strip("/").split("/")[2:]
    head = words[1:2] if words and words[0].lower() == "resourcegroups" else []
    rest = words[words.index("providers") + 2 :] if "providers" in words else []
    return head + rest[1::2]


def _whole(value: Any) -> Any:
    """A body of the log with something in the place of what it does not show."""
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    hidden = _HIDDEN.fullmatch(value) if isinstance(value, str) else None
    return "A" * int(hidden[1]) if hidden else value
