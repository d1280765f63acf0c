"""The apt sources of an image follow the host's own mirror where it fits."""

from pathlib import Path

import pytest

from goldbake.config.model import Os
from goldbake.local import sources

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://other.example/tool
Suites: nodistro
Components: main
"""
ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main # trailing
"""


def host(root: Path, release: str = "ID=debian\nVERSION_CODENAME=bookworm\n", deb822: str = "", one_line: str = "") -> Path:
    (root / "etc/apt/sources.list.d").mkdir(parents=True)
    (root / "etc/os-release").write_text(release)
    (root / "etc/apt/sources.list.d/debian.sources").write_text(deb822)
    (root / "etc/apt/sources.list").write_text(one_line)
    return root


def test_deb822_sources_are_read_and_foreign_or_disabled_ones_left_out(tmp_path: Path) -> None:
    found = sources.of_host(Os.DEBIAN_12, host(tmp_path, deb822=DEB822))
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]


def test_one_line_sources_are_read(tmp_path: Path) -> None:
    found = sources.of_host(Os.DEBIAN_12, host(tmp_path, one_line=ONE_LINE))
    assert [source.suite for source in found] == ["bookworm", "bookworm-security"]


def test_another_release_of_the_same_distribution_is_translated(tmp_path: Path) -> None:
    found = sources.of_host(Os.DEBIAN_13, host(tmp_path, deb822=DEB822))
    assert {source.suite for source in found} == {"trixie", "trixie-updates", "trixie-security"}


@pytest.mark.parametrize("release", ["ID=ubuntu\nVERSION_CODENAME=noble\n", "", "ID=debian\n"])
def test_a_host_that_does_not_fit_leaves_the_public_sources(tmp_path: Path, release: str) -> None:
    assert sources.of_host(Os.DEBIAN_12, host(tmp_path, release, deb822=DEB822)) == sources.public(Os.DEBIAN_12)


def test_the_text_widens_the_components_and_names_the_keyring() -> None:
    text = sources.text(Os.DEBIAN_12, sources.public(Os.DEBIAN_12))
    assert text.splitlines()[0] == (
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main contrib non-free non-free-firmware"
    )
