"""Every script checks what it is given before it changes anything."""

from __future__ import annotations

import pytest

from tests.shell.machine import Machine

OS = ("GOLDBAKE_OS", "debian-11")
CODENAME = ("GOLDBAKE_CODENAME", "book worm")
CLOUD = ("GOLDBAKE_CLOUD", "moon")
CHECKED = {
    "configure-apt": (OS, CODENAME, ("GOLDBAKE_DRIVER_SOURCE", "internet")),
    "install-kernel": (OS, CLOUD),
    "remove-old-kernels": (CLOUD,),
    "make-signing-key": (("GOLDBAKE_IMAGE", "No Image"),),
    "install-driver": (
        OS,
        ("GOLDBAKE_DRIVER_SOURCE", "internet"),
        ("GOLDBAKE_DRIVER_VERSION", "latest"),
        ("GOLDBAKE_DRIVER_MODULE", "closed"),
        ("GOLDBAKE_DRIVER_VARIANT", "grid"),
        ("GOLDBAKE_CUDA_KEYRING_URL", "ftp://127.0.0.1/key.deb"),
        ("GOLDBAKE_CUDA_KEYRING_SHA256", "ABC"),
        ("GOLDBAKE_CUDA_REPOSITORY_URL", "/srv/cuda"),
    ),
    "install-docker": (
        OS,
        CODENAME,
        ("GOLDBAKE_DOCKER_SOURCE", "podman"),
        ("GOLDBAKE_DOCKER_VERSION", "28"),
        ("GOLDBAKE_DOCKER_REPOSITORY_URL", "docker"),
        ("GOLDBAKE_DOCKER_KEY_URL", "http://with a space"),
        ("GOLDBAKE_DOCKER_KEY_FINGERPRINT", "9DC8"),
    ),
    "install-toolkit": (
        ("GOLDBAKE_TOOLKIT_SOURCE", "docker"),
        ("GOLDBAKE_TOOLKIT_VERSION", "v1.19.1"),
        ("GOLDBAKE_TOOLKIT_REPOSITORY_URL", "toolkit"),
        ("GOLDBAKE_TOOLKIT_KEY_URL", "key"),
        ("GOLDBAKE_TOOLKIT_KEY_FINGERPRINT", "9dc858229fc7dd38854ae2d88d81803c0ebfcd88"),
    ),
    "install-agent": (
        OS,
        ("GOLDBAKE_AGENT_VERSION", "4.x"),
        ("GOLDBAKE_AGENT_SHA256", "0" * 63),
        ("GOLDBAKE_AGENT_URL", "file:///agent.tar.gz"),
    ),
}
"""Scripts, the variables that they check, and a value that is none of the variable's form."""

CASES = [pytest.param(script, name, wrong, id=f"{script}-{name}") for script, checked in CHECKED.items() for name, wrong in checked]


@pytest.mark.parametrize(("script", "name", "wrong"), CASES)
def test_wrong_value_is_named_and_nothing_has_changed(machine: Machine, debian: dict[str, str], script: str, name: str, wrong: str) -> None:
    ended = machine.script(script, {**debian, name: wrong})
    assert ended.code == 1
    assert f"error: {name} is '{wrong}'" in ended.output
    assert machine.changes() == []


@pytest.mark.parametrize(("script", "name"), [(case.values[0], case.values[1]) for case in CASES])
def test_missing_value_is_named_and_nothing_has_changed(machine: Machine, debian: dict[str, str], script: str, name: str) -> None:
    del debian[name]
    ended = machine.script(script, debian)
    assert ended.code == 1
    assert f"error: {name} is not set" in ended.output
    assert machine.changes() == []
