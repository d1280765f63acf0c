"""`./inv doctor --cloud aws` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake.paths import PROJECT
from tests.fakes.aws import FakeAws
from tests.integration import awsaccount

pytestmark = [pytest.mark.slow, awsaccount.only_fake]


@dataclass(frozen=True)
class Said:
    """What the doctor answered."""

    code: int
    rows: list[dict[str, Any]]
    stderr: str

    def row(self, what: str) -> dict[str, Any]:
        """The one row about something that has a fix."""
        (found,) = [row for row in self.rows if row["what"].startswith(what) and row["fix"]]
        return found


@dataclass(frozen=True)
class Doctor:
    """Asks in a process of its own."""

    fake: FakeAws
    home: Path

    def ask(self, *words: str, without: str = "", **more: str) -> Said:
        given = {name: value for name, value in self.fake.environment().items() if not without or not name.startswith(without)}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "GOLDBAKE_HOME": str(self.home), **given, **more}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "doctor", "--cloud", "aws", "--json", *words],
            env=environment, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert self.fake.crashes == []
        return Said(done.returncode, json.loads(done.stdout or "[]"), done.stderr)


@pytest.fixture(scope="module")
def account() -> Iterator[FakeAws]:
    with FakeAws() as fake:
        yield fake


@pytest.fixture
def doctor(account: FakeAws, tmp_path: Path) -> Doctor:
    account.reset()
    return Doctor(account, tmp_path)


def test_a_fit_account_is_called_fit_and_nothing_in_it_changes(doctor: Doctor) -> None:
    said = doctor.ask("--instance-type", "g5.xlarge")
    assert said.code == 0, said.stderr
    assert [call.action for call in doctor.fake.calls if not call.action.startswith(("Describe", "Get", "List")) and not call.code] == []
    assert [str(one) for one in doctor.fake.held()] == []


def test_a_missing_permission_is_named_with_the_policy(doctor: Doctor) -> None:
    doctor.fake.refuse("UnauthorizedOperation", "RunInstances", times=None)
    said = doctor.ask()
    assert said.code == 4
    assert "aws-policy.json" in said.row("permission ec2:RunInstances")["fix"]
    assert "permission ec2:RunInstances" in said.stderr


def test_a_quota_of_zero_is_named_with_its_value_and_the_command_that_raises_it(doctor: Doctor) -> None:
    doctor.fake.book.quotas["us-east-1", "L-DB2E81BA"] = 0.0
    said = doctor.ask("--instance-type", "g5.xlarge")
    assert said.code == 4
    row = next(row for row in said.rows if "L-DB2E81BA" in row["state"])
    assert "0 vCPUs" in row["state"]
    assert "request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code L-DB2E81BA" in row["fix"]


def test_a_region_that_is_not_enabled_is_named_with_those_that_are(doctor: Doctor) -> None:
    said = doctor.ask("--region", "eu-nowhere-9")
    assert said.code == 4
    row = said.row("AWS region")
    assert "eu-nowhere-9" in row["state"]
    assert "eu-west-1" in row["fix"]


def test_without_credentials_the_ways_to_get_some_are_named(doctor: Doctor) -> None:
    said = doctor.ask(without="AWS_ACCESS")
    assert said.code == 4
    assert "aws configure" in said.row("AWS credentials")["fix"]
    assert doctor.fake.calls == []


def test_an_expired_token_is_told_from_a_wrong_one(doctor: Doctor) -> None:
    doctor.fake.refuse("ExpiredToken", service="sts", times=None)
    doctor.fake.refuse("RequestExpired", service="ec2", times=None)
    said = doctor.ask()
    assert said.code == 4
    assert "expired" in said.row("AWS credentials")["state"]
    assert "aws sso login" in said.row("AWS credentials")["fix"]
    doctor.fake.reset()
    wrong = doctor.ask(AWS_ACCESS_KEY_ID="AKIAWRONGWRONGWRONG1")
    assert wrong.code == 4
    assert "expired" not in wrong.row("AWS credentials")["state"]
