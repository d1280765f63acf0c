"""Our session on the fake project."""

from __future__ import annotations

import pytest

from goldbake.clouds.gcp.session import Gcp
from tests.fakes.gcp import FakeGcp


@pytest.fixture
def gcp(fake_gcp: FakeGcp) -> Gcp:
    """The project of the environment."""
    return Gcp()
