"""Fixtures of the checks: what the image should be (`expected`) and what it is (`image`, `machine`).

By hand, against a running machine or a mounted root (as root, with /dev and /proc mounted in it):

    pytest tests/testinfra -m "image or booted" --hosts=ssh://root@HOST --ssh-config=FILE
    pytest tests/testinfra -m "image or pristine" --connection=chroot --hosts=/mnt/image
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from facts import Facts, ask
from testinfra.host import Host

MANIFEST = "/usr/share/goldbake/manifest.json"

UNITS = (
    "docker.service", "docker.socket", "nvidia-persistenced.service", "nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path",
    "goldbake-firstboot.service", "goldbake-agent.service", "goldbake-metadata-guard.service", "goldbake-ttl.service",
    "goldbake-hostkeys.service", "apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service",
    "apparmor.service", "containerd.service", "e2scrub_reap.service", "goldbake-apparmor.service",
)  # fmt: skip

_cache: dict[tuple[str, str], Any] = {}


def check_name(item: pytest.Item) -> str:
    """The name of a check in reports: `updates.timer_is_masked[apt-daily.timer]`, the same whatever host it looks at."""
    assert isinstance(item, pytest.Function)
    name = f"{item.path.stem}.{item.originalname}".replace("test_", "")
    values = [str(value) for key, value in item.callspec.params.items() if key != "_testinfra_host"] if hasattr(item, "callspec") else []
    return f"{name}[{','.join(values)}]" if values else name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write each check's name where --junitxml and collectors find it."""
    for item in items:
        item.user_properties.append(("check", check_name(item)))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` over it, mappings key by key."""
    result = dict(below)
    for key, value in above.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


@pytest.fixture(scope="session")
def asked() -> Mapping[str, Any]:
    """What the caller asked the image to be (GOLDBAKE_EXPECT, a JSON file); empty by hand."""
    path = os.environ.get("GOLDBAKE_EXPECT")
    return json.loads(Path(path).read_text()) if path else {}


@pytest.fixture(scope="module")
def manifest_text(host: Host) -> str:
    """The image's own manifest as it lies there; empty when there is none."""
    key = (host.backend.get_pytest_id(), "manifest")
    if key not in _cache:
        _cache[key] = ask(host, f"cat {MANIFEST}").stdout
    return _cache[key]


@pytest.fixture(scope="module")
def manifest(manifest_text: str) -> Mapping[str, Any]:
    """The image's own manifest; empty when it cannot be read (test_manifest.py says so)."""
    try:
        found = json.loads(manifest_text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@pytest.fixture(scope="module")
def expected(manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the image should be: what was asked for, and the manifest where nothing was asked."""
    return merged(manifest, asked)


@pytest.fixture(scope="module")
def image(host: Host, expected: Mapping[str, Any]) -> Facts:
    """Facts from the image's files."""
    key = (host.backend.get_pytest_id(), "image")
    if key not in _cache:
        agent = expected["agent"]
        _cache[key] = Facts.probe(host, "image.sh", {"agent_root": agent["root"], "agent_user": agent["user"], "units": " ".join(UNITS)})
    return _cache[key]


@pytest.fixture(scope="module")
def machine(host: Host) -> Facts:
    """Facts from the booted image."""
    if host.backend.NAME == "chroot":
        pytest.skip("this is a mounted image, not a booted one")
    key = (host.backend.get_pytest_id(), "machine")
    if key not in _cache:
        _cache[key] = Facts.probe(host, "booted.sh")
    return _cache[key]


@pytest.fixture(scope="module")
def pristine(host: Host, image: Facts) -> Facts:
    """Facts from an image that has not been booted since it was baked."""
    if host.backend.NAME != "chroot":
        pytest.skip("a booted machine has keys, an id and logs of its own: mount the image and use --connection=chroot")
    return image
