"""Packer with plugin googlecompute, as a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.cloud import compute_v1

from goldbake.clouds.gcp.errors import RAISED
from goldbake.clouds.gcp.session import Gcp
from goldbake.packer import Value
from tests.unit.images.packerstandin import PackerStandIn


class ComputePacker(PackerStandIn):
    """It makes an instance whose disk outlives it, and of the disk an image; of an operation that failed it tells the words only."""

    def __init__(self, gcp: Gcp) -> None:
        super().__init__()
        self._gcp = gcp
        self._place: dict[str, str] = {}
        self._name = ""
        self._labels: dict[str, str] = {}

    def start(self, variables: Mapping[str, Value]) -> None:
        self._name = f"goldbake-{variables['bake']}" + ("-check" if variables.get("checking") else "")
        self._place = {"project": str(variables["project"]), "zone": str(variables["zone"])}
        self._labels = {
            "managed-by": "goldbake",
            "goldbake-bake": str(variables["bake"]),
            "goldbake-expires": str(variables["expires"]),
            "goldbake-image": "agents",
        }
        boot = compute_v1.AttachedDiskInitializeParams(
            source_image=f"projects/{variables['source_project']}/global/images/{variables['source_image']}", disk_name=self._name
        )
        wanted = compute_v1.Instance(
            name=self._name,
            machine_type=f"zones/{variables['zone']}/machineTypes/n2-standard-4",
            disks=[compute_v1.AttachedDisk(boot=True, auto_delete=False, initialize_params=boot)],
            network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
            labels=self._labels,
            scheduling=compute_v1.Scheduling(preemptible=bool(variables["spot"]), on_host_maintenance="TERMINATE"),
        )
        try:
            done = self._gcp.client(compute_v1.InstancesClient).insert_unary(**self._place, instance_resource=wanted)
        except RAISED as error:
            found: Any = error
            text = f"{found.message.partition(': ')[2]}, {found.errors[0]['reason']}"
            raise self.refused(f"Error creating instance: googleapi: Error {int(found.code)}: {text}") from error
        done = self._gcp.client(compute_v1.ZoneOperationsClient).wait(**self._place, operation=done.name)
        if done.error.errors:
            raise self.refused(f"Error creating instance: 1 error(s) occurred:\n    ==> \n    ==> * {done.error.errors[0].message}")

    def image(self, variables: Mapping[str, Value]) -> Mapping[str, Any]:
        self._end_instance()
        disk = f"/compute/v1/projects/{self._place['project']}/zones/{self._place['zone']}/disks/{self._name}"
        name, images = f"agents-{variables['bake']}", self._gcp.client(compute_v1.ImagesClient)
        labels = self._labels | {"goldbake-fingerprint": str(variables["fingerprint"]), "goldbake-checks": "pending"}
        images.insert_unary(
            project=self._place["project"], image_resource=compute_v1.Image(name=name, source_disk=disk, source_type="RAW", labels=labels)
        )
        nothing = compute_v1.DeprecationStatus()
        images.deprecate_unary(project=self._place["project"], image=name, deprecation_status_resource=nothing)
        return {"artifact_id": name, "custom_data": {"project": self._place["project"]}}

    def end(self) -> None:
        self._end_instance()
        try:
            self._gcp.client(compute_v1.DisksClient).delete_unary(**self._place, disk=self._name)
        except RAISED:
            return  # as Packer, which goes on

    def _end_instance(self) -> None:
        try:
            self._gcp.client(compute_v1.InstancesClient).delete_unary(**self._place, instance=self._name)
        except RAISED:
            return
