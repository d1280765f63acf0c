"""Stand-ins for the packages of Debian, Ubuntu, NVIDIA and Docker: same names, version forms and dependencies, a few bytes inside."""

from __future__ import annotations

from collections.abc import Iterator

from tests.shell.repository import Package

DKMS = """\
#!/bin/sh
# `dkms status [-k KERNEL]` as dkms 3 says it; `dkms build` is ours: it makes the module for each kernel that has headers.
state=/var/lib/dkms
case $1 in
build)
    for tree in /lib/modules/*/; do
        kernel=$(basename "$tree")
        [ -e "$tree/build" ] || continue
        mkdir -p "$state/$2/$3"
        echo "$4" >"$state/$2/$3/$kernel"
        echo "make: built for $kernel" >"$state/make.log"
        mkdir -p "$state/$2/$3/build"
        mv "$state/make.log" "$state/$2/$3/build/make.log"
    done
    echo throw-away >$state/mok.key
    echo throw-away >$state/mok.pub
    ;;
status)
    for file in "$state"/nvidia*/*/*; do
        [ -f "$file" ] || continue
        kernel=$(basename "$file")
        version=$(basename "$(dirname "$file")")
        module=$(basename "$(dirname "$(dirname "$file")")")
        [ "${2-}" != -k ] || [ "$3" = "$kernel" ] || continue
        echo "$module/$version, $kernel, x86_64: installed"
    done
    ;;
esac
"""

UPDATE_INITRAMFS = """\
#!/bin/sh
# As the real one: switched off by its settings unless it is asked for by name; notes what it did.
. /etc/initramfs-tools/update-initramfs.conf
[ "$update_initramfs" = yes ] || exit 0
echo "$*" >>/var/log/update-initramfs.calls
"""

CTK = """\
#!/usr/bin/python3
import json, os, sys
if "--version" in sys.argv:
    print("NVIDIA Container Toolkit CLI version @VERSION@\\ncommit: 0000000")
    sys.exit()
assert sys.argv[1:5] == ["--quiet", "runtime", "configure", "--runtime=docker"], sys.argv
path = "/etc/docker/daemon.json"
config = json.load(open(path)) if os.path.exists(path) else {}
config.setdefault("runtimes", {})["nvidia"] = {"args": [], "path": "nvidia-container-runtime"}
if "--set-as-default" in sys.argv:
    config["default-runtime"] = "nvidia"
if "--cdi.enabled" in sys.argv:
    config["features"] = {"cdi": True}
os.makedirs("/etc/docker", exist_ok=True)
with open(path, "w") as file:
    json.dump(config, file, indent=4)
"""

DOCKERD = """\
#!/bin/sh
case $1 in
--help) echo "  --validate   Validate daemon configuration and exit" ;;
--validate) exec python3 -m json.tool "$3" /dev/null ;;
esac
"""

UNIT = "[Unit]\nDescription=stand-in\n[Service]\nExecStart={command}\n{install}"
INSTALL = "[Install]\nWantedBy=multi-user.target\n"
SOCKET = "[Socket]\nListenStream=/run/docker.sock\n[Install]\nWantedBy=sockets.target\n"
PERSISTENCED = UNIT.format(command="/usr/bin/nvidia-persistenced --user nvidia-persistenced --no-persistence-mode --verbose", install="")
GROUP_DOCKER = "getent group docker >/dev/null || groupadd --system docker"


def program(text: str = "exit 0") -> str:
    return f"#!/bin/sh\n{text}\n"


def kernel(release: str, *, image: str = "linux-image", compiler: str = "x86_64-linux-gnu-gcc-12", version: str = "1") -> Package:
    """A kernel's image package, with the line of its configuration that names its compiler."""
    config = f'CONFIG_CC_VERSION_TEXT="{compiler} (stand-in) 12.3.0"\n' if compiler else "CONFIG_64BIT=y\n"
    files = {f"/boot/vmlinuz-{release}": "kernel", f"/boot/config-{release}": config, f"/lib/modules/{release}/modules.order": ""}
    return Package(f"{image}-{release}", version, files=files)


def headers(release: str, common: str, *, version: str = "1") -> Iterator[Package]:
    """A kernel's two header packages; `common` is the name of the one without flavour."""
    yield Package(f"linux-headers-{common}", version, files={f"/usr/src/linux-headers-{common}/Makefile": ""})
    yield Package(
        f"linux-headers-{release}",
        version,
        f"linux-headers-{common}",
        files={f"/usr/src/linux-headers-{release}/Makefile": ""},
        links={f"/lib/modules/{release}/build": f"/usr/src/linux-headers-{release}"},
    )


def debian_main() -> Iterator[Package]:
    """Debian 12: kernels, compiler, DKMS, Docker, the agent's libraries."""
    for number in (98, 99):
        release = f"6.1.0-{number}-cloud-amd64"
        yield kernel(release, version=f"6.1.{number}-1")
        yield from headers(release, f"6.1.0-{number}-common", version=f"6.1.{number}-1")
    yield Package("linux-image-cloud-amd64", "6.1.99-1", "linux-image-6.1.0-99-cloud-amd64")
    yield Package("linux-headers-cloud-amd64", "6.1.99-1", "linux-headers-6.1.0-99-cloud-amd64")
    # A kernel that came in before its headers did, and one whose headers never come.
    yield kernel("6.1.0-100-cloud-amd64", version="6.1.100-1")
    yield kernel("5.10.0-1-lonely-amd64", version="5.10.1-1", compiler="")
    yield from distribution()
    for version in ("20.10.24+dfsg1-1+deb12u1", "26.1.5+dfsg1-9"):
        yield Package(
            "docker.io",
            version,
            "containerd, runc",
            files={
                "/usr/sbin/dockerd": DOCKERD,
                "/usr/bin/docker": program(f"echo Docker version {version}"),
                "/lib/systemd/system/docker.service": UNIT.format(command="/usr/sbin/dockerd", install=INSTALL),
                "/lib/systemd/system/docker.socket": SOCKET,
            },
            scripts={"postinst": GROUP_DOCKER},
        )
    yield Package("containerd", "1.6.20~ds1-1")
    yield Package("runc", "1.1.5+ds1-1")
    yield Package("libicu72", "72.1-3+deb12u1")
    yield Package("liblttng-ust1", "2.13.5-1")


def distribution() -> Iterator[Package]:
    """What Debian and Ubuntu both have."""
    for release in ("gcc-12", "gcc-13"):
        yield Package(release, "1", files={f"/usr/bin/{release}": program(), f"/usr/bin/x86_64-linux-gnu-{release}": program()})
    yield Package("initramfs-tools", "0.142", files={
        "/usr/sbin/update-initramfs": UPDATE_INITRAMFS,
        "/etc/initramfs-tools/update-initramfs.conf": "update_initramfs=yes\nbackup_initramfs=no\n",
    }, conffiles=("/etc/initramfs-tools/update-initramfs.conf",))  # fmt: skip
    yield Package("dkms", "3.0.10-8", files={"/usr/sbin/dkms": DKMS})
    for name in ("apparmor", "git", "iputils-ping"):
        yield Package(name, "1:1")


def ubuntu() -> Iterator[Package]:
    """Ubuntu 24.04: its kernels for a machine of one's own and for a cloud, the agent's libraries."""
    for number in (51, 52):
        release = f"6.8.0-{number}-generic"
        yield kernel(release, version=f"6.8.0-{number}.1", compiler="x86_64-linux-gnu-gcc-13")
        yield Package(f"linux-modules-{release}", f"6.8.0-{number}.1", files={f"/lib/modules/{release}/kernel/one.ko": ""})
        yield Package(f"linux-modules-extra-{release}", f"6.8.0-{number}.1", files={f"/lib/modules/{release}/kernel/extra.ko": ""})
        yield from headers(release, f"6.8.0-{number}", version=f"6.8.0-{number}.1")
    yield Package("linux-image-generic", "6.8.0-52.1", "linux-image-6.8.0-52-generic, linux-modules-extra-6.8.0-52-generic")
    yield Package("linux-headers-generic", "6.8.0-52.1", "linux-headers-6.8.0-52-generic")
    yield kernel("6.8.0-1021-aws", version="6.8.0-1021.1", compiler="x86_64-linux-gnu-gcc-13")
    yield from headers("6.8.0-1021-aws", "6.8.0-1021", version="6.8.0-1021.1")
    yield Package("linux-image-aws", "6.8.0-1021.1", "linux-image-6.8.0-1021-aws")
    yield Package("linux-headers-aws", "6.8.0-1021.1", "linux-headers-6.8.0-1021-aws")
    yield Package("libicu74", "74.2-1ubuntu3")
    yield Package("libssl3t64", "3.0.13-0ubuntu3")
    yield Package("liblttng-ust1t64", "2.13.7-1")


def module(name: str, version: str, *, flavour: str, names: str = "nvidia", source: str = "nvidia-stand-in") -> Package:
    """A package that builds the kernel module with DKMS; `version` is the package's, the module's is without what follows the dash."""
    upstream = version.partition("-")[0]
    return Package(
        name,
        version,
        "dkms, initramfs-tools",
        files={"/lib/modprobe.d/stand-in-nvidia.conf": "", "/etc/modules-load.d/nvidia.conf": "nvidia\n"},
        scripts={"postinst": f"dkms build {names} {upstream} {flavour}\nupdate-initramfs -u"},
        fields={"Provides": "nvidia-module", "Conflicts": "nvidia-module", "Source": source},
        conffiles=("/etc/modules-load.d/nvidia.conf",),
    )


def debian_driver() -> Iterator[Package]:
    """Debian's own driver (non-free), in the version of the release and a newer one."""
    for version in ("535.309.01-0+deb12u1", "550.163.01-1"):
        source = {"Source": "nvidia-graphics-drivers"}
        for name in ("libnvidia-ml1", "libnvcuvid1", "libnvidia-encode1", "libnvidia-ptxjitcompiler1", "nvidia-kernel-support"):
            yield Package(name, version, fields=source)
        yield Package("libcuda1", version, "libnvidia-ptxjitcompiler1", fields=source)
        yield Package("nvidia-smi", version, "libnvidia-ml1", files={"/usr/bin/nvidia-smi": program()}, fields=source)
        yield module("nvidia-kernel-dkms", version, flavour="proprietary", names="nvidia-current", source="nvidia-graphics-drivers")
        yield module(
            "nvidia-open-kernel-dkms", version, flavour="open", names="nvidia-current-open", source="nvidia-open-gpu-kernel-modules"
        )
    yield Package("nvidia-persistenced", "535.171.04-1", files={
        "/usr/bin/nvidia-persistenced": program(),
        "/lib/systemd/system/nvidia-persistenced.service": UNIT.format(command="/usr/bin/nvidia-persistenced --user nvpd", install=INSTALL),
    })  # fmt: skip
    yield Package("nvidia-modprobe", "535.161.07-1")


def pinning(version: str) -> Package:
    """NVIDIA's own pins for one version of the driver."""
    pins = f"Package: *nvidia* libcuda*\nPin: version {version}*\nPin-Priority: 1000\n"
    return Package(f"nvidia-driver-pinning-{version}", "1", files={"/etc/apt/preferences.d/nvidia-driver-pinning": pins})


def cuda_debian() -> Iterator[Package]:
    """NVIDIA's repository for Debian 12, a newer driver included; it has no pinning package."""
    for version in ("580.159.04-1", "590.44.01-1"):
        yield Package("libcuda1", version)
        yield Package("nvidia-driver-cuda", version, "libcuda1", files={"/usr/bin/nvidia-smi": program()})
        yield module("nvidia-kernel-open-dkms", version, flavour="open")
        yield module("nvidia-kernel-dkms", version, flavour="proprietary")
        yield persistenced("nvidia-persistenced", version)
        yield fabricmanager("nvidia-fabricmanager", version)


def cuda_ubuntu() -> Iterator[Package]:
    """NVIDIA's repository for Ubuntu 24.04: from 590 on names have no branch, nvidia-fabricmanager's from 580 on."""
    for version, suffix in (("570.211.01", "-570"), ("580.159.04", "-580"), ("590.44.01", ""), ("590.48.01", "")):
        full = f"{version}-1ubuntu1"
        yield Package(f"libnvidia-compute{suffix}", full)
        yield Package(f"nvidia-utils{suffix}", full, f"libnvidia-compute{suffix}", files={"/usr/bin/nvidia-smi": program()})
        yield module(f"nvidia-dkms{suffix}", full, flavour="proprietary")
        yield module(f"nvidia-dkms{suffix}-open", full, flavour="open")
        yield persistenced(f"nvidia-compute-utils{suffix}", full)
        yield fabricmanager("nvidia-fabricmanager-570" if suffix == "-570" else "nvidia-fabricmanager", f"{version}-1")
        yield pinning(version)


def persistenced(name: str, version: str) -> Package:
    files = {"/usr/bin/nvidia-persistenced": program(), "/usr/lib/systemd/system/nvidia-persistenced.service": PERSISTENCED}
    return Package(name, version, files=files)


def fabricmanager(name: str, version: str) -> Package:
    unit = UNIT.format(command="/usr/bin/nv-fabricmanager", install=INSTALL)
    return Package(name, version, files={"/usr/lib/systemd/system/nvidia-fabricmanager.service": unit})


def cuda_keyring(key: bytes, repository: str) -> Package:
    """The package that brings NVIDIA's key, and a source of a host that no test reaches."""
    listed = f"/etc/apt/sources.list.d/cuda-{repository}-x86_64.list"
    keyring = "/usr/share/keyrings/cuda-archive-keyring.gpg"
    line = f"deb [signed-by={keyring}] http://cuda.invalid/{repository}/x86_64/ /\n"
    return Package("cuda-keyring", "1.1-1", files={keyring: key, listed: line}, conffiles=(listed,))


def docker(system: str, codename: str) -> Iterator[Package]:
    """Docker's own repository for `system`, as debian.12."""
    for upstream in ("28.2.2", "28.5.1"):
        version = f"5:{upstream}-1~{system}~{codename}"
        yield Package(
            "docker-ce",
            version,
            "docker-ce-cli, containerd.io",
            files={
                "/usr/bin/dockerd": DOCKERD,
                "/usr/lib/systemd/system/docker.service": UNIT.format(command="/usr/bin/dockerd", install=INSTALL),
                "/usr/lib/systemd/system/docker.socket": SOCKET,
            },
            scripts={"postinst": GROUP_DOCKER},
            fields={"Conflicts": "docker.io", "Recommends": "docker-ce-rootless-extras"},
        )
        yield Package("docker-ce-cli", version, files={"/usr/bin/docker": program(f"echo Docker version {upstream}")})
    yield Package("containerd.io", "1.7.27-1", fields={"Conflicts": "containerd, runc"})
    yield Package("docker-buildx-plugin", "0.24.0-1")
    yield Package("docker-compose-plugin", "2.36.2-1")


def toolkit() -> Iterator[Package]:
    """NVIDIA's container toolkit, in the version of images.yaml and a newer one."""
    for version in ("1.19.1", "1.20.0"):
        full = f"{version}-1"
        yield Package("libnvidia-container1", full)
        yield Package("libnvidia-container-tools", full, f"libnvidia-container1 (>= {full})")
        yield Package("nvidia-container-toolkit-base", full, files={
            **{f"/usr/bin/{name}": text for name, text in programs(version).items() if name != "nvidia-container-runtime-hook"},
            "/usr/lib/systemd/system/nvidia-cdi-refresh.service": UNIT.format(command="/usr/bin/nvidia-ctk cdi generate", install=INSTALL),
            "/usr/lib/systemd/system/nvidia-cdi-refresh.path": f"[Path]\nPathChanged=/usr/bin/nvidia-ctk\n{INSTALL}",
        })  # fmt: skip
        yield Package("nvidia-container-toolkit", full, f"nvidia-container-toolkit-base (= {full}), libnvidia-container-tools")


def programs(version: str) -> dict[str, str]:
    """The toolkit's four programs, which say their version as the real ones do."""
    said = {
        "nvidia-container-runtime": f"NVIDIA Container Runtime version {version}",
        "nvidia-container-runtime-hook": f"NVIDIA Container Runtime Hook version {version}",
        "nvidia-cdi-hook": f"NVIDIA CDI Hook CLI version {version}",
    }
    return {"nvidia-ctk": CTK.replace("@VERSION@", version), **{name: program(f"echo '{text}'") for name, text in said.items()}}
