"""`./inv doctor --cloud gcp` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from tests.fakes.gcp import FakeGcp
from tests.integration import gcpaccount
from tests.integration.clouddoctor import Doctor, Examinations

pytestmark = [pytest.mark.slow, gcpaccount.only_fake]


@pytest.fixture(scope="module")
def project() -> Iterator[FakeGcp]:
    with FakeGcp() as fake:
        yield fake


@pytest.fixture
def doctor(project: FakeGcp, tmp_path: Path) -> Doctor[FakeGcp]:
    project.reset()
    return Doctor(Cloud.GCP, project, tmp_path)


class TestExaminations(Examinations):
    """Of a project."""

    kind = "g2-standard-4"
    permission = ("compute.instances.create", "missing", "docs/reference/gcp-role.yaml")
    region = ("eu-nowhere9", "region eu-nowhere9", "us-central1")
    credentials = ("GOOGLE_APPLICATION_CREDENTIALS", "Google credentials", "gcloud auth application-default login")

    def changed(self, doctor: Doctor[FakeGcp]) -> list[str]:
        return doctor.fake.actions() + [str(one) for one in doctor.fake.held()]

    def forbid(self, doctor: Doctor[FakeGcp]) -> None:
        doctor.fake.forbid("compute.instances.create")


def test_the_quota_of_a_new_project_is_named_with_its_two_levels_and_where_to_ask_for_more(doctor: Doctor[FakeGcp]) -> None:
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


def test_an_api_that_is_not_enabled_is_named_with_the_command_that_enables_it(doctor: Doctor[FakeGcp]) -> None:
    doctor.fake.disable("compute.googleapis.com")
    said = doctor.ask()
    assert said.code == 4
    assert f"gcloud services enable compute.googleapis.com --project {doctor.fake.project}" in said.row("API compute.googleapis.com")["fix"]


def test_a_project_that_nobody_pays_for_is_told_how_to_link_an_account(doctor: Doctor[FakeGcp]) -> None:
    doctor.fake.book.billing = False
    said = doctor.ask()
    assert said.code == 4
    assert f"gcloud billing projects link {doctor.fake.project}" in said.row("billing")["fix"]


def test_a_token_that_is_over_is_told_from_a_missing_permission(doctor: Doctor[FakeGcp]) -> None:
    said = doctor.ask(without="GOOGLE_APPLICATION_CREDENTIALS", CLOUDSDK_AUTH_ACCESS_TOKEN="ya29.over")
    assert said.code == 4
    assert "permission" not in said.stderr
    assert "token" in said.stderr
    assert "ya29.over" not in json.dumps(said.rows) + said.stderr
