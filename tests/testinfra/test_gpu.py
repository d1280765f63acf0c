"""What only a machine with an NVIDIA GPU can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.gpu

_RUN = "docker run --network none --gpus all --env NVIDIA_DRIVER_CAPABILITIES=all"

_IMPORT = r"""
set -e
programs="/usr/bin/sleep $(readlink -f /bin/sh)"
libraries=$(ldd $programs "$(readlink -f "$(command -v nvidia-smi)")" | grep -oE '/[^ :]+ ' | sort -u)
tar -chf - $programs $libraries 2>/dev/null | docker import -
"""


@pytest.fixture(scope="module")
def container_image(host: Host) -> Iterator[str]:
    """A container image made of the machine's own files: no registry is asked."""
    name = host.check_output(_IMPORT).splitlines()[-1]
    yield name
    host.run("docker image rm --force %s", name)


def test_nvidia_smi_reports_the_wanted_driver(host: Host, expected: Mapping[str, Any]) -> None:
    found = host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader")
    assert set(found.split()) == {expected["driver"]["version"]}


def test_persistence_mode_is_on(host: Host) -> None:
    found = host.check_output("nvidia-smi --query-gpu=persistence_mode --format=csv,noheader")
    assert set(found.split()) == {"Enabled"}


def test_cdi_names_all_gpus(host: Host) -> None:
    assert "nvidia.com/gpu=all" in host.check_output("nvidia-ctk cdi list").split()


def test_container_sees_the_gpu(host: Host, container_image: str) -> None:
    found = host.check_output(f"{_RUN} --rm %s nvidia-smi -L", container_image)
    assert found.startswith("GPU 0")


def test_container_keeps_the_gpu_over_a_daemon_reload(host: Host, container_image: str) -> None:
    """ "Failed to initialize NVML: Unknown Error" otherwise (nvidia-container-toolkit#48)."""
    container = host.check_output(f"{_RUN} --detach --rm %s sleep 300", container_image).splitlines()[-1]
    try:
        host.check_output("systemctl daemon-reload")
        assert host.check_output("docker exec %s nvidia-smi -L", container).startswith("GPU 0")
    finally:
        host.run("docker rm --force %s", container)


def test_no_unit_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend --no-pager") == ""
