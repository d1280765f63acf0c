"""Debian's packer 1.6.6, which has a builder for Azure inside, and our templates without what it does not know.

Azure's plugin cannot be had on every machine that tests; this builder asks Resource Manager for the same things in the same order, but for the lines
named here. It is an instrument of tests: it makes Basic public addresses, which Azure no longer has.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from goldbake import proc, toolchain
from goldbake.config.model import Cloud
from goldbake.config.plugins import PLUGINS
from tests.integration.workshop import Workshop

VERSION = "1.6.6"

ARGUMENTS = frozenset(
    {"client_cert_password", "skip_create_image", "security_type", "vtpm_enabled", "secure_boot_enabled", "storage_account_type"}
)
"""Arguments of azure-arm that this version refuses."""
BLOCKS = frozenset({'dynamic "spot"', "target_region", "validation"})
"""Its `validation` finds every value of the environment wrong."""
FILES = frozenset({"plugins.pkr.hcl"})
"""It has every builder inside, and takes `required_plugins` for an error."""

_ARGUMENT = re.compile(r"\s*([a-z_]+)\s*=")


def reduced(text: str) -> str:
    """The template without the lines of ARGUMENTS and BLOCKS; nothing else is changed, nothing is added."""
    kept: list[str] = []
    depth = 0
    for line in text.splitlines(keepends=True):
        if depth or any(line.strip() == f"{block} {{" for block in BLOCKS):
            depth += line.count("{") - line.count("}")
            continue
        found = _ARGUMENT.match(line)
        if found is None or found[1] not in ARGUMENTS:
            kept.append(line)
    return "".join(kept)


def reduce(folder: Path) -> None:
    """Make the templates of a folder fit."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for file in folder.glob("*.pkr.hcl"):
        file.write_text(reduced(file.read_text()))


def adopt(shop: Workshop, program: Path) -> dict[str, str]:
    """Let a shop bake with this program: its templates are reduced, its lock pins 1.6.6, and it looks for no plugin. Returns what the environment has
    to say.
    """
    templates = shop.project / "packer" / "templates"
    for file in templates.glob("*.j2"):
        file.write_text("" if file.name.removesuffix(".j2") in FILES else reduced(file.read_text()))
    lock = shop.project / "images.lock.yaml"
    data = yaml.safe_load(lock.read_text())
    data["pins"][f"packer-{toolchain.host_platform()}"] = {"version": VERSION}
    lock.write_text(yaml.safe_dump(data))
    shared = shop.home / "cache" / "toolchain"
    real = shared.resolve()
    shared.unlink()
    shared.mkdir()
    for item in real.iterdir():
        if item.name != "plugins":
            (shared / item.name).symlink_to(item)
    plugin = PLUGINS[Cloud.AZURE]
    own = shared / "plugins" / "github.com" / "hashicorp" / plugin.name
    own.mkdir(parents=True)
    (own / f"packer-plugin-{plugin.name}_v{plugin.version}_x5.0_{toolchain.host_platform()}_SHA256SUM").touch()
    return {"PACKER": str(program), "PKR_VAR_managed_image": "on-its-way"}


def unpacked(folder: Path) -> Path:
    """The program, out of Debian's package; nothing is installed. Raises ProcessError where apt has no such package."""
    folder.mkdir(parents=True, exist_ok=True)
    proc.run(["apt-get", "download", "-q", "-o", "Acquire::Retries=3", "packer"], cwd=folder, timeout=300)
    package = next(folder.glob("packer_*.deb"))
    proc.run(["dpkg", "-x", package, folder / "root"], timeout=120)
    package.unlink()
    return folder / "root" / "usr" / "bin" / "packer"
