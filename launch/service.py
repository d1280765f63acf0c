"""What the tasks call: launch, instances, destroy, reap. Typed values in and out; nothing here knows a cloud's own calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from goldbake.azdo.organization import organization_url
from goldbake.clouds import tags
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import ImageRecord
from goldbake.secret import Secret
from launch import removal, trust
from launch.agents import Directory, azure_devops
from launch.base import Instance, Launcher, LaunchSpec, PartlySeen
from launch.fleet import Fleet, Started
from launch.journal import Entry, Journal, State
from launch.local import LocalLauncher, LocalOptions
from launch.recorded import artifacts, described, find_image, require_checked
from launch.registry import journal_of, launcher_for, launchers_for, launches
from launch.removal import RemovalPlan, RemovalReport
from launch.request import LaunchReport, LaunchRequest
from launch.userdata import UserData

__all__ = [
    "LaunchReport", "LaunchRequest", "RemovalPlan", "RemovalReport", "destroy", "entries", "find_image", "instances", "instances_folder",
    "launch", "launches", "listed", "plan_destroy", "plan_reap", "reap", "require_sense",
]  # fmt: skip

_SEALS_AT_ONCE = 16


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
    require_sense(request)
    launch_id = (new_id or tags.new_id)()
    organization = organization_url(request.organization)
    record = find_image(paths, request)
    require_checked(record, request)
    ca = request.ca or trust.from_environment()
    engine = launcher or launcher_for(request.cloud, paths, request.options, request.local)
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
            ca=trust.read(ca),
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
            artifacts=artifacts(record, request),
            described=described(paths, record),
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
            options=dict(engine.remembers(spec)),
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


def require_sense(request: LaunchRequest) -> None:
    """Raise UsageError or MissingError for what no cloud could do."""
    if not 1 <= request.count <= 1000:
        raise UsageError(f"--count {request.count} cannot be", hint="at least 1 and at most 1000")
    if request.ttl < 60:
        raise UsageError(f"--ttl of {request.ttl} s is over before an agent is online", hint="at least a minute, as 4h or 90m")
    if not request.pat:
        raise MissingError("there is no PAT", hint="set AZP_TOKEN, or AZP_TOKEN_FILE to a file that holds it")


def instances(
    paths: Paths,
    clouds: Sequence[Cloud] | None,
    *,
    progress: Progress | None = None,
    launchers: Mapping[Cloud, Launcher] | None = None,
) -> list[Instance]:
    """Every instance that has our tags, oldest first. Raises GoldbakeError when a part of what is to be looked at cannot be: see `listed`."""
    found, refused = listed(paths, clouds, progress=progress, launchers=launchers)
    for error in refused:
        raise error
    return found


def listed(
    paths: Paths,
    clouds: Sequence[Cloud] | None,
    *,
    progress: Progress | None = None,
    launchers: Mapping[Cloud, Launcher] | None = None,
) -> tuple[list[Instance], list[GoldbakeError]]:
    """Every instance that has our tags, oldest first; and why a part of what is to be looked at could not be.

    Without `clouds` as `launch.registry.launchers_for` chooses them.
    """
    progress = progress or Progress()
    looked, found, refused = launchers_for(paths, clouds, launchers), list[Instance](), list[GoldbakeError]()
    for cloud, launcher in looked.launchers.items():
        try:
            found += launcher.instances()
        except PartlySeen as part:
            found += part.found
            if cloud in looked.named:
                refused.append(part)
            else:
                progress.warn(f"{cloud} was looked at in part: {part.message}")
        except GoldbakeError as error:
            if cloud in looked.named:
                raise
            progress.warn(f"{cloud} was not looked at: {error.message}")
    return sorted(found, key=lambda instance: (instance.created, instance.launch_id, instance.number)), refused


def plan_destroy(
    paths: Paths,
    clouds: Sequence[Cloud] | None,
    launch_id: str | None,
    *,
    everything: bool = False,
    launchers: Mapping[Cloud, Launcher] | None = None,
) -> RemovalPlan:
    """What `destroy` would remove. Raises UsageError for a launch that is not there."""
    looked = launchers_for(paths, clouds, launchers)
    return removal.plan_destroy(journal_of(paths), looked.launchers, launch_id, everything=everything, named=looked.named)


def plan_reap(
    paths: Paths, clouds: Sequence[Cloud] | None, *, launchers: Mapping[Cloud, Launcher] | None = None, now: Callable[[], float] = time.time
) -> RemovalPlan:
    """What `reap` would remove: what is past its time, and what killed processes left."""
    looked = launchers_for(paths, clouds, launchers)
    return removal.plan_reap(journal_of(paths), looked.launchers, now(), named=looked.named)


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
    found = launchers_for(paths, clouds, launchers).launchers
    opener = open_directory or _opener(pat, ca, progress)
    return removal.carry_out(plan, journal_of(paths), found, opener, progress, cautious=cautious)


def reap(paths: Paths, progress: Progress, plan: RemovalPlan, pat: Secret | None, *, ca: Path | None = None) -> RemovalReport:
    """Carry out a plan of `plan_reap`: agents that the service calls online or busy are left for the next time."""
    return destroy(paths, progress, plan, pat, ca=ca, cautious=True)


def entries(paths: Paths) -> list[Entry]:
    """The launches that have a journal here, oldest first."""
    return journal_of(paths).all()


def instances_folder(paths: Paths) -> Path:
    """Where instances of this machine have their folders."""
    return LocalLauncher(paths, LocalOptions()).root


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
    journal = journal_of(paths)
    with journal.locked(spec.launch_id):
        try:
            journal.write(entry)
            fleet = Fleet(spec, launcher, directory, entry.pool_id, journal, progress, timeout=request.timeout, clock=clock)
            started = fleet.start(wait=request.wait)
            notes = _sealed(launcher, started) if request.wait else ()
            started = _with_addresses(launcher, spec, started)
            journal.set_state(_current(journal, entry), State.RUNNING)
        except BaseException as error:
            _remove_all(paths, progress, launcher, directory, journal, entry, error)
            raise
    for note in notes:
        progress.warn(note)
    return started, notes


def _sealed(launcher: Launcher, started: Sequence[Started]) -> tuple[str, ...]:
    """Take the user-data of all instances away from outside, several at once; returns what a person should know."""
    with ThreadPoolExecutor(max_workers=_SEALS_AT_ONCE, thread_name_prefix="seal") as pool:
        return tuple(filter(None, pool.map(lambda found: launcher.seal(found.instance), started)))


def _with_addresses(launcher: Launcher, spec: LaunchSpec, started: tuple[Started, ...]) -> tuple[Started, ...]:
    """A cloud gives a public address only after its create call: look once more, for all."""
    if not any(launcher.shared and found.online for found in started):
        return started
    try:
        now = {instance.id: instance for instance in launcher.instances(spec.launch_id)}
    except GoldbakeError:
        return started  # they are online, and that is what was asked for
    return tuple(
        replace(found, instance=replace(found.instance, address=now[found.instance.id].address)) if found.instance.id in now else found
        for found in started
    )


def _remove_all(
    paths: Paths, progress: Progress, launcher: Launcher, directory: Directory, journal: Journal, entry: Entry, error: BaseException
) -> None:
    """After a failure or an interruption: everything made is removed, or what is left is named in the error or on the screen."""
    how = f"`./inv destroy --launch {entry.launch_id} --yes` removes it"
    report = RemovalReport(launches=[entry.launch_id])
    try:
        with progress.stage(f"removing what launch {entry.launch_id} has made"):
            _keep_consoles(paths, launcher, entry, error)
            doomed = removal.Doomed(entry.launch_id, entry.cloud, "it failed", (), entry)
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
    except removal.Left:
        pass  # told below
    except BaseException as second:
        progress.warn(f"launch {entry.launch_id} may have left something behind ({type(second).__name__}); {how}")
        if not isinstance(second, Exception) or not isinstance(error, GoldbakeError):
            raise
    left = report.left + [f"agent {name} ({why})" for name, why in report.agents_left.items()]
    if not left:
        return
    count = "1 thing" if len(left) == 1 else f"{len(left)} things"
    text = f"{count} of launch {entry.launch_id} could not be removed: {'; '.join(left)}"
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


def _require_fitting_agent(record: ImageRecord, directory: Directory, organization: str) -> None:
    if record.agent == "simulated" and not directory.simulated:
        raise UsageError(
            f"{record.artifact} holds the simulated agent, and {organization} is a real service",
            hint=f"bake with the real one: ./inv bake --cloud {record.cloud} --agent microsoft",
        )


def _opener(pat: Secret | None, ca: Path | None, progress: Progress) -> removal.OpenDirectory:
    def open_directory(entry: Entry) -> AbstractContextManager[Directory] | None:
        return azure_devops(entry.organization, pat, ca=ca, progress=progress) if pat else None

    return open_directory
