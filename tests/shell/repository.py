"""Signed apt repositories on loopback, filled with packages that dpkg-deb builds: real package managers, nothing of the publishers."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.keys import Key
from tests.servers import Asked, Server


@dataclass(frozen=True)
class Package:
    """A package to build. `files` by absolute path; what starts with #! becomes a program. `links`: path → target."""

    name: str
    version: str
    depends: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """The fields that name the package, without those of its file."""
        lines = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": "amd64",
            "Maintainer": "nobody <nobody@example.org>",
            "Description": "stand-in",
        }
        if self.depends:
            lines["Depends"] = self.depends
        return "".join(f"{name}: {value}\n" for name, value in {**lines, **self.fields}.items())

    def build(self) -> bytes:
        """The .deb."""
        with TemporaryDirectory(prefix="goldbake-deb.") as made:
            root = Path(made, "root")
            _write(root / "DEBIAN/control", self.control, 0o644)
            if self.conffiles:
                _write(root / "DEBIAN/conffiles", "".join(f"{path}\n" for path in self.conffiles), 0o644)
            for name, text in self.scripts.items():
                _write(root / "DEBIAN" / name, f"#!/bin/sh\nset -e\n{text}\n", 0o755)
            for path, content in self.files.items():
                start = content if isinstance(content, str) else ""
                _write(root / path.lstrip("/"), content, 0o755 if start.startswith("#!") else 0o644)
            for path, target in self.links.items():
                (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                (root / path.lstrip("/")).symlink_to(target)
            deb = Path(made, "package.deb")
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", root, deb], check=True, capture_output=True)
            return deb.read_bytes()


class Pool:
    """Packages that were built already, so that each is built once in a session."""

    def __init__(self) -> None:
        self._built: dict[tuple[str, str, str], bytes] = {}

    def deb(self, package: Package) -> bytes:
        key = (package.name, package.version, repr(package))
        if key not in self._built:
            self._built[key] = package.build()
        return self._built[key]


@dataclass(frozen=True)
class Publisher:
    """Who builds, signs and serves."""

    server: Server
    key: Key
    pool: Pool

    def flat(self, path: str, packages: Iterable[Package], *, key: Key | None = None) -> str:
        """Publish a repository without suites at `path`, as NVIDIA does; returns its URL."""
        index = self._index(path, "", packages)
        self._sign(path, {"Packages": index}, "Suite: \nComponents: \nArchitectures: amd64\n", key)
        return self.server.url + path

    def suite(self, path: str, suite: str, components: Mapping[str, Iterable[Package]], *, key: Key | None = None) -> str:
        """Publish one suite of the repository at `path`, as distributions do; returns the repository's URL."""
        indexes: dict[str, bytes] = {}
        for component, packages in components.items():
            index = self._index(path, f"pool/{suite}/{component}/", packages)
            indexes[f"{component}/binary-amd64/Packages"] = index
        head = f"Suite: {suite}\nCodename: {suite}\nComponents: {' '.join(components)}\nArchitectures: amd64\n"
        self._sign(f"{path}/dists/{suite}", indexes, head, key)
        return self.server.url + path

    def _index(self, path: str, folder: str, packages: Iterable[Package]) -> bytes:
        entries: list[str] = []
        for package in packages:
            deb = self.pool.deb(package)
            # Plain letters only: apt writes + and : in addresses in its own way.
            name = folder + re.sub(r"[^A-Za-z0-9._-]", "_", f"{package.name}_{package.version}_amd64.deb")
            self.server.serve(f"{path}/{name}", deb)
            entries.append(f"{package.control}Filename: {name}\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n")
        return "\n".join(entries).encode()

    def _sign(self, path: str, indexes: Mapping[str, bytes], head: str, key: Key | None) -> None:
        lines: list[str] = []
        for name, index in indexes.items():
            packed = gzip.compress(index, mtime=0)
            for served, content in ((name, index), (f"{name}.gz", packed)):
                self.server.serve(f"{path}/{served}", content)
                lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {served}\n")
        release = f"Origin: stand-in\n{head}Date: Wed, 01 Jan 2020 00:00:00 UTC\nSHA256:\n{''.join(lines)}"
        self.server.serve(f"{path}/InRelease", clearsigned(key or self.key, release.encode()))


def tampered(server: Server, path: str) -> None:
    """Change what is signed in the flat repository at `path`, and leave its signature as it is."""
    release = server.answer(Asked("GET", f"{path}/InRelease", Message())).body
    server.serve(f"{path}/InRelease", release.replace(b"Origin: stand-in", b"Origin: somebody"))


def clearsigned(key: Key, data: bytes) -> bytes:
    """`data` with a signature around it, as InRelease is."""
    return _gpg(key, "--local-user", key.fingerprint, "--clearsign", input=data)


def binary(key: Key) -> bytes:
    """The public key in the form that apt wants in a file called .gpg."""
    return _gpg(key, "--export", key.fingerprint)


def _gpg(key: Key, *arguments: str, input: bytes = b"") -> bytes:
    argv = ["gpg", "--homedir", str(key.home), "--batch", "--no-tty", "--quiet", *arguments]
    return subprocess.run(argv, input=input, check=True, capture_output=True).stdout


def _write(path: Path, content: str | bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
