"""The way of a bake and a launch with real accounts; what they cost and need is in awsaccount.py, gcpaccount.py and azureaccount.py.

A cloud's file makes its `Account` of the one here, gives it as the fixture `account`, and makes a class of tests of `WholeWay`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from goldbake.config.model import Cloud
from goldbake.paths import PROJECT

Document = dict[str, Any]


class Account(ABC):
    """Where it is done, and how the cloud itself is asked afterwards. Documents are those of `--json`."""

    cloud: ClassVar[Cloud]
    place: ClassVar[str]
    """The variable that says where."""
    ttl_s: ClassVar[int]
    options: ClassVar[Sequence[str]]
    """What a launch is told besides: the type of its instances."""

    def __init__(self) -> None:
        missing = [name for name in (self.place, "AZP_URL") if not os.environ.get(name)]
        assert not missing, f"set {', '.join(missing)}, and AZP_TOKEN or AZP_TOKEN_FILE"

    @property
    def image(self) -> str:
        return os.environ.get(f"GOLDBAKE_REAL_{self.cloud.upper()}_IMAGE", "gpu-agent-debian")

    @abstractmethod
    def remove(self, record: Document) -> None:
        """Remove an image, and what only it uses."""

    @abstractmethod
    def tags_of_finished(self, record: Document) -> dict[str, str]:
        """The tags or labels of an image, which is ready and found by who looks for the newest one; else an assertion fails."""

    @abstractmethod
    def assert_sealed(self, launched: Document) -> None:
        """The cloud's API does not show the user-data of a launch's instances any more."""

    @abstractmethod
    def left(self, name: str, value: str, region: str = "") -> list[str]:
        """What has this tag or label, but for images."""

    def inv(self, *words: str) -> Document:
        """Run a task; its JSON document."""
        command = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), *words, "--json"]
        done = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=3 * 3600)
        assert done.returncode == 0, done.stderr
        found: Document = json.loads(done.stdout)
        return found

    def bake(self) -> Document:
        return self.inv("bake", "--cloud", self.cloud, "--image", self.image)


class WholeWay:
    """A bake and a launch; the second needs the first."""

    @pytest.fixture(scope="class")
    def baked(self, account: Account) -> Iterator[Document]:
        """The record of an image; one that was made here goes again."""
        record = account.bake()
        yield record
        if not record["reused"]:
            account.remove(record)

    def test_a_bake_leaves_a_checked_image_and_nothing_else(self, account: Account, baked: Document) -> None:
        tags = account.tags_of_finished(baked)
        assert (tags["managed-by"], tags["goldbake-checks"], tags["goldbake-manifest"]) == ("goldbake", "passed", baked["sha256"][:32])
        assert account.left("goldbake-image", account.image, baked["region"]) == []
        assert account.bake()["reused"]

    def test_three_agents_come_online_and_go_without_a_trace(self, account: Account, baked: Document) -> None:
        ttl = f"{account.ttl_s // 60}m"
        report = account.inv("launch", "--cloud", account.cloud, "--image", account.image, "--count", "3", "--ttl", ttl, *account.options)
        try:
            assert [one["online"] for one in report["instances"]] == [True, True, True]
            account.assert_sealed(report)
        finally:
            account.inv("destroy", "--launch", report["launch"], "--yes")
        assert account.left("goldbake-launch", report["launch"]) == []
