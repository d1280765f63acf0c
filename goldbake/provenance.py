"""manifest.json: from what an image was made, beside the artifact and inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goldbake import proc
from goldbake.errors import ProcessError
from goldbake.plan import BakePlan

IN_IMAGE = "usr/share/goldbake/manifest.json"
AGENT_ROOT = "/opt/azure-pipelines-agent"


def manifest(plan: BakePlan, root: Path, *, project: Path, packer_version: str, sources: str, agent_sha256: str) -> dict[str, Any]:
    """What can be said of a finished tree: inputs with hashes, resolved versions, kernels, tools.

    The copy beside the artifact also has an `outcome` (see `with_outcome`), which is known only after the tree is closed.
    """
    base = {"sources": sources.splitlines(), "fingerprint": plan.base}
    document = inputs(plan, project=project, packer_version=packer_version, base=base, agent_sha256=agent_sha256)
    kernels = sorted(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    return document | {"kernels": kernels, "packages": installed_packages(root)}


def inputs(plan: BakePlan, *, project: Path, packer_version: str, base: Mapping[str, Any], agent_sha256: str) -> dict[str, Any]:
    """The manifest as far as it is known before the bake: kernels and packages are empty, and known only inside.

    A cloud's bake uploads this, and image-scripts/write-manifest.sh fills in the rest there.
    """
    image = plan.image
    return {
        "image": plan.name,
        "cloud": plan.cloud.value,
        "os": image.os.value,
        "fingerprint": plan.fingerprint,
        "layers": {layer.name: layer.fingerprint for layer in plan.layers},
        "git": git_state(project),
        "base": dict(base),
        "packer": packer_version,
        "driver": image.driver.model_dump(mode="json"),
        "docker": image.docker.model_dump(mode="json"),
        "toolkit": image.toolkit.model_dump(mode="json"),
        "agent": {
            "source": plan.agent_source.value,
            "version": image.agent.version,
            "sha256": agent_sha256,
            "root": AGENT_ROOT,
            "user": "agent",
        },
        "kernels": [],
        "variables": dict(plan.variables),
        "packages": {},
    } | ({"secure_boot": True} if plan.signs else {})


def with_outcome(
    inside: Mapping[str, Any], *, artifact_sha256: str, seconds: Mapping[str, float], checks: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The manifest beside the artifact: the one inside, and what became of it."""
    return {**inside, "outcome": {"artifact_sha256": artifact_sha256, "seconds": dict(seconds), "checks": checks}}


def read_inside(beside: Path) -> dict[str, Any]:
    """The manifest inside an artifact, as the one beside it repeats it."""
    document: dict[str, Any] = json.loads(beside.read_text())
    document.pop("outcome", None)
    return document


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write a manifest readable by all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    path.chmod(0o644)


def installed_packages(root: Path) -> dict[str, str]:
    """Name → version of every installed package of a tree, read with this machine's dpkg-query."""
    listing = proc.run(["dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"])
    rows = (line.split("\t") for line in listing.stdout.splitlines())
    return {row[1]: row[2] for row in rows if row[0].startswith("ii") or row[0].startswith("hi")}


def git_state(project: Path) -> dict[str, Any]:
    """Revision of the checkout and whether it has uncommitted changes; empty outside a git checkout."""
    try:
        revision = proc.run(["git", "-C", project, "rev-parse", "HEAD"]).stdout.strip()
        dirty = bool(proc.run(["git", "--no-optional-locks", "-C", project, "status", "--porcelain"]).stdout.strip())
    except ProcessError:
        return {"revision": "", "dirty": True}
    return {"revision": revision, "dirty": dirty}
