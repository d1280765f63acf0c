"""The container toolkit is complete, in one version, and bakes nothing that belongs to one machine."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from facts import Facts

pytestmark = pytest.mark.image

PROGRAMS = {"nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-cdi-hook"}


def test_toolkit_is_complete(image: Facts) -> None:
    assert sorted(PROGRAMS - {path.rpartition("/")[2] for path in image.lines("programs")}) == []


def test_toolkit_has_the_wanted_version(image: Facts, expected: Mapping[str, Any]) -> None:
    wanted = expected["toolkit"]["version"]
    versions = {row[0]: " ".join(row[1:]) for row in image.table("toolkit_versions")}
    assert versions, "no program of the toolkit is installed"
    assert {name: version for name, version in versions.items() if version != wanted} == {}


def test_runtime_mode_fits_the_installation(image: Facts, expected: Mapping[str, Any]) -> None:
    """Built from its module there is no libnvidia-container, which every mode but `cdi` needs."""
    mode = tomllib.loads(image.text("toolkit_config"))["nvidia-container-runtime"].get("mode", "auto")
    assert mode in ({"cdi"} if expected["toolkit"]["source"] == "module" else {"cdi", "auto"})


def test_no_cdi_specification_is_baked(image: Facts) -> None:
    """It describes the GPUs of one machine; nvidia-cdi-refresh writes it at boot."""
    assert image.lines("baked_cdi") == []
