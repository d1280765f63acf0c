"""Waiting for an agent: the pool says when it is online, the console says how far the machine is and why it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from goldbake.log import Progress
from launch.agents import PoolView
from launch.base import Instance, Launcher

MARK = "goldbake-status: "
"""What first boot prints before each JSON document of its status."""

_REGISTERED = ("start", "verify")
_EXITS: Mapping[str, Exit] = {
    "auth": Exit.MISSING, "permission": Exit.MISSING, "organization": Exit.USAGE, "pool": Exit.USAGE, "input": Exit.USAGE,
}  # fmt: skip
"""Error class of first boot → exit code, where it is not 1."""


class Stopped(Exception):
    """The launch is being given up; this instance is nobody's fault."""


class Timeline:
    """What an instance's console tells: the last status, and when what happened, in seconds since the create call began.

    First boot counts seconds since its kernel started, so that one line is enough to place all of them.
    """

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.marks: dict[str, float] = {}
        self._seen = 0

    def read(self, console: str, now: float) -> None:
        """Take in the console's text as it is `now`."""
        found = statuses(console)
        if not found or (len(found) == self._seen and found[-1] == self.status):
            return  # a cloud keeps only the end of a console: as many lines may be other lines
        self._seen = len(found)
        self.status = found[-1]
        timings = self.status.get("timings")
        phase = self.status.get("phase")
        if not isinstance(timings, dict) or not isinstance(timings.get(phase), int | float):
            return
        # A line is read some time after it was printed: the earliest start that any line allows is the nearest to the truth.
        started = max(0.0, min(now - timings[phase], self.marks.get("kernel", now)))
        self.marks["kernel"] = started
        if isinstance(timings.get("started"), int | float):
            self.marks["first boot"] = started + timings["started"]
        for name in _REGISTERED:
            if isinstance(timings.get(name), int | float):
                self.marks["registered"] = started + timings[name]

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    def rounded(self) -> dict[str, float]:
        """The marks in their order, to the hundredth."""
        return {name: round(seconds, 2) for name, seconds in sorted(self.marks.items(), key=lambda item: item[1])}


def statuses(console: str) -> list[dict[str, Any]]:
    """Every status document on a console. A line that something else was printed into is none."""
    found = []
    decoder = json.JSONDecoder()
    for piece in console.split(MARK)[1:]:
        try:
            document, _ = decoder.raw_decode(piece)
        except ValueError:
            continue
        if isinstance(document, dict) and isinstance(document.get("phase"), str):
            found.append(document)
    return found


def wait_for_agent(
    launcher: Launcher,
    instance: Instance,
    agent: str,
    view: PoolView,
    timeline: Timeline,
    progress: Progress,
    *,
    stage: str,
    began: float,
    timeout: float,
    stop: threading.Event,
    clock: Callable[[], float],
) -> None:
    """Return when the pool shows the agent online. `began` is when the create call began, by `clock`.

    Raises Failure when first boot gives up, the instance dies or `timeout` seconds are over; Stopped when `stop` is set.
    """
    while not stop.is_set():
        now = clock() - began
        console = launcher.console(instance)
        timeline.read(console, now)
        found = view.find(agent)
        if found is not None and found.online:
            now = clock() - began
            timeline.read(launcher.console(instance), now)  # what it printed while the pool was asked
            timeline.marks["online"] = now
            return
        _give_up_early(launcher, instance, timeline)
        if now > timeout:
            raise _too_late(instance, agent, timeline, console, timeout, view.trouble)
        progress.detail(stage, _now(timeline, console))
        stop.wait(launcher.poll_s)
    raise Stopped


def last_lines(console: str, count: int = 1) -> str:
    """The end of a console for people: no empty lines, no escape sequences, indented when it is more than one."""
    clean = ["".join(letter for letter in line if letter.isprintable()) for line in console.replace("\r", "\n").splitlines()]
    lines = [line.strip() for line in clean if line.strip() and MARK not in line][-count:]
    return lines[-1] if lines and count == 1 else "\n".join(f"    {line}" for line in lines)


def _give_up_early(launcher: Launcher, instance: Instance, timeline: Timeline) -> None:
    if timeline.phase == "failed":
        kind = str(timeline.status.get("error", "unknown"))
        reason = str(timeline.status.get("reason", "it does not say why"))
        raise Failure(
            Scope.REQUEST,
            kind,
            f"first boot of {instance.id} failed ({kind}): {reason}",
            hint=str(timeline.status.get("hint") or "see docs/troubleshooting.md for this class"),
            exit_code=_EXITS.get(kind, Exit.FAILED),
        )
    if timeline.phase == "not-configured":
        raise Failure(
            Scope.REQUEST, "not-configured", f"{instance.id} found no user-data", hint="report this with its console", exit_code=Exit.FAILED
        )
    if (death := launcher.death(instance)) is not None:
        raise death


def _too_late(instance: Instance, agent: str, timeline: Timeline, console: str, timeout: float, trouble: str) -> Failure:
    reached = f"it reached the phase {timeline.phase}" if timeline.phase else "first boot said nothing"
    reason = str(timeline.status.get("reason", ""))
    ends = last_lines(console, 5)
    message = f"the agent {agent} was not online after {timeout:.0f} s: {reached}" + (f" ({reason})" if reason else "")
    message += f"; the service could not be asked: {trouble}" if trouble else ""
    message += f"; the console of {instance.id} ends:\n{ends}" if ends else f"; the console of {instance.id} is empty"
    return Failure(Scope.REQUEST, "timeout", message, hint="a slow machine may need --timeout with more seconds", exit_code=Exit.FAILED)


def _now(timeline: Timeline, console: str) -> str:
    if not timeline.phase:
        return last_lines(console)
    reason = timeline.status.get("reason")
    return f"{timeline.phase}: {reason}" if reason else timeline.phase
