"""Long-running operations of the fake of Azure: how they are polled, where they fail, and what happens when nobody asks."""

from __future__ import annotations

import time

import pytest
from azure.core.exceptions import (
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.mgmt.compute import ComputeManagementClient

from tests.fakes.azure import LOCATION, START, SUBSCRIPTION, FakeAzure
from tests.integration.azurecalls import (
    GROUP,
    MACHINE,
    Calls,
    code,
    held,
    machine,
    ready,
    refused,
)


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    return ready(fake_azure)


@pytest.mark.parametrize("style", ["async", "location", "both", "body"])
def test_an_operation_is_polled_in_each_style(fake_azure: FakeAzure, azure: Calls, style: str) -> None:
    fake_azure.book.polls = 3
    fake_azure.book.style = {"PUT": style, "DELETE": "location" if style == "body" else style, "POST": style}
    assert azure.start().properties.provisioning_state == "Succeeded"
    polls = [call for call in fake_azure.calls if call.what == "operation"]
    assert len(polls) == (0 if style == "body" else 4)
    fake_azure.calls.clear()
    azure.compute.virtual_machines.begin_restart(GROUP, "m").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    # With both headers the SDK looks at the result of a POST as well.
    assert len([call for call in fake_azure.calls if call.what == "operation"]) == (9 if style == "both" else 8)
    assert held(fake_azure) == []


def test_the_wait_that_an_answer_asks_for_is_waited(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.retry_after, fake_azure.book.polls = 1, 1
    begun = time.monotonic()
    azure.start()
    assert time.monotonic() - begun >= 1


def test_an_operation_fails_where_it_is_told_to(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.refuse("SkuNotAvailable", START)
    assert code(azure.begin) == "SkuNotAvailable"
    assert held(fake_azure) == []
    fake_azure.refuse("AllocationFailed", START, where="operation")
    poller = azure.begin()
    assert code(poller.result) == "AllocationFailed"
    view = azure.compute.virtual_machines.get(GROUP, "m", expand="instanceView").properties
    assert (view.provisioning_state, view.instance_view.statuses[0].code) == ("Failed", "ProvisioningState/failed/AllocationFailed")
    assert "virtualMachines" in held(fake_azure), "what was to be remains, with its disk and its interface"
    fake_azure.refuse("AllocationFailed", START, where="later")
    assert azure.start("m2").properties.provisioning_state == "Failed"
    fake_azure.refuse("AllocationFailed", START, where="body")
    assert "AllocationFailed" not in str(refused(lambda: azure.start("m3")))
    for name in ("m", "m2", "m3"):
        azure.compute.virtual_machines.begin_delete(GROUP, name).result()
    assert held(fake_azure) == []


def test_a_delete_that_fails_in_its_operation_leaves_what_was(fake_azure: FakeAzure, azure: Calls) -> None:
    azure.start()
    for style in ("async", "location"):
        fake_azure.book.style["DELETE"] = style
        fake_azure.refuse("InternalExecutionError", MACHINE, where="operation", method="DELETE")
        assert code(lambda: azure.compute.virtual_machines.begin_delete(GROUP, "m").result()) == "InternalExecutionError"
    assert azure.compute.virtual_machines.get(GROUP, "m").properties.provisioning_state == "Failed"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()  # 204: there is none


def test_what_nobody_polls_goes_on(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 2
    azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    seen = [azure.compute.virtual_machines.get(GROUP, "m").properties.provisioning_state for _ in range(3)]
    assert seen == ["Creating", "Creating", "Succeeded"]
    azure.compute.virtual_machines.begin_delete(GROUP, "m", polling=False)
    assert code(azure.begin) == "OperationNotAllowed", "it is marked for deletion"
    fake_azure.settle()
    assert held(fake_azure) == []


def test_a_machine_may_be_deleted_while_it_is_made(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 5
    poller = azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    assert poller.result().properties.provisioning_state == "Creating"
    azure.compute.virtual_machines.begin_delete(GROUP, "m").result()
    assert held(fake_azure) == []


def test_a_network_does_one_thing_at_a_time(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.polls = 2
    body = {"properties": {"addressPrefix": "10.0.4.0/24"}}
    poller = azure.network.subnets.begin_create_or_update(GROUP, "net", "more", body, polling=False)
    assert poller.result().provisioning_state == "Creating"
    assert code(lambda: azure.network.subnets.begin_delete(GROUP, "net", "more")) == "AnotherOperationInProgress"
    azure.network.virtual_networks.begin_create_or_update(
        GROUP, "net", {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}, polling=False
    )
    assert code(lambda: azure.network.subnets.begin_delete(GROUP, "net", "default")) == "AnotherOperationInProgress"
    fake_azure.settle()
    azure.network.subnets.begin_delete(GROUP, "net", "more").result()


def test_throttling_says_how_long_and_the_sdk_waits(fake_azure: FakeAzure, azure: Calls) -> None:
    patient = ComputeManagementClient(azure.credential, SUBSCRIPTION, polling_interval=0.01)
    fake_azure.refuse("TooManyRequests", "*", retry_after=1, times=2)
    begun = time.monotonic()
    list(patient.virtual_machines.list(GROUP))
    assert time.monotonic() - begun >= 2
    assert [call.status for call in fake_azure.calls if call.what == MACHINE] == [429, 429, 200]
    fake_azure.keep_answers = True
    list(patient.virtual_machines.list(GROUP))
    fake_azure.keep_answers = False
    left = [answer.headers["x-ms-ratelimit-remaining-resource"] for _, answer in fake_azure.answers]
    assert [name.partition(";")[0] for name in left] == ["Microsoft.Compute/HighCostGet3Min"]
    fake_azure.refuse("TooManyRequests", "operation", retry_after=1)
    patient.virtual_machines.begin_create_or_update(GROUP, "m", machine("m")).result()


def test_a_connection_ends_before_or_after_the_effect(fake_azure: FakeAzure, azure: Calls) -> None:
    for name, done, there in (("m1", False, []), ("m2", True, ["m2"])):
        fake_azure.refuse("gone", START, drop=True, done=done)
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            azure.begin(name)
        assert [one.name for one in fake_azure.held() if one.kind == MACHINE] == there
    assert [call.code for call in fake_azure.calls if call.method == "PUT"] == ["dropped", "dropped"]


def test_a_new_resource_is_not_seen_at_once(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.lag = 2
    azure.compute.virtual_machines.begin_create_or_update(GROUP, "m", machine("m"), polling=False)
    assert list(azure.compute.virtual_machines.list(GROUP)) == []
    with pytest.raises(ResourceNotFoundError):
        azure.compute.virtual_machines.get(GROUP, "m")
    assert azure.compute.virtual_machines.get(GROUP, "m").name == "m"
