"""What a path of Resource Manager names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_GROUP_TYPE = "Microsoft.Resources/resourceGroups"
_PROVIDERS = {
    one.lower(): one
    for one in ("Microsoft.Compute", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Authorization", "Microsoft.DevTestLab", "Microsoft.Insights")
}  # fmt: skip
_TYPES = {
    one.lower(): one
    for one in (
        "virtualMachines", "virtualMachineScaleSets", "disks", "images", "galleries", "versions", "locations", "skus", "usages", "publishers",
        "networkInterfaces", "publicIPAddresses", "virtualNetworks", "subnets", "networkSecurityGroups", "securityRules", "natGateways",
        "deployments", "operations", "permissions", "roleAssignments", "roleDefinitions", "locks", "schedules", "snapshots", "extensions",
    )
}  # fmt: skip
ACTIONS = frozenset({
    "deallocate", "generalize", "poweroff", "restart", "start", "retrievebootdiagnosticsdata", "simulateeviction", "redeploy", "register",
    "unregister", "validate", "operations", "delete", "cancel", "instanceview",
})  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A resource, a collection of them, or something that is done to one."""

    subscription: str = ""
    group: str = ""
    type: str = ""
    """As Microsoft.Network/virtualNetworks/subnets; without a provider `subscriptions`, `locations`, `providers`, `tenants`, `resources`."""
    names: tuple[str, ...] = ()
    """One for each word of the type; a collection has one less."""
    action: str = ""
    path: str = ""
    """As it was asked for, without the action."""

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""

    @property
    def is_collection(self) -> bool:
        return len(self.names) < self.type.count("/")


def parse(path: str) -> Target:
    """Raises ValueError for a path that is none of Resource Manager's."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    words = [part.lower() for part in parts]
    if words[0] in ("tenants", "subscriptions") and len(parts) <= 2:
        return Target(parts[1] if len(parts) == 2 else "", type=words[0], names=tuple(parts[1:2]), path=path)
    if words[0] != "subscriptions" or len(parts) < 3:
        raise ValueError(path)
    subscription, rest, low = parts[1], parts[2:], words[2:]
    group = ""
    if low[0] == "resourcegroups":
        group = rest[1] if len(rest) > 1 else ""
        if len(rest) <= 2:
            return Target(subscription, group, _GROUP_TYPE, (group,) if group else (), path=path)
        rest, low = rest[2:], low[2:]
    if low[0] == "deployments":  # Packer 1.6.6 leaves the provider out
        rest, low = ["providers", "Microsoft.Resources", *rest], ["providers", "microsoft.resources", *low]
        path = f"/subscriptions/{subscription}/resourceGroups/{group}/{'/'.join(rest)}"
    if low[0] in ("resources", "locations") and len(rest) == 1:
        return Target(subscription, group, low[0], path=path)
    if low[0] != "providers":
        raise ValueError(path)
    if len(rest) <= 2 or (len(rest) == 3 and low[2] in ACTIONS):
        return Target(subscription, group, "providers", tuple(rest[1:2]), low[2] if len(rest) == 3 else "", path)
    return _resource(subscription, group, rest, path)


def _resource(subscription: str, group: str, rest: list[str], path: str) -> Target:
    provider = _PROVIDERS.get(rest[1].lower(), rest[1])
    words, action = rest[2:], ""
    if words[-1].lower() in ACTIONS and len(words) > 2 and len(words) % 2:
        action, words = words[-1], words[:-1]
        path = path.rstrip("/").rpartition("/")[0]
    kinds = [_TYPES.get(one.lower(), one) for one in words[0::2]]
    return Target(subscription, group, "/".join([provider, *kinds]), tuple(words[1::2]), action, path)


def identifier(subscription: str, group: str, type: str, *names: str) -> str:
    """The id of a resource."""
    if type == _GROUP_TYPE:
        return f"/subscriptions/{subscription}/resourceGroups/{group}"
    provider, *kinds = type.split("/")
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/" + "/".join(
        f"{kind}/{name}" for kind, name in zip(kinds, names, strict=True)
    )


def is_name(text: str, most: int = 80) -> bool:
    """What most resources may be called."""
    return bool(re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*[\w])?", text)) and len(text) <= most
