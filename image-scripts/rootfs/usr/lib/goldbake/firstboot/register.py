"""Registration by the agent's own config.sh, and the look at what it left."""

from __future__ import annotations

import json
import os
import re

from . import TYPE_CHECKING
from .errors import Problem
from .run import run

if TYPE_CHECKING:
    from typing import Any

    from .settings import Settings
    from .userdata import Input

IGNORED = (
    "VSTS_AGENT_INPUT_TOKEN", "VSO_AGENT_IGNORE", "AZP_AGENT_DOWNGRADE_DISABLED", "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID", "LISTEN_PID", "LISTEN_FDS", "MAINPID", "MANAGERPID", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "SHLVL", "_", "OLDPWD",
)  # fmt: skip
"""Variables that are there for us or for systemd, and are no capability of the machine."""

LEFT = (
    ".agent",
    ".credentials",
    ".credentials_rsaparams",
    ".credentials_migrated",
    ".proxy",
    ".proxycredentials",
    ".certificates",
    ".service",
)
"""What config.sh writes; half of it is worse than nothing: it would reuse a key file that was not finished."""

_WORDS = (
    ("auth", r"VS30063|TF400813|not authorized|Unauthorized|InvalidCredential"),
    ("permission", r"Access denied|needs Manage permissions|AccessDenied"),
    ("pool", r"Agent pool not found"),
    ("clock", r"Current server time is|LocalClockSkewed|clock"),
)


class Registered:
    """The agent as config.sh left it."""

    def __init__(self, agent_id: int, name: str, pool: str) -> None:
        self.agent_id = agent_id
        self.name = name
        self.pool = pool


def is_registered(settings: Settings) -> bool:
    """config.sh saves this file last."""
    return os.path.exists(f"{settings.agent_root}/.agent")


def command(settings: Settings, given: Input, name: str, ca: str) -> list[str]:
    """config.sh and its arguments; the PAT is not among them."""
    found = [
        "./config.sh",
        "--unattended",
        "--auth",
        "pat",
        "--replace",
        "--url",
        given.url,
        "--pool",
        given.pool,
        "--agent",
        name,
        "--work",
        given.work,
    ]
    found += ["--proxyurl", given.proxy] if given.proxy else []
    found += ["--sslcacert", ca] if ca else []
    return found


def environment(settings: Settings, given: Input) -> dict[str, str]:
    """All that config.sh sees. It reads the token at its start and takes it out of its own environment."""
    return {
        "PATH": settings.agent_path,
        "HOME": settings.agent_home,
        "USER": settings.agent_user or "agent",
        "LOGNAME": settings.agent_user or "agent",
        "LANG": "C.UTF-8",
        "VSO_AGENT_IGNORE": ",".join(IGNORED),
        "VSTS_AGENT_INPUT_TOKEN": given.pat,
    }


def register(settings: Settings, given: Input, name: str, labels: dict[str, str], ca: str) -> None:
    """One run of config.sh. Raises Problem: what its words mean, or `register`."""
    forget(settings)
    write_environment(settings, labels)
    done = run(
        command(settings, given, name, ca),
        settings.register_s,
        env=environment(settings, given),
        cwd=settings.agent_root,
        user=settings.agent_user,
    )
    for line in done.lines:
        print(f"config.sh: {line.replace(given.pat, '***')}", flush=True)
    if done.code is None:
        raise Problem("register", f"config.sh did not end within {settings.register_s:.0f} s")
    if done.code == 127 and not done.lines:
        raise Problem("register", "config.sh cannot be started")
    if done.code != 0:
        last = done.lines[-1].replace(given.pat, "***")[:200] if done.lines else "it says nothing"
        for kind, words in _WORDS:
            if re.search(words, done.output, re.IGNORECASE):
                raise Problem(kind, f"config.sh failed: {last}")
        raise Problem("register", f"config.sh failed with {done.code}: {last}")


def verify(settings: Settings, given: Input | None, name: str) -> Registered:
    """What config.sh left is whole and without the PAT. Raises Problem (credentials, register) and then leaves nothing of it."""
    try:
        found = _load(f"{settings.agent_root}/.agent")
        credentials = _load(f"{settings.agent_root}/.credentials")
        _load(f"{settings.agent_root}/.credentials_rsaparams")
        agent_id = found.get("agentId")
        if not isinstance(agent_id, int) or not found.get("agentName") or (given is not None and found["agentName"] != name):
            raise Problem("register", "config.sh left the settings of another agent")
        if credentials.get("scheme") != "OAuth" or (given is not None and given.pat in _text(f"{settings.agent_root}/.credentials")):
            raise Problem("credentials", "the service gave the agent no key of its own")
    except Problem:
        forget(settings)
        raise
    return Registered(agent_id, str(found["agentName"]), str(found.get("poolName") or (given.pool if given else "")))


def persist(settings: Settings) -> None:
    """Have the registration on the disk before its PAT goes: config.sh leaves that to the kernel, and a power cut would leave neither."""
    for name in (".agent", ".credentials", ".credentials_rsaparams", ".env", ".path", "."):
        path = f"{settings.agent_root}/{name}"
        if os.path.exists(path):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def write_environment(settings: Settings, labels: dict[str, str]) -> None:
    """`.env`, which the agent takes into its environment at every start; what is in the environment is a capability."""
    lines = {"AZP_AGENT_DOWNGRADE_DISABLED": "true", "VSO_AGENT_IGNORE": ",".join(IGNORED), **labels}
    path = f"{settings.agent_root}/.env"
    _remove(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(f"{name}={value}\n" for name, value in lines.items()))
    if settings.agent_user is not None:
        import pwd

        entry = pwd.getpwnam(settings.agent_user)
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def forget(settings: Settings) -> None:
    """Remove what an earlier, killed or failed registration left on this machine."""
    from .wipe import overwrite

    for name in LEFT:
        path = f"{settings.agent_root}/{name}"
        if os.path.lexists(path):
            overwrite(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _text(path: str) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.read()


def _load(path: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except OSError as error:
        raise Problem("register", f"config.sh left no {os.path.basename(path)}: {error.strerror}") from None
    except ValueError:
        raise Problem("register", f"config.sh left a broken {os.path.basename(path)}") from None
    if not isinstance(found, dict):
        raise Problem("register", f"config.sh left a broken {os.path.basename(path)}")
    return found
