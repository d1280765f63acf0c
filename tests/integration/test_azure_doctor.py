"""`./inv doctor --cloud azure` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure import session
from goldbake.clouds.azure.session import Azure
from goldbake.paths import PROJECT
from tests.fakes.azure import CLIENT, FakeAzure
from tests.integration import azureaccount

pytestmark = [pytest.mark.slow, azureaccount.only_fake]

HOME = "eastus"
T4, FAMILY = "Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family"


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

    fake: FakeAzure
    home: Path

    def ask(self, *words: str, without: str = "", **more: str) -> Said:
        given = {name: value for name, value in self.fake.environment().items() if name != without}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "GOLDBAKE_HOME": str(self.home), **given, **more}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "doctor", "--cloud", "azure", "--json", *words],
            env=environment, cwd=PROJECT, text=True, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert self.fake.crashes == []
        assert self.fake.environment()["AZURE_CLIENT_SECRET"] not in done.stdout + done.stderr
        return Said(done.returncode, json.loads(done.stdout or "[]"), done.stderr)


@pytest.fixture(scope="module")
def subscription() -> Iterator[FakeAzure]:
    with FakeAzure() as fake:
        yield fake


@pytest.fixture
def doctor(subscription: FakeAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """A subscription with the gallery that images.yaml names."""
    subscription.reset()
    with azureaccount.environment(subscription):
        monkeypatch.setattr(session, "POLL_S", 0.01)
        azure = Azure()
        azure.client(ResourceManagementClient).resource_groups.create_or_update("goldbake-images", {"location": HOME})
        body: Any = {"location": HOME}
        azure.client(ComputeManagementClient).galleries.begin_create_or_update("goldbake-images", "goldbake", body).result()
    subscription.calls.clear()
    return Doctor(subscription, tmp_path)


def test_a_fit_subscription_is_called_fit_and_nothing_in_it_changes(doctor: Doctor) -> None:
    said = doctor.ask("--instance-type", T4)
    assert said.code == 0, said.stderr
    assert doctor.fake.titles() == []


def test_a_missing_permission_is_named_with_the_role(doctor: Doctor) -> None:
    doctor.fake.book.denied = {"Microsoft.Compute/virtualMachines/write"}
    said = doctor.ask("--instance-type", T4)
    assert said.code == 4
    row = said.row("permission Microsoft.Compute/virtualMachines")
    assert row["state"].startswith("write: not allowed")
    assert "azure-role.json" in row["fix"]
    assert "permission Microsoft.Compute/virtualMachines" in said.stderr


def test_a_quota_of_zero_is_named_with_its_value_and_the_command_that_raises_it(doctor: Doctor) -> None:
    doctor.fake.book.quotas[HOME, FAMILY] = 0
    said = doctor.ask("--instance-type", T4)
    assert said.code == 4
    row = next(row for row in said.rows if FAMILY in row["state"])
    assert "0 of 0 vCPUs in use" in row["state"]
    assert f"az quota update --resource-name '{FAMILY}'" in row["fix"]


def test_a_provider_that_is_not_registered_is_named_with_its_command(doctor: Doctor) -> None:
    doctor.fake.book.unregistered.add("microsoft.compute")
    said = doctor.ask("--instance-type", T4)
    assert said.code == 4
    assert "az provider register --namespace Microsoft.Compute --wait" in said.row("provider Microsoft.Compute")["fix"]


def test_a_region_that_does_not_exist_is_named_with_those_that_do(doctor: Doctor) -> None:
    said = doctor.ask("--region", "eastus9")
    assert said.code == 4
    row = said.row("Azure region")
    assert "eastus9" in row["state"]
    assert "eastus2" in row["fix"]


def test_without_credentials_the_ways_to_get_some_are_named(doctor: Doctor) -> None:
    said = doctor.ask(without="AZURE_TENANT_ID")
    assert said.code == 4
    assert "az login" in said.row("Azure credentials")["fix"]
    assert doctor.fake.calls == []


def test_an_expired_secret_is_told_from_a_wrong_one(doctor: Doctor) -> None:
    doctor.fake.directory.expired.add(CLIENT)
    said = doctor.ask()
    assert said.code == 4
    assert "AADSTS7000222" in said.row("Azure credentials")["state"]
    assert "az ad app credential reset" in said.row("Azure credentials")["fix"]
    doctor.fake.directory.expired.clear()
    wrong = doctor.ask(AZURE_CLIENT_SECRET="none-of-it")
    assert wrong.code == 4
    assert "AADSTS7000215" in wrong.row("Azure credentials")["state"]
    assert "none-of-it" not in wrong.stderr


def test_terraforms_names_do_as_well(doctor: Doctor) -> None:
    given = {name: value for name, value in doctor.fake.environment().items() if name.startswith("AZURE_") and "CONFIG" not in name}
    said = doctor.ask(
        "--instance-type", T4, **dict.fromkeys(given, ""), **{name.replace("AZURE_", "ARM_"): value for name, value in given.items()}
    )
    assert said.code == 0, said.stderr
