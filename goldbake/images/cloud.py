"""Baking in a cloud, once for all of them: Packer builds, a second build checks, then the image is tagged, recorded, copied and shared.

Packer removes what it has made; on every path this looks by tag whether it did, and removes the rest. A bake holds the lock file
`<state>/bakes/<id>.lock` while it runs, so that `reap` on this machine knows at once whose work nobody goes on with.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goldbake import proc, provenance, toolchain
from goldbake.check import CheckReport
from goldbake.clouds import tags
from goldbake.clouds.failure import Scope
from goldbake.config.model import Image
from goldbake.errors import BakeError, GoldbakeError
from goldbake.exclusive import exclusive, is_held
from goldbake.images import failed_checks, remote_check
from goldbake.images.base import Attempt, Base, CloudImages
from goldbake.images.copies import complete, result_tags
from goldbake.images.files import gather
from goldbake.images.job import Job
from goldbake.packer import Packer, Value, script_of
from goldbake.paths import PROJECT
from goldbake.plan import BakePlan
from goldbake.records import Checks, ImageRecord
from goldbake.render import write

LIFETIME_S = 3 * 3600
"""After this long anyone may remove what a bake has made."""
_GRACE_S = 300.0
"""How long Packer may take to remove what it has made: it waits until the instance has ended."""
_COULD_NOT = "packer could not build"


def bake(job: Job, todo: BakePlan, base: Base, *, check: bool = True) -> ImageRecord:
    """Bake, check, tag and record an image; then its copies and who may use it.

    Raises MissingError, UsageError and Failure before anything is created; BakeError, CapacityError or ChecksFailed afterwards, with
    nothing left, or with a message that names what is left.
    """
    attempts = _prepared(job, todo.image, check=check)
    job.side.make_ready(todo.name, todo.image)
    with _run(job, todo) as run:
        record = run.bake(attempts, base, check=check)
    return complete(job, todo.image, record)


def check(job: Job, todo: BakePlan, record: ImageRecord) -> CheckReport:
    """Check an image that exists on a machine started from it; green checks make an unchecked image a checked one."""
    attempts = _prepared(job, todo.image, check=True)
    with _run(job, todo) as run:
        report = run.check(attempts, record.artifact, provenance.read_inside(Path(record.manifest)))
    if record.checks is None and not report.failed:
        checked = record.model_copy(update={"checks": checks_of(report), "published": {}})  # what waits for the checks is published now
        for region, artifact in checked.artifacts.items():
            job.side.finish(artifact, region, result_tags(checked))
        job.records.add(checked)
        complete(job, todo.image, checked)
    return report


def usable(job: Job, image: Image, record: ImageRecord) -> bool:
    """Whether the artifact of a record still exists in its cloud, in the project or subscription that is baked in now."""
    if not record.artifact.startswith(home := job.side.home(image)):
        job.say(f"{record.artifact} is not in {home.strip('/')}: {record.image} is baked there")
        return False
    if job.side.find(record.artifact, record.region or job.side.region(image)) is not None:
        return True
    job.say(f"{record.artifact} is not in {record.region} any more: {record.image} is baked again")
    return False


def _prepared(job: Job, image: Image, *, check: bool) -> Sequence[Attempt]:
    """Where a machine can be, once it is clear that this one here has what is needed."""
    for program in ("ssh", "ssh-keyscan") if check else ():
        if proc.find(program) is None:
            raise proc.missing(program)
    job.side.require_tools(image)
    return job.side.attempts(image)


def _clear_dead(folder: Path, locks: Path) -> None:
    """Remove the folders of runs that were killed. Their lock files stay: `reap` learns from these what nobody goes on with."""
    for dead in folder.iterdir() if folder.is_dir() else ():
        if not is_held(locks / f"{dead.name}.lock"):
            shutil.rmtree(dead, ignore_errors=True)


@contextmanager
def _run(job: Job, todo: BakePlan) -> Iterator[_Run]:
    """One run with an id of its own; when the block ends, nothing with its tags is left, or what is left is named."""
    bake_id = job.new_id()
    lock = job.paths.state / "bakes" / f"{bake_id}.lock"
    work = job.paths.cache / "bakes" / bake_id
    lock.parent.mkdir(parents=True, exist_ok=True)
    _clear_dead(work.parent, lock.parent)
    run = _Run(job, todo, bake_id, work)
    try:
        with exclusive(lock, f"bake {bake_id}", job.progress, stop=job.stop):
            work.mkdir(parents=True, mode=0o700)
            try:
                yield run
            except BaseException as error:
                run.sweep(error)
                raise
            else:
                run.sweep(None)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    finally:
        if not run.left:  # else the free lock tells reap at once that nobody goes on with it
            lock.unlink(missing_ok=True)


class _Run:
    """One bake or one check: its id, its folder, its Packer."""

    def __init__(self, job: Job, todo: BakePlan, bake_id: str, work: Path) -> None:
        self._job = job
        self._todo = todo
        self._id = bake_id
        self._work = work
        self._region = job.side.region(todo.image)
        self._expires = int(job.now()) + LIFETIME_S
        self._packer: Packer | None = None
        self._finished = False
        self.left: list[str] = []
        self.seconds: dict[str, float] = {}

    def bake(self, attempts: Sequence[Attempt], base: Base, *, check: bool) -> ImageRecord:
        started = time.monotonic()
        job, todo = self._job, self._todo
        artifact, manifest = self._build(attempts, base)
        document = json.loads(manifest)
        found = job.side.find(artifact, self._region)
        if found is None:
            raise BakeError(f"Packer says that it made {artifact}, but it is not in {self._region}", hint="run the same command again")
        report = self.check(attempts, artifact, document) if check else None
        if report is not None and report.failed:
            raise failed_checks.error(report, todo, job.paths)  # the image has the tags of this run, and goes with them
        self.seconds["total"] = round(time.monotonic() - started, 3)
        beside = job.paths.artifacts / f"{todo.name}-{todo.cloud}-{todo.fingerprint[:12]}.manifest.json"
        record = ImageRecord(
            image=todo.name,
            cloud=todo.cloud,
            artifact=artifact,
            sha256=hashlib.sha256(manifest).hexdigest(),
            size_bytes=job.side.disk_bytes(found),
            fingerprint=todo.fingerprint,
            agent=todo.agent_source.value,
            versions=versions(todo.image, document),
            seconds=self.seconds,
            checks=None if report is None else checks_of(report),
            created=datetime.datetime.fromtimestamp(job.now(), datetime.UTC).isoformat(timespec="seconds"),
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
        job.side.finish(artifact, self._region, result_tags(record))
        self._finished = True
        job.records.add(record)
        return record

    def check(self, attempts: Sequence[Attempt], artifact: str, expect: Mapping[str, Any]) -> CheckReport:
        """Start a machine from an image and run the checks on it. Raises BakeError when they could not run."""
        job, todo = self._job, self._todo
        work = self._work / "check"
        work.mkdir(mode=0o700)
        (work / remote_check.EXPECT).write_text(json.dumps(expect))
        markers = "image,booted,gpu" if job.side.has_gpu(todo.image) else "image,booted"
        command = ["env", f"PYTHONPATH={PROJECT}", sys.executable, "-m", remote_check.__name__, "--folder", str(work), "--markers", markers]
        variables: dict[str, Value] = {"check_folder": str(work), "check_command": shlex.join(command), "checking": True}
        packer = self._ready()
        folder = write(todo, job.paths, checking=True)
        try:
            with self._stage("check"):
                self._try([attempt for attempt in attempts if not attempt.spot], packer, folder, variables | job.side.source(artifact))
            return remote_check.read_report(work)
        except BakeError as error:
            raise BakeError(
                f"the checks of {artifact} could not run: {error.message}", hint=f"{error.hint}; or leave them out: --no-check"
            ) from error
        finally:
            (work / remote_check.KEY).unlink(missing_ok=True)

    def sweep(self, error: BaseException | None) -> None:
        """Remove what still has this run's tags; what is left then is told, with how to remove it."""
        job = self._job
        how = f"`./inv reap --cloud {job.side.cloud} --yes` removes it"
        try:
            if found := job.side.leftovers(self._id, self._todo.image, images=not self._finished):
                job.say(f"removing what bake {self._id} has left: {', '.join(found)}")
                self.left = job.side.remove_leftovers(self._id, self._todo.image, images=not self._finished)
        except GoldbakeError as second:
            self.left = ["something"]
            job.warn(f"bake {self._id} may have left something in {self._region} ({second.message}); {how}")
            return
        if not self.left:
            return
        text = f"{len(self.left)} things of bake {self._id} are left in {self._region}: {', '.join(self.left)}"
        if isinstance(error, GoldbakeError):
            error.message += f"; {text}"
            error.args = (error.message,)
            error.hint = how
        else:
            job.warn(f"{text}; {how}")

    def _build(self, attempts: Sequence[Attempt], base: Base) -> tuple[str, bytes]:
        """Let Packer make the image; returns its id and the manifest that lies in it."""
        job, todo = self._job, self._todo
        packer = self._ready()
        files = gather(todo, job.lock, job.paths, job.progress, self._work / "files", job.stop)
        inputs = provenance.inputs(
            todo,
            project=job.paths.project,
            packer_version=packer.version(),
            base=base.document() | {"fingerprint": todo.base},
            agent_sha256=todo.variables["GOLDBAKE_AGENT_SHA256"],
        )
        provenance.write(inputs, files / "manifest.json")
        made, inside = self._work / "made.json", self._work / "manifest.json"
        variables: dict[str, Value] = {
            "scripts_dir": str(job.paths.scripts),
            "files_dir": str(files),
            "manifest_file": str(made),
            "image_manifest": str(inside),
        }
        if todo.signs:
            variables |= {"signing_certificate": str(self._work / "secure-boot.der"), "certificates_dir": str(job.paths.certificates)}
        folder = write(todo, job.paths)
        job.say(f"base image {base.id} ({base.name}, {base.created[:10]})")
        with self._stage("build"):
            self._try(attempts, packer, folder, variables | job.side.source(base.id))
        artifact = made_by(made, job.side)
        try:
            return artifact, inside.read_bytes()
        except OSError as error:
            raise BakeError(f"the manifest of {artifact} was not copied from it", hint="run the same command again") from error

    def _try(self, attempts: Sequence[Attempt], packer: Packer, folder: Path, variables: Mapping[str, Value]) -> None:
        """Run a build in one place after the other, as long as it is capacity that lacks and another place may have it."""
        job, rest = self._job, list(attempts)
        while True:
            attempt = rest.pop(0)
            job.say(f"{attempt.place}: {attempt.reason}")
            common: dict[str, Value] = {
                "bake": self._id,
                "expires": str(self._expires),
                "fingerprint": self._todo.fingerprint[: tags.DIGITS],
            }
            given = {**variables, **attempt.variables, **common}
            try:
                packer.build(folder, given, self._line, env=self._environment(given), stop=job.stop, grace=_GRACE_S)
                return
            except BakeError as error:
                is_packers = error.message.startswith(_COULD_NOT)
                refusal = job.side.refusal(error.message, self._todo.image, spot=attempt.spot) if is_packers else None
                if refusal is None or job.stop.is_set():
                    raise
                if refusal.scope is not Scope.ZONE:  # a quota: only that of spot instances is another one
                    rest = [other for other in rest if attempt.spot and not other.spot] if refusal.scope is Scope.REGION else []
                if not rest:
                    raise refusal from error
                job.warn(f"{attempt.place}: {refusal.message}")
                job.side.remove_leftovers(self._id, self._todo.image, images=False)

    def _environment(self, given: Mapping[str, Value]) -> dict[str, str]:
        """The cloud's own names, and variables of the template that a person has set for a private endpoint; ours are stronger."""
        others = {name: value for name, value in os.environ.items() if name.startswith("PKR_VAR_") and name[8:] not in given}
        return self._job.side.environment() | others

    def _ready(self) -> Packer:
        if self._packer is None:
            job = self._job
            with self._stage("toolchain"):
                self._packer = toolchain.packer(job.lock, job.paths, job.progress, stop=job.stop)
                toolchain.ensure_plugin(job.side.cloud, self._packer, job.lock, job.paths, job.progress, stop=job.stop)
        return self._packer

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A stage that says which cloud it is for: others may run beside it."""
        started = time.monotonic()
        with self._job.progress.stage(f"{self._job.side.cloud}: {name}"):
            yield
        self.seconds[name] = round(time.monotonic() - started, 3)

    def _line(self, line: str) -> None:
        script = script_of(line)
        if script is not None:
            self._job.say(script)
        for stage in ("build", "check"):
            self._job.progress.detail(f"{self._job.side.cloud}: {stage}", line)


def made_by(manifest: Path, side: CloudImages) -> str:
    """The image that Packer's last run has made. Raises BakeError: Packer may end well and have made nothing."""
    hint = "run the same command again; Packer ended without an error, so see its lines above"
    try:
        document = json.loads(manifest.read_text())
        last = document["last_run_uuid"]
        return side.artifact([build for build in document["builds"] if build["packer_run_uuid"] == last][-1])
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


def checks_of(report: CheckReport) -> Checks:
    """How the checks of a record ended."""
    return Checks(passed=len(report.passed), failed=len(report.failed), digest=report.digest)
