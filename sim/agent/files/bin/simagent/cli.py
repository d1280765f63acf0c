"""The listener's verbs: `configure`, `remove`, `reauth` and, when none is named, `run`."""

from __future__ import annotations

import os

from .console import Console, ask
from .errors import AgentError
from .inputs import Inputs, shown
from .store import Store

SUCCESS, TERMINATED, RETRYABLE, UPDATING, ONCE_UPDATING = range(5)
"""What the listener exits with."""
_VERBS = ("configure", "remove", "reauth", "run")
_MODULES = ("capabilities", "configure", "jobs", "listener", "remove", "rsa", "scripts", "update")


def main(arguments: list[str], folder: str) -> int:
    """Run one verb in the agent's folder and return the exit code. Nothing but a bug leaves it as an exception."""
    os.chdir(folder)
    files = Store(folder)
    console = Console(folder)
    version = files.text("bin/version").strip()
    verb = arguments[0].lower() if arguments and not arguments[0].startswith("-") else "run"
    rest = arguments[1:] if arguments and not arguments[0].startswith("-") else arguments
    console.log(f"Simulated agent {version}, arguments: {shown(arguments)}")
    try:
        os.environ.update(files.environment())
        inputs = Inputs(rest, os.environ, ask)
        console.hide(inputs.secrets)
        if inputs.flag("version") or inputs.flag("commit"):
            return _version(console, version, inputs)
        if inputs.flag("help"):
            console.line(f"Agent.Listener {{{'|'.join(_VERBS)}}} [--NAME VALUE …]; the simulated agent of goldbake, version {version}")
            return SUCCESS
        if verb not in _VERBS:
            console.error(
                f"Unrecognized command-line input arguments: '{verb}'. For usage refer to: .\\config.cmd --help or ./config.sh --help"
            )
            return TERMINATED
        if inputs.unknown:
            console.line(f"Unrecognized command-line input arguments: '{', '.join(inputs.unknown)}'.")
        return _verb(verb, inputs, files, console, version)
    finally:
        console.close()


def _verb(verb: str, inputs: Inputs, files: Store, console: Console, version: str) -> int:
    try:
        if verb == "configure":
            from .configure import configure

            return configure(inputs, files, console, version)
        if verb == "remove":
            from .remove import remove

            return remove(inputs, files, console, version)
        if verb == "reauth":
            from .remove import reauth

            return reauth(inputs, files, console, version)
        from .listener import run

        return run(inputs, files, console, version)
    except (AgentError, OSError, EOFError, KeyError, ValueError) as error:
        console.error(str(error) if isinstance(error, AgentError | EOFError) else f"{type(error).__name__}: {error}")
        return RETRYABLE if verb == "run" else TERMINATED
    except KeyboardInterrupt:
        return TERMINATED


def _version(console: Console, version: str, inputs: Inputs) -> int:
    """The version; every module is loaded first, so that what cannot start shows it here, and Python keeps what it has compiled."""
    import importlib

    for name in _MODULES:
        importlib.import_module(f"{__package__}.{name}")
    console.line(version if inputs.flag("version") else f"simulated-{version}")
    return SUCCESS
