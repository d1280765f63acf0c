"""Many instances of a cloud without an account: our launch against the same calls in a bare script, and a reap of what is everywhere.

Both ask one fake of the cloud on loopback, in a process of its own, where an instance is an entry in a table: what differs is what is done besides
the calls.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from goldbake import proc
from goldbake.clouds import tags
from goldbake.config.model import Cloud
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records
from goldbake.secret import Secret
from launch import service
from launch.agents import AgentState
from launch.base import CloudOptions
from launch.registry import launcher_for
from launch.service import LaunchRequest

IMAGE = "bench"


@dataclass(frozen=True)
class Bench:
    """What differs from cloud to cloud."""

    cloud: Cloud
    fake: str
    """The module of the fake, as `tests.fakes.aws`."""
    environment: tuple[str, ...]
    """How the names of all variables begin that the SDK looks at."""
    options: CloudOptions
    base: Callable[[], tuple[str, str]]
    """The artifact of a public image, and the region that its record names."""
    replay: Callable[[Sequence[Mapping[str, Any]]], None]
    """Issue the calls of the fake's log once more, one after the other, with nothing around them."""
    fill: Callable[[Mapping[str, str], int], int]
    """Put so many instances and what belongs to them, with these tags, into each region. Returns how many regions there are."""


def measure(bench: Bench, paths: Paths, progress: Progress, count: int, rounds: int, machines: int) -> dict[str, float]:
    """Seconds, ratios and memory. Our launch and the bare calls take turns; each figure is the median of `rounds`. Each region gets `machines`
    instances before the reap.
    """
    home = Path(tempfile.mkdtemp(prefix=f"bench-{bench.cloud.value}-"))
    trial = Paths(paths.project, home / "cache", home / "state")
    try:
        with _fake(bench, paths.project) as url, progress.stage("bench"):
            record(bench, trial)
            launched(bench, trial, progress, 1)
            one_mib = _peak_mib()
            ours, bare, calls = [], [], []
            for _ in range(rounds):
                _asked(url, "DELETE")
                ours.append(_seconds(lambda: launched(bench, trial, progress, count)))
                calls = _asked(url)
                bare.append(_seconds(partial(bench.replay, calls)))
            many_mib = _peak_mib()
            found = {
                "instances": float(count),
                "calls": float(len(calls)),
                "launch_s": statistics.median(ours),
                "bare_calls_s": statistics.median(bare),
                "ratio": statistics.median(ours) / statistics.median(bare),
                "peak_mib": many_mib,
                "peak_mib_above_one_instance": many_mib - one_mib,
            }
            return found | _reap(bench, trial, progress, machines)
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _NoAgents:
    """A `launch.agents.Directory` in which nothing ever comes online: nobody waits for it."""

    simulated = True

    def pool(self, name: str, *, create: bool) -> int:
        return 1

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        return {}

    def remove(self, pool_id: int, agent_id: int) -> None:
        raise AssertionError("there are no agents")


@contextmanager
def _fake(bench: Bench, project: Path) -> Iterator[str]:
    """The URL of the fake; while the block runs, the SDK finds it in the environment and nothing else."""
    command = [sys.executable, "-m", bench.fake]
    with proc.started(command, cwd=project, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        before = {name: value for name, value in os.environ.items() if name.startswith(bench.environment)}
        try:
            for name in before:
                del os.environ[name]
            os.environ.update(told["environment"])
            yield str(told["url"])
        finally:
            for name in told["environment"]:
                os.environ.pop(name, None)
            os.environ.update(before)


def record(bench: Bench, trial: Paths) -> None:
    """Record a public image as if it had been baked."""
    artifact, region = bench.base()
    record = ImageRecord(
        image=IMAGE, cloud=bench.cloud, artifact=artifact, sha256="0" * 64, size_bytes=8 << 30, fingerprint="0" * 64, agent="simulated",
        versions={}, seconds={}, checks=Checks(passed=1, failed=0, digest=""), created="2026-01-01T00:00:00+00:00", manifest="", region=region,
    )  # fmt: skip
    Records(trial.records).add(record)


def launched(bench: Bench, trial: Paths, progress: Progress, count: int) -> None:
    """Create, list and destroy as the tasks do it."""
    request = LaunchRequest(
        organization="https://127.0.0.1:1/demo", pat=Secret("pat-of-the-bench"), cloud=bench.cloud, image=IMAGE, count=count, wait=False,
        options=bench.options,
    )  # fmt: skip
    report = service.launch(trial, progress, request, directory=nullcontext(_NoAgents()))
    assert len(service.instances(trial, [bench.cloud], launchers={bench.cloud: launcher_for(bench.cloud, trial)})) == count
    plan = service.plan_destroy(trial, [bench.cloud], report.launch_id)
    service.destroy(trial, progress, plan, None, open_directory=lambda _: nullcontext(_NoAgents())).require_nothing_left()


def _reap(bench: Bench, trial: Paths, progress: Progress, machines: int) -> dict[str, float]:
    """Fill every region with what one launch elsewhere left long ago, and reap all of it."""
    regions = bench.fill(tags.of_launch("left-long-ago", IMAGE, 1), machines)
    launchers = {bench.cloud: launcher_for(bench.cloud, trial)}
    began = time.monotonic()
    plan = service.plan_reap(trial, [bench.cloud], launchers=launchers)
    planned = time.monotonic()
    resources = sum(len(doomed.resources) for doomed in plan.launches)
    service.destroy(trial, progress, plan, None, launchers=launchers, cautious=True).require_nothing_left()
    done = time.monotonic()
    assert not service.plan_reap(trial, [bench.cloud], launchers=launchers)
    return {
        "reap_regions": float(regions),
        "reap_resources": float(resources),
        "reap_plan_s": planned - began,
        "reap_s": done - planned,
        "reap_peak_mib": _peak_mib(),
    }


def _asked(url: str, method: str = "GET") -> Any:
    """The log of the fake's calls; with DELETE it begins anew."""
    request = urllib.request.Request(f"{url}/_calls", method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.loads(answer.read())


def _seconds(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
