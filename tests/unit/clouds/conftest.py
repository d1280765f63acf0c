"""What the tests of every cloud use."""

from __future__ import annotations

import pytest

from goldbake.paths import Paths


@pytest.fixture
def paths_of_project(monkeypatch: pytest.MonkeyPatch) -> Paths:
    """This project, without an organization in the environment."""
    for name in ("AZP_URL", "AZP_TOKEN", "AZP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Paths.from_environment()
