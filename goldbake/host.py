"""The programs that a bake and a launch need from this machine, and the package that brings each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from goldbake import proc
from goldbake.config.load import load_config
from goldbake.config.model import Cloud
from goldbake.errors import MissingError
from goldbake.exclusive import exclusive
from goldbake.finding import Finding
from goldbake.local import vm
from goldbake.log import Progress
from goldbake.paths import Paths

BAKE: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "mcopy": "mtools",
    "sfdisk": "fdisk",
    "extlinux": "extlinux",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "losetup": "mount",
    "unshare": "util-linux",
    "gcc": "build-essential",
}
"""Program → Debian and Ubuntu package. gcc: one of the toolkit's programs is built with cgo, which needs the C library's headers too; gcc only recommends them."""

LAUNCH_VM: Mapping[str, str] = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mformat": "mtools"}
LAUNCH_CONTAINER: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container",
    "qemu-img": "qemu-utils",
    "slirp4netns": "slirp4netns",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
"""The same for a launch on this machine, per engine."""

CLOUD: Mapping[str, str] = {"ssh": "openssh-client", "ssh-keyscan": "openssh-client"}
"""The same for a bake in a cloud."""

NEEDED_BYTES = 12_000_000_000
"""A first bake: Go's caches 5 GB when Packer has to be built, layers 3 GB, raw disk 2.5 GB, artifact 0.6 GB."""

_APT_LOCK = Path("/run/goldbake-apt.lock")
"""Where only root can make a file, and only root comes here."""
_DPKG_S = 600
"""How long somebody else may install something, as unattended-upgrades does."""


def absent(programs: Mapping[str, str]) -> dict[str, str]:
    """Those of `programs` that are not on PATH, with their packages."""
    return {program: package for program, package in programs.items() if proc.find(program) is None}


def ensure_packages(programs: Mapping[str, str], progress: Progress) -> None:
    """Install what is missing with apt when this process is root, saying so first.

    Raises MissingError with the exact command otherwise.
    """
    missing = absent(programs)
    if not missing:
        return
    if os.geteuid() != 0 or proc.find("apt-get") is None:
        raise MissingError(f"not installed: {', '.join(missing)}", hint=f"run `{install_command(_packages(missing))}`")
    with exclusive(_APT_LOCK, "apt", progress):  # apt waits for nobody who updates its lists
        missing = absent(programs)
        if missing:
            _install(_packages(missing), progress)
    if still := absent(missing):
        raise MissingError(
            f"apt installed {', '.join(_packages(missing))}, and still there is no {', '.join(still)}", hint="see `./inv doctor`"
        )


def _packages(programs: Mapping[str, str]) -> list[str]:
    return sorted(set(programs.values()))


def _install(packages: Sequence[str], progress: Progress) -> None:
    progress.info(f"installing with apt: {' '.join(packages)}")
    with progress.stage("packages"):
        for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
            proc.stream(
                ["apt-get", *words, "-o", f"DPkg::Lock::Timeout={_DPKG_S}"],
                lambda line: progress.detail("packages", line),
                env={"DEBIAN_FRONTEND": "noninteractive"},
            )


def install_command(packages: Iterable[str]) -> str:
    """What a person types to install them."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


def examine(
    paths: Paths,
    clouds: Sequence[Cloud] = (Cloud.LOCAL,),
    *,
    regions: Sequence[str] = (),
    types: Sequence[str] = (),
    organization: str = "",
    pool: str = "",
) -> list[Finding]:
    """Look at everything that a bake and a launch in these clouds need, and at Azure DevOps when it is configured; changes nothing.

    `regions` and `types` are those of launches in a cloud.
    """
    from goldbake.azdo import examine as azdo  # noqa: PLC0415 (HTTP is slow to import, and a bake needs none)

    looks = {
        Cloud.LOCAL: lambda: _local(paths),
        Cloud.AWS: lambda: _aws(paths, regions, types),
        Cloud.GCP: lambda: _gcp(paths, regions, types),
        Cloud.AZURE: lambda: _azure(paths, regions, types),
    }
    return [row for cloud in clouds for row in looks[cloud]()] + azdo.examine(organization, pool)


def _local(paths: Paths) -> list[Finding]:
    """What a local bake needs of this machine. What only a launch needs is not required: the launch installs it, or says how."""
    rows = [_program(program, package) for program, package in BAKE.items()]
    launch = {program: package for program, package in {**LAUNCH_VM, **LAUNCH_CONTAINER}.items() if program not in BAKE}
    rows += [replace(_program(program, package), required=False) for program, package in launch.items()]
    rows.append(Finding("root", "yes") if os.geteuid() == 0 else Finding("root", "no", "run `sudo ./inv bake`"))
    rows.append(_overlay())
    rows.append(_acceleration())
    rows.append(_space(paths.cache))
    return rows


def _aws(paths: Paths, regions: Sequence[str], types: Sequence[str]) -> list[Finding]:
    """What AWS needs: SSH here, and in the account what the images of images.yaml need. `types`: the cheapest with each GPU of the images."""
    from goldbake.clouds.aws import examine as aws  # noqa: PLC0415 (the SDK takes a second)
    from goldbake.clouds.aws.types import CHEAPEST  # noqa: PLC0415

    images = [image for image in load_config(paths.images_yaml, paths.scripts).images.values() if Cloud.AWS in image.clouds]
    bakes = [
        aws.Bake(
            image.aws.region,
            image.aws.instance_type,
            image.os,
            network=image.aws.subnet or image.aws.vpc,
            session_manager=image.aws.communicator == "session-manager",
        )
        for image in images
    ]
    wanted = list(types) or [name for name, gpu in CHEAPEST if any(gpu in image.gpus for image in images)]
    copies = [copy.region for image in images for copy in image.aws.copies]
    places = list(regions) or [*(bake.region for bake in bakes), *copies]
    rows = [_program(program, package) for program, package in CLOUD.items()]
    return rows + aws.examine(list(dict.fromkeys(places)), list(dict.fromkeys(wanted)), bakes=bakes, strict=bool(types))


def _gcp(paths: Paths, regions: Sequence[str], types: Sequence[str]) -> list[Finding]:
    """What Google Cloud needs: SSH here, and in the project what the images of images.yaml need. `types` as for AWS."""
    from goldbake.clouds.gcp import examine as gcp  # noqa: PLC0415 (the SDK takes a second)
    from goldbake.clouds.gcp.networks import Network  # noqa: PLC0415
    from goldbake.clouds.gcp.types import CHEAPEST, MachineType  # noqa: PLC0415

    images = [image for image in load_config(paths.images_yaml, paths.scripts).images.values() if Cloud.GCP in image.clouds]
    bakes = [
        gcp.Bake(
            image.gcp.region,
            str(MachineType(image.gcp.machine_type, image.gcp.accelerator, image.gcp.accelerator_count if image.gcp.accelerator else 0)),
            image.os,
            project=image.gcp.project,
            network=Network(
                image.gcp.network,
                image.gcp.subnet,
                image.gcp.network_project,
                image.gcp.network_tags,
                iap=image.gcp.communicator == "iap",
                private=image.gcp.address == "private",
            ),
            spot=image.gcp.spot,
            service_account=bool(image.gcp.service_account),
        )
        for image in images
    ]
    wanted = list(types) or [name for name, gpu in CHEAPEST if any(gpu in image.gpus for image in images)]
    places = list(regions) or [bake.region for bake in bakes]
    rows = [_program(program, package) for program, package in CLOUD.items()]
    return rows + gcp.examine(list(dict.fromkeys(places)), list(dict.fromkeys(wanted)), bakes=bakes, strict=bool(types))


def _azure(paths: Paths, regions: Sequence[str], types: Sequence[str]) -> list[Finding]:
    """What Azure needs: SSH here, and in the subscription what the images of images.yaml need. `types`: the cheapest with each GPU of the images."""
    from goldbake.clouds.azure import examine as azure  # noqa: PLC0415 (the SDK takes a second)
    from goldbake.clouds.azure.session import subscription_of  # noqa: PLC0415
    from goldbake.clouds.azure.types import CHEAPEST  # noqa: PLC0415

    found = load_config(paths.images_yaml, paths.scripts).images
    images = {name: image for name, image in found.items() if Cloud.AZURE in image.clouds}
    rows = [_program(program, package) for program, package in CLOUD.items()]
    for subscription in dict.fromkeys(subscription_of(image.azure.subscription) for image in images.values()) or [""]:
        own = {name: image for name, image in images.items() if subscription_of(image.azure.subscription) == subscription}
        bakes = [
            azure.Bake(
                image.azure.location,
                image.azure.vm_size,
                image.os,
                group=image.azure.resource_group,
                gallery=image.azure.gallery,
                definition=image.azure.definition_of(name),
                subnet=image.azure.subnet,
                trusted_launch=image.azure.security == "trusted-launch",
                identity=bool(image.azure.identities),
            )
            for name, image in own.items()
        ]
        wanted = list(types) or [name for name, gpu in CHEAPEST if any(gpu in image.gpus for image in own.values())]
        copies = [copy.region for image in own.values() for copy in image.azure.copies]
        places = list(regions) or [*(bake.region for bake in bakes), *copies]
        rows += azure.examine(
            list(dict.fromkeys(places)), list(dict.fromkeys(wanted)), bakes=bakes, strict=bool(types), subscription=subscription
        )
    return rows


def require_fit(rows: Iterable[Finding]) -> None:
    """Raise MissingError when a required row is not good."""
    bad = [row for row in rows if row.required and not row.good]
    if bad:
        named = ", ".join(dict.fromkeys(row.what for row in bad))
        count = "1 requirement is" if len(bad) == 1 else f"{len(bad)} requirements are"
        raise MissingError(f"{count} not met: {named}", hint=bad[0].fix)


def _program(program: str, package: str) -> Finding:
    found = proc.find(program)
    return Finding(program, str(found)) if found else Finding(program, "missing", install_command([package]))


def _overlay() -> Finding:
    known = "overlay" in Path("/proc/filesystems").read_text()
    return Finding("overlayfs", "yes") if known else Finding("overlayfs", "not in the kernel", "modprobe overlay")


def _acceleration() -> Finding:
    if proc.find("qemu-system-x86_64") is None:
        return Finding("virtualisation", "unknown", BAKE["qemu-system-x86_64"] + " is missing", required=False)
    how = vm.accelerator()
    if how == "kvm":
        return Finding("virtualisation", "KVM")
    return Finding("virtualisation", "TCG", "none needed: checks take minutes longer; for KVM enable nested virtualisation", required=False)


def _space(folder: Path) -> Finding:
    near = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(near).free
    state = f"{free / 1e9:.0f} GB free in {near}"
    if free >= NEEDED_BYTES:
        return Finding("disk", state)
    return Finding("disk", state, f"free {NEEDED_BYTES / 1e9:.0f} GB, or point GOLDBAKE_HOME at a larger disk")
