"""What images.yaml says for Google Cloud only: `images.NAME.gcp`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from goldbake.config.frozen import Frozen

_RESOURCE = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_PROJECT = r"([a-z][a-z0-9.-]{0,62}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_ACCOUNT = r"[a-z0-9-]{1,63}@[a-z0-9.-]{1,100}\.gserviceaccount\.com"
_MAIL = r"[^@\s:]{1,64}@[A-Za-z0-9.-]{1,253}"

GcpProject = Annotated[str, StringConstraints(pattern=f"^({_PROJECT})?$")]
GcpRegion = Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
GcpZone = Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+-[a-z]$")]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{0,63}$")]
_Named = Annotated[str, StringConstraints(pattern=f"^({_RESOURCE})?$")]

BUILT_IN_GPU = ("a2-", "a3-", "a4-", "a4x-", "g2-", "g4-")
"""Machine families with NVIDIA GPUs of their own, which take no accelerators: https://cloud.google.com/compute/docs/gpus."""
_ONLY_HYPERDISK = re.compile(r"(a3-ultragpu|a4x?|c4[ad]?|g4|h4d|m4|n4[ad]?|x4)-")
"""Machines that have no Persistent Disk: https://cloud.google.com/compute/docs/disks/hyperdisks."""


def disk_type_of(machine_type: str) -> str:
    """The type of a machine's root disk: the newest machines have no other than Hyperdisk, and N1's own default is a spinning disk."""
    return "hyperdisk-balanced" if _ONLY_HYPERDISK.match(machine_type) else "pd-balanced"


class GcpSettings(Frozen):
    """What only Google Cloud needs."""

    project: GcpProject = ""
    """The project in which the image is baked and kept; empty: that of GOOGLE_CLOUD_PROJECT, of gcloud or of the credentials."""
    region: GcpRegion = "us-central1"
    """The region of the build instance; the image itself is global."""
    zones: tuple[GcpZone, ...] = ()
    """Zones of that region for the build instance, best first; empty: those that offer the machine type."""
    machine_type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*-[a-z0-9-]+$")] = "n2-standard-4"
    """The build instance; no GPU is needed to bake. One with a GPU has the image checked on that GPU as well."""
    accelerator: Annotated[str, StringConstraints(pattern=r"^(nvidia-tesla-(p4|p100|t4|v100))?$")] = ""
    """The GPU of a build instance of family N1; families a2, a3, a4, g2 and g4 have theirs built in. Empty: none."""
    accelerator_count: Annotated[int, Field(ge=1, le=8)] = 1
    """How many of `accelerator`."""
    spot: bool = False
    """Bake on spare capacity, which costs less and may be taken back; where there is none, on demand."""
    network: _Named = ""
    """The VPC network of the build instance; empty: that of `subnet`, or `default`."""
    subnet: _Named = ""
    """The subnet of the build instance, in `region`; empty: the network's own there, which only networks in auto mode have."""
    network_project: GcpProject = ""
    """The host project of a Shared VPC, in which `network` and `subnet` are; empty: the image's own project."""
    network_tags: tuple[Annotated[str, StringConstraints(pattern=f"^{_RESOURCE}$")], ...] = ()
    """Network tags of the build instance, so that a firewall rule of yours lets SSH in."""
    communicator: Literal["ssh", "iap"] = "ssh"
    """How the build instance is reached: by SSH, or by SSH through Identity-Aware Proxy, which needs gcloud here and a firewall rule for 35.235.240.0/20."""
    address: Literal["public", "private"] = "public"
    """Whether the build instance gets a public address. `private`: this machine reaches the subnet by itself, or `iap` does; it goes out by Cloud NAT."""
    service_account: Annotated[str, StringConstraints(pattern=f"^({_ACCOUNT})?$")] = ""
    """The service account of the build instance, by its address; empty: none, so that no script can call Google's services."""
    scopes: tuple[Annotated[str, StringConstraints(pattern=r"^https://www\.googleapis\.com/auth/[a-z0-9._-]+$")], ...] = ()
    """Access scopes of `service_account` on the build instance; it needs at least one."""
    family: _Named = ""
    """The image family that the image joins once it is checked; empty: one with the image's name."""
    storage_location: Annotated[str, StringConstraints(pattern=r"^(asia|eu|us|[a-z]+-[a-z]+[0-9]+)?$")] = ""
    """Where the image is stored: a region, or asia, eu or us; empty: the multi-region nearest to `region`. It can be used everywhere."""
    guest_os_features: tuple[
        Literal[
            "GVNIC", "IDPF", "MULTI_IP_SUBNET", "SEV_CAPABLE", "SEV_LIVE_MIGRATABLE_V2", "SEV_SNP_CAPABLE", "TDX_CAPABLE", "UEFI_COMPATIBLE",
            "VIRTIO_SCSI_MULTIQUEUE",
        ],
        ...,
    ] = ()  # fmt: skip
    """Features that the image has besides those of its base image."""
    vtpm: bool = True
    """Shielded VM: a virtual TPM on the build instance."""
    integrity_monitoring: bool = True
    """Shielded VM: measured boots of the build instance; needs `vtpm`."""
    labels: dict[LabelKey, LabelValue] = {}  # noqa: RUF012 (pydantic copies it)
    """Labels of the build instance and the image besides goldbake's own, as for allocating costs."""
    share_with: tuple[
        Annotated[
            str,
            StringConstraints(pattern=f"^((user|group):{_MAIL}|serviceAccount:{_MAIL}|domain:[a-z0-9.-]{{3,253}})$"),
        ],
        ...,
    ] = ()
    """Who else may start instances from the image (roles/compute.imageUser): user:, group: or serviceAccount: with an address, or domain:. Empty: nobody."""
    deprecate_older: bool = True
    """Mark goldbake's older images of the family as deprecated, in favour of this one; they stay usable, and none is deleted."""

    @property
    def has_gpu(self) -> bool:
        """Whether the build instance has an NVIDIA GPU. Such a machine cannot migrate while it runs."""
        return bool(self.accelerator) or self.machine_type.startswith(BUILT_IN_GPU)

    @property
    def disk_type(self) -> str:
        """The type of the build instance's disk: the newest machines have no other than Hyperdisk."""
        return disk_type_of(self.machine_type)

    def family_of(self, image: str) -> str:
        """The family of the image of this name."""
        return self.family or image
