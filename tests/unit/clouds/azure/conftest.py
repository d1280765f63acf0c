"""Our session on the fake subscription."""

from __future__ import annotations

import pytest

from goldbake.clouds.azure import session
from goldbake.clouds.azure.session import Azure
from tests.fakes.azure import FakeAzure


@pytest.fixture
def azure(fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """A session that asks again at once."""
    monkeypatch.setattr(session, "POLL_S", 0.01)
    fake_azure.book.retry_after = None
    return Azure()
