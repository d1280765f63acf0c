"""`./inv doctor --cloud gcp` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

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
from tests.fakes.gcp import FakeGcp
from tests.integration import gcpaccount

pytestmark = [pytest.mark.slow, gcpaccount.only_fake]


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

    fake: FakeGcp
    home: Path

    def ask(self, *words: str, without: str = "", token: bool = False, **more: str) -> Said:
        given = {name: value for name, value in self.fake.environment(token=token).items() if name != without}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "GOLDBAKE_HOME": str(self.home), **given, **more}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "doctor", "--cloud", "gcp", "--json", *words],
            env=environment, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert self.fake.crashes == []
        return Said(done.returncode, json.loads(done.stdout or "[]"), done.stderr)


@pytest.fixture(scope="module")
def project() -> Iterator[FakeGcp]:
    with FakeGcp() as fake:
        yield fake


@pytest.fixture
def doctor(project: FakeGcp, tmp_path: Path) -> Doctor:
    project.reset()
    return Doctor(project, tmp_path)


def test_a_fit_project_is_called_fit_and_nothing_in_it_changes(doctor: Doctor) -> None:
    said = doctor.ask("--instance-type", "g2-standard-4")
    assert said.code == 0, said.stderr
    assert doctor.fake.actions() == []
    assert [str(one) for one in doctor.fake.held()] == []


def test_a_missing_permission_is_named_with_the_role(doctor: Doctor) -> None:
    doctor.fake.forbid("compute.instances.create")
    said = doctor.ask()
    assert said.code == 4
    assert "docs/reference/gcp-role.yaml" in said.row("permission compute.instances.create")["fix"]
    assert "permission compute.instances.create" in said.stderr


def test_the_quota_of_a_new_project_is_named_with_its_two_levels_and_where_to_ask_for_more(doctor: Doctor) -> None:
    doctor.fake.book.quotas["", "GPUS_ALL_REGIONS"] = 0.0
    said = doctor.ask("--instance-type", "g2-standard-4")
    assert said.code == 4
    row = said.row("quota global")
    assert "GPUS_ALL_REGIONS: 0" in row["state"]
    assert "its region's" in row["state"]
    assert f"https://console.cloud.google.com/iam-admin/quotas?project={doctor.fake.project}" in row["fix"]
    assert [one["state"].partition(":")[0] for one in said.rows if one["what"] == "quota us-central1" and "GPUS" in one["state"]] == [
        "NVIDIA_L4_GPUS",
        "PREEMPTIBLE_NVIDIA_L4_GPUS",
    ]


def test_an_api_that_is_not_enabled_is_named_with_the_command_that_enables_it(doctor: Doctor) -> None:
    doctor.fake.disable("compute.googleapis.com")
    said = doctor.ask()
    assert said.code == 4
    assert f"gcloud services enable compute.googleapis.com --project {doctor.fake.project}" in said.row("API compute.googleapis.com")["fix"]


def test_a_project_that_nobody_pays_for_is_told_how_to_link_an_account(doctor: Doctor) -> None:
    doctor.fake.book.billing = False
    said = doctor.ask()
    assert said.code == 4
    assert f"gcloud billing projects link {doctor.fake.project}" in said.row("billing")["fix"]


def test_a_region_that_is_not_there_is_named_with_those_that_are(doctor: Doctor) -> None:
    said = doctor.ask("--region", "eu-nowhere9")
    assert said.code == 4
    row = said.row("region eu-nowhere9")
    assert "us-central1" in row["fix"]


def test_without_credentials_the_ways_to_get_some_are_named(doctor: Doctor) -> None:
    said = doctor.ask(without="GOOGLE_APPLICATION_CREDENTIALS")
    assert said.code == 4
    assert "gcloud auth application-default login" in said.row("Google credentials")["fix"]
    assert doctor.fake.calls == []


def test_a_token_that_is_over_is_told_from_a_missing_permission(doctor: Doctor) -> None:
    said = doctor.ask(token=True, CLOUDSDK_AUTH_ACCESS_TOKEN="ya29.over")
    assert said.code == 4
    assert "permission" not in said.stderr
    assert "token" in said.stderr
    assert "ya29.over" not in json.dumps(said.rows) + said.stderr
