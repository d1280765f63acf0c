"""The agent packages that the service offers for download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sim.azdo.agents import version_document
from sim.azdo.clock import stamp


@dataclass(frozen=True)
class Package:
    """One version of the agent for one platform."""

    version: str
    platform: str
    content: bytes
    created: float
    type: str = "agent"
    hashed: bool = True

    @property
    def filename(self) -> str:
        """Its name in a folder."""
        return f"vsts-agent-{self.platform}-{self.version}.tar.gz"

    def document(self, origin: str) -> dict[str, Any]:
        """This package as a PackageMetadata, with addresses below `origin`."""
        document = {
            "type": self.type,
            "platform": self.platform,
            "createdOn": stamp(self.created),
            "version": version_document(self.version),
            "downloadUrl": f"{origin}/_packages/{self.filename}",
            "infoUrl": f"{origin}/_packages/{self.filename}.html",
            "filename": self.filename,
        }
        if self.hashed:
            document["hashValue"] = hashlib.sha256(self.content).hexdigest()
        return document


class Packages:
    """All packages, newest version first."""

    def __init__(self) -> None:
        self._all: list[Package] = []

    def add(self, package: Package) -> None:
        """Offer a package; one of the same version and platform is replaced."""
        self._all = [known for known in self._all if (known.version, known.platform) != (package.version, package.platform)]
        self._all.append(package)
        self._all.sort(key=lambda known: tuple(version_document(known.version).values()), reverse=True)

    def of(self, kind: str, platform: str | None, version: str | None = None) -> list[Package]:
        """The packages of a type, for a platform when one is named, of a version when one is named."""
        return [
            package
            for package in self._all
            if package.type == kind and platform in (None, package.platform) and version in (None, package.version)
        ]

    def named(self, filename: str) -> Package | None:
        """The package of this file name, or None."""
        return next((package for package in self._all if package.filename == filename), None)
