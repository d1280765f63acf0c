"""Rendering and validating the templates of many images and clouds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from goldbake import toolchain
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud, Lock
from goldbake.errors import GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.packer import Packer
from goldbake.paths import Paths
from goldbake.plan import AgentSource, BakePlan, plan
from goldbake.render import write
from goldbake.samples import samples

CHECKED = (Cloud.AWS, Cloud.GCP, Cloud.AZURE)
"""Clouds whose images are checked by a Packer build of its own."""


@dataclass(frozen=True)
class Validation:
    """How one template fared; `skipped` says why only its format could be checked, empty when it is valid."""

    image: str
    cloud: Cloud
    folder: Path
    skipped: str = ""

    def document(self) -> dict[str, str]:
        return {"image": self.image, "cloud": self.cloud.value, "folder": str(self.folder), "skipped": self.skipped}


def plans(paths: Paths, clouds: tuple[Cloud, ...], image: str | None) -> Iterator[BakePlan]:
    """The plan of every image that is for one of `clouds`; unresolved pins are fine.

    Raises ConfigError, or UsageError when nothing fits.
    """
    config, lock = load_config(paths.images_yaml, paths.scripts), load_lock(paths.lock_yaml)
    if image is not None and image not in config.images:
        raise UsageError(f"there is no image {image!r} in images.yaml", hint=f"images: {', '.join(config.images)}")
    wanted = {name: described for name, described in config.images.items() if image in (None, name)}
    chosen = [(name, cloud) for name, described in wanted.items() for cloud in described.clouds if cloud in clouds]
    if not chosen:
        raise UsageError(f"no image is for {', '.join(clouds)}", hint="see `clouds` of each image in images.yaml")
    for name, cloud in chosen:
        yield plan(config, lock, name, cloud, paths.scripts, AgentSource.MICROSOFT)


def render_all(paths: Paths, progress: Progress, clouds: tuple[Cloud, ...], image: str | None) -> list[Path]:
    """Write the templates of every fitting image and cloud; returns their folders."""
    folders = []
    for todo in plans(paths, clouds, image):
        folders.append(write(todo, paths))
        if todo.unresolved:
            progress.warn(f"{todo.name}/{todo.cloud}: rendered, but a bake needs `./inv pin {' '.join(todo.unresolved)}` first")
    return folders


def validate_all(paths: Paths, progress: Progress, clouds: tuple[Cloud, ...], image: str | None) -> list[Validation]:
    """Render, then let Packer check each template; of one whose plugin cannot be had here only the format, with the reason.

    Raises GoldbakeError with what Packer says when a template is not formatted or not valid.
    """
    lock = load_lock(paths.lock_yaml)
    todo = list(plans(paths, clouds, image))
    packer = toolchain.packer(lock, paths, progress)
    lacking = {cloud: _lacking(cloud, packer, lock, paths, progress) for cloud in dict.fromkeys(plan.cloud for plan in todo)}
    results = []
    for each in todo:
        for checking in (True, False) if each.cloud in CHECKED else (False,):
            folder = write(each, paths, checking=checking)
            if difference := packer.fmt_check(folder):
                raise GoldbakeError(f"packer fmt would change {folder}:\n{difference}", hint="correct packer/templates")
            if not lacking[each.cloud]:
                with samples(each.cloud, paths.scripts, checking=checking, signs=each.signs) as given:
                    packer.validate(folder, given.variables, env=given.env)
        results.append(Validation(each.name, each.cloud, folder, lacking[each.cloud]))
    return results


def _lacking(cloud: Cloud, packer: Packer, lock: Lock, paths: Paths, progress: Progress) -> str:
    """Why the plugin of `cloud` cannot be had here, empty when it is there."""
    try:
        toolchain.ensure_plugin(cloud, packer, lock, paths, progress)
    except MissingError as error:
        why = f"skipped: {error.message}"
        progress.warn(f"{cloud}: {why}")
        return why
    return ""
