"""The container engine is the wanted one, knows the nvidia runtime, and runs a container."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from facts import Facts


def is_version(found: str | None, wanted: str) -> bool:
    """Whether `found` is `wanted`, or a packaging of it as 20.10.24+dfsg1 or 28.2.2-1~debian.12~bookworm."""
    return found is not None and re.match(re.escape(wanted) + r"($|[^\d.])", found) is not None


@pytest.mark.image
def test_docker_has_the_wanted_version(image: Facts, expected: Mapping[str, Any]) -> None:
    docker = expected["docker"]
    package = {"docker": "docker-ce", "debian": "docker.io"}[docker["source"]]
    found = image.version_of(package)
    assert is_version(found, docker["version"]), f"{package} is {found}, wanted {docker['version']}"


@pytest.mark.image
def test_there_is_one_container_engine(image: Facts) -> None:
    """docker.io, podman-docker and docker-ce fight over the same files and socket."""
    engines = {"docker-ce", "docker.io", "podman-docker"} & {package.name for package in image.packages}
    assert len(engines) == 1, f"installed: {sorted(engines)}"


@pytest.mark.image
def test_daemon_configuration_names_the_nvidia_runtime(image: Facts) -> None:
    configuration = json.loads(image.text("docker_config"))
    assert configuration["runtimes"]["nvidia"]["path"].rpartition("/")[2] == "nvidia-container-runtime"


@pytest.mark.booted
def test_docker_reports_the_nvidia_runtime(machine: Facts) -> None:
    assert "nvidia" in json.loads(machine.text("docker_info"))


@pytest.mark.booted
def test_docker_runs_a_container(machine: Facts) -> None:
    assert machine.codes["docker_run"] == 0, machine.text("docker_run")
    assert "the container ran" in machine.lines("docker_run")
