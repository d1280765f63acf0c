"""One launch on the first of several clouds that has room for it; in those that were tried before nothing stays.

Each try is a launch of its own, with its own id and journal, and removes what it made before the next one begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from goldbake.azdo.errors import AzureDevOpsError
from goldbake.clouds import tags
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import CapacityError, Exit, GoldbakeError, MissingError, NoImageError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from launch import service
from launch.agents import Directory
from launch.base import Launcher
from launch.flags import Machine
from launch.recorded import find_image, require_checked
from launch.registry import journal_of, launcher_for
from launch.request import LaunchReport, LaunchRequest, Tried

__all__ = ["LaunchRequest", "each", "launch"]


def launch(
    paths: Paths,
    progress: Progress,
    requests: Sequence[LaunchRequest],
    *,
    launchers: Mapping[Cloud, Launcher] | None = None,
    directory: AbstractContextManager[Directory] | None = None,
    new_id: Callable[[], str] = tags.new_id,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> LaunchReport:
    """Start what is asked for in the cloud of the first request that has it; one request for each cloud, best first.

    Goes on to the next cloud when one has no capacity, no quota, no credentials, no image of ours, or is in trouble; what would be wrong anywhere
    ends it. Raises what `service.launch` raises; for several clouds that all have nothing CapacityError (exit 5), MissingError when each lacks
    credentials or a permission, UsageError when none has an image.
    """
    if len(requests) == 1:
        (only,) = requests
        engine = launchers[only.cloud] if launchers else None
        return service.launch(paths, progress, only, launcher=engine, directory=directory, new_id=new_id, now=now, clock=clock)
    began, tried, errors = clock(), list[Tried](), dict[Cloud, GoldbakeError]()
    for request in requests:
        service.require_sense(request)
    for request in requests:
        asked, launch_id = clock(), new_id()
        progress.info(f"trying {request.cloud}")
        try:
            require_checked(find_image(paths, request), request)
            engine = launchers[request.cloud] if launchers else launcher_for(request.cloud, paths, request.options, request.local)
            named = partial(str, launch_id)
            found = service.launch(paths, progress, request, launcher=engine, directory=directory, new_id=named, now=now, clock=clock)
        except GoldbakeError as error:
            if not _counts_only_here(error):
                raise
            progress.info(f"{request.cloud}: {error.message}")
            errors[request.cloud] = error
            left = journal_of(paths).read(launch_id) is not None
            tried.append(Tried(request.cloud, _code(error), error.message, clock() - asked, launch_id if left else ""))
            continue
        notes = tuple(
            f"launch {one.left} on {one.cloud} has left something: `./inv destroy --launch {one.left} --yes`" for one in tried if one.left
        )
        for note in notes:
            progress.warn(note)
        return replace(found, tried=tuple(tried), notes=found.notes + notes, seconds=clock() - began)
    raise _nowhere(errors)


def each(request: LaunchRequest, machines: Mapping[Cloud, Machine]) -> tuple[LaunchRequest, ...]:
    """The same request for each of the clouds, best first. Raises UsageError for an artifact, which is of one cloud."""
    if request.artifact and len(machines) > 1:
        raise UsageError(f"--artifact {request.artifact} is of one cloud", hint="name that one with --cloud, or an --image that each has")
    return tuple(replace(request, cloud=cloud, **machine) for cloud, machine in machines.items())


def _counts_only_here(error: GoldbakeError) -> bool:
    """Whether another cloud may do what this one refused."""
    if isinstance(error, AzureDevOpsError):
        return False
    if isinstance(error, Failure):
        return error.scope is not Scope.REQUEST
    return isinstance(error, CapacityError | MissingError | NoImageError)


def _nowhere(errors: Mapping[Cloud, GoldbakeError]) -> GoldbakeError:
    """One error for all of them: no room is the answer as soon as one cloud has said so."""
    message = "no cloud could start it: " + "; ".join(f"{cloud}: {error.message}" for cloud, error in errors.items())
    hint = "; ".join(f"{cloud}: {error.hint}" for cloud, error in errors.items() if error.hint)
    exits = {error.exit_code for error in errors.values()}
    if Exit.CAPACITY in exits:
        return CapacityError(message, hint=hint)
    if exits == {Exit.USAGE}:
        return UsageError(message, hint=hint)
    return MissingError(message, hint=hint) if exits <= {Exit.MISSING, Exit.USAGE} else GoldbakeError(message, hint=hint)


def _code(error: GoldbakeError) -> str:
    """One word for why a cloud was left."""
    if isinstance(error, Failure):
        return error.code
    names = {CapacityError: "no-capacity", MissingError: "missing", NoImageError: "no-image"}
    return next((word for kind, word in names.items() if isinstance(error, kind)), "failed")
