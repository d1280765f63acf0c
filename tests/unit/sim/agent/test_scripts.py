"""The name of the service, held against systemd-escape."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.agent.files.bin.simagent.scripts import LONGEST_NAME, escape_path, service_name

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="/"), min_size=1, max_size=60)


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is not installed")
@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=30), min_size=20, max_size=40))
def test_names_are_escaped_as_systemd_does(names: list[str]) -> None:
    paths = [f"v{name}" for name in names if not any(part in {".", ".."} for part in f"v{name}".split("/"))]
    done = subprocess.run(["systemd-escape", "--path", "--", *paths], capture_output=True, text=True, check=True)
    assert [escape_path(path) for path in paths] == done.stdout.split()


@pytest.mark.parametrize(
    ("path", "escaped"), [("/", "-"), (".hidden", r"\x2ehidden"), ("a-b", r"a\x2db"), ("a b", r"a\x20b"), ("/a//b/", "a-b")]
)
def test_unusual_paths(path: str, escaped: str) -> None:
    assert escape_path(path) == escaped


@pytest.mark.parametrize(
    ("url", "organization"),
    [("https://dev.azure.com/demo", "demo"), ("https://demo.visualstudio.com", "demo"), ("https://tfs.example.com/tfs/collection", "tfs")],
)
def test_organization_is_in_the_name(url: str, organization: str) -> None:
    assert service_name(url, "P", "A") == f"vsts.agent.{organization}.P.A.service"


@given(organization=st.text("abcXYZ019-_.", min_size=1, max_size=60), pool=NAMES, agent=NAMES)
def test_name_is_at_most_80_characters_before_it_is_escaped(organization: str, pool: str, agent: str) -> None:
    name = service_name(f"https://dev.azure.com/{organization}", pool, agent)
    plain = name.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
    assert len(plain) <= LONGEST_NAME
    assert name.endswith(".service")
