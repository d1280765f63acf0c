"""Which combinations of GPU, module, driver branch, operating system and cloud cannot work.

Sources:
- which module drives which architecture, and that both cannot be installed at once:
  https://download.nvidia.com/XFree86/Linux-x86_64/560.35.03/README/kernel_open.html
- open modules since 515, and needed from Grace Hopper on:
  https://developer.nvidia.com/blog/nvidia-transitions-fully-towards-open-source-gpu-kernel-modules
- the first branch of a GPU: release notes below https://docs.nvidia.com/datacenter/tesla/
- RTX PRO 4500 from 595: doc/usage/g7-ami.md of awslabs/amazon-eks-ami
- Azure's K80 and GRID: includes/virtual-machines-n-series-linux-support.md of MicrosoftDocs/azure-compute-docs
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from goldbake.config.gcp import BUILT_IN_GPU
from goldbake.config.model import DRIVER_SCRIPT, Cloud, Gpu, Image, Module, Os

_BOTH = frozenset(Module)
_OPEN = frozenset({Module.OPEN})
_PROPRIETARY = frozenset({Module.PROPRIETARY})


class Problem(NamedTuple):
    """A combination that cannot work."""

    keys: tuple[str | int, ...]
    """Where in the image."""
    what: str
    fix: str


class Support(NamedTuple):
    """What drives a GPU: the flavours of the kernel module and the driver branches from `first` to `last` (none: the newest)."""

    architecture: str
    modules: frozenset[Module]
    first: int
    last: int | None = None


SUPPORT = {
    Gpu.K80: Support("Kepler", _PROPRIETARY, 340, 470),
    Gpu.P4: Support("Pascal", _PROPRIETARY, 375, 580),
    Gpu.P100: Support("Pascal", _PROPRIETARY, 375, 580),
    Gpu.V100: Support("Volta", _PROPRIETARY, 384, 580),
    Gpu.T4: Support("Turing", _BOTH, 410),
    Gpu.A10: Support("Ampere", _BOTH, 460),
    Gpu.A10G: Support("Ampere", _BOTH, 470),
    Gpu.A100: Support("Ampere", _BOTH, 450),
    Gpu.L4: Support("Ada", _BOTH, 525),
    Gpu.L40S: Support("Ada", _BOTH, 525),
    Gpu.H100: Support("Hopper", _BOTH, 525),
    Gpu.H200: Support("Hopper", _BOTH, 550),
    Gpu.GH200: Support("Grace Hopper", _OPEN, 535),
    Gpu.B200: Support("Blackwell", _OPEN, 570),
    Gpu.B300: Support("Blackwell", _OPEN, 580),
    Gpu.RTX_PRO_6000: Support("Blackwell", _OPEN, 570),
    Gpu.RTX_PRO_4500: Support("Blackwell", _OPEN, 595),
}

FIRST_OPEN = 515
"""The first branch with an open module."""

FIRST_OPEN_ON_DEBIAN = 545
"""NVIDIA's repository for Debian has open modules of later branches than 535 only."""

DEBIAN_DRIVER = {Os.DEBIAN_12: (535, _PROPRIETARY), Os.DEBIAN_13: (550, _BOTH)}
"""Branch of the driver in each Debian's non-free, and the modules that we build of it."""

SECURE_BOOT = frozenset({Cloud.GCP})
"""Clouds whose images can bring certificates that their machines' firmware trusts: https://cloud.google.com/compute/docs/images/create-custom."""

AZURE_GRID = {Gpu.A10: 0, Gpu.RTX_PRO_6000: 595}
"""GPUs that Azure rents as vGPU only (NVadsA10_v5, NC_RTXPRO6000BSE_v6), and the first branch of the GRID driver for them."""

GCP_ARM = ("a4x-", "c4a-", "n4a-", "t2a-")
"""Machine families of Google Cloud with ARM processors: https://cloud.google.com/compute/docs/instances/arm-on-compute."""

GCP_COUNTS = {"nvidia-tesla-v100": (1, 2, 4, 8)}
"""How many accelerators a machine can have; of all others 1, 2 or 4: https://cloud.google.com/compute/docs/gpus#n1-gpus."""

AZURE_EITHER = frozenset({Gpu.T4})
"""GPUs that work on Azure with both variants; all others need `compute` there."""


def problems(name: str, image: Image) -> list[Problem]:
    """Everything in the image `name` that cannot work together, in the order of the image's keys."""
    return [
        *_modules(name, image),
        *_branches(image),
        *_driver_source(image),
        *_variants(image),
        *_others(image),
        *_aws(image),
        *_gcp(image),
        *_azure(image),
    ]


def _modules(name: str, image: Image) -> Iterator[Problem]:
    """GPUs that the chosen kernel module does not drive."""
    driver = image.driver
    chosen = driver.module
    other = Module.PROPRIETARY if chosen is Module.OPEN else Module.OPEN
    for gpu in dict.fromkeys(image.gpus):
        support = SUPPORT[gpu]
        if chosen in support.modules:
            continue
        alone = all(other in SUPPORT[each].modules for each in image.gpus)
        fix = f"write {other.value}" if alone else f"give {gpu} an image of its own that `extends: {name}` and has module {other.value}"
        yield Problem(("driver", "module"), f"{chosen.value} cannot drive {gpu} ({support.architecture})", fix)
    if chosen is Module.OPEN and driver.branch < FIRST_OPEN:
        what = f"the open module does not exist in branch {driver.branch}"
        yield Problem(("driver", "module"), what, f"write proprietary, or a version of branch {FIRST_OPEN} or newer")


def _branches(image: Image) -> Iterator[Problem]:
    """GPUs that the chosen driver branch knows no longer, or not yet."""
    version, branch = image.driver.version, image.driver.branch
    for gpu in dict.fromkeys(image.gpus):
        support = SUPPORT[gpu]
        if branch < support.first:
            fix = f"write a version of branch {support.first} or newer, or take {gpu} out of gpus"
            yield Problem(("driver", "version"), f"{version} is too old for {gpu} ({support.architecture})", fix)
        if support.last is not None and branch > support.last:
            fix = f"write a version of branch {support.last}, its last, or take {gpu} out of gpus"
            yield Problem(("driver", "version"), f"{version} is too new for {gpu} ({support.architecture})", fix)


def _driver_source(image: Image) -> Iterator[Problem]:
    """Drivers that their source does not have for this operating system."""
    driver, system = image.driver, image.os
    if driver.source == "nvidia":
        if system.distribution == "debian" and driver.module is Module.OPEN and FIRST_OPEN <= driver.branch < FIRST_OPEN_ON_DEBIAN:
            what = f"NVIDIA's repository for {system} has no open module of branch {driver.branch}"
            yield Problem(("driver", "module"), what, f"write proprietary, or a version of branch {FIRST_OPEN_ON_DEBIAN} or newer")
    elif system not in DEBIAN_DRIVER:
        yield Problem(("driver", "source"), f"debian is no source for {system}", "write nvidia, or an os of Debian")
    else:
        branch, modules = DEBIAN_DRIVER[system]
        if driver.branch != branch:
            fix = f"write a version of branch {branch}, or source nvidia"
            yield Problem(("driver", "version"), f"{driver.version} is not in {system}, which has branch {branch}", fix)
        if driver.module not in modules:
            what = f"{system}'s own driver is not built as {driver.module.value} module"
            yield Problem(("driver", "module"), what, "write proprietary, or source nvidia")


def _variants(image: Image) -> Iterator[Problem]:
    """The vGPU driver where there is no vGPU, and the other way round."""
    driver, keys = image.driver, ("driver", "variant")
    if driver.variant == "grid":
        if driver.source == "debian":
            yield Problem(keys, "grid is not in Debian's packages", "write compute, or source nvidia")
        if others := [cloud.value for cloud in dict.fromkeys(image.clouds) if cloud is not Cloud.AZURE]:
            yield Problem(keys, f"grid works on Azure only, not on {', '.join(others)}", "write compute, or clouds: [azure]")
    if Cloud.AZURE not in image.clouds:
        return
    for gpu in dict.fromkeys(image.gpus):
        if gpu in AZURE_GRID:
            if driver.variant != "grid":
                fix = f"write grid, or give {gpu} on Azure an image of its own"
                yield Problem(keys, f"{driver.variant} cannot drive {gpu} on Azure, which rents it as vGPU", fix)
            elif driver.branch < AZURE_GRID[gpu]:
                fix = f"write a version of branch {AZURE_GRID[gpu]} or newer"
                yield Problem(("driver", "version"), f"{driver.version} is too old for {gpu} on Azure", fix)
        elif driver.variant == "grid" and gpu not in AZURE_EITHER:
            yield Problem(keys, f"grid cannot drive {gpu} on Azure", f"write compute, or take {gpu} out of gpus")


def _others(image: Image) -> Iterator[Problem]:
    """Docker's source, and Secure Boot."""
    if image.docker.source == "debian" and image.os.distribution != "debian":
        yield Problem(("docker", "source"), f"debian is no source for {image.os}", "write docker, or an os of Debian")
    others = [cloud.value for cloud in dict.fromkeys(image.clouds) if cloud not in SECURE_BOOT]
    if image.secure_boot and others:
        what = f"true cannot work on {', '.join(others)}: DKMS builds the driver's modules, and no firmware there trusts the key that signs them"
        yield Problem(("secure_boot",), what, "write false, or clouds: [gcp], whose images bring their own certificates")
    if image.secure_boot and DRIVER_SCRIPT not in image.scripts:
        yield Problem(("secure_boot",), f"no layer runs {DRIVER_SCRIPT}, whose modules are signed", f"add {DRIVER_SCRIPT}, or write false")


def _aws(image: Image) -> Iterator[Problem]:
    """Settings of AWS that contradict each other; only where the image is for AWS."""
    if Cloud.AWS not in image.clouds:
        return
    aws = image.aws
    if aws.communicator == "session-manager" and not aws.instance_profile:
        fix = "name an instance_profile with AmazonSSMManagedInstanceCore, or write ssh"
        yield Problem(("aws", "communicator"), "session-manager needs an instance profile", fix)
    if aws.communicator == "session-manager" and aws.ssh_from:
        yield Problem(("aws", "ssh_from"), "session-manager opens no port", "leave ssh_from out, or write communicator: ssh")
    if aws.address == "private" and aws.communicator == "ssh" and not aws.ssh_from:
        what = "by a private address this machine is not seen as its public one"
        yield Problem(("aws", "address"), what, "name its block in ssh_from, as 10.0.0.0/16, or write communicator: session-manager")
    keys = [(("aws", "kms_key"), aws.kms_key), *((("aws", "copies", at, "kms_key"), copy.kms_key) for at, copy in enumerate(aws.copies))]
    for place, key in keys:
        if key and not aws.encrypt:
            yield Problem(place, "there is a key, but nothing is encrypted", "write encrypt: true, or leave the key out")
        elif aws.encrypt and aws.share_with and not key:
            fix = "name a kms_key of your own whose policy lets them use it"
            yield Problem(place, "an image that AWS's default key encrypts cannot be shared", fix)
    seen = {aws.region}
    for at, copy in enumerate(aws.copies):
        if copy.region in seen:
            yield Problem(("aws", "copies", at, "region"), f"{copy.region} has the image already", "name each region once")
        seen.add(copy.region)


def _gcp(image: Image) -> Iterator[Problem]:
    """Settings of Google Cloud that contradict each other; only where the image is for Google Cloud."""
    if Cloud.GCP not in image.clouds:
        return
    gcp = image.gcp
    for at, zone in enumerate(gcp.zones):
        if zone.rpartition("-")[0] != gcp.region:
            yield Problem(("gcp", "zones", at), f"{zone} is not in {gcp.region}", "name zones of gcp.region, or another region")
        elif zone in gcp.zones[:at]:
            yield Problem(("gcp", "zones", at), f"{zone} stands there already", "name each zone once")
    if gcp.machine_type.startswith(GCP_ARM):
        yield Problem(("gcp", "machine_type"), f"{gcp.machine_type} is an ARM machine", "name one for x86-64, as n2-standard-4")
    yield from _gcp_accelerator(image)
    if gcp.network_project and not (gcp.network or gcp.subnet):
        yield Problem(("gcp", "network_project"), "nothing of that project is named", "name its network or subnet, or leave it out")
    if gcp.service_account and not gcp.scopes:
        yield Problem(("gcp", "service_account"), "without access scopes it may call nothing", "name its scopes, or leave it out")
    if gcp.scopes and not gcp.service_account:
        yield Problem(("gcp", "scopes"), "scopes are those of a service account", "name the service_account, or leave them out")
    if gcp.integrity_monitoring and not gcp.vtpm:
        fix = "write integrity_monitoring: false as well, or leave vtpm"
        yield Problem(("gcp", "vtpm"), "without a virtual TPM boots cannot be measured", fix)
    for name in gcp.labels:
        if name == "managed-by" or name.startswith("goldbake-"):
            yield Problem(("gcp", "labels", name), "goldbake sets this label itself", "give it another name")


def _gcp_accelerator(image: Image) -> Iterator[Problem]:
    """GPUs for machines that take none, or another number of them."""
    gcp, keys = image.gcp, ("gcp", "accelerator")
    if not gcp.accelerator:
        if gcp.accelerator_count != 1:
            yield Problem(("gcp", "accelerator_count"), "no accelerator is named", "name one, as accelerator: nvidia-tesla-t4")
        return
    if gcp.machine_type.startswith(BUILT_IN_GPU):
        yield Problem(keys, f"{gcp.machine_type} has its GPUs built in", "leave accelerator out")
    elif not gcp.machine_type.startswith("n1-"):
        yield Problem(keys, f"{gcp.machine_type} takes no GPU, only N1 does", "name a machine_type of N1, as n1-standard-8, or one of G2")
    counts = GCP_COUNTS.get(gcp.accelerator, (1, 2, 4))
    if gcp.accelerator_count not in counts:
        what = f"a machine has {', '.join(map(str, counts[:-1]))} or {counts[-1]} {gcp.accelerator}"
        yield Problem(("gcp", "accelerator_count"), what, "write one of these numbers")


def _azure(image: Image) -> Iterator[Problem]:
    """Settings of Azure that contradict each other; only where the image is for Azure."""
    if Cloud.AZURE not in image.clouds:
        return
    azure = image.azure
    if azure.address == "private" and not azure.subnet:
        what = "nobody reaches a private address in a network that the bake makes for itself"
        yield Problem(("azure", "address"), what, "name a subnet that this machine reaches, or write public")
    if azure.subnet and azure.ssh_from:
        what = "in a subnet of yours the rules of its own security group count"
        yield Problem(("azure", "ssh_from"), what, "leave ssh_from out and let SSH in there")
    if azure.security == "trusted-launch" and image.driver.variant == "grid":
        what = "the vGPU driver does not work with a virtual TPM"
        yield Problem(("azure", "security"), what, "write standard, or the driver's variant compute")
    seen = {azure.location}
    for at, copy in enumerate(azure.copies):
        if copy.region in seen:
            yield Problem(("azure", "copies", at, "region"), f"{copy.region} has the image already", "name each region once")
        seen.add(copy.region)
