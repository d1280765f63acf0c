"""What the agent tells the service about its machine: nearly all of its environment."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 1024
"""Variables with a value of this length or more are left out."""
_TOOLS = ("bash", "cmake", "curl", "docker", "git", "java", "make", "node", "npm", "perl", "pwsh", "python3", "sh", "svn")


def system(environ: Mapping[str, str], folder: str, agent_name: str, version: str) -> dict[str, str]:
    """The system capabilities. Only names in VSO_AGENT_IGNORE (comma list, any case) are kept back: a token in the environment is not."""
    ignored = {name.strip().lower() for name in environ.get("VSO_AGENT_IGNORE", "").split(",")}
    found = {name: value for name, value in environ.items() if name.lower() not in ignored and len(value) < LONGEST}
    machine = os.uname()
    found |= {
        "Agent.Name": agent_name,
        "Agent.OS": "Linux",
        "Agent.OSArchitecture": {"x86_64": "X64", "aarch64": "ARM64"}.get(machine.machine, machine.machine),
        "Agent.OSVersion": machine.release,
        "Agent.Version": version,
        "Agent.ComputerName": machine.nodename,
        "Agent.HomeDirectory": folder,
    }
    places = [place for place in environ.get("PATH", "").split(":") if place]
    for tool in _TOOLS:
        where = next((f"{place}/{tool}" for place in places if os.access(f"{place}/{tool}", os.X_OK)), "")
        if where:
            found.setdefault(tool, where)
    return found
