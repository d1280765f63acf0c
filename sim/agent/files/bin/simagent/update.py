"""AgentRefresh: the service wants another version, and the agent replaces itself by it, be it newer or older."""

from __future__ import annotations

import os

from .errors import AgentError
from .oauth import guid
from .wire import Url, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .console import Console
    from .service import Session
    from .store import Store

_TRIES = 3
_PLATFORM = "linux-x64"
_SWITCH = "agent.disableupdate"
"""A variable with a dot, which no shell can set."""


class Refused(AgentError):
    """This update is not made."""


def update(
    message: dict[str, Any],
    session: Session,
    pool: int,
    agent: int,
    files: Store,
    console: Console,
    version: str,
    *,
    relaunch: bool,
) -> bool:
    """Fetch the version of an AgentRefresh and start the script that swaps it in; True when the listener has to end for it.

    `relaunch`: the script starts run.sh afterwards, because no service does.
    """
    target = str(message.get("targetVersion") or "")
    if not target or target == version:
        return False
    if os.environ.get(_SWITCH, "").lower() in {"true", "1"}:
        console.line(f"Automatic updates are disabled by {_SWITCH}.")
        return False
    if os.environ.get("AZP_AGENT_DOWNGRADE_DISABLED", "").lower() in {"true", "1"} and _numbers(target) < _numbers(version):
        console.line(f"Agent downgrade is disabled: {target} is older than {version}.")
        _say(session, pool, agent, console, "Agent downgrade disabled.")
        return False
    console.line(f"Agent update in progress: {version} to {target}.")
    try:
        package = _package(session, target)
        _say(session, pool, agent, console, "Downloading agent package.")
        folder = _download(package, session, files)
        script = _script(files, folder, version, target, relaunch)
    except (AgentError, OSError) as error:
        console.error(f"The update to {target} failed: {error}")
        _say(session, pool, agent, console, "The update failed.")
        return False
    _say(session, pool, agent, console, "Restarting agent.")
    import subprocess

    with open(f"{files.folder}/_diag/SelfUpdate-{target}.log", "ab") as log:
        subprocess.Popen(["bash", script], cwd=files.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return True


def _package(session: Session, version: str) -> dict[str, Any]:
    found = session.call("GET", session.url("packages", packageType="agent", platform=_PLATFORM, version=version))
    package: dict[str, Any] = found["value"][0] if found.get("value") else found
    if not package.get("downloadUrl"):
        raise Refused(f"there is no package of version {version} for {_PLATFORM}")
    if not package.get("hashValue"):
        raise Refused("its package has no hash")
    return package


def _download(package: dict[str, Any], session: Session, files: Store) -> str:
    """The unpacked package. Raises AgentError when three attempts bring nothing with the right hash."""
    import hashlib
    import io
    import shutil
    import tarfile

    folder = f"{files.folder}/{files.settings().get('workFolder', '_work')}/_update"
    why = ""
    for _ in range(_TRIES):
        try:
            content = session.download(Url(str(package["downloadUrl"])))
        except AgentError as error:
            why = str(error)
            continue
        if hashlib.sha256(content).hexdigest() != str(package["hashValue"]).lower():
            why = "its SHA-256 is not the one that the service named"
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder)  # its hash was checked
        return folder
    raise Refused(why)


def _script(files: Store, folder: str, old: str, new: str, relaunch: bool) -> str:
    """Write the script that waits for this process to end and then puts the new folders in the place of the old."""
    path = f"{os.path.dirname(folder)}/_update.sh"
    text = files.text("bin/update.sh.template")
    quoted = {name: "'" + value.replace("'", "'\\''") + "'" for name, value in (("Root", files.folder), ("New", folder))}
    for name, value in {
        **quoted,
        "OldVersion": old,
        "NewVersion": new,
        "Pid": str(os.getpid()),
        "Relaunch": "1" if relaunch else "",
        "Id": guid(),
    }.items():
        text = text.replace("{{" + name + "}}", value)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path


def _say(session: Session, pool: int, agent: int, console: Console, state: str) -> None:
    try:
        session.call("PUT", session.url("updates", f"currentState={quote(state)}", poolId=pool, agentId=agent))
    except AgentError as error:
        console.log(f"the progress of the update was not told: {error}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
