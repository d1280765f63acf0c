"""Finds or installs Packer, its plugins and the container toolkit's programs, at the pinned versions, once, in the cache.

Every function may be called from several threads and processes at once: the first does the work, the others wait and say for whom.
"""

from __future__ import annotations

import os
import platform
import threading
from pathlib import Path

from goldbake import proc
from goldbake.config.model import Cloud, Lock, Pin
from goldbake.config.plugins import PLUGINS, Plugin
from goldbake.errors import DownloadError, MissingError, ProcessError
from goldbake.exclusive import exclusive
from goldbake.fetch import fetch, unreachable
from goldbake.golang import Module, built, fresh, kept_in, unzip
from goldbake.log import Progress
from goldbake.packer import Packer, version_of
from goldbake.paths import Paths

PACKER = Module(
    "packer", "github.com/hashicorp/packer", ("github.com/hashicorp/packer",), "github.com/hashicorp/packer/version.VersionPrerelease"
)
TOOLKIT_PROGRAMS = ("nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-cdi-hook")
_RELEASES = "https://github.com/hashicorp"
_NCT = "github.com/NVIDIA/nvidia-container-toolkit"
TOOLKIT = Module(
    "toolkit", _NCT, tuple(f"{_NCT}/cmd/{name}" for name in TOOLKIT_PROGRAMS), f"{_NCT}/internal/info.version", "{version}", cgo=True
)
"""nvidia-container-runtime loads NVML through cgo; the programs link to nothing but libc."""


def host_platform() -> str:
    """This machine as release files name it, for instance linux_amd64."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}_{machine}"


def packer(lock: Lock, paths: Paths, progress: Progress, *, stop: threading.Event | None = None) -> Packer:
    """The pinned Packer, ready to run with goldbake's own plugin and configuration folders. Raises as `packer_binary`."""
    return Packer(packer_binary(lock, paths, progress, stop=stop), paths.toolchain / "plugins", paths.toolchain / "packer-config")


def packer_binary(lock: Lock, paths: Paths, progress: Progress, *, stop: threading.Event | None = None) -> Path:
    """The pinned Packer: named by `PACKER`, on PATH, the official zip, or built from its Go module; the first that can be had.

    Raises MissingError (nothing works here, or `PACKER` names another version), DownloadError (the zip is not the pinned one).
    """
    pin = _packer_pin(lock)
    named = os.environ.get("PACKER")
    if named:
        return _named(Path(named).expanduser(), pin.version)
    on_path = proc.find("packer")
    if on_path is not None and version_of(on_path) == pin.version:
        return on_path
    if pin.sha256 is not None:
        folder = paths.toolchain / f"packer-{pin.version}-{pin.sha256[:12]}"
        for kept in (folder, kept_in(PACKER, pin.version, paths)):
            if (kept / "packer").is_file():
                return kept / "packer"
        why = unreachable(pin.url)
        if why is None:
            _unpack(f"packer {pin.version}", pin.url, pin.sha256, folder, paths, progress, stop)
            return folder / "packer"
        progress.info(f"{pin.url}: {why}; Packer {pin.version} is built from its Go module instead (a few minutes, once)")
    return built(PACKER, pin.version, lock, paths, progress, stop=stop) / "packer"


def ensure_plugin(
    cloud: Cloud, program: Packer, lock: Lock, paths: Paths, progress: Progress, *, stop: threading.Event | None = None
) -> None:
    """Make sure that Packer has the plugin of `cloud`: the pinned zip, else built from its Go module; Azure's else by `packer init`.

    The local cloud needs none. Raises MissingError with the reason when it cannot be had here, DownloadError when a zip is not the
    pinned one.
    """
    plugin = PLUGINS.get(cloud)
    if plugin is None or _is_installed(plugin, paths):
        return
    with exclusive(paths.toolchain / "plugins.lock", f"plugin {plugin.name}", progress, stop=stop):
        if _is_installed(plugin, paths):
            return
        pin = lock.pins.get(f"packer-plugin-{plugin.name}-{host_platform()}")
        if pin is not None and pin.sha256 is not None and pin.version == plugin.version and unreachable(pin.url) is None:
            folder = paths.toolchain / f"plugin-{plugin.name}-{pin.version}-{pin.sha256[:12]}"
            if not folder.is_dir():
                _unpack(f"plugin {plugin.name} {pin.version}", pin.url, pin.sha256, folder, paths, progress, stop)
            program.install_plugin(sorted(folder.glob("packer-plugin-*"))[0], plugin.source)
        elif (paths.tools / plugin.name / "go.mod").is_file():
            folder = built(_plugin_module(plugin), plugin.version, lock, paths, progress, stop=stop)
            program.install_plugin(folder / f"packer-plugin-{plugin.name}", plugin.source)
        else:
            _init(plugin, program, paths, progress)


def toolkit(version: str, lock: Lock, paths: Paths, progress: Progress, *, stop: threading.Event | None = None) -> Path:
    """The folder with the four programs of nvidia-container-toolkit `version`, built from its Go module.

    Raises MissingError (Go or a C compiler is missing, or packer/tools/toolkit has another version), ProcessError (the build).
    """
    return built(TOOLKIT, version, lock, paths, progress, stop=stop)


def _packer_pin(lock: Lock) -> Pin:
    pin = lock.pins.get(f"packer-{host_platform()}")
    if pin is None:
        raise MissingError(f"images.lock.yaml has no Packer for {host_platform()}", hint="run `./inv pin packer`")
    return pin


def _named(binary: Path, version: str) -> Path:
    got = version_of(binary)
    if got != version:
        said = f"is Packer {got}" if got else "is no Packer that runs"
        raise MissingError(f"PACKER names {binary}, which {said}; {version} is pinned", hint="unset PACKER, or name the right one")
    return binary.absolute()


def _unpack(name: str, url: str, sha256: str, folder: Path, paths: Paths, progress: Progress, stop: threading.Event | None) -> None:
    with exclusive(paths.toolchain / f"{folder.name}.lock", name, progress, stop=stop):
        if folder.is_dir():
            return
        with progress.stage(f"fetch {name}"):
            archive = fetch(url, paths.downloads / url.rpartition("/")[2], sha256, progress)
            with fresh(folder) as unpacked:
                unzip(archive, unpacked)
                programs = list(unpacked.glob("packer*"))
                if not programs:
                    raise DownloadError(f"{url} holds no program packer*", hint="pin it again: ./inv pin")
                for program in programs:
                    program.chmod(0o755)


def _is_installed(plugin: Plugin, paths: Paths) -> bool:
    folder = paths.toolchain / "plugins" / "github.com" / "hashicorp" / plugin.name
    return bool(list(folder.glob(f"packer-plugin-{plugin.name}_v{plugin.version}_*_{host_platform()}_SHA256SUM")))


def _plugin_module(plugin: Plugin) -> Module:
    path = f"github.com/hashicorp/packer-plugin-{plugin.name}"
    return Module(plugin.name, path, (path,), f"{path}/version.VersionPrerelease")


def _init(plugin: Plugin, program: Packer, paths: Paths, progress: Progress) -> None:
    url = f"{_RELEASES}/packer-plugin-{plugin.name}/releases"
    why = unreachable(url)
    if why is not None:
        raise MissingError(
            f"the Packer plugin {plugin.name} {plugin.version} cannot be had: {url}: {why}", hint="run where it can be reached"
        )
    folder = paths.toolchain / f"init-{plugin.name}"
    folder.mkdir(parents=True, exist_ok=True)
    requirement = f'{plugin.name} = {{\n source = "{plugin.source}"\n version = "= {plugin.version}"\n}}'
    (folder / "plugins.pkr.hcl").write_text(f"packer {{\n required_plugins {{\n {requirement}\n }}\n}}\n", encoding="utf-8")
    try:
        with progress.stage(f"fetch plugin {plugin.name} {plugin.version}"):
            program.init(folder)
    except ProcessError as error:
        raise MissingError(f"the Packer plugin {plugin.name} {plugin.version} cannot be had: {error.message}", hint=error.hint) from error
