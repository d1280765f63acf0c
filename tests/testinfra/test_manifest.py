"""The manifest inside the image says what the image is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from facts import Facts

pytestmark = pytest.mark.image


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in wanted.items():
        here = f"{path}{key}"
        if isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            yield from differences(value, found[key], f"{here}.")
        elif found.get(key) != value:
            yield f"{here} is {found.get(key)!r}, asked for was {value!r}"


def test_manifest_is_a_json_object(manifest_text: str) -> None:
    assert isinstance(json.loads(manifest_text), dict)


def test_manifest_agrees_with_what_was_asked(manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    if not manifest:
        pytest.skip("there is no readable manifest")
    assert list(differences(asked, manifest)) == []


def test_manifest_names_the_installed_kernels(manifest: Mapping[str, Any], image: Facts) -> None:
    """Only when it names any: a manifest made before the bake cannot know them."""
    named = manifest.get("kernels") or image.kernels
    assert sorted(named) == sorted(image.kernels)


def test_manifest_names_the_agents_sha256(expected: Mapping[str, Any]) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", str(expected["agent"].get("sha256"))), "the agent's tarball was not checked against a hash"
