"""What the tasks call: launch, instances, destroy, reap. Typed values in and out; nothing here knows a cloud's own calls."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldbake.azdo.organization import organization_url
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from goldbake.secret import Secret
from launch import removal
from launch.agents import Directory, azure_devops
from launch.base import Instance, Launcher, LaunchSpec
from launch.fleet import Fleet, Started
from launch.journal import Entry, Journal, State
from launch.local import LocalLauncher, LocalOptions
from launch.removal import RemovalPlan, RemovalReport
from launch.userdata import UserData

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is read as something else
_CA_FROM_ENVIRONMENT_MAX = 8192
"""A file of trusted certificates up to this size is a company's own, and the instances need it too; a larger one is a system's whole list."""


@dataclass(frozen=True)
class LaunchRequest:
    """What a person asks for."""

    organization: str
    pat: Secret = field(repr=False)
    pool: str = "Default"
    cloud: Cloud = Cloud.LOCAL
    image: str | None = None
    artifact: str | None = None
    """Exactly this one: an AMI, an image or a file."""
    count: int = 1
    prefix: str = "goldbake"
    labels: Mapping[str, str] = field(default_factory=dict)
    work: str = ""
    proxy: str = ""
    ca: Path | None = None
    """Certificates to trust besides the system's, here and in the instances."""
    ephemeral: bool = False
    ttl: int = 4 * 3600
    """Seconds."""
    wait: bool = True
    timeout: float = 900.0
    """Longest wait for an agent, in seconds."""
    create_pool: bool = False
    local: LocalOptions = field(default_factory=LocalOptions)


@dataclass(frozen=True)
class LaunchReport:
    """What runs now."""

    launch_id: str
    cloud: Cloud
    image: str
    artifact: str
    pool: str
    pool_page: str
    expires: int
    seconds: float
    started: tuple[Started, ...]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON document of the outer contract."""
        return {
            "launch": self.launch_id,
            "cloud": self.cloud.value,
            "image": self.image,
            "artifact": self.artifact,
            "pool": self.pool,
            "pool_page": self.pool_page,
            "expires": self.expires,
            "seconds": round(self.seconds, 3),
            "instances": [found.document() for found in self.started],
            "notes": list(self.notes),
        }


def launch(
    paths: Paths,
    progress: Progress,
    request: LaunchRequest,
    *,
    launcher: Launcher | None = None,
    directory: AbstractContextManager[Directory] | None = None,
    new_id: Callable[[], str] | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> LaunchReport:
    """Start instances and wait until each agent is online. Whatever ends this early, all that it made is removed again.

    Raises UsageError, MissingError, AzureDevOpsError before anything is created; CapacityError or Failure afterwards, with nothing left, or
    with a message that names what is left.
    """
    began = clock()
    _require_sense(request)
    launch_id = (new_id or _new_id)()
    organization = organization_url(request.organization)
    record = find_image(paths, request)
    if record.checks is None:
        progress.warn(f"{record.artifact} was baked without checks")
    ca = request.ca or _ca_from_environment()
    engine = launcher or _launcher(request.cloud, paths, request.local)
    opened = directory or azure_devops(organization, request.pat, ca=request.ca, progress=progress)
    with opened as agents:
        pool_id = agents.pool(request.pool, create=request.create_pool)
        _require_fitting_agent(record, agents, organization)
        told = UserData(
            organization=engine.seen_from_inside(organization),
            pat=request.pat,
            pool=request.pool,
            prefix=request.prefix,
            labels=request.labels,
            work=request.work,
            proxy=request.proxy,
            ca=_read_ca(ca),
            ephemeral=request.ephemeral,
            ttl=request.ttl,
        )
        created = now()
        spec = LaunchSpec(
            launch_id=launch_id,
            cloud=request.cloud,
            image=record.image,
            artifact=record.artifact,
            sha256=record.sha256,
            driver=record.versions.get("driver", ""),
            count=request.count,
            prefix=request.prefix,
            organization=organization,
            expires=int(created) + request.ttl,
            user_data=told.text(request.cloud),
        )
        engine.prepare(spec, progress)
        entry = Entry(
            launch_id=launch_id,
            cloud=request.cloud,
            image=record.image,
            artifact=record.artifact,
            organization=organization,
            pool=request.pool,
            pool_id=pool_id,
            prefix=request.prefix,
            count=request.count,
            created=created,
            expires=spec.expires,
            simulated=agents.simulated,
        )
        started, notes = _run(paths, progress, request, engine, agents, spec, entry, clock)
    return LaunchReport(
        launch_id=launch_id,
        cloud=request.cloud,
        image=record.image,
        artifact=record.artifact,
        pool=request.pool,
        pool_page=f"{organization}/_settings/agentpools?poolId={pool_id}&view=agents",
        expires=spec.expires,
        seconds=clock() - began,
        started=started,
        notes=notes,
    )


def instances(paths: Paths, clouds: Sequence[Cloud], *, launchers: Mapping[Cloud, Launcher] | None = None) -> list[Instance]:
    """Every instance that has our tags, oldest first."""
    found = [instance for launcher in _launchers(paths, clouds, launchers).values() for instance in launcher.instances()]
    return sorted(found, key=lambda instance: (instance.created, instance.number))


def plan_destroy(
    paths: Paths,
    clouds: Sequence[Cloud],
    launch_id: str | None,
    *,
    everything: bool = False,
    launchers: Mapping[Cloud, Launcher] | None = None,
) -> RemovalPlan:
    """What `destroy` would remove. Raises UsageError for a launch that is not there."""
    return removal.plan_destroy(Journal(launches(paths)), _launchers(paths, clouds, launchers), launch_id, everything=everything)


def plan_reap(
    paths: Paths, clouds: Sequence[Cloud], *, launchers: Mapping[Cloud, Launcher] | None = None, now: Callable[[], float] = time.time
) -> RemovalPlan:
    """What `reap` would remove: what is past its time, and what killed processes left."""
    return removal.plan_reap(Journal(launches(paths)), _launchers(paths, clouds, launchers), now())


def destroy(
    paths: Paths,
    progress: Progress,
    plan: RemovalPlan,
    pat: Secret | None,
    *,
    ca: Path | None = None,
    launchers: Mapping[Cloud, Launcher] | None = None,
    open_directory: removal.OpenDirectory | None = None,
    cautious: bool = False,
) -> RemovalReport:
    """Carry out a plan; without a PAT the agents stay registered, and the report names them. `cautious` as `reap` does it."""
    clouds = tuple({doomed.cloud for doomed in plan.launches})
    found = _launchers(paths, clouds, launchers)
    opener = open_directory or _opener(pat, ca, progress)
    return removal.carry_out(plan, Journal(launches(paths)), found, opener, progress, cautious=cautious)


def reap(
    paths: Paths,
    progress: Progress,
    plan: RemovalPlan,
    pat: Secret | None,
    *,
    ca: Path | None = None,
    launchers: Mapping[Cloud, Launcher] | None = None,
    open_directory: removal.OpenDirectory | None = None,
) -> RemovalReport:
    """Carry out a plan of `plan_reap`: agents that the service calls online or busy are left for the next time."""
    return destroy(paths, progress, plan, pat, ca=ca, launchers=launchers, open_directory=open_directory, cautious=True)


def entries(paths: Paths) -> list[Entry]:
    """The launches that have a journal here, oldest first."""
    return Journal(launches(paths)).all()


def launches(paths: Paths) -> Path:
    """The folder of the journals."""
    return paths.state / "launches"


def instances_folder(paths: Paths) -> Path:
    """Where instances of this machine have their folders."""
    return LocalLauncher(paths, LocalOptions()).root


def find_image(paths: Paths, request: LaunchRequest) -> ImageRecord:
    """The newest usable artifact of the image, or exactly the one asked for. Raises UsageError when there is none."""
    store = Records(paths.records)
    of_cloud = [record for record in store.all() if record.cloud == request.cloud]
    if request.artifact:
        wanted = str(Path(request.artifact).absolute()) if request.cloud is Cloud.LOCAL else request.artifact
        exact = next((record for record in of_cloud if record.artifact in (wanted, request.artifact)), None)
        if exact is None or not store.usable(exact):
            known = ", ".join(record.artifact for record in of_cloud[:3]) or "none"
            raise UsageError(
                f"{request.artifact} is not recorded as an artifact for {request.cloud}, or was changed", hint=f"recorded: {known}"
            )
        return exact
    named = [record for record in of_cloud if request.image is None or record.image == request.image]
    found = next((record for record in named if store.usable(record)), None)
    if found is None:
        what = f"image {request.image}" if request.image else "image"
        flag = f" --image {request.image}" if request.image else ""
        raise UsageError(f"there is no baked {what} for {request.cloud}", hint=f"bake it: ./inv bake --cloud {request.cloud}{flag}")
    return found


def _run(
    paths: Paths,
    progress: Progress,
    request: LaunchRequest,
    launcher: Launcher,
    directory: Directory,
    spec: LaunchSpec,
    entry: Entry,
    clock: Callable[[], float],
) -> tuple[tuple[Started, ...], tuple[str, ...]]:
    """From the journal to running instances, or to nothing left."""
    journal = Journal(launches(paths))
    with journal.locked(spec.launch_id):
        try:
            journal.write(entry)
            fleet = Fleet(spec, launcher, directory, entry.pool_id, journal, progress, timeout=request.timeout, clock=clock)
            started = fleet.start(wait=request.wait)
            notes = tuple(filter(None, (launcher.seal(found.instance) for found in started))) if request.wait else ()
            journal.set_state(_current(journal, entry), State.RUNNING)
        except BaseException as error:
            _remove_all(paths, progress, launcher, directory, journal, entry, error)
            raise
    for note in notes:
        progress.warn(note)
    return started, notes


def _remove_all(
    paths: Paths, progress: Progress, launcher: Launcher, directory: Directory, journal: Journal, entry: Entry, error: BaseException
) -> None:
    """After a failure or an interruption: everything made is removed, or what is left is named in the error or on the screen."""
    how = f"`./inv destroy --launch {entry.launch_id} --yes` removes it"
    report = RemovalReport(launches=[entry.launch_id])
    try:
        progress.info(f"removing what launch {entry.launch_id} has made")
        _keep_consoles(paths, launcher, entry, error)
        doomed = removal.Doomed(entry.launch_id, entry.cloud, "it failed", tuple(launcher.resources(entry.launch_id)), entry)
        removal.Removal(
            doomed,
            journal,
            launcher,
            lambda _: nullcontext(directory),
            progress,
            report,
            cautious=False,
            clock=time.monotonic,
            sleep=time.sleep,
        ).run()
    except BaseException as second:
        progress.warn(f"launch {entry.launch_id} may have left something behind ({type(second).__name__}); {how}")
        if not isinstance(second, Exception) or not isinstance(error, GoldbakeError):
            raise
    left = report.left + [f"agent {name} ({why})" for name, why in report.agents_left.items()]
    if not left:
        return
    text = f"{len(left)} things of launch {entry.launch_id} are left: {'; '.join(left)}"
    if isinstance(error, GoldbakeError):
        error.message += f"; {text}"
        error.args = (error.message,)
        error.hint = how
    else:
        progress.warn(f"{text}; {how}")


def _keep_consoles(paths: Paths, launcher: Launcher, entry: Entry, error: BaseException) -> None:
    """The consoles of a launch that failed are all that explains it: they stay when the machines go."""
    if not isinstance(error, GoldbakeError):
        return
    folder = paths.state / "failed-launches" / entry.launch_id
    for instance in launcher.instances(entry.launch_id):
        text = launcher.console(instance)
        if text:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{instance.id}.log").write_text(text, encoding="utf-8", errors="replace")
    if folder.is_dir():
        error.hint = f"{error.hint}; the consoles are in {folder}" if error.hint else f"the consoles are in {folder}"


def _current(journal: Journal, entry: Entry) -> Entry:
    return journal.read(entry.launch_id) or entry


def _require_sense(request: LaunchRequest) -> None:
    if not 1 <= request.count <= 1000:
        raise UsageError(f"--count {request.count} cannot be", hint="at least 1 and at most 1000")
    if request.ttl < 60:
        raise UsageError(f"--ttl of {request.ttl} s is over before an agent is online", hint="at least a minute, as 4h or 90m")
    if not request.pat:
        raise MissingError("there is no PAT", hint="set AZP_TOKEN, or AZP_TOKEN_FILE to a file that holds it")


def _require_fitting_agent(record: ImageRecord, directory: Directory, organization: str) -> None:
    if record.agent == "simulated" and not directory.simulated:
        raise UsageError(
            f"{record.artifact} holds the simulated agent, and {organization} is a real service",
            hint=f"bake with the real one: ./inv bake --cloud {record.cloud} --agent microsoft",
        )


def _launcher(cloud: Cloud, paths: Paths, options: LocalOptions) -> Launcher:
    if cloud is not Cloud.LOCAL:
        raise UsageError(f"launching on {cloud} is not part of this version", hint="./inv launch --cloud local")
    return LocalLauncher(paths, options)


def _launchers(paths: Paths, clouds: Sequence[Cloud], given: Mapping[Cloud, Launcher] | None) -> dict[Cloud, Launcher]:
    if given is not None:
        return {cloud: launcher for cloud, launcher in given.items() if cloud in clouds}
    return {cloud: _launcher(cloud, paths, LocalOptions()) for cloud in clouds if cloud is Cloud.LOCAL}


def _opener(pat: Secret | None, ca: Path | None, progress: Progress) -> removal.OpenDirectory:
    def open_directory(entry: Entry) -> AbstractContextManager[Directory] | None:
        return azure_devops(entry.organization, pat, ca=ca, progress=progress) if pat else None

    return open_directory


def _ca_from_environment() -> Path | None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        path = Path(os.environ.get(name) or "/nonexistent")
        if path.is_file() and path.stat().st_size <= _CA_FROM_ENVIRONMENT_MAX:
            return path
    return None


def _read_ca(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise UsageError(f"the certificates {path} cannot be read: {error}", hint="name a file of PEM certificates") from error


def _new_id() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(10))
