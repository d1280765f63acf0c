"""requirements.lock can be installed whatever PyPI has published since it was written."""

from __future__ import annotations

import re
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from goldbake.paths import PROJECT

_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[(?P<extras>[a-z0-9,._-]+)\])?==", re.MULTILINE)


def _pins() -> dict[str, set[str]]:
    """Locked package → the extras that its line has."""
    text = (PROJECT / "requirements.lock").read_text()
    return {found["name"]: set((found["extras"] or "").split(",")) - {""} for found in _PIN.finditer(text)}


def test_extras_that_a_locked_package_asks_for_are_pinned_with_it() -> None:
    """pip takes the newest version of `coverage[toml]` for an unpinned one although `coverage` is pinned, and then refuses its hash."""
    pins = _pins()
    asked = [
        requirement
        for found in distributions()
        if canonicalize_name(found.metadata["Name"]) in pins
        for requirement in map(Requirement, found.requires or ())
        if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]
    assert "coverage" in {requirement.name for requirement in asked}, "no locked package asks for an extra any more: remove this test"
    assert [str(item) for item in asked if not item.extras <= pins[canonicalize_name(item.name)]] == []
