"""The pipeline: plan → existing record, or bake → check → record."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldbake import agent, host, provenance
from goldbake.check import CheckReport, Target, run_checks
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud, Config, Lock
from goldbake.errors import ChecksFailed, GoldbakeError, UsageError
from goldbake.exclusive import exclusive
from goldbake.images import local as local_images
from goldbake.local import disk, vm
from goldbake.local.layers import Layers
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import AgentSource, BakePlan, image_named, plan
from goldbake.records import Checks, ImageRecord, Records, Stat, sha256_of


@dataclass(frozen=True)
class Outcome:
    """What `bake` answers: the record, and whether it existed before."""

    record: ImageRecord
    reused: bool


@dataclass(frozen=True)
class Preview:
    """What `bake --dry-run` answers."""

    image: str
    cloud: Cloud
    exists: bool
    layers: dict[str, bool]
    """Layer → whether it is kept from an earlier bake."""

    def document(self) -> dict[str, Any]:
        return {"image": self.image, "cloud": self.cloud.value, "exists": self.exists, "layers": self.layers}


def preview(paths: Paths, progress: Progress, cloud: Cloud, *, image: str | None, agent_wanted: str) -> Preview:
    """Say what a bake would do. Starts nothing; raises what `bake` would raise before its first stage."""
    todo, _ = planned(paths, progress, cloud, image, agent_wanted)
    todo.require_resolved()
    kept = Layers(paths.layers)
    layers = {"base": kept.has(todo.base)} | {layer.name: kept.has(layer.fingerprint) for layer in todo.layers}
    exists = Records(paths.records).find(todo.name, cloud, todo.fingerprint) is not None
    return Preview(todo.name, cloud, exists, layers)


def planned(paths: Paths, progress: Progress, cloud: Cloud, image: str | None, agent_wanted: str) -> tuple[BakePlan, Lock]:
    """Read the configuration and work out the bake that is meant.

    Raises ConfigError or UsageError.
    """
    config: Config = load_config(paths.images_yaml, paths.scripts)
    lock = load_lock(paths.lock_yaml)
    name = image_named(config, image, cloud)
    described = config.images[name]
    source = agent.choose(agent_wanted, described, cloud, lock, progress)
    sha256 = agent.simulated_sha256(described.agent.version) if source is AgentSource.SIMULATED else ""
    return plan(config, lock, name, cloud, paths.scripts, source, agent_sha256=sha256), lock


def bake(
    paths: Paths,
    progress: Progress,
    cloud: Cloud,
    *,
    image: str | None = None,
    agent_wanted: str = "auto",
    force: bool = False,
    check: bool = True,
) -> Outcome:
    """Make the image that images.yaml describes, or return the one that exists for exactly this content.

    Raises ConfigError, UsageError, MissingError (root, tools, pins), BakeError, ChecksFailed.
    """
    todo, lock = planned(paths, progress, cloud, image, agent_wanted)
    records = Records(paths.records)
    if not force and (found := records.find(todo.name, cloud, todo.fingerprint)):
        return Outcome(found, reused=True)
    if cloud is not Cloud.LOCAL:
        raise UsageError(f"baking for {cloud} is not part of this version", hint=f"`./inv render --cloud {cloud}` writes the templates")
    todo.require_resolved()
    local_images.require_root()
    host.ensure_packages(host.BAKE, progress)
    with exclusive(paths.cache / "bake.lock", "the bake", progress):
        if not force and (found := records.find(todo.name, cloud, todo.fingerprint)):
            return Outcome(found, reused=True)
        return Outcome(_bake_local(todo, lock, paths, progress, records, check=check), reused=False)


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
            _require_green(report, todo, paths)
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


def _require_green(report: CheckReport, todo: BakePlan, paths: Paths) -> None:
    if not report.failed:
        return
    path = paths.state / "failed-checks" / f"{todo.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.document(), indent=2) + "\n")
    lines = "\n".join(f"    {failed.name}: {failed.message}" for failed in report.failed)
    raise ChecksFailed(
        f"{len(report.failed)} of {len(report.failed) + len(report.passed)} checks of {todo.name} failed; the image is not offered:\n{lines}",
        hint=f"the whole report: {path}; correct the script and run the same command again",
    )


def _publish(
    todo: BakePlan,
    pending: Path,
    artifact: Path,
    manifest: dict[str, Any],
    report: CheckReport | None,
    seconds: dict[str, float],
    records: Records,
) -> ImageRecord:
    checks = None if report is None else Checks(passed=len(report.passed), failed=len(report.failed), digest=report.digest)
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
        versions={
            "kernel": ", ".join(manifest["kernels"]),
            "driver": todo.image.driver.version,
            "docker": todo.image.docker.version,
            "toolkit": todo.image.toolkit.version,
            "agent": todo.image.agent.version,
        },
        seconds=seconds,
        checks=checks,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        manifest=str(beside),
        stat=Stat.of(artifact),
    )
    records.add(record)
    return record
