"""The first-boot program's own tables → docs/reference/first-boot.md.

    python -m tests.unit.firstboot.reference

writes it; a test fails when it is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from goldbake.paths import PROJECT

sys.path.insert(0, str(PROJECT / "image-scripts/rootfs/usr/lib/goldbake"))  # under pytest it is there already

from firstboot.explain import ERRORS, PHASES
from firstboot.register import IGNORED
from firstboot.settings import Settings
from firstboot.userdata import KEYS, LIMIT, REQUIRED

PAGE = PROJECT / "docs/reference/first-boot.md"

_HEAD = """\
# First boot

<!-- Generated from image-scripts/rootfs/usr/lib/goldbake/firstboot by `python -m tests.unit.firstboot.reference`; change it there. -->

What turns a machine that was started from a golden image into an online agent: `goldbake-firstboot.service`. It reads the machine's
user-data, asks the service whether organization, PAT and pool are right, looks at the GPUs, calls the agent's own `config.sh`, compares the
result, wipes the PAT and starts `goldbake-agent.service`. On later boots only that service starts.

On the machine:

    goldbake-status                       # where it is, and why it is not online
    goldbake-status --json
    journalctl -u goldbake-firstboot      # what the program and config.sh printed
    journalctl -u goldbake-agent          # what the agent printed
    systemctl restart goldbake-firstboot  # try again, after a failure that is not permanent

From outside: every change of the status is one line `goldbake-status: {json}` on every console of the kernel, hence on the serial console.

## User-data
"""


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def page() -> str:
    """The whole page."""
    settings = Settings()
    lines = [
        _HEAD,
        f'The line `#cloud-config`, then one JSON object `{{"goldbake": {{…}}}}`; at most {LIMIT} bytes. Every other key is refused.',
        "",
    ]
    rows = (
        (f"`{key}`", kind, "required" if key in REQUIRED else f"`{default}`" if default else "", text)
        for key, (kind, default, text) in KEYS.items()
    )
    lines += table(("key", "type", "default", "meaning"), rows)
    lines += [
        "",
        "Sources, the first that has any: a NoCloud folder (`/var/lib/cloud/seed/nocloud/`), then by the firmware's names AWS (IMDSv2), Google Cloud",
    ]
    lines += [
        "(`user-data`), Azure (userData, then custom data), and on any other machine a disk labelled CIDATA. A container only looks into the folder.",
        "",
    ]
    lines += ["## Status", "", "`/var/lib/goldbake/status.json`: JSON, readable by all, without secrets.", ""]
    fields = {
        "phase": "See below.",
        "error, reason, hint": "What is wrong (a class from below), in one line, and what to do. Absent when nothing is.",
        "attempts": "How often the service was asked or config.sh called.",
        "agent": "`id`, `name`, `pool`, `version` of the agent, as far as known.",
        "organization, source": "Whose agent it is; where the user-data came from.",
        "image": "The image's name from its manifest.",
        "boot": "The kernel's id of the boot that wrote this.",
        "boot_seconds": "When initrd and first unit began, in seconds since the kernel started; told once the agent is online.",
        "timings": "Seconds since the kernel started at which each phase was entered first.",
    }
    lines += table(("field", "meaning"), ((f"`{name}`", text) for name, text in fields.items()))
    lines += ["", "### Phases", ""]
    lines += table(("phase", "meaning"), ((f"`{name}`", text) for name, text in PHASES.items()))
    lines += ["", "### Errors", ""]
    lines += [
        "A permanent error ends it at once and wipes the PAT. Any other is tried again with growing pauses "
        f"(for {settings.probe_budget_s:.0f} s, `config.sh` at most {settings.register_attempts} times, each at most "
        f"{settings.register_s:.0f} s; Retry-After is honoured); after that the user-data stays for another try. The exit code is that of "
        "goldbake-firstboot; the unit takes all but 1 for success, so that the boot reaches `running`.",
        "",
    ]
    rows = (
        (f"`{name}`", str(found.code), "yes" if found.permanent else "no", found.meaning, found.cause, found.fix)
        for name, found in ERRORS.items()
    )
    lines += table(("error", "exit", "permanent", "meaning", "cause", "fix"), rows)
    lines += ["", "## What a job sees", ""]
    lines += [f"`PATH` is `{settings.agent_path}`. Labels and, on a machine with GPUs, `GPU_NAME`, `GPU_COUNT`, `GPU_MEMORY_MIB` and"]
    lines += ["`NVIDIA_DRIVER_VERSION` are in its environment and are capabilities of the agent, to be used as demands. Not capabilities:"]
    lines += [", ".join(f"`{name}`" for name in IGNORED) + "."]
    return "\n".join(lines) + "\n"


def main(path: Path = PAGE) -> None:
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
