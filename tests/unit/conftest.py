"""How the properties of unit tests are searched: the same examples in each run of the same code, and as long as this machine takes for them.

`--hypothesis-profile=search` looks for new ones, many of them where a test does not say how many.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from goldbake import secret

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", PATIENT, max_examples=5000)
settings.register_profile("goldbake", PATIENT, derandomize=True, database=None)
settings.load_profile("goldbake")


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What a test takes for a secret may be a common word, found by a property; no later test has it blanked."""
    before = set(secret._known)
    yield
    secret._known.clear()
    secret._known.update(before)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """A task that is interrupted leaves its process deaf to Ctrl-C, because that ends."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)
