"""Our session on the fake account."""

from __future__ import annotations

import pytest

from goldbake.clouds.aws.session import Aws
from tests.fakes.aws import FakeAws

_kept: dict[str, Aws] = {}


@pytest.fixture
def aws(fake_aws: FakeAws) -> Aws:
    """One session for all tests of a process: to make a client takes half a second."""
    if fake_aws.url not in _kept:
        _kept[fake_aws.url] = Aws()
    return _kept[fake_aws.url]
