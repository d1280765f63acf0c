"""`bench.gcp`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from goldbake.bench import gcp, gcp_replay, many
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from tests.fakes.gcp import REGIONS, FakeGcp
from tests.integration import gcpaccount

pytestmark = [pytest.mark.slow, gcpaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    before = dict(os.environ)
    found = gcp.measure(Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), Progress(io.StringIO()), count=3, rounds=1, machines=2)
    assert found["calls"] > 10
    assert found["ratio"] == found["launch_s"] / found["bare_calls_s"]
    assert found["reap_regions"] == len(REGIONS)
    # In each: two instances, with which their disks go; and one firewall rule.
    assert found["reap_resources"] == 2 * len(REGIONS) + 1
    assert dict(os.environ) == before


def test_the_bare_calls_are_those_of_the_log(tmp_path: Path) -> None:
    """The same methods in the same order, and nothing is left of what they make."""
    with FakeGcp() as fake, gcpaccount.environment(fake):
        many.record(gcp.bench(), trial := Paths(PROJECT, tmp_path / "cache", tmp_path / "state"))
        fake.calls.clear()
        many.launched(gcp.bench(), trial, Progress(io.StringIO()), 3)
        log = [call.document() for call in fake.calls]
        fake.calls.clear()
        gcp_replay.run(log)
        assert [call.method for call in fake.calls] == [call["method"] for call in log if call["method"].startswith("compute.")]
        assert {call.code for call in fake.calls} == {""}
        assert fake.held() == []
        assert fake.crashes == []
