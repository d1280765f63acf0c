"""What tests of all kinds share: a fake AWS, one for a process, because its state is the process's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.aws import FakeAws


@pytest.fixture(scope="session")
def running_aws() -> Iterator[FakeAws]:
    """A fake AWS that serves until the session ends; use `fake_aws`."""
    from tests.fakes.aws import FakeAws  # noqa: PLC0415 (moto takes a second to load, and most tests need none)

    with FakeAws() as fake:
        yield fake


@pytest.fixture
def fake_aws(running_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """An empty account that every SDK of this process finds; nothing of this user's own configuration is read."""
    running_aws.reset()
    for name, value in running_aws.environment().items():
        monkeypatch.setenv(name, value)
    yield running_aws
    assert running_aws.crashes == []
