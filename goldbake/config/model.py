"""The models of images.yaml and images.lock.yaml, and the words they use.

Every description below becomes the reference page and the editor's help: a fact about a key stands here and nowhere else.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")]
"""Lower-case letters, digits and hyphens, 3 to 40 characters: what every cloud accepts once a suffix is added."""

ExactVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)+$")]
"""Numbers with dots, as 580.159.04: never a branch, a range or `latest`."""

AwsRegion = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
KmsKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^((mrk-)?[0-9a-f-]{32,36}|alias/[A-Za-z0-9/_-]{1,250}|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,250})?$"
    ),
]
_CIDR = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/([1-9]|[12][0-9]|3[0-2])$"
_AWS_READER = (
    r"^([0-9]{12}|arn:aws[a-z-]*:organizations::[0-9]{12}:(organization/o-[a-z0-9]{10,32}|ou/o-[a-z0-9]{10,32}/ou-[a-z0-9-]{6,68}))$"
)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """Base of all models: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Cloud(StrEnum):
    """Where an image can be baked and started."""

    AWS = "aws"
    GCP = "gcp"
    AZURE = "azure"
    LOCAL = "local"


class Os(StrEnum):
    """The operating systems whose recipe goldbake knows."""

    DEBIAN_12 = "debian-12"
    DEBIAN_13 = "debian-13"
    UBUNTU_2204 = "ubuntu-22.04"
    UBUNTU_2404 = "ubuntu-24.04"

    @property
    def distribution(self) -> str:
        return self.value.partition("-")[0]

    @property
    def release(self) -> str:
        return self.value.partition("-")[2]

    @property
    def codename(self) -> str:
        return {"debian-12": "bookworm", "debian-13": "trixie", "ubuntu-22.04": "jammy", "ubuntu-24.04": "noble"}[self.value]

    @property
    def cuda_repository(self) -> str:
        """The folder of this system in NVIDIA's CUDA repository, as `ubuntu2404`."""
        return self.distribution + self.release.replace(".", "")


class Module(StrEnum):
    """The two flavours of NVIDIA's kernel module; one image can hold only one of them."""

    OPEN = "open"
    PROPRIETARY = "proprietary"


class Gpu(StrEnum):
    """GPUs that build agents are rented with."""

    K80 = "k80"
    P4 = "p4"
    P100 = "p100"
    V100 = "v100"
    T4 = "t4"
    A10 = "a10"
    A10G = "a10g"
    A100 = "a100"
    L4 = "l4"
    L40S = "l40s"
    H100 = "h100"
    H200 = "h200"
    GH200 = "gh200"
    B200 = "b200"
    B300 = "b300"
    RTX_PRO_6000 = "rtx-pro-6000"
    RTX_PRO_4500 = "rtx-pro-4500"


class Driver(Frozen):
    """The NVIDIA driver."""

    source: Literal["nvidia", "debian"]
    """`nvidia`: NVIDIA's CUDA repository, any branch; `debian`: the distribution's own packages (non-free)."""
    version: ExactVersion
    """The exact upstream version, as `580.159.04`."""
    module: Module
    """The kernel module's flavour: `open` for Turing and newer, `proprietary` for what came before (and for Debian 12's own 535)."""
    variant: Literal["compute", "grid"] = "compute"
    """`grid`: the vGPU guest driver, which Azure's NVadsA10 sizes need."""

    @property
    def branch(self) -> int:
        """The driver branch: the first number of the version."""
        return int(self.version.partition(".")[0])


class Docker(Frozen):
    """The container engine."""

    source: Literal["docker", "debian"]
    """`docker`: Docker's own repository; `debian`: the distribution's docker.io."""
    version: ExactVersion
    """The exact upstream version, as `28.2.2`."""


class Toolkit(Frozen):
    """nvidia-container-toolkit, which gives containers the GPU."""

    source: Literal["nvidia", "module"]
    """`nvidia`: NVIDIA's package repository; `module`: built from its Go module on the bake host."""
    version: ExactVersion
    """The exact version, as `1.19.1`; all four packages get this one."""


class Agent(Frozen):
    """The Azure Pipelines agent; its download's SHA-256 stands in images.lock.yaml."""

    version: ExactVersion
    """The exact version, as `4.255.0`."""


class AwsCopy(Frozen):
    """Another region that gets a copy of the image."""

    region: AwsRegion
    """The region of the copy."""
    kms_key: KmsKey = ""
    """The key of that region which encrypts the copy, as key id, alias or ARN; without it that region's default key. Only with `encrypt`."""


class AwsSettings(Frozen):
    """What only AWS needs."""

    region: AwsRegion = "us-east-1"
    """The region in which the image is baked."""
    instance_type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")] = "c7i.xlarge"
    """The build instance; no GPU is needed to bake. One with a GPU has the image checked on that GPU as well."""
    spot: bool = False
    """Bake on spare capacity, which costs less; where there is none, on demand."""
    vpc: Annotated[str, StringConstraints(pattern=r"^(vpc-[0-9a-f]{8,17})?$")] = ""
    """The VPC of the build instance; empty: the region's default VPC."""
    subnet: Annotated[str, StringConstraints(pattern=r"^(subnet-[0-9a-f]{8,17})?$")] = ""
    """The subnet of the build instance; empty: one of the VPC, in a zone that offers the instance type."""
    communicator: Literal["ssh", "session-manager"] = "ssh"
    """How the build instance is reached: by SSH, or by SSH through AWS Systems Manager, which needs no open port but `instance_profile`."""
    address: Literal["public", "private"] = "public"
    """Whether the build instance gets a public address. `private`: this machine reaches the subnet by itself, or `session-manager` does."""
    ssh_from: tuple[Annotated[str, StringConstraints(pattern=_CIDR)], ...] = ()
    """Who may open SSH on the build instance, as CIDR blocks; empty: only this machine's own public address."""
    instance_profile: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+=,.@_-]{0,128}$")] = ""
    """Instance profile of the build instance; for `session-manager` one with AmazonSSMManagedInstanceCore. Empty: none."""
    volume_throughput: Annotated[int, Field(ge=125, le=750)] = 250
    """MiB/s of the build instance's gp3 volume; 750 is what its 3000 IOPS can carry."""
    encrypt: bool = False
    """Encrypt the image. Off by default: an image holds no secret, one encrypted with AWS's own key cannot be shared, and every launch would need
    rights on the key. An account that encrypts by default encrypts this one as well."""
    kms_key: KmsKey = ""
    """The key that encrypts the image, as key id, alias or ARN; empty: the region's default key. Only with `encrypt`."""
    boot_mode: Literal["any", "legacy-bios", "uefi", "uefi-preferred"] = "any"
    """What the base image must boot by; the image inherits it, EC2 offers no other way. `any`: as the newest base image does."""
    copies: tuple[AwsCopy, ...] = ()
    """Regions that get a copy, once the image is checked."""
    share_with: tuple[Annotated[str, StringConstraints(pattern=_AWS_READER)], ...] = ()
    """Who else may start instances from the image: account numbers, or ARNs of organizations and organizational units. Empty: nobody."""
    deprecate_after_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Days after which EC2 lists the image as deprecated, which hides it from others; it stays usable. 0: never."""

    @property
    def has_gpu(self) -> bool:
        """Whether the build instance has an NVIDIA GPU: families g and p, but none of AMD's."""
        return re.match(r"(g[4-9]|gr[4-9]|p[2-9])(?!ad)", self.instance_type) is not None


class GcpSettings(Frozen):
    """What only Google Cloud needs."""

    zone: Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+-[a-z]$")] = "us-central1-a"
    """The zone of the build instance."""
    machine_type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]+$")] = "n2-standard-4"
    """The build instance; no GPU is needed to bake."""


class AzureSettings(Frozen):
    """What only Azure needs."""

    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]+$")] = "eastus"
    """The region in which the image is baked and stored."""
    vm_size: Annotated[str, StringConstraints(pattern=r"^Standard_[A-Za-z0-9_]+$")] = "Standard_D4s_v5"
    """The build VM; no GPU is needed to bake."""
    resource_group: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.()-]{1,89}[A-Za-z0-9_()-]$")] = "goldbake-images"
    """The resource group of the gallery; it must exist."""
    gallery: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]{0,78}[A-Za-z0-9]$")] = "goldbake"
    """The Compute Gallery that receives the image version."""


class Layer(Frozen):
    """Scripts that run one after the other and are kept together: a local rebake begins at the first changed layer."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    """The layer's name in progress and timings."""
    scripts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of files in image-scripts/, without `.sh`, in the order in which they run."""
    reboot: bool = False
    """Restart the machine after this layer, as after a new kernel."""


class Image(Frozen):
    """One golden image."""

    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """One sentence: what the image is for."""
    os: Os
    """The operating system."""
    clouds: Annotated[tuple[Cloud, ...], Field(min_length=1)]
    """Where it can be baked."""
    gpus: Annotated[tuple[Gpu, ...], Field(min_length=1)]
    """The GPUs that agents from this image must work on; the driver is checked against each."""
    driver: Driver
    docker: Docker
    toolkit: Toolkit
    agent: Agent
    disk_gib: Annotated[int, Field(ge=4, le=2048)] = 32
    """Size of the root disk in GiB; at first boot it can only grow."""
    secure_boot: bool = False
    """Whether instances start with Secure Boot. Modules built by DKMS are not signed by a key that firmware trusts."""
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    """What runs in the image, in order."""
    aws: AwsSettings = AwsSettings()
    gcp: GcpSettings = GcpSettings()
    azure: AzureSettings = AzureSettings()

    def content(self, cloud: Cloud) -> dict[str, object]:
        """What of this description is in the image for `cloud`: not where it is built, who may use it and where its copies are."""
        found: dict[str, object] = self.model_dump(mode="json", exclude={"aws", "gcp", "azure"})
        if cloud is Cloud.AWS:
            found["aws"] = self.aws.model_dump(mode="json", include={"region", "encrypt", "kms_key", "boot_mode"})
        elif cloud is not Cloud.LOCAL:
            found[cloud.value] = (self.gcp if cloud is Cloud.GCP else self.azure).model_dump(mode="json")
        return found

    @property
    def scripts(self) -> tuple[str, ...]:
        """All scripts in the order in which they run."""
        return tuple(script for layer in self.layers for script in layer.scripts)


class Config(Frozen):
    """All of images.yaml."""

    images: Annotated[dict[ImageName, Image], Field(min_length=1)]
    """The images by name. An image may say `extends: OTHER`: it has OTHER's keys, and its own in their place."""
    defaults: dict[Cloud, ImageName] = {}
    """The image that `--cloud` means without `--image`; without an entry it is the first image for that cloud."""


class Pin(Frozen):
    """What one wanted version resolved to."""

    version: str
    """The version as asked for in images.yaml, or of the tool."""
    url: str = ""
    """Where the file comes from; empty when nothing has been resolved yet."""
    sha256: Sha256 | None = None
    """SHA-256 of the file; none means unresolved: it renders, and a bake that needs it stops."""
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{40}$")] | None = None
    """Fingerprint of the key that signs the repository."""

    @property
    def resolved(self) -> bool:
        return self.sha256 is not None or self.fingerprint is not None


class Lock(Frozen):
    """All of images.lock.yaml: pins by name, as `agent-4.255.0` or `packer-linux_amd64`."""

    pins: dict[str, Pin]
