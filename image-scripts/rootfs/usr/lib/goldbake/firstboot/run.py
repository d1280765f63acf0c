"""Other programs, each with an end that is not theirs to choose."""

from __future__ import annotations

import os
import select
import subprocess
import time

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT = 65536


class Done:
    """How a program ended: `code` is None when it had to be killed, 127 when it could not be started. `output`: the end of what it printed."""

    def __init__(self, code: int | None, output: str) -> None:
        self.code = code
        self.output = output

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.output.splitlines() if line.strip()]


def run(
    command: Sequence[str],
    timeout: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    user: str | None = None,
) -> Done:
    """Run a program and everything that it starts for at most `timeout` seconds; as `user`, with that user's groups, when one is named."""
    changed: dict[str, object] = {}
    if user is not None:
        import grp
        import pwd

        entry = pwd.getpwnam(user)
        groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
        changed = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid, *groups]}
    try:
        child = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            umask=0o077 if user is not None else -1,
            start_new_session=True,
            **changed,
        )
    except OSError as error:
        return Done(127, f"{command[0]}: {error.strerror}")
    with child.stdout:
        output, ended = _collect(child, time.monotonic() + timeout)
    if not ended:
        kill_group(child.pid)
    code = child.wait()
    if ended:
        kill_group(child.pid)  # what it left running in its session
    return Done(code if ended else None, output)


def _collect(child: subprocess.Popen[bytes], deadline: float) -> tuple[str, bool]:
    """What the child prints until it ends; and whether it did so before the deadline. A grandchild that keeps the pipe open does not count."""
    assert child.stdout is not None
    handle = child.stdout.fileno()
    kept = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return kept.decode(errors="replace"), False
        ended = child.poll() is not None  # asked first: what it printed last is in the pipe then
        ready, _, _ = select.select([handle], [], [], 0.0 if ended else min(left, 0.2))
        if ready:
            data = os.read(handle, 8192)
            kept = (kept + data)[-_KEPT:]
            if not data:
                break
        elif ended:
            return kept.decode(errors="replace"), True
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return kept.decode(errors="replace"), False
    return kept.decode(errors="replace"), True


def kill_group(group: int) -> None:
    """End all of a session's first process group."""
    try:
        os.killpg(group, 9)
    except (ProcessLookupError, PermissionError):
        pass
