"""What the fake understands of the documents that make something. Ignoring the rest would be an answer that Compute Engine never gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.gcp.refused import Broken

_DISK = "kind boot autoDelete mode type deviceName interface source initializeParams index"
_PARAMETERS = "sourceImage diskName diskSizeGb diskType labels description"
_NIC = "kind name network subnetwork accessConfigs nicType stackType"
_ACCESS = "kind name type natIP networkTier"
_SCHEDULING = "onHostMaintenance automaticRestart preemptible provisioningModel instanceTerminationAction maxRunDuration"
_MACHINE = (
    "description machineType disks networkInterfaces scheduling labels metadata tags serviceAccounts guestAccelerators shieldedInstanceConfig "
    "canIpForward minCpuPlatform advancedMachineFeatures networkPerformanceConfig reservationAffinity"
)
_PARTS = {
    "disks": _DISK, "disks.initializeParams": _PARAMETERS, "networkInterfaces": _NIC, "networkInterfaces.accessConfigs": _ACCESS,
    "scheduling": _SCHEDULING, "scheduling.maxRunDuration": "seconds",
}  # fmt: skip
INSTANCE: Mapping[str, str] = {"": f"{_MACHINE} name deletionProtection hostname", **_PARTS}
PROPERTIES: Mapping[str, str] = {"": _MACHINE, **_PARTS}
IMAGE: Mapping[str, str] = {
    "": "name description family labels sourceDisk sourceImage sourceType guestOsFeatures storageLocations shieldedInstanceInitialState",
}
CHANGES: Mapping[str, str] = {"": "family description deprecated"}
"""What images.patch can change."""
DISK: Mapping[str, str] = {"": "name description labels sourceImage sizeGb type"}
FIREWALL: Mapping[str, str] = {
    "": "name description network priority direction disabled logConfig sourceRanges sourceTags targetTags sourceServiceAccounts "
    "targetServiceAccounts destinationRanges allowed denied",
}


def refuse_others(document: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Raise Broken for a field that the description has and the fake does not: teach it before something relies on it."""
    for path in _others(document, known, ""):
        raise Broken(f"the fake does not know what {path} does")


def _others(document: Mapping[str, Any], known: Mapping[str, str], where: str) -> Iterator[str]:
    fields = known[where].split()
    for name, value in document.items():
        path = f"{where}.{name}".lstrip(".")
        if name not in fields:
            yield path
        elif path in known:
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    yield from _others(one, known, path)
