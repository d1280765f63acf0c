"""The permissions that each call needs, and the smallest custom role with all of them.

    python -m goldbake.clouds.gcp.role                 writes docs/reference/gcp-role.yaml; a test fails when it is stale
    python -m goldbake.clouds.gcp.role launch destroy  prints the role of these commands only

Google's role names no resources: who may delete one instance of a project may delete every one. goldbake deletes only what carries its labels or its
names; a project of its own for build agents is the wall that a role cannot be. Sources: the IAM permissions that the reference of each method
lists (https://cloud.google.com/compute/docs/reference/rest/v1), https://cloud.google.com/compute/docs/access/iam-permissions, and what plugin
googlecompute 1.2.7 calls.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import yaml

from goldbake.clouds.purposes import write_or_print
from goldbake.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "gcp-role.yaml"


class Purpose(StrEnum):
    """What a permission is for."""

    BAKE = "bake"
    """Packer's googlecompute, the check, sharing, deprecation; and `check`, `images`."""
    LAUNCH = "launch"
    DESTROY = "destroy"
    """And reap, instances, and the clean-up after a launch or a bake that failed."""
    DOCTOR = "doctor"
    IAP = "iap"
    """A bake with `gcp.communicator: iap`."""
    SERVICE_ACCOUNT = "service-account"
    """A bake with `gcp.service_account`, a launch with `--identity`; better given on that one account."""


@dataclass(frozen=True)
class Needs:
    """What a call needs, and which commands make it."""

    purposes: tuple[Purpose, ...]
    permissions: tuple[str, ...] = ()


_BAKE, _LAUNCH, _DESTROY, _DOCTOR = Purpose.BAKE, Purpose.LAUNCH, Purpose.DESTROY, Purpose.DOCTOR
_MAKERS = (_BAKE, _LAUNCH)
_ALL = (_BAKE, _LAUNCH, _DESTROY, _DOCTOR)
_START = (
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.images.useReadOnly",
    "compute.instances.create",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setTags",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
)
"""An instance with a disk of its own from an image, labels, metadata and network tags, in a subnet, with an ephemeral address."""

CALLS: Mapping[str, Needs] = {
    "compute.acceleratorTypes.aggregatedList": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.acceleratorTypes.list",)),
    "compute.disks.aggregatedList": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.disks.list",)),
    "compute.disks.delete": Needs((_BAKE, _DESTROY), ("compute.disks.delete",)),
    "compute.firewalls.delete": Needs((_DESTROY,), ("compute.firewalls.delete", "compute.networks.updatePolicy")),
    "compute.firewalls.get": Needs((_LAUNCH, _DESTROY), ("compute.firewalls.get",)),
    "compute.firewalls.insert": Needs((_LAUNCH,), ("compute.firewalls.create", "compute.networks.updatePolicy")),
    "compute.firewalls.list": Needs((_BAKE, _LAUNCH, _DESTROY, _DOCTOR), ("compute.firewalls.list",)),
    "compute.globalOperations.aggregatedList": Needs((_LAUNCH,), ("compute.globalOperations.list",)),
    "compute.globalOperations.get": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.globalOperations.get",)),
    "compute.globalOperations.wait": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.globalOperations.get",)),
    "compute.images.delete": Needs((_BAKE, _DESTROY), ("compute.images.delete",)),
    "compute.images.deprecate": Needs((_BAKE,), ("compute.images.deprecate",)),
    "compute.images.get": Needs(_ALL, ("compute.images.get",)),
    "compute.images.getFromFamily": Needs(_ALL, ("compute.images.getFromFamily",)),
    "compute.images.getIamPolicy": Needs((_BAKE,), ("compute.images.getIamPolicy",)),
    "compute.images.insert": Needs((_BAKE,), ("compute.disks.useReadOnly", "compute.images.create", "compute.images.setLabels")),
    "compute.images.list": Needs((_BAKE, _LAUNCH, _DESTROY, _DOCTOR), ("compute.images.list",)),
    "compute.images.patch": Needs((_BAKE,), ("compute.images.update",)),
    "compute.images.setIamPolicy": Needs((_BAKE,), ("compute.images.setIamPolicy",)),
    "compute.images.setLabels": Needs((_BAKE,), ("compute.images.setLabels",)),
    "compute.instances.aggregatedList": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.instances.list",)),
    "compute.instances.delete": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.instances.delete",)),
    "compute.instances.get": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.instances.get",)),
    "compute.instances.getSerialPortOutput": Needs(_MAKERS, ("compute.instances.getSerialPortOutput",)),
    "compute.instances.insert": Needs(_MAKERS, _START),
    "compute.instances.setMetadata": Needs((_LAUNCH,), ("compute.instances.setMetadata",)),
    "compute.machineTypes.aggregatedList": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.machineTypes.list",)),
    "compute.machineTypes.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.machineTypes.get",)),
    "compute.networks.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.networks.get",)),
    "compute.projects.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.projects.get",)),
    "compute.regionInstances.bulkInsert": Needs((_LAUNCH,), _START),
    "compute.regionOperations.wait": Needs((_LAUNCH, _DESTROY), ("compute.regionOperations.get",)),
    "compute.regions.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.regions.get",)),
    "compute.regions.list": Needs((_LAUNCH, _DOCTOR), ("compute.regions.list",)),
    "compute.routers.list": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.routers.list",)),
    "compute.subnetworks.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.subnetworks.get",)),
    "compute.subnetworks.list": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.subnetworks.list",)),
    "compute.zoneOperations.get": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.zoneOperations.get",)),
    "compute.zoneOperations.list": Needs((_LAUNCH,), ("compute.zoneOperations.list",)),
    "compute.zoneOperations.wait": Needs((_BAKE, _LAUNCH, _DESTROY), ("compute.zoneOperations.get",)),
    "compute.zones.get": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.zones.get",)),
    "compute.zones.list": Needs((_BAKE, _LAUNCH, _DOCTOR), ("compute.zones.list",)),
    "cloudbilling.projects.getBillingInfo": Needs((_DOCTOR,), ("resourcemanager.projects.get",)),
    "cloudresourcemanager.v3.projects.testIamPermissions": Needs((_DOCTOR,)),
    "serviceusage.services.batchGet": Needs((_DOCTOR,), ("serviceusage.services.get", "serviceusage.services.use")),
}
"""Method, as Google's API descriptions name it → what it needs. A test holds every call that the code makes against this."""

EXTRA: Mapping[Purpose, tuple[str, ...]] = {
    Purpose.IAP: ("iap.tunnelInstances.accessViaIAP",),
    Purpose.SERVICE_ACCOUNT: ("compute.instances.setServiceAccount", "iam.serviceAccounts.actAs"),
}
"""What is needed beside the calls, by the way in which they are made."""


def permissions(purposes: Collection[Purpose] = tuple(Purpose)) -> tuple[str, ...]:
    """Every permission that the role has for these purposes, by name."""
    found = {name for call in CALLS.values() if set(call.purposes) & set(purposes) for name in call.permissions}
    return tuple(sorted(found | {name for purpose in purposes for name in EXTRA.get(purpose, ())}))


def purposes_of(permission: str) -> tuple[Purpose, ...]:
    """What a permission is for."""
    return tuple(purpose for purpose in Purpose if permission in permissions([purpose]))


def text(purposes: Collection[Purpose] = tuple(Purpose)) -> str:
    """The custom role, as `gcloud iam roles create goldbake --project PROJECT --file FILE` takes it."""
    role = {
        "title": "goldbake",
        "description": f"goldbake: {', '.join(purposes)}",
        "stage": "GA",
        "includedPermissions": list(permissions(purposes)),
    }
    return yaml.safe_dump(role, sort_keys=False, width=120)


def _main(words: Sequence[str]) -> None:
    write_or_print(words, Purpose, text, PAGE)


if __name__ == "__main__":
    _main(sys.argv[1:])
