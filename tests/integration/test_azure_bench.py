"""`bench.azure`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.bench import azure
from tests.fakes.azure import FakeAzure
from tests.fakes.azure.catalogue import LOCATIONS
from tests.integration import azureaccount
from tests.integration.cloudbench import Call, measured, replayed

pytestmark = [pytest.mark.slow, azureaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    found = measured(azure.measure, tmp_path)
    assert found["reap_regions"] == len(LOCATIONS)
    # In each: two instances with a disk and an interface each, their scale set and the network.
    assert found["reap_resources"] == 8 * len(LOCATIONS)


def test_the_bare_calls_are_those_of_the_log(fake_azure: FakeAzure, tmp_path: Path) -> None:
    """The same calls in the same order, but for the sign-in."""

    def titles(calls: list[Call]) -> list[str]:
        return [f"{call['method']} {call['what']}/{call['action']}" for call in calls if call["what"] != "token"]

    log, again = replayed(azure.bench(), fake_azure, tmp_path)
    assert titles(again) == titles(log)
