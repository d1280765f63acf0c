"""The apt sources of a root file system: this machine's own mirror where it fits, else the distribution's public one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from goldbake.config.model import Os

COMPONENTS = {"debian": ("main", "contrib", "non-free", "non-free-firmware"), "ubuntu": ("main", "restricted", "universe")}
"""What a GPU image needs of each distribution: drivers and firmware are outside `main`."""

_PUBLIC = {
    "debian": (("http://deb.debian.org/debian", ("", "-updates")), ("http://deb.debian.org/debian-security", ("-security",))),
    "ubuntu": (("http://archive.ubuntu.com/ubuntu", ("", "-updates", "-security")),),
}
_KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}


@dataclass(frozen=True)
class Source:
    """One repository and one of its suites."""

    uri: str
    suite: str

    def line(self, components: Iterable[str], keyring: str) -> str:
        """The one-line form of sources.list."""
        return f"deb [signed-by={keyring}] {self.uri} {self.suite} {' '.join(components)}"


def public(os: Os) -> tuple[Source, ...]:
    """The distribution's public sources: what a finished image keeps."""
    return tuple(Source(uri, os.codename + suffix) for uri, suffixes in _PUBLIC[os.distribution] for suffix in suffixes)


def of_host(os: Os, root: Path = Path("/")) -> tuple[Source, ...]:
    """This machine's own sources translated to `os`, or the public ones when it runs another distribution."""
    release = _release(root / "etc/os-release")
    if release.get("ID") != os.distribution or not release.get("VERSION_CODENAME"):
        return public(os)
    codename = release["VERSION_CODENAME"]
    found = dict.fromkeys(
        Source(source.uri, os.codename + source.suite.removeprefix(codename))
        for source in _host_sources(root)
        if source.suite == codename or source.suite.startswith((codename + "-updates", codename + "-security"))
    )
    return tuple(found) or public(os)


def text(os: Os, sources: Iterable[Source]) -> str:
    """A sources.list of `sources` with the components that a GPU image needs."""
    return "".join(source.line(COMPONENTS[os.distribution], _KEYRINGS[os.distribution]) + "\n" for source in sources)


def _release(path: Path) -> Mapping[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {key: value.strip().strip('"') for key, _, value in pairs}


def _host_sources(root: Path) -> Iterator[Source]:
    folder = root / "etc/apt"
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in lists:
        try:
            content = path.read_text()
        except FileNotFoundError:
            continue
        yield from _one_line(content)
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        yield from _deb822(path.read_text())


def _one_line(content: str) -> Iterator[Source]:
    for raw in content.splitlines():
        words = raw.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        if rest and rest[0].startswith("["):
            while rest and not rest[0].endswith("]"):
                rest = rest[1:]
            rest = rest[1:]
        if len(rest) >= 2:
            yield Source(rest[0].rstrip("/"), rest[1])


def _deb822(content: str) -> Iterator[Source]:
    for paragraph in content.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() == "no" or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite)
