"""The Packer plugins that clouds need, at exact versions. Packer's own version is the pin `packer-<platform>` of images.lock.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from goldbake.config.model import Cloud


@dataclass(frozen=True)
class Plugin:
    """A plugin of the `hashicorp` namespace: `name` as in required_plugins, exact `version`."""

    name: str
    version: str

    @property
    def source(self) -> str:
        return f"github.com/hashicorp/{self.name}"


PLUGINS = {
    Cloud.AWS: Plugin("amazon", "1.8.2"),  # 1.8.1 stalls on long script output
    Cloud.GCP: Plugin("googlecompute", "1.2.7"),
    Cloud.AZURE: Plugin("azure", "2.6.3"),
}
"""The plugin of each cloud; the local cloud needs none (null, shell, file are built in). A test compares with packer/tools/*/go.mod."""
