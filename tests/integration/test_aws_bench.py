"""`bench.aws`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from goldbake.bench import aws
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from tests.fakes.aws import REGIONS
from tests.integration import awsaccount

pytestmark = [pytest.mark.slow, awsaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    before = dict(os.environ)
    found = aws.measure(Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), Progress(io.StringIO()), count=3, rounds=1, machines=2)
    assert found["calls"] > 10
    assert found["ratio"] == found["launch_s"] / found["bare_calls_s"]
    assert found["reap_regions"] == len(REGIONS)
    # In each: two instances with a volume and an interface each, a group and a template.
    assert found["reap_resources"] == 8 * len(REGIONS)
    assert dict(os.environ) == before
