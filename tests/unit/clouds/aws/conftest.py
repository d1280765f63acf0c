"""An account in a fake of AWS, and our session on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from goldbake.clouds.aws.session import Aws
from tests.fakes.aws import FakeAws


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAws]:
    with FakeAws() as found:
        yield found


@pytest.fixture(scope="module")
def session(running: FakeAws) -> Iterator[Aws]:
    """One for all tests of a file: to make a client takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        yield Aws()


@pytest.fixture
def fake(running: FakeAws) -> Iterator[FakeAws]:
    """Empty, and no fault of its own at the end."""
    running.reset()
    yield running
    assert running.crashes == []


@pytest.fixture
def aws(fake: FakeAws, session: Aws) -> Aws:
    return session
