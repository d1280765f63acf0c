"""What is baked and usable, for people, for Terraform and for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from goldbake import hcl, report
from goldbake.bake import cloud_side
from goldbake.clouds.failure import Failure
from goldbake.config.model import Cloud
from goldbake.errors import MissingError, UsageError
from goldbake.images.base import CloudImages
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records

FORMATS = ("table", "json", "tfvars", "env")
FOR_PROGRAMS = ("tfvars", "env")
_HERE = "local"
"""In the place of a region, for artifacts of this machine."""


def images(
    paths: Paths, progress: Progress, clouds: Sequence[Cloud], *, strict: bool = False, side: Callable[[Cloud], CloudImages] = cloud_side
) -> list[ImageRecord]:
    """The records whose artifact exists and is what was recorded, newest first; of copies, those that exist.

    Where a cloud cannot be asked (no credentials, no right) its records are listed as they are, with a warning; `strict`: that is an error,
    because a program that reads the list would start machines from an image that may be gone.
    """
    store = Records(paths.records)
    found: list[ImageRecord] = []
    sides: dict[Cloud, CloudImages | None] = {}
    for record in store.all():
        if record.cloud not in clouds or not store.usable(record):
            continue
        if record.cloud is Cloud.LOCAL:
            found.append(record)
            continue
        try:
            if record.cloud not in sides:
                sides[record.cloud] = None
                sides[record.cloud] = side(record.cloud)
            asked = sides[record.cloud]
            there = record if asked is None else _existing(asked, record)
        except (MissingError, Failure, UsageError) as error:
            if strict:
                raise
            sides[record.cloud] = None
            progress.warn(f"{record.cloud}: not looked up, so it may be gone: {error.message}")
            there = record
        if there is not None:
            found.append(there)
    if strict and not found:
        progress.warn(f"nothing is baked for {', '.join(clouds)}, so the list is empty: `./inv bake --cloud {clouds[0]}`")
    return found


def text(records: Sequence[ImageRecord], form: str, *, unchecked: bool = False) -> str:
    """The list in one of `FORMATS`. tfvars and env name the newest artifact of each image, and unchecked ones only if asked for.

    Raises UsageError for another format.
    """
    if form == "table":
        return report.images(records)
    if form == "json":
        return json.dumps([record.document(reused=True) for record in records], indent=2)
    newest = _newest(record for record in records if unchecked or record.checks is not None)
    if form == "tfvars":
        return _tfvars(newest)
    if form == "env":
        return "\n".join(
            f"{_name('goldbake', record.cloud, record.image, region)}={artifact}"
            for record in newest
            for region, artifact in _artifacts(record).items()
        )
    raise UsageError(f"there is no format {form!r}", hint=f"--format takes {', '.join(FORMATS)}")


def _existing(side: CloudImages, record: ImageRecord) -> ImageRecord | None:
    if side.find(record.artifact, record.region) is None:
        return None
    copies = {region: artifact for region, artifact in record.copies.items() if side.find(artifact, region) is not None}
    return record.model_copy(update={"copies": copies})


def _newest(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    kept: dict[tuple[Cloud, str], ImageRecord] = {}
    for record in records:
        kept.setdefault((record.cloud, record.image), record)
    return [kept[key] for key in sorted(kept)]


def _artifacts(record: ImageRecord) -> Mapping[str, str]:
    return {region or _HERE: artifact for region, artifact in record.artifacts.items()}


def _tfvars(records: Sequence[ImageRecord]) -> str:
    """A variable for each cloud: a map of image → region → id."""
    lines: list[str] = []
    for cloud in sorted({record.cloud for record in records}):
        lines.append(f"goldbake_images_{cloud} = {{")
        for record in records:
            if record.cloud == cloud:
                lines.append(f"  {hcl.quote(record.image)} = {hcl.literal(dict(_artifacts(record)), 2)}")
        lines.append("}")
    return "\n".join(lines)


def _name(*words: str) -> str:
    return "_".join(re.sub(r"[^A-Z0-9]", "_", word.upper()) for word in words)
