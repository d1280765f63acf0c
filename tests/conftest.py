"""What tests of all kinds share: the fakes of the clouds, one of each for a process: AWS's state is the process's, and each takes a while to load."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests import runs

if TYPE_CHECKING:
    from tests.fakes.aws import FakeAws
    from tests.fakes.azure import FakeAzure
    from tests.fakes.gcp import FakeGcp


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long come first."""
    items.sort(key=lambda item: runs.turn(item.path))


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


@pytest.fixture(scope="session")
def running_gcp() -> Iterator[FakeGcp]:
    """A fake of Google Cloud that serves until the session ends; use `fake_gcp`."""
    from tests.fakes.gcp import FakeGcp  # noqa: PLC0415 (reading Google's description takes a fifth of a second, and most tests need none)

    with FakeGcp() as fake:
        yield fake


@pytest.fixture
def fake_gcp(running_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcp]:
    """An empty project that every SDK of this process finds, with the permissions of our role and no others; nothing of this user's own
    configuration is read. What breaks Google's description, of the client or of the fake, fails the test.
    """
    from goldbake.clouds.gcp import role  # noqa: PLC0415

    running_gcp.reset()
    running_gcp.book.granted = frozenset(role.permissions())
    monkeypatch.delenv("CLOUDSDK_AUTH_ACCESS_TOKEN", raising=False)
    for name, value in running_gcp.environment().items():
        monkeypatch.setenv(name, value)
    yield running_gcp
    assert running_gcp.crashes == []


@pytest.fixture(scope="session")
def running_azure() -> Iterator[FakeAzure]:
    """A fake of Azure that serves until the session ends; use `fake_azure`."""
    from tests.fakes.azure import FakeAzure  # noqa: PLC0415 (reading what the SDK knows takes half a second, and most tests need none)

    with FakeAzure() as fake:
        yield fake


@pytest.fixture
def fake_azure(running_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAzure]:
    """An empty subscription that every SDK of this process finds; nothing of this user's own sign-in is read."""
    running_azure.reset()
    for name in [name for name in os.environ if name.startswith(("ARM_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in running_azure.environment().items():
        monkeypatch.setenv(name, value)
    yield running_azure
    _end_polling(running_azure)
    assert running_azure.crashes == []
    assert running_azure.refused_hosts == []


def _end_polling(fake: FakeAzure) -> None:
    """No thread of the SDK still asks how an operation is that nobody waits for: it would ask the next test's fake, or Azure itself."""
    fake.faults.clear()
    fake.before.clear()
    fake.after.clear()
    fake.settle()
    for thread in threading.enumerate():
        if thread.name.startswith("LROPoller("):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} still polls"
