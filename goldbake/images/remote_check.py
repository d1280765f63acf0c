"""What the second Packer build of a cloud image runs: the checks, by SSH, on the machine that Packer has started from the image.

    python -m goldbake.images.remote_check --folder FOLDER --markers image,booted --host … --port … --user …

FOLDER holds `key` and `expect.json`, and receives `report.json`. Red checks are in the report; the exit code is about whether they ran.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from goldbake import proc
from goldbake.check import CheckReport, FailedCheck, Target, run_checks
from goldbake.errors import GoldbakeError

EXPECT = "expect.json"
KEY = "key"
REPORT = "report.json"

_KEYSCAN_TRIES = 12
_KEYSCAN_PAUSE_S = 5.0


def main(argv: Sequence[str]) -> int:
    """Run the checks; returns the exit code."""
    parser = argparse.ArgumentParser(prog="goldbake.images.remote_check")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--markers", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    given = parser.parse_args(argv)
    folder: Path = given.folder
    try:
        known = folder / "known_hosts"
        known.write_text(host_keys(given.host, given.port))
        target = Target.ssh(given.host, port=given.port, user=given.user, key=folder / KEY, known_hosts=known)
        expect = json.loads((folder / EXPECT).read_text())
        report = run_checks(target, expect, markers=given.markers.split(","), on_line=lambda line: print(line, flush=True))
    except GoldbakeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    (folder / REPORT).write_text(json.dumps(report.document()))
    return 0


def host_keys(host: str, port: int, *, pause: Callable[[float], None] = time.sleep) -> str:
    """The machine's host keys, as it shows them now: it was made seconds ago and nobody knows them beforehand.

    Raises GoldbakeError when it shows none for a minute.
    """
    for number in range(_KEYSCAN_TRIES):
        if number:
            pause(_KEYSCAN_PAUSE_S)
        keys = proc.run(["ssh-keyscan", "-T", "10", "-p", str(port), host], check=False).stdout
        if keys.strip():
            return keys
    raise GoldbakeError(f"{host} port {port} shows no SSH host key", hint="is the image's SSH server running?")


def read_report(folder: Path) -> CheckReport:
    """The report that `main` has left. Raises GoldbakeError when there is none."""
    try:
        document = json.loads((folder / REPORT).read_text())
    except OSError as error:
        raise GoldbakeError("the checks ended without a report", hint="see what Packer said above") from error
    failed = tuple(FailedCheck(**each) for each in document["failed"])
    return CheckReport(tuple(document["passed"]), failed, tuple(document["skipped"]), document["seconds"], document["digest"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
