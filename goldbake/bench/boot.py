"""From a machine's start to its agent online: the golden image against provisioning at first boot, and against a stock image's SSH server.

All in one run on one machine; each figure is a median but that of provisioning, which takes minutes. The simulated service and agent stand
at the end of both ways, so that what differs is the image and nothing else.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from goldbake import bake as pipeline
from goldbake import toolchain
from goldbake.agent import simulated_tarball
from goldbake.bench import stock
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError
from goldbake.images.local import require_root
from goldbake.local import cgroups, container, leftovers, network
from goldbake.local.layers import Layers
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import BakePlan
from goldbake.records import ImageRecord
from goldbake.secret import Secret
from launch import service
from launch.base import Instance
from launch.local import Engine, LocalLauncher, LocalOptions
from launch.service import LaunchRequest
from launch.watch import last_lines, statuses
from sim.azdo import SimulatedAzureDevOps

T = TypeVar("T")

SCRIPT = Path(__file__).with_name("provision_at_boot.sh")
POOL = "Default"
_PROVISION_S = 1800.0
_TOLD_S = 60.0
_UNIT = """\
[Unit]
Description=The old way
After=basic.target

[Service]
ExecStart=/bin/bash /run/provision/provision.sh {arguments}
StandardOutput=append:/run/provision/output
StandardError=inherit

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class _Golden:
    """The medians of golden launches, and of the spans that they are made of."""

    seconds: float
    spans: dict[str, float]


def measure(paths: Paths, progress: Progress, rounds: int = 3) -> dict[str, Any]:
    """Seconds and ratios of the outer contract; `where` has the spans of the golden machine. Raises what bake and launch raise."""
    require_root()
    record = pipeline.bake(paths, progress, Cloud.LOCAL, agent_wanted="simulated").record
    plan, lock = pipeline.planned(paths, progress, Cloud.LOCAL, record.image, "simulated")
    base = Layers(paths.layers).root(plan.base)
    work = paths.work / "bench-boot"
    leftovers.sweep(work)
    work.mkdir(parents=True)
    try:
        with SimulatedAzureDevOps(organization="bench") as azdo:
            machines = _golden(paths, progress, azdo, record, Engine.VM, rounds)
            with progress.stage("stock image"):
                raw = stock.make(plan, base, work, progress)
            ssh = _median(rounds, lambda number: _said(progress, f"stock {number}", lambda: stock.seconds_to_ssh(raw, work)))
            containers = _golden(paths, progress, azdo, record, Engine.CONTAINER, rounds)
            toolkit = toolchain.toolkit(plan.image.toolkit.version, lock, paths, progress)
            provisioned = _provision(plan, base, toolkit, work / "old", azdo, progress)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {
        "container": {"golden_s": containers.seconds, "provisioned_s": provisioned, "ratio": containers.seconds / provisioned},
        "vm": {"golden_s": machines.seconds, "stock_ssh_s": ssh, "ratio": machines.seconds / ssh},
        "where": {"container": containers.spans, "vm": machines.spans},
    }


def _golden(paths: Paths, progress: Progress, azdo: SimulatedAzureDevOps, record: ImageRecord, engine: Engine, rounds: int) -> _Golden:
    """Launch one instance and remove it, `rounds` times."""
    request = LaunchRequest(
        organization=azdo.url, pat=Secret(azdo.pat), pool=POOL, artifact=record.artifact, ca=azdo.ca_path, local=LocalOptions(engine=engine)
    )
    launcher = LocalLauncher(paths, request.local)
    online: list[float] = []
    spans: list[dict[str, float]] = []
    for _ in range(rounds):
        found = service.launch(paths, progress, request)
        (started,) = found.started
        online.append(started.marks["online"])
        spans.append(_spans(started.marks, _last_status(launcher, started.instance, engine)))
        plan = service.plan_destroy(paths, [Cloud.LOCAL], found.launch_id)
        service.destroy(paths, progress, plan, request.pat, ca=request.ca).require_nothing_left()
    return _Golden(statistics.median(online), {name: round(statistics.median(span[name] for span in spans), 3) for name in spans[0]})


def _last_status(launcher: LocalLauncher, instance: Instance, engine: Engine) -> dict[str, Any]:
    """What first boot said last; a VM tells how long its kernel took a moment after it is online."""
    deadline = time.monotonic() + _TOLD_S
    while True:
        last = statuses(launcher.console(instance))[-1]
        if last["phase"] == "online" and (engine is Engine.CONTAINER or "boot_seconds" in last):
            return last
        if time.monotonic() > deadline:
            raise GoldbakeError(f"{instance.id} does not tell how long its kernel took", hint="report this with its console")
        time.sleep(0.1)


def _spans(marks: dict[str, float], status: dict[str, Any]) -> dict[str, float]:
    """Where the time from the create call to the agent online went."""
    timings, boot = status["timings"], status.get("boot_seconds", {})
    userspace = boot.get("userspace", 0.0)
    return {
        "engine and firmware": marks["kernel"],
        "kernel": boot.get("initrd", userspace),
        "initramfs": userspace - boot.get("initrd", userspace),
        "units": timings["started"] - userspace,
        "user-data and probe": timings["register"] - timings["started"],
        "registration": timings["verify"] - timings["register"],
        "PAT wiped": timings["start"] - timings["verify"],
        "agent's start": timings["online"] - timings["start"],
    }


def _provision(plan: BakePlan, base: Path, toolkit: Path, work: Path, azdo: SimulatedAzureDevOps, progress: Progress) -> float:
    """A container of the base layer that makes itself an agent at its first boot; seconds from its start to its agent online."""
    files, name = work / "files", work.name
    group, netns = f"goldbake-bench-{name}", work / "network" / "namespace"
    work.mkdir()
    netns.parent.mkdir()
    shutil.copytree(toolkit, files / "toolkit")
    (files / "agent.tar.gz").write_bytes(simulated_tarball(plan.image.agent.version))
    (files / "ca.pem").write_text(azdo.ca_pem)
    (files / "token").write_text(azdo.pat)
    (files / "provision.sh").write_bytes(SCRIPT.read_bytes())
    url = azdo.url.replace("127.0.0.1", network.HOST)
    words = (plan.image.driver.version, plan.image.docker.version, url, POOL, name)
    with container.overlay([base], work / "upper", work) as root:
        (root / "etc/systemd/system/provision.service").write_text(_UNIT.format(arguments=" ".join(words)))
        (root / "etc/systemd/system/multi-user.target.wants/provision.service").symlink_to("/etc/systemd/system/provision.service")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").write_text(f"nameserver {network.DNS}\n")
        network.make_namespace(netns)
        try:
            started = time.monotonic()
            network.connect(netns, work / "slirp.log", host_loopback=True)
            container.start(
                root, work, name=group, network=netns, binds=[f"{files}:/run/provision"],
                arguments=["systemd.mask=systemd-networkd.service", "systemd.mask=systemd-resolved.service"], groups=cgroups.make(group),
            )  # fmt: skip
            _said(progress, f"provision {name}", lambda: _wait_until_online(azdo, name, files / "output", progress))
            return time.monotonic() - started
        finally:
            leftovers.end_processes_of(work, lambda: cgroups.processes(group))
            leftovers.unmount_below(netns.parent)
            cgroups.remove(group)


def _wait_until_online(azdo: SimulatedAzureDevOps, name: str, output: Path, progress: Progress) -> None:
    deadline = time.monotonic() + _PROVISION_S
    while time.monotonic() < deadline:
        if any(agent["name"] == name and agent["status"] == "online" for agent in azdo.state()["agents"]):
            return
        lines = output.read_text(errors="replace").splitlines() if output.exists() else []
        if failed := next((line for line in lines if "provisioning failed" in line), ""):
            ends = last_lines("\n".join(lines), 12)
            raise GoldbakeError(f"the machine provisioned the old way: {failed}; it said last:\n{ends}", hint=f"see {SCRIPT}")
        progress.detail(f"provision {name}", next((line for line in reversed(lines) if line.strip()), ""))
        time.sleep(0.1)
    raise GoldbakeError(f"the machine provisioned the old way has no agent after {_PROVISION_S:.0f} s", hint=f"what it said: {output}")


def _median(rounds: int, once: Callable[[int], float]) -> float:
    return statistics.median(once(number) for number in range(1, rounds + 1))


def _said(progress: Progress, stage: str, work: Callable[[], T]) -> T:
    with progress.stage(stage):
        return work()
