"""The pipeline: plan → existing record, or bake → check → record. One cloud at a time, or several side by side."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldbake import agent, host, provenance
from goldbake.check import CheckReport, Target, run_checks
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud, Config, Lock
from goldbake.errors import GoldbakeError, UsageError
from goldbake.exclusive import exclusive
from goldbake.images import cloud as cloud_images
from goldbake.images import failed_checks
from goldbake.images import local as local_images
from goldbake.images.base import Base, CloudImages
from goldbake.images.copies import complete
from goldbake.images.job import Job
from goldbake.local import disk, vm
from goldbake.local.layers import Layers
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import AgentSource, BakePlan, image_named, plan
from goldbake.records import ImageRecord, Records, Stat, sha256_of


@dataclass(frozen=True)
class Outcome:
    """What `bake` answers: the record, and whether it existed before."""

    record: ImageRecord
    reused: bool


@dataclass(frozen=True)
class Failed:
    """A cloud whose bake failed while others went on."""

    cloud: Cloud
    error: GoldbakeError


@dataclass(frozen=True)
class Preview:
    """What `bake --dry-run` answers."""

    image: str
    cloud: Cloud
    exists: bool
    layers: dict[str, bool]
    """Layer → whether it is kept from an earlier bake."""
    base: dict[str, str] = field(default_factory=dict)
    """The exact base image; only of a cloud."""
    places: tuple[str, ...] = ()
    """Where a build machine would be tried, best first, and why; only of a cloud."""

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"image": self.image, "cloud": self.cloud.value, "exists": self.exists, "layers": self.layers}
        return found if self.cloud is Cloud.LOCAL else found | {"base": self.base, "places": list(self.places)}


def preview(
    paths: Paths, progress: Progress, cloud: Cloud, *, image: str | None, agent_wanted: str, side: CloudImages | None = None
) -> Preview:
    """Say what a bake would do. Starts nothing; raises what `bake` would raise before its first stage."""
    if cloud is Cloud.LOCAL:
        todo, _ = planned(paths, progress, cloud, image, agent_wanted)
        todo.require_resolved()
        kept = Layers(paths.layers)
        layers = {"base": kept.has(todo.base)} | {layer.name: kept.has(layer.fingerprint) for layer in todo.layers}
        exists = Records(paths.records).find(todo.name, cloud, todo.fingerprint) is not None
        return Preview(todo.name, cloud, exists, layers)
    side, todo, lock, base = _planned_in(cloud, side, paths, progress, image, agent_wanted)
    records = Records(paths.records)
    found = records.find(todo.name, cloud, todo.fingerprint)
    exists = found is not None and cloud_images.usable(Job(side, lock, paths, progress, records), todo.image, found)
    places = tuple(f"{attempt.place}: {attempt.reason}" for attempt in side.attempts(todo.image))
    return Preview(todo.name, cloud, exists, {layer.name: exists for layer in todo.layers}, base.document(), places)


def planned(
    paths: Paths, progress: Progress, cloud: Cloud, image: str | None, agent_wanted: str, *, base_image: str = ""
) -> tuple[BakePlan, Lock]:
    """Read the configuration and work out the bake that is meant; `base_image` as in `plan`.

    Raises ConfigError or UsageError.
    """
    config: Config = load_config(paths.images_yaml, paths.scripts)
    lock = load_lock(paths.lock_yaml)
    name = image_named(config, image, cloud)
    described = config.images[name]
    source = agent.choose(agent_wanted, described, cloud, lock, progress)
    sha256 = agent.simulated_sha256(described.agent.version) if source is AgentSource.SIMULATED else ""
    return plan(config, lock, name, cloud, paths.scripts, source, agent_sha256=sha256, base_image=base_image), lock


def cloud_side(cloud: Cloud) -> CloudImages:
    """The image side of a cloud, with the credentials that its SDK finds. Raises UsageError or MissingError."""
    if cloud is Cloud.AWS:
        from goldbake.images.aws import AwsImages  # noqa: PLC0415 (the SDK is loaded only by whom it is for)

        return AwsImages()
    if cloud is Cloud.GCP:
        from goldbake.images.gcp import GcpImages  # noqa: PLC0415 (likewise)

        return GcpImages()
    if cloud is Cloud.AZURE:
        from goldbake.images.azure import AzureImages  # noqa: PLC0415 (likewise)

        return AzureImages()
    raise UsageError(f"images in {cloud} are not part of this version", hint=f"`./inv render --cloud {cloud}` writes the templates")


def bake(
    paths: Paths,
    progress: Progress,
    cloud: Cloud,
    *,
    image: str | None = None,
    agent_wanted: str = "auto",
    force: bool = False,
    check: bool = True,
    stop: threading.Event | None = None,
    side: CloudImages | None = None,
) -> Outcome:
    """Make the image that images.yaml describes, or return the one that exists for exactly this content.

    `stop` ends a bake in a cloud early. Raises ConfigError, UsageError, MissingError (root, tools, pins), BakeError, ChecksFailed, Failure.
    """
    if cloud is not Cloud.LOCAL:
        return _bake_in(cloud, paths, progress, image, agent_wanted, force=force, check=check, stop=stop or threading.Event(), side=side)
    todo, lock = planned(paths, progress, cloud, image, agent_wanted)
    records = Records(paths.records)
    if not force and (found := records.find(todo.name, cloud, todo.fingerprint)):
        return Outcome(found, reused=True)
    todo.require_resolved()
    local_images.require_root()
    host.ensure_packages(host.BAKE, progress)
    with exclusive(paths.cache / "bake.lock", "the bake", progress):
        if not force and (found := records.find(todo.name, cloud, todo.fingerprint)):
            return Outcome(found, reused=True)
        return Outcome(_bake_local(todo, lock, paths, progress, records, check=check), reused=False)


def bake_all(
    paths: Paths, progress: Progress, clouds: Sequence[Cloud], *, image: str | None, agent_wanted: str, force: bool, check: bool
) -> list[Outcome | Failed]:
    """Bake for several clouds side by side; one that fails does not stop another. In the order of `clouds`.

    An interruption ends all of them, and is raised when each has cleaned up.
    """
    stop = threading.Event()

    def one(cloud: Cloud) -> Outcome | Failed:
        try:
            return bake(paths, progress, cloud, image=image, agent_wanted=agent_wanted, force=force, check=check, stop=stop)
        except GoldbakeError as error:
            return Failed(cloud, error)

    if len(clouds) == 1:
        return [one(clouds[0])]
    found: dict[Cloud, Outcome | Failed] = {}
    with ThreadPoolExecutor(max_workers=len(clouds), thread_name_prefix="bake") as pool:
        waiting: dict[Cloud, Future[Outcome | Failed]] = {cloud: pool.submit(one, cloud) for cloud in clouds if cloud is not Cloud.LOCAL}
        try:
            if Cloud.LOCAL in clouds:  # in this thread: it ends by the exception that a signal raises here
                found[Cloud.LOCAL] = one(Cloud.LOCAL)
            found |= {cloud: future.result() for cloud, future in waiting.items()}
        except BaseException:
            stop.set()
            raise
    return [found[cloud] for cloud in clouds]


def _planned_in(
    cloud: Cloud, side: CloudImages | None, paths: Paths, progress: Progress, image: str | None, agent_wanted: str
) -> tuple[CloudImages, BakePlan, Lock, Base]:
    """The plan of a cloud's bake. What is not pinned stops it before credentials are looked for or the cloud is asked for anything."""
    todo, _ = planned(paths, progress, cloud, image, agent_wanted)
    todo.require_resolved()
    side = side or cloud_side(cloud)
    base = side.base(todo.image)
    todo, lock = planned(paths, progress, cloud, todo.name, agent_wanted, base_image=base.id)
    return side, todo, lock, base


def _bake_in(
    cloud: Cloud,
    paths: Paths,
    progress: Progress,
    image: str | None,
    agent_wanted: str,
    *,
    force: bool,
    check: bool,
    stop: threading.Event,
    side: CloudImages | None,
) -> Outcome:
    side, todo, lock, base = _planned_in(cloud, side, paths, progress, image, agent_wanted)
    records = Records(paths.records)
    job = Job(side, lock, paths, progress, records, stop)
    with exclusive(paths.cache / f"bake-{cloud}-{todo.name}.lock", f"the bake of {todo.name} for {cloud}", progress, stop=stop):
        found = None if force else records.find(todo.name, cloud, todo.fingerprint)
        if found is not None and cloud_images.usable(job, todo.image, found):
            return Outcome(complete(job, todo.image, found), reused=True)
        return Outcome(cloud_images.bake(job, todo, base, check=check), reused=False)


def _bake_local(todo: BakePlan, lock: Lock, paths: Paths, progress: Progress, records: Records, *, check: bool) -> ImageRecord:
    started = time.monotonic()
    job = local_images.LocalBake(todo, lock, paths, progress)
    try:
        baked = job.run()
        seconds = dict(baked.seconds)
        artifact = paths.artifacts / f"{todo.name}-{todo.fingerprint[:12]}.qcow2"
        artifact.parent.mkdir(parents=True, exist_ok=True)
        pending = job.work / artifact.name
        with progress.stage("compress", seconds):
            disk.compress(baked.raw, pending)
        report = None
        if check:
            with progress.stage("check", seconds):
                report = check_disk(pending, baked.raw, baked.manifest, job.work, progress)
            if report.failed:
                raise failed_checks.error(report, todo, paths)
        seconds["total"] = round(time.monotonic() - started, 3)
        if baked.kernel is not None:
            baked.kernel.replace(artifact.with_suffix(disk.KERNEL_SUFFIX))
        return _publish(todo, pending, artifact, baked.manifest, report, seconds, records)
    except GoldbakeError as error:
        if "No space left on device" in error.message:
            error.hint = (
                f"free space in {paths.cache}, or point GOLDBAKE_HOME at another disk ({host.NEEDED_BYTES / 1e9:.0f} GB for a first bake)"
            )
        raise
    finally:
        job.remove_work()


def check_disk(artifact: Path, raw: Path, expect: dict[str, Any], work: Path, progress: Progress) -> CheckReport:
    """Check a finished disk twice: its files as they are, and a VM booted from it."""

    def say(line: str) -> None:
        progress.detail("check", line)

    with disk.mounted(raw, work / "checked") as root:
        files = run_checks(Target.folder(root), expect, markers=("image", "pristine"), on_line=say)
    with vm.booted(artifact, work / "vm", progress) as login:
        target = Target.ssh(login.host, port=login.port, user=login.user, key=login.key, known_hosts=login.known_hosts)
        running = run_checks(target, expect, markers=("booted",), on_line=say)
    return files.joined(running)


def _publish(
    todo: BakePlan,
    pending: Path,
    artifact: Path,
    manifest: dict[str, Any],
    report: CheckReport | None,
    seconds: dict[str, float],
    records: Records,
) -> ImageRecord:
    checks = None if report is None else cloud_images.checks_of(report)
    sha256 = sha256_of(pending)
    beside = artifact.with_suffix(".manifest.json")
    checked = None if checks is None else checks.model_dump()
    outcome = provenance.with_outcome(manifest, artifact_sha256=sha256, seconds=seconds, checks=checked)
    provenance.write(outcome, beside)
    pending.replace(artifact)
    record = ImageRecord(
        image=todo.name,
        cloud=todo.cloud,
        artifact=str(artifact),
        sha256=sha256,
        size_bytes=artifact.stat().st_size,
        fingerprint=todo.fingerprint,
        agent=todo.agent_source.value,
        versions=cloud_images.versions(todo.image, manifest),
        seconds=seconds,
        checks=checks,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        manifest=str(beside),
        stat=Stat.of(artifact),
    )
    records.add(record)
    return record
