"""What follows a bake: copies in other regions, and who may use the image. Each step is recorded, so that the same command goes on."""

from __future__ import annotations

from goldbake.clouds import tags as names
from goldbake.clouds.failure import Failure
from goldbake.config.model import Image
from goldbake.errors import BakeError
from goldbake.images.job import Job
from goldbake.records import ImageRecord

_COPY_POLL_S = 15.0


def complete(job: Job, image: Image, record: ImageRecord) -> ImageRecord:
    """Make the copies that images.yaml asks for and that are not there, and share all. Each step is recorded: the same command goes on.

    Raises Failure naming the region when one of them is refused, after all others.
    """
    side, failures = job.side, list[Failure]()
    there = {region: artifact for region, artifact in record.copies.items() if side.find(artifact, region) is not None}
    if there != record.copies:
        kept = {key: value for key, value in record.published.items() if key in (record.region, *there)}
        record = job.recorded(record, copies=there, published=kept)
    record = _copied(job, image, record, failures)
    digest = side.publishing(image)
    for region, artifact in record.artifacts.items():
        if record.published.get(region, "") != digest:
            try:
                side.publish(image, artifact, region)
                record = job.recorded(record, published=record.published | {region: digest})
            except Failure as error:
                failures.append(error)
    if failures:
        first = failures[0]
        first.message = f"{record.artifact} is baked and recorded, but: " + "; ".join(failure.message for failure in failures)
        first.args = (first.message,)
        first.hint = (
            f"{first.hint}; the same command goes on where it stopped" if first.hint else "the same command goes on where it stopped"
        )
        raise first
    return record


def _copied(job: Job, image: Image, record: ImageRecord, failures: list[Failure]) -> ImageRecord:
    """Ask for all copies that lack, then wait for all; each is recorded when it is complete."""
    side, tags, waiting = job.side, result_tags(record), dict[str, str]()
    name = f"{record.image}-{record.artifact.rpartition('-')[2]}"
    for region in side.copies(image):
        if region not in record.copies:
            try:
                waiting[region] = side.copy(image, name, record.artifact, region, tags)
                job.say(f"copying {record.artifact} to {region}: {waiting[region]}")
            except Failure as error:
                failures.append(error)
    while waiting:
        for region, artifact in list(waiting.items()):
            try:
                if not side.copied(artifact, region, tags):
                    continue
                record = job.recorded(record, copies=record.copies | {region: artifact})
                job.say(f"{artifact} in {region} is complete")
            except Failure as error:
                failures.append(error)
            del waiting[region]
        if waiting:
            job.wait(_COPY_POLL_S)
            if job.stop.is_set():
                raise BakeError(f"copies to {', '.join(waiting)} were not waited for", hint="the same command goes on with them")
    return record


def result_tags(record: ImageRecord) -> dict[str, str]:
    """The tags of a finished image and its snapshots. None of them lets `reap` take it."""
    return {
        names.MANAGED_BY: names.OWNER,
        names.IMAGE: record.image,
        names.FINGERPRINT: record.fingerprint[: names.DIGITS],
        names.MANIFEST: record.sha256[: names.DIGITS],
        names.CHECKS: "none" if record.checks is None else "passed",
    }
