"""`bench.gcp`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.bench import gcp
from tests.fakes.gcp import REGIONS, FakeGcp
from tests.integration import gcpaccount
from tests.integration.cloudbench import measured, replayed

pytestmark = [pytest.mark.slow, gcpaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    found = measured(gcp.measure, tmp_path)
    assert found["reap_regions"] == len(REGIONS)
    # In each: two instances, with which their disks go; and one firewall rule.
    assert found["reap_resources"] == 2 * len(REGIONS) + 1


def test_the_bare_calls_are_those_of_the_log(tmp_path: Path) -> None:
    """The same methods in the same order."""
    with FakeGcp() as fake, gcpaccount.environment(fake):
        log, again = replayed(gcp.bench(), fake, tmp_path)
        assert [call["method"] for call in again] == [call["method"] for call in log if call["method"].startswith("compute.")]
        assert fake.held() == []
        assert fake.crashes == []
