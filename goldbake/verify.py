"""Checking an image that exists, or any host, outside a bake."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from goldbake import host as machine
from goldbake import proc
from goldbake.bake import check_disk, cloud_side
from goldbake.check import CheckReport, Target, run_checks
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud
from goldbake.errors import ChecksFailed, UsageError
from goldbake.exclusive import exclusive
from goldbake.images import cloud as cloud_images
from goldbake.images.job import Job
from goldbake.images.local import require_root
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import AgentSource, image_named, plan
from goldbake.provenance import read_inside
from goldbake.records import Records


def image(paths: Paths, progress: Progress, cloud: Cloud, name: str | None) -> CheckReport:
    """Run the checks on a boot of the newest usable artifact of an image; in a cloud, on a machine started for it.

    Raises UsageError when there is none, MissingError without root or tools.
    """
    config = load_config(paths.images_yaml, paths.scripts)
    name = image_named(config, name, cloud)
    records = Records(paths.records)
    record = records.newest(name, cloud)
    if record is None:
        raise UsageError(
            f"no usable artifact of {name} for {cloud} is recorded", hint=f"bake it: ./inv bake --cloud {cloud} --image {name}"
        )
    if cloud is not Cloud.LOCAL:
        lock = load_lock(paths.lock_yaml)
        todo = plan(config, lock, name, cloud, paths.scripts, AgentSource.MICROSOFT)
        side = cloud_side(cloud)
        if record.region != side.region(todo.image):
            raise UsageError(
                f"{record.artifact} is in {record.region}, and images.yaml names {side.region(todo.image)}", hint="bake it there"
            )
        return cloud_images.check(Job(side, lock, paths, progress, records), todo, record)
    require_root()
    machine.ensure_packages(machine.BAKE, progress)
    work = paths.work / f"check-{record.fingerprint[:12]}"
    with exclusive(paths.cache / "bake.lock", "the bake", progress):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            raw = work / "disk.raw"
            proc.run(["qemu-img", "convert", "-O", "raw", record.artifact, raw])
            with progress.stage("check"):
                return check_disk(Path(record.artifact), raw, read_inside(Path(record.manifest)), work, progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def host(address: str, progress: Progress) -> CheckReport:
    """Run the checks of a booted machine on `address` (ssh://USER@HOST[:PORT]), with this user's own SSH keys and known hosts.

    What is expected comes from the manifest on that machine. Raises UsageError for an address of another form.
    """
    parts = urlsplit(address)
    if parts.password:
        raise UsageError("--host holds a password", hint="log in by key: ssh://root@192.0.2.10")
    if parts.scheme != "ssh" or not parts.hostname or parts.path not in ("", "/"):
        raise UsageError(f"--host {address!r} is not understood", hint="as ssh://root@192.0.2.10 or ssh://root@192.0.2.10:2222")
    target = Target.ssh(parts.hostname, port=parts.port or 22, user=parts.username or "root")
    with progress.stage("check"):
        return run_checks(target, {}, on_line=lambda line: progress.detail("check", line))


def require_green(report: CheckReport) -> None:
    """Raise ChecksFailed when a check is red."""
    if report.failed:
        raise ChecksFailed(
            f"{len(report.failed)} checks failed: {', '.join(failed.name for failed in report.failed)}", hint="see the lines above"
        )
