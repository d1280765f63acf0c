"""What stands above the resources of the fake of Azure: sign-in, providers, policies, locks, permissions, lists."""

from __future__ import annotations

import json

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources.models import ErrorDetail

from tests.fakes.azure import CLIENT, LOCATION, FakeAzure, shapes
from tests.integration.azurecalls import (
    GROUP,
    MACHINE,
    Calls,
    code,
    group_path,
    interfaces,
    machine,
    ready,
    refused,
)


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    return ready(fake_azure)


@pytest.mark.parametrize(
    ("variable", "value", "expired", "number"),
    [
        ("AZURE_CLIENT_SECRET", "wrong", False, "AADSTS7000215"),
        ("AZURE_CLIENT_SECRET", "", True, "AADSTS7000222"),
        ("AZURE_TENANT_ID", "11111111-aaaa-4bbb-8ccc-00000000ffff", False, "AADSTS90002"),
        ("AZURE_CLIENT_ID", "11111111-aaaa-4bbb-8ccc-00000000ffff", False, "AADSTS700016"),
    ],
)
def test_a_sign_in_is_refused_with_its_number(
    fake_azure: FakeAzure, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expired: bool, number: str
) -> None:
    if expired:
        fake_azure.directory.expired.add(CLIENT)
    else:
        monkeypatch.setenv(variable, value)
    # Which tenants there are is asked only once for a tenant that is there: a wrong one is told apart by the answer to that.
    with pytest.raises((ClientAuthenticationError, ValueError), match=number if number != "AADSTS90002" else "AADSTS90002|authority"):
        Calls().resources.resource_groups.check_existence(GROUP)


def test_a_token_that_has_ended_is_refused(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.directory.tokens.clear()
    with pytest.raises(ClientAuthenticationError):
        list(azure.resources.resource_groups.list())


def test_a_provider_is_registered_first(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.unregistered.add("microsoft.compute")
    fake_azure.book.register_polls = 1
    # The SDK registers a provider by itself when it meets this: here it is not asked.
    token = azure.credential.get_token("https://management.azure.com/.default").token
    url = f"https://management.azure.com{group_path()}/providers/{MACHINE}/m?api-version=2026-04-01"
    answer = requests.put(url, json=machine("m"), headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert azure.resources.providers.get("Microsoft.Compute").registration_state == "NotRegistered"
    azure.resources.providers.register("Microsoft.Compute")
    states = [azure.resources.providers.get("Microsoft.Compute").registration_state for _ in range(2)]
    assert states == ["Registering", "Registered"]
    azure.start()


def test_policies_locks_and_permissions_stand_in_the_way(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.keep_answers = True
    fake_azure.book.policies.append(lambda kind, body: "no-spot" if (body.get("properties") or {}).get("priority") == "Spot" else "")
    error = refused(lambda: azure.begin(priority="Spot"))
    assert error.error is not None
    assert error.error.code == "RequestDisallowedByPolicy"
    assert error.error.additional_info[0].info["policyDefinitionName"] == "no-spot"
    azure.start()
    fake_azure.book.locks[group_path()] = "CanNotDelete"
    assert code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m")) == "ScopeLocked"
    assert code(lambda: azure.resources.resource_groups.begin_delete(GROUP)) == "ScopeLocked"
    fake_azure.book.locks.clear()
    fake_azure.book.denied.add("Microsoft.Compute/virtualMachines/delete")
    assert code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m")) == "AuthorizationFailed"
    fake_azure.keep_answers = False
    errors = [json.loads(answer.body)["error"] for _, answer in fake_azure.answers if answer.status >= 400]
    assert len(errors) == 4
    assert [wrong for error in errors for wrong in shapes.answered(ErrorDetail, error)] == []


def test_a_group_is_not_deleted_while_another_uses_its_network(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.resources.resource_groups.create_or_update("other", {"location": LOCATION})
    azure.start("m", "other", profile=interfaces(GROUP))
    assert code(lambda: azure.resources.resource_groups.begin_delete(GROUP).result()) == "ResourceGroupDeletionBlocked"
    azure.resources.resource_groups.begin_delete("other").result()
    azure.resources.resource_groups.begin_delete(GROUP).result()
    assert fake_azure.held() == []


def test_lists_come_in_pages_and_by_tag(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.begin_set(5).result()
    fake_azure.book.page = 2
    fake_azure.calls.clear()
    found = list(azure.compute.virtual_machines.list_all())
    assert len(found) == 5
    assert len(fake_azure.calls) == 3
    assert all("/resourceGroups/WORK/" in one.id for one in found), "lists of a subscription have the group in capitals"
    tagged = list(
        azure.resources.resources.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'x'", expand="createdTime,provisioningState")
    )
    assert sorted({one.type.rpartition("/")[2] for one in tagged}) == ["disks", "virtualMachineScaleSets", "virtualMachines"]
    assert [one.name for one in azure.resources.resource_groups.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'x'")] == [GROUP]
    assert list(azure.resources.resource_groups.list(filter="tagName eq 'goldbake-launch' and tagValue eq 'y'")) == []
    assert code(lambda: list(azure.resources.resources.list(filter="tags['a'] = 'b'"))) == "InvalidFilterInQueryString"


def test_an_unknown_subscription_is_not_found(fake_azure: FakeAzure, azure: Calls) -> None:
    other = ComputeManagementClient(azure.credential, "22222222-aaaa-4bbb-8ccc-00000000ffff", retry_total=0)
    assert code(lambda: list(other.virtual_machines.list_all())) == "SubscriptionNotFound"
