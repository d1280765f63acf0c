"""`./inv doctor --cloud aws` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from tests.fakes.aws import SECRET_KEY, FakeAws
from tests.integration import awsaccount
from tests.integration.clouddoctor import Doctor, Examinations

pytestmark = [pytest.mark.slow, awsaccount.only_fake]


@pytest.fixture(scope="module")
def account() -> Iterator[FakeAws]:
    with FakeAws() as fake:
        yield fake


@pytest.fixture
def doctor(account: FakeAws, tmp_path: Path) -> Doctor[FakeAws]:
    account.reset()
    return Doctor(Cloud.AWS, account, tmp_path, secret=SECRET_KEY)


class TestExaminations(Examinations):
    """Of an AWS account."""

    kind = "g5.xlarge"
    permission = ("ec2:RunInstances", "refused", "aws-policy.json")
    region = ("eu-nowhere-9", "AWS region", "eu-west-1")
    credentials = ("AWS_ACCESS_KEY_ID", "AWS credentials", "aws configure")

    def changed(self, doctor: Doctor[FakeAws]) -> list[str]:
        """A dry run is refused with a code of its own."""
        calls = [call for call in doctor.fake.calls if not call.action.startswith(("Describe", "Get", "List"))]
        return [call.action for call in calls if not call.code] + [str(one) for one in doctor.fake.held()]

    def forbid(self, doctor: Doctor[FakeAws]) -> None:
        doctor.fake.refuse("UnauthorizedOperation", "RunInstances", times=None)


def test_a_quota_of_zero_is_named_with_its_value_and_the_command_that_raises_it(doctor: Doctor[FakeAws]) -> None:
    doctor.fake.book.quotas["us-east-1", "L-DB2E81BA"] = 0.0
    said = doctor.ask("--instance-type", "g5.xlarge")
    assert said.code == 4
    row = next(row for row in said.rows if "L-DB2E81BA" in row["state"])
    assert "0 vCPUs" in row["state"]
    assert "request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code L-DB2E81BA" in row["fix"]


def test_an_expired_token_is_told_from_a_wrong_one(doctor: Doctor[FakeAws]) -> None:
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
