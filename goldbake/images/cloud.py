"""Baking in a cloud, once for all of them: Packer builds, a second build checks, then the image is tagged, recorded, copied and shared.

Packer removes what it has made; on every path this looks by tag whether it did, and removes the rest. A bake holds the lock file
`<state>/bakes/<id>.lock` while it runs, so that `reap` on this machine knows at once whose work nobody goes on with.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldbake import provenance, toolchain
from goldbake.check import CheckReport
from goldbake.clouds import tags as names
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud, Image, Lock
from goldbake.errors import BakeError, GoldbakeError
from goldbake.exclusive import exclusive
from goldbake.images import failed_checks, remote_check
from goldbake.images.base import Attempt, Base, CloudImages
from goldbake.images.files import gather
from goldbake.log import Progress
from goldbake.packer import Packer, Value, script_of
from goldbake.paths import PROJECT, Paths
from goldbake.plan import BakePlan
from goldbake.records import Checks, ImageRecord, Records
from goldbake.render import write

LIFETIME_S = 3 * 3600
"""After this long anyone may remove what a bake has made."""
_GRACE_S = 300.0
"""How long Packer may take to remove what it has made: it waits until the instance has ended."""
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is read as something else
_COULD_NOT = "packer could not build"
_COPY_POLL_S = 15.0
FINGERPRINT = "goldbake-fingerprint"
MANIFEST = "goldbake-manifest"
CHECKS = "goldbake-checks"
"""Tags of finished images: the first 32 digits of the fingerprint; SHA-256 of the manifest inside; `passed`, `none`, or `pending`."""


@dataclass
class Bench:
    """What a bake or a check in a cloud works with."""

    side: CloudImages
    lock: Lock
    paths: Paths
    progress: Progress
    records: Records
    stop: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], float] = time.time
    new_id: Callable[[], str] = lambda: "".join(secrets.choice(_LETTERS) for _ in range(10))
    pause: Callable[[float], None] | None = None
    """Between two looks at copies; by default it ends early when `stop` is set."""

    def say(self, text: str) -> None:
        self.progress.info(f"{self.side.cloud}: {text}")

    def warn(self, text: str) -> None:
        self.progress.warn(f"{self.side.cloud}: {text}")

    def wait(self, seconds: float) -> None:
        (self.pause or self.stop.wait)(seconds)


def bake(bench: Bench, todo: BakePlan, base: Base, *, check: bool = True) -> ImageRecord:
    """Bake, check, tag and record an image; then its copies and who may use it.

    Raises MissingError, UsageError and Failure before anything is created; BakeError, CapacityError or ChecksFailed afterwards, with
    nothing left, or with a message that names what is left.
    """
    attempts = _prepared(bench, todo.image)
    with _run(bench, todo) as run:
        record = run.bake(attempts, base, check=check)
    return complete(bench, todo.image, record)


def check(bench: Bench, todo: BakePlan, record: ImageRecord) -> CheckReport:
    """Check an image that exists on a machine started from it; green checks make an unchecked image a checked one."""
    attempts = _prepared(bench, todo.image)
    with _run(bench, todo) as run:
        report = run.check(attempts, record.artifact, provenance.read_inside(Path(record.manifest)))
    if record.checks is None and not report.failed:
        checked = record.model_copy(update={"checks": _checks(report)})
        for region, artifact in checked.artifacts.items():
            bench.side.finish(artifact, region, result_tags(checked))
        bench.records.add(checked)
    return report


def usable(bench: Bench, image: Image, record: ImageRecord) -> bool:
    """Whether the artifact of a record still exists in its cloud."""
    if bench.side.find(record.artifact, record.region or bench.side.region(image)) is not None:
        return True
    bench.say(f"{record.artifact} is not in {record.region} any more: {record.image} is baked again")
    return False


def complete(bench: Bench, image: Image, record: ImageRecord) -> ImageRecord:
    """Make the copies that images.yaml asks for and that are not there, and share all. Each step is recorded: the same command goes on.

    Raises Failure naming the region when one of them is refused, after all others.
    """
    side, failures = bench.side, list[Failure]()
    there = {region: artifact for region, artifact in record.copies.items() if side.find(artifact, region) is not None}
    if there != record.copies:
        kept = {key: value for key, value in record.published.items() if key in (record.region, *there)}
        record = _recorded(bench, record, copies=there, published=kept)
    record = _copied(bench, image, record, failures)
    digest = side.publishing(image)
    for region, artifact in record.artifacts.items():
        if record.published.get(region, "") != digest:
            try:
                side.publish(image, artifact, region)
                record = _recorded(bench, record, published=record.published | {region: digest})
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


def _copied(bench: Bench, image: Image, record: ImageRecord, failures: list[Failure]) -> ImageRecord:
    """Ask for all copies that lack, then wait for all; each is recorded when it is complete."""
    side, tags, waiting = bench.side, result_tags(record), dict[str, str]()
    name = f"{record.image}-{record.artifact.rpartition('-')[2]}"
    for region in side.copies(image):
        if region not in record.copies:
            try:
                waiting[region] = side.copy(image, name, record.artifact, region, tags)
                bench.say(f"copying {record.artifact} to {region}: {waiting[region]}")
            except Failure as error:
                failures.append(error)
    while waiting:
        for region, artifact in list(waiting.items()):
            try:
                if not side.copied(artifact, region, tags):
                    continue
                record = _recorded(bench, record, copies=record.copies | {region: artifact})
                bench.say(f"{artifact} in {region} is complete")
            except Failure as error:
                failures.append(error)
            del waiting[region]
        if waiting:
            bench.wait(_COPY_POLL_S)
            if bench.stop.is_set():
                raise BakeError(f"copies to {', '.join(waiting)} were not waited for", hint="the same command goes on with them")
    return record


def result_tags(record: ImageRecord) -> dict[str, str]:
    """The tags of a finished image and its snapshots. None of them lets `reap` take it."""
    return {
        "Name": f"{record.image}-{record.fingerprint[:12]}",
        names.MANAGED_BY: names.OWNER,
        names.IMAGE: record.image,
        FINGERPRINT: record.fingerprint[:32],
        MANIFEST: record.sha256,
        CHECKS: "none" if record.checks is None else "passed",
    }


def _prepared(bench: Bench, image: Image) -> Sequence[Attempt]:
    bench.side.require_tools(image)
    return bench.side.attempts(image)


@contextmanager
def _run(bench: Bench, todo: BakePlan) -> Iterator[_Run]:
    """One run with an id of its own; when the block ends, nothing with its tags is left, or what is left is named."""
    bake_id = bench.new_id()
    lock = bench.paths.state / "bakes" / f"{bake_id}.lock"
    work = bench.paths.cache / "bakes" / bake_id
    with exclusive(lock, f"bake {bake_id}", bench.progress, stop=bench.stop):
        work.mkdir(parents=True, mode=0o700)
        run = _Run(bench, todo, bake_id, work)
        try:
            try:
                yield run
            except BaseException as error:
                run.sweep(error)
                raise
            run.sweep(None)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if not run.left:  # else the free lock tells reap at once that nobody goes on with it
        lock.unlink(missing_ok=True)


class _Run:
    """One bake or one check: its id, its folder, its Packer."""

    def __init__(self, bench: Bench, todo: BakePlan, bake_id: str, work: Path) -> None:
        self._bench = bench
        self._todo = todo
        self._id = bake_id
        self._work = work
        self._region = bench.side.region(todo.image)
        self._expires = int(bench.now()) + LIFETIME_S
        self._packer: Packer | None = None
        self._finished = False
        self.left: list[str] = []
        self.seconds: dict[str, float] = {}

    def bake(self, attempts: Sequence[Attempt], base: Base, *, check: bool) -> ImageRecord:
        started = time.monotonic()
        bench, todo = self._bench, self._todo
        artifact, manifest = self._build(attempts, base)
        document = json.loads(manifest)
        found = bench.side.find(artifact, self._region)
        if found is None:
            raise BakeError(f"Packer says that it made {artifact}, but it is not in {self._region}", hint="run the same command again")
        report = self.check(attempts, artifact, document) if check else None
        if report is not None and report.failed:
            bench.side.remove(artifact, self._region)
            raise failed_checks.error(report, todo, bench.paths)
        self.seconds["total"] = round(time.monotonic() - started, 3)
        beside = bench.paths.artifacts / f"{todo.name}-{todo.cloud}-{todo.fingerprint[:12]}.manifest.json"
        record = ImageRecord(
            image=todo.name,
            cloud=todo.cloud,
            artifact=artifact,
            sha256=hashlib.sha256(manifest).hexdigest(),
            size_bytes=bench.side.disk_bytes(found),
            fingerprint=todo.fingerprint,
            agent=todo.agent_source.value,
            versions=versions(todo.image, document),
            seconds=self.seconds,
            checks=None if report is None else _checks(report),
            created=datetime.datetime.fromtimestamp(bench.now(), datetime.UTC).isoformat(timespec="seconds"),
            manifest=str(beside),
            region=self._region,
            base=base.id,
        )
        checks = None if record.checks is None else record.checks.model_dump()
        provenance.write(
            provenance.with_outcome(document, artifact_sha256=record.sha256, seconds=self.seconds, checks=checks)
            | {"artifact": {"id": artifact, "region": self._region}},
            beside,
        )
        bench.side.finish(artifact, self._region, result_tags(record))
        self._finished = True
        bench.records.add(record)
        return record

    def check(self, attempts: Sequence[Attempt], artifact: str, expect: Mapping[str, Any]) -> CheckReport:
        """Start a machine from an image and run the checks on it. Raises BakeError when they could not run."""
        bench, todo = self._bench, self._todo
        work = self._work / "check"
        work.mkdir(mode=0o700)
        (work / remote_check.EXPECT).write_text(json.dumps(expect))
        markers = "image,booted,gpu" if todo.cloud is Cloud.AWS and todo.image.aws.has_gpu else "image,booted"
        command = ["env", f"PYTHONPATH={PROJECT}", sys.executable, "-m", remote_check.__name__, "--folder", str(work), "--markers", markers]
        variables: dict[str, Value] = {"check_folder": str(work), "check_command": shlex.join(command), "checking": True}
        packer = self._ready()
        folder = write(todo, bench.paths, checking=True)
        try:
            with bench.progress.stage(f"{todo.cloud}: check", self.seconds):
                self._try([attempt for attempt in attempts if not attempt.spot], packer, folder, variables | bench.side.source(artifact))
            return remote_check.read_report(work)
        except BakeError as error:
            raise BakeError(
                f"the checks of {artifact} could not run: {error.message}", hint=f"{error.hint}; or leave them out: --no-check"
            ) from error
        finally:
            (work / remote_check.KEY).unlink(missing_ok=True)

    def sweep(self, error: BaseException | None) -> None:
        """Remove what still has this run's tags; what is left then is told, with how to remove it."""
        bench = self._bench
        how = f"`./inv reap --cloud {bench.side.cloud} --yes` removes it"
        try:
            if found := bench.side.leftovers(self._id, self._region, images=not self._finished):
                bench.say(f"removing what bake {self._id} has left: {', '.join(found)}")
                self.left = bench.side.remove_leftovers(self._id, self._region, images=not self._finished)
        except GoldbakeError as second:
            self.left = ["something"]
            bench.warn(f"bake {self._id} may have left something in {self._region} ({second.message}); {how}")
            return
        if not self.left:
            return
        text = f"{len(self.left)} things of bake {self._id} are left in {self._region}: {', '.join(self.left)}"
        if isinstance(error, GoldbakeError):
            error.message += f"; {text}"
            error.args = (error.message,)
            error.hint = how
        else:
            bench.warn(f"{text}; {how}")

    def _build(self, attempts: Sequence[Attempt], base: Base) -> tuple[str, bytes]:
        """Let Packer make the image; returns its id and the manifest that lies in it."""
        bench, todo = self._bench, self._todo
        packer = self._ready()
        files = gather(todo, bench.lock, bench.paths, bench.progress, self._work / "files", bench.stop)
        inputs = provenance.inputs(
            todo,
            project=bench.paths.project,
            packer_version=packer.version(),
            base=base.document() | {"fingerprint": todo.base},
            agent_sha256=todo.variables["GOLDBAKE_AGENT_SHA256"],
        )
        provenance.write(inputs, files / "manifest.json")
        made, inside = self._work / "made.json", self._work / "manifest.json"
        variables: dict[str, Value] = {
            "scripts_dir": str(bench.paths.scripts),
            "files_dir": str(files),
            "manifest_file": str(made),
            "image_manifest": str(inside),
        }
        folder = write(todo, bench.paths)
        bench.say(f"base image {base.id} ({base.name}, {base.created[:10]})")
        with bench.progress.stage(f"{todo.cloud}: build", self.seconds):
            self._try(attempts, packer, folder, variables | bench.side.source(base.id))
        artifact = made_by(made, bench.side)
        try:
            return artifact, inside.read_bytes()
        except OSError as error:
            raise BakeError(f"the manifest of {artifact} was not copied from it", hint="run the same command again") from error

    def _try(self, attempts: Sequence[Attempt], packer: Packer, folder: Path, variables: Mapping[str, Value]) -> None:
        """Run a build in one place after the other, as long as it is capacity that lacks and another place may have it."""
        bench, rest = self._bench, list(attempts)
        while True:
            attempt = rest.pop(0)
            bench.say(f"{attempt.place}: {attempt.reason}")
            common: dict[str, Value] = {"bake": self._id, "expires": str(self._expires), "fingerprint": self._todo.fingerprint[:32]}
            given = {**variables, **attempt.variables, **common}
            try:
                packer.build(folder, given, self._line, env=self._environment(given), stop=bench.stop, grace=_GRACE_S)
                return
            except BakeError as error:
                refusal = bench.side.refusal(error.message, self._region) if error.message.startswith(_COULD_NOT) else None
                if refusal is None or bench.stop.is_set():
                    raise
                if refusal.scope is not Scope.ZONE:  # a quota: only that of spot instances is another one
                    rest = [other for other in rest if attempt.spot and not other.spot] if refusal.scope is Scope.REGION else []
                if not rest:
                    raise refusal from error
                bench.warn(f"{attempt.place}: {refusal.message}")
                bench.side.remove_leftovers(self._id, self._region, images=False)

    def _environment(self, given: Mapping[str, Value]) -> dict[str, str]:
        """The cloud's own names, and variables of the template that a person has set for a private endpoint; ours are stronger."""
        others = {name: value for name, value in os.environ.items() if name.startswith("PKR_VAR_") and name[8:] not in given}
        return self._bench.side.environment() | others

    def _ready(self) -> Packer:
        if self._packer is None:
            bench = self._bench
            with bench.progress.stage(f"{bench.side.cloud}: toolchain", self.seconds):
                self._packer = toolchain.packer(bench.lock, bench.paths, bench.progress, stop=bench.stop)
                toolchain.ensure_plugin(bench.side.cloud, self._packer, bench.lock, bench.paths, bench.progress, stop=bench.stop)
        return self._packer

    def _line(self, line: str) -> None:
        script = script_of(line)
        if script is not None:
            self._bench.say(script)
        for stage in ("build", "check"):
            self._bench.progress.detail(f"{self._bench.side.cloud}: {stage}", line)


def made_by(manifest: Path, side: CloudImages) -> str:
    """The image that Packer's last run has made. Raises BakeError: Packer may end well and have made nothing."""
    hint = "run the same command again; Packer ended without an error, so see its lines above"
    try:
        document = json.loads(manifest.read_text())
        last = document["last_run_uuid"]
        ids = [build["artifact_id"] for build in document["builds"] if build["packer_run_uuid"] == last]
        return side.artifact(ids[-1])
    except OSError as error:
        raise BakeError("Packer ended well but made nothing", hint=hint) from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BakeError(f"Packer does not say what it made ({type(error).__name__}: {error})", hint=hint) from error


def versions(image: Image, document: Mapping[str, Any]) -> dict[str, str]:
    """The versions of a record."""
    return {
        "kernel": ", ".join(document["kernels"]),
        "driver": image.driver.version,
        "docker": image.docker.version,
        "toolkit": image.toolkit.version,
        "agent": image.agent.version,
    }


def _checks(report: CheckReport) -> Checks:
    return Checks(passed=len(report.passed), failed=len(report.failed), digest=report.digest)


def _recorded(bench: Bench, record: ImageRecord, **changes: object) -> ImageRecord:
    changed = record.model_copy(update=changes)
    bench.records.add(changed)
    return changed
