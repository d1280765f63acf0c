"""What the create calls of Compute Engine say: the same machine by instances.insert and by bulkInsert. Nothing here calls anything."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.cloud import compute_v1

from goldbake.clouds.gcp.types import MachineType
from goldbake.errors import UsageError
from launch.base import CloudOptions, LaunchSpec, Place
from launch.gcp.network import Subnet

USER_DATA = "user-data"
"""The metadata item that first boot reads, and that `seal` removes."""
RUN_S = range(30, 120 * 86400 + 1)
"""Seconds that Compute Engine takes as maxRunDuration (https://cloud.google.com/compute/docs/instances/limit-vm-runtime)."""
USER = "goldbake"
"""Who logs in with a key; Google's guest agent makes the account."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""What a service account may do is said by its roles; a narrower scope would only hide them."""
_TOKENS = uuid.UUID("6d3c2f0e-5a0b-4b0f-9c1d-6f8d1a5e7b42")


@dataclass(frozen=True)
class Ground:
    """What a launch finds in one region."""

    region: str
    image: compute_v1.Image
    subnet: Subnet
    zones: tuple[str, ...]
    """All zones of the region."""
    offered: Mapping[str, frozenset[MachineType]]
    """Zone → those of the launch's machine types that it has; only zones that the launch may use."""


def token(spec: LaunchSpec, numbers: Sequence[int], place: Place, answered: int) -> str:
    """The request id of a create call: Compute Engine answers a second call with the same one by what the first made.

    `answered` counts the calls for the same numbers and place that ended in "none": the next call is then a new one.
    """
    said = f"{spec.launch_id} {','.join(map(str, numbers))} {place.region} {place.zone} {place.spot} {place.kind} {answered}"
    return str(uuid.uuid5(_TOKENS, said))


def name(spec: LaunchSpec, number: int) -> str:
    """The name of an instance and of its disk."""
    return f"{tag(spec)}-{number}"


def tag(spec: LaunchSpec) -> str:
    """The network tag of the launch's instances, and how the names of everything in it begin."""
    return f"goldbake-{spec.launch_id}"


def firewall(spec: LaunchSpec, network: str, ssh_from: str) -> compute_v1.Firewall:
    """The rule that lets SSH in. A rule has no labels: its description carries them."""
    return compute_v1.Firewall(
        name=f"{tag(spec)}-ssh",
        description=json.dumps(spec.tags()),
        network=network,
        direction="INGRESS",
        source_ranges=[ssh_from],
        target_tags=[tag(spec)],
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
    )


def instance(
    spec: LaunchSpec, options: CloudOptions, ground: Ground, place: Place, kind: MachineType, number: int, seconds: int
) -> compute_v1.Instance:
    """One instance by instances.insert, which wants the types of machine, disk and GPU with their zone."""
    return compute_v1.Instance(
        name=name(spec, number),
        machine_type=f"zones/{place.zone}/machineTypes/{kind.name}",
        disks=[_disk(spec, options, kind, f"zones/{place.zone}/diskTypes/")],
        guest_accelerators=_accelerators(kind, f"zones/{place.zone}/acceleratorTypes/"),
        **_machine(spec, options, ground, place, kind, seconds),
    )


def bulk(
    spec: LaunchSpec, options: CloudOptions, ground: Ground, place: Place, kind: MachineType, numbers: Sequence[int], seconds: int
) -> compute_v1.BulkInsertInstanceResource:
    """As many instances as there are, in any of the zones, by bulkInsert, which wants all types by their bare names."""
    return compute_v1.BulkInsertInstanceResource(
        count=len(numbers),
        min_count=1,
        per_instance_properties={name(spec, number): compute_v1.BulkInsertInstanceResourcePerInstanceProperties() for number in numbers},
        location_policy=compute_v1.LocationPolicy(
            target_shape="ANY",
            locations={
                f"zones/{zone}": compute_v1.LocationPolicyLocation(preference="ALLOW" if kind in ground.offered.get(zone, ()) else "DENY")
                for zone in ground.zones
            },
        ),
        instance_properties=compute_v1.InstanceProperties(
            machine_type=kind.name,
            disks=[_disk(spec, options, kind, "")],
            guest_accelerators=_accelerators(kind, ""),
            **_machine(spec, options, ground, place, kind, seconds),
        ),
    )


def require_sense(spec: LaunchSpec, options: CloudOptions, image: compute_v1.Image, now: float) -> None:
    """Raise UsageError for what Compute Engine would refuse anywhere. `now` is seconds since 1970."""
    seconds = int(spec.expires - now)
    if seconds not in RUN_S:
        life = f"{math.ceil(seconds / 86400)} days" if seconds > RUN_S[-1] else f"{seconds} s"
        raise UsageError(
            f"--ttl of {life} cannot be on Google Cloud: an instance lives {RUN_S[0]} s to {RUN_S[-1] // 86400} days",
            hint="a shorter one, as 4h or 30d" if seconds > RUN_S[-1] else "a longer one, as 4h or 90m",
        )
    if options.disk_gib and options.disk_gib < image.disk_size_gb:
        raise UsageError(
            f"--disk {options.disk_gib} is smaller than the image's {image.disk_size_gb} GiB", hint=f"--disk {image.disk_size_gb} or more"
        )


def _machine(spec: LaunchSpec, options: CloudOptions, ground: Ground, place: Place, kind: MachineType, seconds: int) -> dict[str, Any]:
    """What both ways have in common."""
    return {
        "labels": spec.tags(),
        "metadata": _metadata(spec, options),
        "network_interfaces": [_interface(options, ground)],
        "scheduling": _scheduling(kind, place, seconds),
        "service_accounts": _identity(options),
        "tags": compute_v1.Tags(items=[tag(spec)]),
        "shielded_instance_config": _shielded(spec),
    }


def _disk(spec: LaunchSpec, options: CloudOptions, kind: MachineType, types: str) -> compute_v1.AttachedDisk:
    """The root disk, which goes with its instance. `types` is what stands before the name of a disk type."""
    new = compute_v1.AttachedDiskInitializeParams(source_image=spec.artifact, labels=spec.tags(), disk_type=f"{types}{kind.disk}")
    if options.disk_gib:
        new.disk_size_gb = options.disk_gib
    return compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=new)


def _accelerators(kind: MachineType, types: str) -> list[compute_v1.AcceleratorConfig]:
    if not kind.accelerator:
        return []
    return [compute_v1.AcceleratorConfig(accelerator_type=f"{types}{kind.accelerator}", accelerator_count=kind.count)]


def _metadata(spec: LaunchSpec, options: CloudOptions) -> compute_v1.Metadata:
    given = {USER_DATA: spec.user_data.reveal(), "block-project-ssh-keys": "TRUE"}
    if options.key:
        given |= {"ssh-keys": f"{USER}:{options.key}", "enable-oslogin": "FALSE"}  # OS Login ignores keys in the metadata
    return compute_v1.Metadata(items=[compute_v1.Items(key=key, value=value) for key, value in given.items()])


def _interface(options: CloudOptions, ground: Ground) -> compute_v1.NetworkInterface:
    said = compute_v1.NetworkInterface(network=ground.subnet.network, subnetwork=ground.subnet.path)
    if options.public_address:
        said.access_configs = [compute_v1.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT")]
    return said


def _scheduling(kind: MachineType, place: Place, seconds: int) -> compute_v1.Scheduling:
    """`seconds` until Compute Engine deletes the instance, whoever is alive then; spot goes the same way when it is taken back.

    A restart would begin the time anew: what a fault of the host ends stays ended.
    """
    said = compute_v1.Scheduling(
        max_run_duration=compute_v1.Duration(seconds=seconds),
        automatic_restart=False,
        instance_termination_action="DELETE",
    )
    if kind.has_gpu or place.spot:
        said.on_host_maintenance = "TERMINATE"  # what is left out is the type's own default
    if place.spot:
        said.provisioning_model = "SPOT"
    return said


def _identity(options: CloudOptions) -> list[compute_v1.ServiceAccount]:
    return [compute_v1.ServiceAccount(email=options.identity, scopes=[_SCOPE])] if options.identity else []


def _shielded(spec: LaunchSpec) -> compute_v1.ShieldedInstanceConfig | None:
    if not (spec.described and spec.described.secure_boot):
        return None
    return compute_v1.ShieldedInstanceConfig(enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True)
