"""`./inv doctor --cloud azure` as a person starts it: the line that says what is missing, what to do about it, and exit code 4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from goldbake.clouds.azure import session
from goldbake.config.model import Cloud
from tests.fakes.azure import CLIENT, SECRET, FakeAzure
from tests.integration import azureaccount
from tests.integration.azureworld import make_gallery
from tests.integration.clouddoctor import Doctor, Examinations

pytestmark = [pytest.mark.slow, azureaccount.only_fake]

HOME = "eastus"
T4, FAMILY = "Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family"


@pytest.fixture(scope="module")
def subscription() -> Iterator[FakeAzure]:
    with FakeAzure() as fake:
        yield fake


@pytest.fixture
def doctor(subscription: FakeAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor[FakeAzure]:
    """A subscription with the gallery that images.yaml names."""
    subscription.reset()
    with azureaccount.environment(subscription):
        monkeypatch.setattr(session, "POLL_S", 0.01)
        make_gallery("goldbake-images", "goldbake", HOME)
    subscription.calls.clear()
    return Doctor(Cloud.AZURE, subscription, tmp_path, secret=SECRET)


class TestExaminations(Examinations):
    """Of a subscription."""

    kind = T4
    permission = ("Microsoft.Compute/virtualMachines", "write: not allowed", "azure-role.json")
    region = ("eastus9", "Azure region", "eastus2")
    credentials = ("AZURE_TENANT_ID", "Azure credentials", "az login")

    def changed(self, doctor: Doctor[FakeAzure]) -> list[str]:
        return doctor.fake.titles()

    def forbid(self, doctor: Doctor[FakeAzure]) -> None:
        doctor.fake.book.denied = {"Microsoft.Compute/virtualMachines/write"}


def test_a_quota_of_zero_is_named_with_its_value_and_the_command_that_raises_it(doctor: Doctor[FakeAzure]) -> None:
    doctor.fake.book.quotas[HOME, FAMILY] = 0
    said = doctor.ask("--instance-type", T4)
    assert said.code == 4
    row = next(row for row in said.rows if FAMILY in row["state"])
    assert "0 of 0 vCPUs in use" in row["state"]
    assert f"az quota update --resource-name '{FAMILY}'" in row["fix"]


def test_a_provider_that_is_not_registered_is_named_with_its_command(doctor: Doctor[FakeAzure]) -> None:
    doctor.fake.book.unregistered.add("microsoft.compute")
    said = doctor.ask("--instance-type", T4)
    assert said.code == 4
    assert "az provider register --namespace Microsoft.Compute --wait" in said.row("provider Microsoft.Compute")["fix"]


def test_an_expired_secret_is_told_from_a_wrong_one(doctor: Doctor[FakeAzure]) -> None:
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


def test_terraforms_names_do_as_well(doctor: Doctor[FakeAzure]) -> None:
    given = {name: value for name, value in doctor.fake.environment().items() if name.startswith("AZURE_") and "CONFIG" not in name}
    said = doctor.ask(
        "--instance-type", T4, **dict.fromkeys(given, ""), **{name.replace("AZURE_", "ARM_"): value for name, value in given.items()}
    )
    assert said.code == 0, said.stderr
