"""An image of a few hundred kilobytes with the disk layout of a real one: its only program says what first boot says, and waits to be stopped.

With it a test of the launcher starts machines in a fraction of a second, needs no bake, and no service.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from goldbake import proc
from goldbake.config.model import Cloud
from goldbake.local.disk import MIB, ROOT_START_MIB
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records, Stat, sha256_of
from launch.agents import AgentState

_INIT = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>

static void say(const char *phase, const char *more) {
    char line[512];
    int n = snprintf(line, sizeof line, "\r\ngoldbake-status: {\"phase\": \"%s\", \"timings\": {\"%s\": 0.01}%s}\r\n", phase, phase, more);
    int console = open("/dev/console", O_WRONLY | O_NOCTTY);
    if (console >= 0) { write(console, line, n); close(console); }
}

static void stop(int signum) { _exit(0); }

int main(int argc, char **argv) {
    const char *seed = "/var/lib/cloud/seed/nocloud/user-data";
    signal(SIGRTMIN + 3, stop);
    signal(SIGTERM, stop);
    if (access("/etc/broken", F_OK) == 0) return 3;
    say("started", "");
    if (access("/etc/refused", F_OK) == 0) { say("failed", ", \"error\": \"auth\", \"reason\": \"no\", \"hint\": \"a new one\""); for (;;) pause(); }
    if (access("/etc/leaves-the-seed", F_OK) != 0) { unlink(seed); unlink("/var/lib/cloud/seed/nocloud/meta-data"); }
    int mark = open("/online", O_CREAT | O_WRONLY, 0644);
    close(mark);
    say("online", "");
    /* what a container is full of: children that do not end by themselves */
    if (fork() == 0) { setsid(); for (;;) pause(); }
    for (;;) pause();
}
"""


def make(paths: Paths, *, name: str = "tiny", files: Mapping[str, str] | None = None) -> ImageRecord:
    """Build and record the image; `files` are further files in it, which change how its program behaves."""
    work = paths.cache / f"tiny-{name}"
    root = work / "root"
    for folder in ("sbin", "etc", "dev", "proc", "sys", "run", "tmp", "usr/lib", "var/lib/cloud/seed/nocloud", "root"):
        (root / folder).mkdir(parents=True)
    (work / "init.c").write_text(_INIT)
    proc.run(["gcc", "-static", "-O1", "-w", "-o", root / "sbin/init", work / "init.c"])
    (root / "usr/lib/os-release").write_text("ID=tiny\n")
    for path, text in (files or {}).items():
        (root / path).write_text(text)
    raw, artifact = work / "disk.raw", paths.artifacts / f"{name}.qcow2"
    artifact.parent.mkdir(parents=True, exist_ok=True)
    with raw.open("wb") as file:
        file.truncate((ROOT_START_MIB + 8) * MIB)
    proc.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={ROOT_START_MIB * MIB}", "-d", root, raw, "7M"])
    proc.run(["qemu-img", "convert", "-O", "qcow2", raw, artifact])
    record = ImageRecord(
        image=name,
        cloud=Cloud.LOCAL,
        artifact=str(artifact),
        sha256=sha256_of(artifact),
        size_bytes=artifact.stat().st_size,
        fingerprint=name.encode().hex() * 8,
        agent="simulated",
        versions={},
        seconds={},
        checks=Checks(passed=1, failed=0, digest=""),
        created=datetime.datetime.now(datetime.UTC).isoformat(),
        manifest="",
        stat=Stat.of(artifact),
    )
    Records(paths.records).add(record)
    return record


class MarkedAgents:
    """A `launch.agents.Directory`: an agent is there once its container has written its mark, and online as long as that runs."""

    simulated = True

    def __init__(self, instances: Path) -> None:
        self._instances = instances
        self._removed: set[str] = set()

    def pool(self, name: str, *, create: bool) -> int:
        return 1

    def agents(self, pool_id: int) -> Mapping[str, AgentState]:
        found = {}
        for mark in self._instances.glob("*/*/upper/online"):
            note = json.loads((mark.parent.parent / "instance.json").read_text())
            name = f"goldbake-{note['tags']['goldbake-launch']}-{note['number']}"
            found[name] = AgentState(1, name, online=True, busy=False)
        return found

    def remove(self, pool_id: int, agent_id: int) -> None:
        raise AssertionError("its machine is gone, and the mark with it")
