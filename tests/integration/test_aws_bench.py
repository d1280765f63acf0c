"""`bench.aws`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.bench import aws
from tests.fakes.aws import REGIONS
from tests.integration import awsaccount
from tests.integration.cloudbench import measured

pytestmark = [pytest.mark.slow, awsaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    found = measured(aws.measure, tmp_path)
    assert found["reap_regions"] == len(REGIONS)
    # In each: two instances with a volume and an interface each, a group and a template.
    assert found["reap_resources"] == 8 * len(REGIONS)
