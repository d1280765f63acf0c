"""What the image-scripts get from this machine: the toolkit's programs and the agent's tarball, where the image cannot fetch them itself."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from goldbake import agent, toolchain
from goldbake.config.model import Lock
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.plan import AgentSource, BakePlan


def gather(plan: BakePlan, lock: Lock, paths: Paths, progress: Progress, folder: Path, stop: threading.Event) -> Path:
    """Put the files of a bake into the new folder `folder`, and return it. Raises MissingError, ProcessError or DownloadError."""
    folder.mkdir(parents=True)
    if plan.image.toolkit.source == "module":
        programs = toolchain.toolkit(plan.image.toolkit.version, lock, paths, progress, stop=stop)
        shutil.copytree(programs, folder / "toolkit")
    url = plan.variables["GOLDBAKE_AGENT_URL"]
    if plan.agent_source is AgentSource.SIMULATED:
        (folder / "agent.tar.gz").write_bytes(agent.simulated_tarball(plan.image.agent.version))
    elif url.startswith("file:"):
        shutil.copy(agent.local_tarball(url), folder / "agent.tar.gz")
    return folder
