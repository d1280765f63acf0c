"""`bench.azure`, with few instances: it measures what it says, and its bare calls are those of the launch."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from goldbake.bench import azure, azure_replay, many
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from tests.fakes.azure import FakeAzure
from tests.fakes.azure.catalogue import LOCATIONS
from tests.integration import azureaccount

pytestmark = [pytest.mark.slow, azureaccount.only_fake]


def test_a_launch_is_compared_with_its_own_calls_and_every_region_is_reaped(tmp_path: Path) -> None:
    before = dict(os.environ)
    found = azure.measure(Paths(PROJECT, tmp_path / "cache", tmp_path / "state"), Progress(io.StringIO()), count=3, rounds=1, machines=2)
    assert found["calls"] > 10
    assert found["ratio"] == found["launch_s"] / found["bare_calls_s"]
    assert found["reap_regions"] == len(LOCATIONS)
    # In each: two instances with a disk and an interface each, their scale set and the network.
    assert found["reap_resources"] == 8 * len(LOCATIONS)
    assert dict(os.environ) == before


def test_the_bare_calls_are_those_of_the_log(fake_azure: FakeAzure, tmp_path: Path) -> None:
    """The same calls in the same order, and nothing is left of what they make."""
    many.record(azure.bench(), trial := Paths(PROJECT, tmp_path / "cache", tmp_path / "state"))
    held = fake_azure.held()
    fake_azure.calls.clear()
    many.launched(azure.bench(), trial, Progress(io.StringIO()), 3)
    log = [call.document() for call in fake_azure.calls]
    fake_azure.calls.clear()
    azure_replay.run(log)
    assert [call.title for call in fake_azure.calls if call.what != "token"] == [
        f"{call['method']} {call['what']}" for call in log if call["what"] != "token"
    ]
    assert {call.code for call in fake_azure.calls} == {""}
    assert fake_azure.held() == held
