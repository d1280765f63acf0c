"""A cold bake against the same work by hand, a bake with nothing to do, and one after an agent bump."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from goldbake import bake as pipeline
from goldbake import host, proc, toolchain
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud
from goldbake.images.local import require_root
from goldbake.local import rootfs, sources
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import image_named

BARE = Path(__file__).with_name("bake_by_hand.sh")
"""The same work by hand: mmdebstrap, apt with DKMS, Docker, one disk; no Packer, no layers, no checks, no record."""


def measure(paths: Paths, progress: Progress) -> dict[str, float]:
    """Bake the default local image cold, compare with the bare script, bake again, bake with another agent version.

    `cold_s` is the bake's own work: neither Packer's and the toolkit's one-time build nor the checks, which the bare script has not.
    """
    require_root()
    host.ensure_packages(host.BAKE, progress)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=_made(paths.cache)))
    try:
        trial = Paths(_copy_of_project(paths, home / "project"), home / "cache", home / "state")
        trial.cache.mkdir(parents=True)
        _share_toolchain(paths, trial, progress)
        cold = _seconds(lambda: pipeline.bake(trial, progress, Cloud.LOCAL, agent_wanted="simulated", check=False))
        noop = _seconds(lambda: pipeline.bake(trial, progress, Cloud.LOCAL, agent_wanted="simulated", check=False))
        _bump_agent(trial)
        bump = _seconds(lambda: pipeline.bake(trial, progress, Cloud.LOCAL, agent_wanted="simulated", check=False))
        bare = _seconds(lambda: _bare(trial, home / "bare", progress))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return {
        "cold_s": cold,
        "bare_s": bare,
        "cold_ratio": cold / bare,
        "noop_s": noop,
        "agent_bump_s": bump,
        "agent_bump_ratio": bump / cold,
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _copy_of_project(paths: Paths, target: Path) -> Path:
    target.mkdir(parents=True)
    for name in ("image-scripts", "packer", "tests"):
        shutil.copytree(paths.project / name, target / name, ignore=shutil.ignore_patterns("build", "__pycache__"))
    for name in ("images.yaml", "images.lock.yaml"):
        shutil.copy(paths.project / name, target / name)
    return target


def _share_toolchain(paths: Paths, trial: Paths, progress: Progress) -> None:
    """Packer and the toolkit are made once per machine: make them in the real cache, outside the measurement."""
    lock = load_lock(paths.lock_yaml)
    config = load_config(paths.images_yaml, paths.scripts)
    image = config.images[image_named(config, None, Cloud.LOCAL)]
    toolchain.packer(lock, paths, progress)
    toolchain.toolkit(image.toolkit.version, lock, paths, progress)
    trial.toolchain.symlink_to(paths.toolchain)


def _bump_agent(trial: Paths) -> None:
    text = yaml.safe_load(trial.images_yaml.read_text())
    for image in text["images"].values():
        if "agent" in image:
            first, *rest = image["agent"]["version"].split(".")
            image["agent"]["version"] = ".".join([first, *rest[:-1], str(int(rest[-1]) + 1)])
    trial.images_yaml.write_text(yaml.safe_dump(text, sort_keys=False))


def _bare(trial: Paths, work: Path, progress: Progress) -> None:
    config = load_config(trial.images_yaml, trial.scripts)
    image = config.images[image_named(config, None, Cloud.LOCAL)]
    toolkit = toolchain.toolkit(image.toolkit.version, load_lock(trial.lock_yaml), trial, progress)
    packages = ",".join((*rootfs.PACKAGES, *rootfs.KERNELS[image.os.distribution]))
    work.mkdir()
    (work / "sources.list").write_text(sources.text(image.os, sources.of_host(image.os)))
    argv: list[str | Path] = ["bash", BARE, work, image.os.codename, packages, image.driver.version, image.docker.version, toolkit]
    with progress.stage("bare script"):
        proc.stream(argv, lambda line: progress.detail("bare script", line))
