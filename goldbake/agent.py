"""Where the agent in an image comes from, and its tarball when this machine has to hand it over."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from goldbake.config.model import Cloud, Image, Lock
from goldbake.errors import MissingError, UsageError
from goldbake.log import Progress
from goldbake.plan import AgentSource


def choose(wanted: str, image: Image, cloud: Cloud, lock: Lock, progress: Progress) -> AgentSource:
    """`auto`: Microsoft's agent when its hash is pinned; else, on this machine only, the simulated one, said loudly.

    Raises UsageError for a word that is none of auto, microsoft, simulated.
    """
    if wanted == "auto":
        pin = lock.pins.get(f"agent-{image.agent.version}")
        if cloud is not Cloud.LOCAL or (pin is not None and pin.resolved):
            return AgentSource.MICROSOFT
        progress.warn(
            f"agent {image.agent.version} has no pinned hash, so this image gets the SIMULATED agent: "
            f"it can only be used with the simulated service (for the real one: ./inv pin agent-{image.agent.version})"
        )
        return AgentSource.SIMULATED
    try:
        return AgentSource(wanted)
    except ValueError as error:
        raise UsageError(f"there is no agent {wanted!r}", hint="--agent takes auto, microsoft or simulated") from error


def simulated_tarball(version: str) -> bytes:
    """The simulated agent's tarball; the same bytes for the same version."""
    pack = cast(Callable[[str], bytes], importlib.import_module("sim.agent").pack)
    return pack(version)


def simulated_sha256(version: str) -> str:
    """SHA-256 of the simulated agent's tarball."""
    return hashlib.sha256(simulated_tarball(version)).hexdigest()


def local_tarball(url: str) -> Path:
    """The file that a file: URL of images.lock.yaml names; install-agent compares it with the pinned SHA-256.

    Raises MissingError when it is not there.
    """
    path = Path(unquote(urlsplit(url).path))
    if not path.is_file():
        raise MissingError(f"the agent's tarball {path} is not there", hint="copy it there, or write another url into images.lock.yaml")
    return path
