"""The Azure Pipelines agent is unpacked, can start, and has never been configured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from facts import Facts

pytestmark = pytest.mark.image

_COMMON = ("libkrb5-3", "zlib1g", "ca-certificates", "curl", "git", "iputils-ping", "libc-bin")
DEPENDENCIES = {
    "debian-12": ("libicu72", "libssl3", "liblttng-ust1", *_COMMON),
    "debian-13": ("libicu76", "libssl3t64", "liblttng-ust1t64", *_COMMON),
    "ubuntu-22.04": ("libicu70", "libssl3", "liblttng-ust1", *_COMMON),
    "ubuntu-24.04": ("libicu74", "libssl3t64", "liblttng-ust1t64", *_COMMON),
}
"""What the agent's own installdependencies.sh would install; that script fails on Debian 12 (azure-pipelines-agent#5161)."""


def test_agent_root_belongs_to_the_agent_user(image: Facts, expected: Mapping[str, Any]) -> None:
    assert image.text("agent_root_owner").split()[0] == expected["agent"]["user"]


def test_agent_root_is_closed_to_others(image: Facts) -> None:
    assert image.text("agent_root_owner").split()[-1] == "750"


def test_agent_is_unpacked(image: Facts) -> None:
    assert image.codes["agent_files"] == 0, image.text("agent_files")


def test_agent_has_the_wanted_version(image: Facts, expected: Mapping[str, Any]) -> None:
    if image.codes["agent_files"] != 0:
        pytest.skip("the agent is not unpacked")
    assert image.text("agent_version") == expected["agent"]["version"]


def test_agent_is_not_configured(image: Facts) -> None:
    """A baked .credentials_rsaparams would give every machine the same private key."""
    assert image.lines("agent_state") == []


def test_agent_has_not_worked(image: Facts) -> None:
    assert image.lines("agent_work") == []


def test_agent_has_no_service_yet(image: Facts) -> None:
    assert image.lines("agent_units") == []


def test_agent_dependencies_are_installed(image: Facts, expected: Mapping[str, Any]) -> None:
    installed = {package.name for package in image.packages}
    assert [name for name in DEPENDENCIES[expected["os"]] if name not in installed] == []


def test_libicu_is_found_by_the_linker(image: Facts) -> None:
    """config.sh asks ldconfig and refuses to start without it."""
    assert [name for name in image.lines("libraries") if re.match(r"libicuuc\.so", name)] != []


def test_agent_libraries_resolve(image: Facts) -> None:
    """config.sh runs ldd over bin/*.so and refuses to start when one is missing."""
    assert image.lines("agent_libraries") == []


def test_agent_safety_switches_are_set_nowhere(image: Facts) -> None:
    """AGENT_ALLOW_RUNASROOT and VSS_ALLOW_UNSAFE_BASICAUTH."""
    assert image.lines("agent_switches") == []


def test_agent_user_is_not_an_administrator(image: Facts) -> None:
    assert image.codes["users"] == 0, image.text("users")
    uid, groups = image.lines("users")
    assert uid != "0"
    assert sorted({"root", "sudo", "adm", "disk", "shadow"} & set(groups.split())) == []


def test_agent_user_may_use_docker(image: Facts) -> None:
    assert "docker" in image.text("users").split()
