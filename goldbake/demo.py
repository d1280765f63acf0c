"""The whole way on this machine, without any account: bake if needed, simulated service, launch, agent online, one job, destroy, nothing left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from goldbake import bake as pipeline
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from goldbake.local import cgroups, leftovers
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.secret import Secret
from launch import service
from launch.local import LocalLauncher, LocalOptions
from launch.service import LaunchReport, LaunchRequest
from sim.azdo import SimulatedAzureDevOps

POOL = "Default"
JOB = 'echo "job on $(uname -n), kernel $(uname -r), as $(id -un)"'
_JOB_S = 300.0
_TTL_S = 3600


@dataclass(frozen=True)
class Demonstration:
    """What happened at which second since the launch was asked for, and where afterwards nothing was found."""

    timeline: tuple[tuple[str, float], ...]
    looked_at: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {"timeline": [{"what": what, "seconds": seconds} for what, seconds in self.timeline], "nothing_left": list(self.looked_at)}


def run(paths: Paths, progress: Progress, options: LocalOptions) -> Demonstration:
    """Show the whole way once. Raises what bake and launch raise, and GoldbakeError when the job fails or anything is left."""
    record = pipeline.bake(paths, progress, Cloud.LOCAL, agent_wanted="simulated").record
    with SimulatedAzureDevOps(organization="demo") as azdo:
        progress.info(f"a simulated Azure DevOps listens at {azdo.url}")
        request = LaunchRequest(
            organization=azdo.url,
            pat=Secret(azdo.pat),
            pool=POOL,
            artifact=record.artifact,
            ca=azdo.ca_path,
            ttl=_TTL_S,
            local=options,
        )
        began = time.monotonic()
        report = service.launch(paths, progress, request)
        with _removed_in_the_end(paths, progress, report, request):
            timeline = [("asked for", 0.0), *_marks(report)]
            timeline.append((_run_job(azdo, progress), time.monotonic() - began))
            _destroy(paths, progress, report.launch_id, request)
            timeline.append(("destroyed", time.monotonic() - began))
        looked_at = tuple(_nothing_left(paths, azdo, report.launch_id))
    return Demonstration(tuple((what, round(seconds, 2)) for what, seconds in timeline), looked_at)


def _marks(report: LaunchReport) -> Iterator[tuple[str, float]]:
    """The instance's own timeline; its clock starts when its create call begins."""
    (started,) = report.started
    before = max(0.0, report.seconds - started.marks["online"])
    yield from ((what, before + seconds) for what, seconds in sorted(started.marks.items(), key=lambda mark: mark[1]))


def _run_job(azdo: SimulatedAzureDevOps, progress: Progress) -> str:
    """One job in the pool, to its end; returns what the timeline says of it."""
    request = azdo.queue_job(POOL, name="demo", script=JOB)
    deadline = time.monotonic() + _JOB_S
    with progress.stage("job"):
        while (job := azdo.job(request))["state"] != "completed":
            if time.monotonic() > deadline:
                raise GoldbakeError(f"the job is still {job['state']} after {_JOB_S:.0f} s", hint="report this with the lines above")
            time.sleep(0.05)
    if job["result"] != "succeeded":
        raise GoldbakeError(f"the job ended as {job['result']}", hint="report this with the lines above")
    return "job succeeded"


@contextmanager
def _removed_in_the_end(paths: Paths, progress: Progress, report: LaunchReport, request: LaunchRequest) -> Iterator[None]:
    """Whatever ends the block early, the machine goes with it."""
    try:
        yield
    except BaseException:
        _destroy(paths, progress, report.launch_id, request)
        raise


def _destroy(paths: Paths, progress: Progress, launch_id: str, request: LaunchRequest) -> None:
    plan = service.plan_destroy(paths, [Cloud.LOCAL], launch_id)
    service.destroy(paths, progress, plan, request.pat, ca=request.ca).require_nothing_left()


def _nothing_left(paths: Paths, azdo: SimulatedAzureDevOps, launch_id: str) -> Iterator[str]:
    """Look at everything that a launch makes. Raises GoldbakeError naming what is still there."""
    folder = LocalLauncher(paths, LocalOptions()).root
    agents = [agent["name"] for agent in azdo.state()["agents"]]
    found = {
        "processes": [f"{process.pid} ({process.name})" for process in leftovers.processes_of(folder)],
        "mounts": leftovers.mounts_below(folder),
        "control groups": sorted(cgroups.named(f"goldbake-{launch_id}-")),
        "loop devices": leftovers.loop_devices_of(paths.cache / "disks"),
        "files": [str(path) for path in folder.rglob("*")] if folder.exists() else [],
        "journals": [entry.launch_id for entry in service.entries(paths)],
        f"agents in pool {POOL}": agents,
    }
    for where, what in found.items():
        if what:
            raise GoldbakeError(f"the demo left {where}: {', '.join(what)}", hint="./inv reap --yes")
        yield where
