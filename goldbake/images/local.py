"""The image side of this machine: layers in containers, then one disk."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldbake import provenance, toolchain
from goldbake.config.model import Lock
from goldbake.errors import MissingError
from goldbake.images.files import gather
from goldbake.local import container, disk, rootfs, sources
from goldbake.local.layers import Layers
from goldbake.local.leftovers import sweep
from goldbake.log import Progress
from goldbake.packer import Packer, Value, script_of
from goldbake.paths import Paths
from goldbake.plan import BakePlan
from goldbake.render import write


@dataclass(frozen=True)
class Baked:
    """A finished disk, not yet checked."""

    raw: Path
    kernel: Path | None
    """A copy of the image's kernel, when it starts without firmware, boot loader and initrd: a launch on this machine then does that."""
    manifest: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


def require_root() -> None:
    """Raise MissingError unless this process may mount and start containers."""
    if not container.is_root():
        raise MissingError("a local bake mounts file systems and starts containers: it needs root", hint="run `sudo ./inv bake`")


class LocalBake:
    """One bake on this machine. `work` is its scratch folder and empty again afterwards."""

    def __init__(self, plan: BakePlan, lock: Lock, paths: Paths, progress: Progress) -> None:
        self._plan = plan
        self._lock = lock
        self._paths = paths
        self._progress = progress
        self._layers = Layers(paths.layers)
        self._stop = threading.Event()
        self.work = paths.work / plan.fingerprint[:12]
        self.seconds: dict[str, float] = {}

    def run(self) -> Baked:
        """Make every layer that is missing and the disk from all of them.

        Raises BakeError naming the script that failed, ProcessError, DownloadError or MissingError; finished layers are kept on every path.
        """
        for leftover in sweep(self._paths.work):
            self._progress.info(f"removed after a killed run: {leftover}")
        self.work.mkdir(parents=True)
        pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="toolchain")
        try:
            packer = pool.submit(toolchain.packer, self._lock, self._paths, self._progress, stop=self._stop)
            files = pool.submit(self._host_files)
            self._base()
            lower = self._provision(packer, files)
            return self._finish(lower, packer.result())
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def remove_work(self) -> None:
        """Delete the scratch folder: all that survives a bake is its layers and its artifact."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _base(self) -> None:
        if self._layers.has(self._plan.base):
            return
        with self._timed("base"):
            root = self.work / "base" / "root"
            started = time.monotonic()
            rootfs.make(self._plan.image.os, root, self._progress, self._stop)
            self._layers.keep(self._plan.base, root, time.monotonic() - started)

    def _provision(self, packer: Future[Packer], files: Future[Path]) -> list[Path]:
        """Make the missing layers; returns the stack, topmost first."""
        stack = [self._layers.root(self._plan.base)]
        missing = [layer for layer in self._plan.layers if not self._layers.has(layer.fingerprint)]
        folder: Path | None = None
        for layer in self._plan.layers:
            if layer in missing:
                if folder is None:
                    with self._timed("toolchain"):
                        packer.result(), files.result()
                    folder = write(self._plan, self._paths)
                started = time.monotonic()
                upper = self.work / "layers" / layer.name
                with self._timed(layer.name), container.overlay(stack, upper, self.work) as root:
                    self._run_layer(packer.result(), folder, root, layer.name, files.result())
                self._layers.keep(layer.fingerprint, upper, time.monotonic() - started)
            stack.insert(0, self._layers.root(layer.fingerprint))
        return stack

    def _run_layer(self, packer: Packer, folder: Path, root: Path, layer: str, files: Path) -> None:
        with container.booted(root, self.work, name=f"goldbake-{self._plan.fingerprint[:8]}", stop=self._stop) as login:
            variables: dict[str, Value] = {
                "ssh_host": login.host,
                "ssh_port": login.port,
                "ssh_private_key_file": str(login.key),
                "scripts_dir": str(self._paths.scripts),
                "files_dir": str(files),
            }
            packer.build(folder, variables, self._say(layer), only=layer, stop=self._stop)

    def _finish(self, stack: list[Path], packer: Packer) -> Baked:
        plan = self._plan
        raw = self.work / "disk.raw"
        with self._timed("disk"), container.overlay(stack, self.work / "seal", self.work) as root:
            rootfs.seal(plan.image.os, root)
            document = provenance.manifest(
                plan,
                root,
                project=self._paths.project,
                packer_version=packer.version(),
                sources=sources.text(plan.image.os, sources.of_host(plan.image.os)),
                agent_sha256=plan.variables["GOLDBAKE_AGENT_SHA256"],
            )
            provenance.write(document, root / provenance.IN_IMAGE)
            disk.assemble(root, raw, plan.image.disk_gib, lambda line: self._progress.detail("disk", line))
            boot = disk.boot_files(root)
            kernel = Path(shutil.copyfile(boot.kernel, self.work / "vmlinuz")) if disk.starts_directly(root, boot) else None
        return Baked(raw, kernel, document, self.seconds)

    def _host_files(self) -> Path:
        return gather(self._plan, self._lock, self._paths, self._progress, self.work / "files", self._stop)

    def _say(self, layer: str) -> Callable[[str], None]:
        def say(line: str) -> None:
            script = script_of(line)
            if script is not None:
                self._progress.info(f"{layer}: {script}")
            self._progress.detail(layer, line)

        return say

    def _timed(self, name: str) -> AbstractContextManager[None]:
        return self._progress.stage(name, self.seconds)
