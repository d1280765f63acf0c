"""VM sizes and their quotas; a refused quota explained."""

from __future__ import annotations

import pytest

from goldbake.clouds.azure import quotas
from goldbake.clouds.azure.errors import refused
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.azure.shortage import shortage_of
from goldbake.clouds.azure.skus import skus
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from tests.fakes.azure import SUBSCRIPTION, FakeAzure
from tests.unit.clouds.azure.answers import quota

HOME = "westeurope"
T4 = "Standard_NC4as_T4_v3"
FAMILY = "Standard NCASv3_T4 Family"


def _failure(code: str = "QuotaExceeded", said: str = "Too much.") -> Failure:
    return refused(code, said, doing="start machines", place=HOME)


def _explained(azure: Azure, failure: Failure, *, spot: bool = False, count: int = 1, types: tuple[str, ...] = (T4,)) -> Failure:
    return quotas.explained(azure, failure, region=HOME, types=types, spot=spot, count=count)


def test_what_a_region_offers_of_a_size(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.restricted[f"{HOME}-2", T4] = "NotAvailableForSubscription"
    fake_azure.book.restricted[HOME, "Standard_NC40ads_H100_v5"] = "QuotaId"
    found = skus(azure, HOME, [T4, "Standard_NC40ads_H100_v5", "Standard_B2s", "Standard_Nothing"])
    assert set(found) == {T4.lower(), "standard_nc40ads_h100_v5", "standard_b2s"}
    t4, h100, b2s = found[T4.lower()], found["standard_nc40ads_h100_v5"], found["standard_b2s"]
    assert (t4.name, t4.family, t4.processors, t4.zones, t4.barred, t4.restricted) == (T4, FAMILY, 4, ("1", "3"), ("2",), "")
    assert (h100.restricted, h100.generations, h100.processors) == ("QuotaId", ("V2",), 40)
    assert (t4.spot, b2s.spot) == (True, False)
    assert t4.trusted_launch
    assert len(skus(azure, HOME)) > 20


def test_machines_count_against_their_family_and_all_sizes_together_and_spot_against_its_own(azure: Azure) -> None:
    sku = skus(azure, HOME, [T4])[T4.lower()]
    assert quotas.names_of(sku, spot=False) == (FAMILY, "cores")
    assert quotas.names_of(sku, spot=True) == ("lowPriorityCores",)


def test_quotas_of_a_region_with_what_is_in_use(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, FAMILY] = 8
    found = quotas.quotas(azure, HOME)[FAMILY.lower()]
    assert (found.name, found.title, found.limit, found.used, found.free) == (FAMILY, "Standard NCASv3_T4 Family vCPUs", 8, 0, 8)


def test_a_refused_quota_is_named_with_its_value_the_need_and_the_way_to_more(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, FAMILY] = 8
    found = _explained(azure, _failure(), count=3)
    assert (found.code, found.scope, found.exit_code) == ("QuotaExceeded", Scope.REGION, Exit.CAPACITY)
    assert f"the quota {FAMILY} in {HOME} is 8, 0 in use, 12 more wanted (3 × {T4})" in found.message
    scope = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{HOME}"
    assert f"az quota update --resource-name '{FAMILY}' --scope {scope} --limit-object value=12 --resource-type dedicated" in found.hint


def test_both_quotas_are_named_when_both_are_short(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, FAMILY] = 0
    fake_azure.book.quotas[HOME, "cores"] = 2
    found = _explained(azure, _failure())
    assert f"the quota {FAMILY} in {HOME} is 0, 0 in use, 4 more wanted; the quota cores in {HOME} is 2" in found.message


def test_spot_has_a_quota_of_its_own(fake_azure: FakeAzure, azure: Azure) -> None:
    fake_azure.book.quotas[HOME, "lowPriorityCores"] = 3
    found = _explained(azure, _failure(), spot=True)
    assert "the quota lowPriorityCores in westeurope is 3" in found.message
    assert "--resource-type lowPriority`" in found.hint


def test_azures_own_numbers_are_enough(fake_azure: FakeAzure, azure: Azure) -> None:
    failure = _failure("OperationNotAllowed", quota("LowPriorityCores", limit=3, more=4))
    fake_azure.calls.clear()
    assert _explained(azure, failure, spot=True) is failure
    assert fake_azure.calls == []


def test_the_command_is_for_the_subscription_that_refused_and_not_for_the_one_of_the_azure_cli(azure: Azure) -> None:
    failure = _failure("OperationNotAllowed", quota("LowPriorityCores", limit=3, more=4))
    assert "$(az account show" in failure.hint
    assert f"--scope /subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/" in _explained(azure, failure, spot=True).hint


@pytest.mark.parametrize("what", ["Microsoft.Compute/skus", "Microsoft.Compute/locations/usages"])
def test_values_that_may_not_be_read_are_said_and_the_hint_stays(fake_azure: FakeAzure, azure: Azure, what: str) -> None:
    fake_azure.refuse("AuthorizationFailed", what, method="GET", status=403, times=None)
    failure = _failure()
    found = _explained(azure, failure)
    assert found.message == f"{failure.message}; the quotas of {HOME} could not be read (AuthorizationFailed)"
    assert found.hint == failure.hint


@pytest.mark.parametrize(
    ("code", "said", "types"),
    [
        ("ZonalAllocationFailed", "", (T4,)),
        ("PublicIPCountLimitReached", "", (T4,)),
        ("OperationNotAllowed", "another operation is in progress", (T4,)),
        ("QuotaExceeded", "", ()),
        ("QuotaExceeded", "", ("Standard_Nothing",)),
        ("QuotaExceeded", "", (T4,)),
    ],
)
def test_what_has_no_quota_that_is_short_stays_as_it_is(azure: Azure, code: str, said: str, types: tuple[str, ...]) -> None:
    failure = _failure(code, said)
    assert _explained(azure, failure, types=types) is failure


@pytest.mark.parametrize("said", ["", "Allocation failed.", "The quota of patience is exceeded."])
def test_words_that_are_about_something_else(said: str) -> None:
    assert shortage_of(said) is None


def test_a_quota_without_numbers_asks_for_one_more() -> None:
    found = shortage_of("Operation could not be completed as it results in exceeding approved Total Regional Cores quota.")
    assert found is not None
    assert str(found) == "the quota cores"
    assert "--limit-object value=1 " in found.increase(region="eastus")
    assert "/subscriptions/$(az account show --query id --output tsv)/providers/Microsoft.Compute/locations/eastus " in found.increase(
        region="eastus"
    )
