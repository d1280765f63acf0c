"""The models of images.yaml and images.lock.yaml, and the words they use.

Every description below becomes the reference page and the editor's help: a fact about a key stands here and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from goldbake.config.aws import AwsSettings
from goldbake.config.azure import AzureSettings
from goldbake.config.frozen import Frozen
from goldbake.config.gcp import GcpSettings

ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")]
"""Lower-case letters, digits and hyphens, 3 to 40 characters: what every cloud accepts once a suffix is added."""

ExactVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)+$")]
"""Numbers with dots, as 580.159.04: never a branch, a range or `latest`."""

DRIVER_SCRIPT = "install-driver"
"""The image-script that builds the driver's modules."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


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
    """Whether instances start with Secure Boot; Google Cloud only. A key of each bake signs the driver's modules and is destroyed; the firmware
    of the image's machines trusts its certificate, and Microsoft's."""
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
        elif cloud is Cloud.GCP:
            found["gcp"] = self.gcp.model_dump(mode="json", include={"project", "storage_location", "guest_os_features"})
        elif cloud is Cloud.AZURE:
            found["azure"] = self.azure.model_dump(mode="json")
        return found

    @property
    def scripts(self) -> tuple[str, ...]:
        """All scripts in the order in which they run."""
        return tuple(script for layer in self.layers for script in layer.scripts)


class Config(Frozen):
    """All of images.yaml."""

    images: Annotated[dict[ImageName, Image], Field(min_length=1)]
    """The images by name. An image may say `extends: OTHER`: it has OTHER's keys, and its own in their place."""
    defaults: dict[Cloud, ImageName] = {}  # noqa: RUF012 (pydantic copies it)
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
