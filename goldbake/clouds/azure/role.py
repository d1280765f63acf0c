"""The actions that each command needs, and the smallest custom role with all of them.

    python -m goldbake.clouds.azure.role                 writes docs/reference/azure-role.json; a test fails when it is stale
    python -m goldbake.clouds.azure.role launch destroy  prints the role of these commands only

Azure's roles know no tags: who may delete one machine of a scope may delete every one in it. goldbake deletes only what carries its tags; a subscription of
its own for build agents is the wall that a role cannot be. Sources: an action is called as the path of its call, which
https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations lists, and what azure-arm of Packer calls.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from goldbake.clouds.purposes import write_or_print
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "azure-role.json"
NAME = "goldbake"
SCOPE = "/subscriptions/SUBSCRIPTION"
"""Where the written role may be given; who makes it puts the subscription's id in."""


class Purpose(StrEnum):
    """What an action is for."""

    BAKE = "bake"
    """Packer's azure-arm, the check, copies, deprecation; and `check`, `images`."""
    LAUNCH = "launch"
    DESTROY = "destroy"
    """And reap, instances, and the clean-up after a launch or a bake that failed."""
    DOCTOR = "doctor"
    IDENTITY = "identity"
    """A bake with `azure.identities`, a launch with `--identity`; better given on that one identity."""


_BAKE, _LAUNCH, _DESTROY, _DOCTOR = Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR
_MAKERS = (_BAKE, _LAUNCH)
_REMOVERS = (_BAKE, _LAUNCH, _DESTROY)
_ALL = (_BAKE, _LAUNCH, _DESTROY, _DOCTOR)

ACTIONS: Mapping[str, Collection[Purpose]] = {
    "Microsoft.Authorization/permissions/read": (_DOCTOR,),
    "Microsoft.Compute/disks/delete": _REMOVERS,
    "Microsoft.Compute/disks/read": _REMOVERS,
    "Microsoft.Compute/disks/write": _MAKERS,
    "Microsoft.Compute/galleries/images/read": (_BAKE, _LAUNCH, _DOCTOR),
    "Microsoft.Compute/galleries/images/versions/delete": (_BAKE, _DESTROY),
    "Microsoft.Compute/galleries/images/versions/read": _ALL,
    "Microsoft.Compute/galleries/images/versions/write": (_BAKE,),
    "Microsoft.Compute/galleries/images/write": (_BAKE,),
    "Microsoft.Compute/galleries/read": (_BAKE, _DOCTOR),
    "Microsoft.Compute/images/delete": (_BAKE, _DESTROY),
    "Microsoft.Compute/images/read": (_BAKE, _DESTROY),
    "Microsoft.Compute/locations/operations/read": _REMOVERS,
    "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read": (_BAKE, _DOCTOR),
    "Microsoft.Compute/locations/usages/read": (_BAKE, _LAUNCH, _DOCTOR),
    "Microsoft.Compute/skus/read": (_BAKE, _LAUNCH, _DOCTOR),
    "Microsoft.Compute/snapshots/delete": (_BAKE, _DESTROY),
    "Microsoft.Compute/snapshots/read": (_BAKE, _DESTROY),
    "Microsoft.Compute/virtualMachineScaleSets/delete": (_LAUNCH, _DESTROY),
    "Microsoft.Compute/virtualMachineScaleSets/read": (_LAUNCH, _DESTROY),
    "Microsoft.Compute/virtualMachineScaleSets/write": (_LAUNCH,),
    "Microsoft.Compute/virtualMachines/deallocate/action": (_BAKE,),
    "Microsoft.Compute/virtualMachines/delete": _REMOVERS,
    "Microsoft.Compute/virtualMachines/generalize/action": (_BAKE,),
    "Microsoft.Compute/virtualMachines/instanceView/read": _MAKERS,
    "Microsoft.Compute/virtualMachines/powerOff/action": (_BAKE,),
    "Microsoft.Compute/virtualMachines/read": _REMOVERS,
    "Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action": _MAKERS,
    "Microsoft.Compute/virtualMachines/write": _MAKERS,
    "Microsoft.DevTestLab/schedules/delete": (_LAUNCH, _DESTROY),
    "Microsoft.DevTestLab/schedules/read": (_LAUNCH, _DESTROY),
    "Microsoft.DevTestLab/schedules/write": (_LAUNCH,),
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action": (Purpose.IDENTITY,),
    "Microsoft.ManagedIdentity/userAssignedIdentities/read": (Purpose.IDENTITY,),
    "Microsoft.Network/locations/operationResults/read": _REMOVERS,
    "Microsoft.Network/locations/operations/read": _REMOVERS,
    "Microsoft.Network/natGateways/delete": (_LAUNCH, _DESTROY),
    "Microsoft.Network/natGateways/join/action": (_LAUNCH,),
    "Microsoft.Network/natGateways/read": (_LAUNCH, _DESTROY),
    "Microsoft.Network/natGateways/write": (_LAUNCH,),
    "Microsoft.Network/networkInterfaces/delete": _REMOVERS,
    "Microsoft.Network/networkInterfaces/join/action": _MAKERS,
    "Microsoft.Network/networkInterfaces/read": _REMOVERS,
    "Microsoft.Network/networkInterfaces/write": _MAKERS,
    "Microsoft.Network/networkSecurityGroups/delete": _REMOVERS,
    "Microsoft.Network/networkSecurityGroups/join/action": _MAKERS,
    "Microsoft.Network/networkSecurityGroups/read": _REMOVERS,
    "Microsoft.Network/networkSecurityGroups/write": _MAKERS,
    "Microsoft.Network/publicIPAddresses/delete": _REMOVERS,
    "Microsoft.Network/publicIPAddresses/join/action": _MAKERS,
    "Microsoft.Network/publicIPAddresses/read": _REMOVERS,
    "Microsoft.Network/publicIPAddresses/write": _MAKERS,
    "Microsoft.Network/virtualNetworks/delete": _REMOVERS,
    "Microsoft.Network/virtualNetworks/read": _REMOVERS,
    "Microsoft.Network/virtualNetworks/subnets/join/action": _MAKERS,
    "Microsoft.Network/virtualNetworks/subnets/read": (_BAKE, _LAUNCH, _DOCTOR),
    "Microsoft.Network/virtualNetworks/subnets/write": _MAKERS,
    "Microsoft.Network/virtualNetworks/write": _MAKERS,
    "Microsoft.Resources/deployments/delete": (_BAKE,),
    "Microsoft.Resources/deployments/operations/read": (_BAKE,),
    "Microsoft.Resources/deployments/operationstatuses/read": (_BAKE,),
    "Microsoft.Resources/deployments/read": (_BAKE,),
    "Microsoft.Resources/deployments/validate/action": (_BAKE,),
    "Microsoft.Resources/deployments/write": (_BAKE,),
    "Microsoft.Resources/subscriptions/locations/read": (_LAUNCH, _DOCTOR),
    "Microsoft.Resources/subscriptions/operationresults/read": _REMOVERS,
    "Microsoft.Resources/subscriptions/providers/read": (_LAUNCH, _DOCTOR),
    "Microsoft.Resources/subscriptions/read": _ALL,
    "Microsoft.Resources/subscriptions/resourceGroups/delete": _REMOVERS,
    "Microsoft.Resources/subscriptions/resourceGroups/read": _ALL,
    "Microsoft.Resources/subscriptions/resourceGroups/write": _MAKERS,
    "Microsoft.Resources/subscriptions/resources/read": _REMOVERS,
    "Microsoft.Resources/subscriptions/resourcegroups/resources/read": _REMOVERS,
}
"""Action → who needs it."""

PROVIDERS = ("Microsoft.Compute", "Microsoft.Network")
"""What has to be registered in the subscription before anything can be made in it; Microsoft.Resources always is."""
SCHEDULES = "Microsoft.DevTestLab"
"""What Azure's auto-shutdown belongs to: without it a machine whose time is over is billed until somebody deletes it."""


def actions(purposes: Collection[Purpose] = tuple(Purpose)) -> tuple[str, ...]:
    """Every action that the role allows for these purposes, by name."""
    return tuple(sorted(name for name, needed in ACTIONS.items() if set(needed) & set(purposes)))


def purposes_of(action: str) -> tuple[Purpose, ...]:
    """What an action is for."""
    return tuple(purpose for purpose in Purpose if purpose in ACTIONS.get(action, ()))


def allows(allowed: Collection[str], forbidden: Collection[str], action: str) -> bool:
    """Whether Azure lets a role with these `actions` and `notActions` do an action; `*` stands for anything in both."""
    return any(_covers(pattern, action) for pattern in allowed) and not any(_covers(pattern, action) for pattern in forbidden)


def document(purposes: Collection[Purpose] = tuple(Purpose)) -> dict[str, Any]:
    """The custom role, as `az role definition create --role-definition` takes it."""
    return {
        "Name": NAME,
        "IsCustom": True,
        "Description": f"goldbake: {', '.join(purposes)}",
        "Actions": list(actions(purposes)),
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": [SCOPE],
    }


def text(purposes: Collection[Purpose] = tuple(Purpose)) -> str:
    """The same as the text of a file."""
    return json.dumps(document(purposes), indent=2) + "\n"


def _covers(pattern: str, action: str) -> bool:
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(".*".join(parts), action, re.IGNORECASE) is not None


def _main(words: Sequence[str]) -> None:
    write_or_print(words, Purpose, text, PAGE)


if __name__ == "__main__":
    _main(sys.argv[1:])
