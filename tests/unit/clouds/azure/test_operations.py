"""Ends of long-running operations, and how patient the SDK is with a service in trouble."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure import session
from goldbake.clouds.azure.operations import LATE, finished, require_good
from goldbake.clouds.azure.session import Azure
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from tests.fakes.azure import FakeAzure

HOME = "westeurope"
VNET = "Microsoft.Network/virtualNetworks"
BODY: Any = {"location": HOME, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}


@pytest.fixture
def group(azure: Azure) -> str:
    azure.client(ResourceManagementClient).resource_groups.create_or_update("g", {"location": HOME})
    return "g"


def _make(azure: Azure, group: str, patience: float = 20) -> Any:
    poller = azure.client(NetworkManagementClient).virtual_networks.begin_create_or_update(group, "n", BODY)
    return finished(poller, doing="make a network", place=HOME, patience=patience)


@pytest.mark.parametrize("style", ["async", "location", "body"])
def test_an_operation_is_waited_for_whichever_way_it_is_polled(fake_azure: FakeAzure, azure: Azure, group: str, style: str) -> None:
    fake_azure.book.style["PUT"] = style
    fake_azure.book.polls = 2
    _make(azure, group)
    assert azure.client(NetworkManagementClient).virtual_networks.get(group, "n").provisioning_state == "Succeeded"


@pytest.mark.parametrize("style", ["async", "location"])
def test_an_operation_that_fails_has_its_code(fake_azure: FakeAzure, azure: Azure, group: str, style: str) -> None:
    fake_azure.book.style["PUT"] = style
    fake_azure.refuse("AllocationFailed", VNET, where="operation")
    with pytest.raises(Failure) as raised:
        _make(azure, group)
    assert (raised.value.code, raised.value.scope) == ("AllocationFailed", Scope.REGION)


@pytest.mark.parametrize("where", ["later", "body"])
def test_an_operation_that_succeeds_with_a_resource_that_failed_is_a_failure(
    fake_azure: FakeAzure, azure: Azure, group: str, where: str
) -> None:
    fake_azure.refuse("x", VNET, where=where)
    with pytest.raises(Failure) as raised:
        _make(azure, group)
    assert (raised.value.code, raised.value.scope) == ("ProvisioningFailed", Scope.ZONE)


def test_an_operation_that_does_not_end_in_time_is_given_up(fake_azure: FakeAzure, azure: Azure, group: str) -> None:
    fake_azure.book.polls = 1000
    with pytest.raises(Failure) as raised:
        _make(azure, group, patience=0.2)
    assert (raised.value.code, raised.value.scope, raised.value.exit_code) == (LATE, Scope.ZONE, Exit.CAPACITY)
    assert "reap" in raised.value.hint


def test_the_code_of_a_failed_machine_is_in_its_statuses() -> None:
    class Status:
        code, message = "ProvisioningState/failed/ZonalAllocationFailed", "Allocation failed."

    class View:
        statuses = (Status(),)

    class Machine:
        provisioning_state, instance_view = "Failed", View()

    with pytest.raises(Failure) as raised:
        require_good(Machine(), doing="start a machine", place=HOME)
    assert raised.value.code == "ZonalAllocationFailed"


def _listed(azure: Azure) -> list[Any]:
    return list(azure.client(ComputeManagementClient).usage.list(HOME))


def _waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the SDK would have waited."""
    waited: list[float] = []
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _, seconds: waited.append(seconds))
    return waited


def test_too_many_requests_are_asked_again_when_azure_says(fake_azure: FakeAzure, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_azure.refuse("TooManyRequests", "Microsoft.Compute/locations/usages", method="GET", status=429, retry_after=17, times=2)
    waited = _waits(monkeypatch)
    assert _listed(azure)
    assert waited == [17.0, 17.0]


def test_a_wait_that_is_too_long_ends_with_the_refusal(fake_azure: FakeAzure, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    after = int(session.PATIENCE_S) + 1
    fake_azure.refuse("TooManyRequests", "Microsoft.Compute/locations/usages", method="GET", status=429, retry_after=after, times=None)
    waited = _waits(monkeypatch)
    with pytest.raises(HttpResponseError):
        _listed(azure)
    assert waited == []
    assert len([call for call in fake_azure.calls if call.status == 429]) == 1


def test_asking_again_has_an_end(fake_azure: FakeAzure, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_azure.refuse("TooManyRequests", "Microsoft.Compute/locations/usages", method="GET", status=429, retry_after=1, times=None)
    waited = _waits(monkeypatch)
    with pytest.raises(HttpResponseError):
        _listed(azure)
    assert 5 <= len(waited) <= 10


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (504, True), (400, False), (403, False), (409, False)])
def test_only_trouble_of_the_service_is_asked_again(
    fake_azure: FakeAzure, azure: Azure, monkeypatch: pytest.MonkeyPatch, status: int, again: bool
) -> None:
    what = "Microsoft.Compute/locations/usages"
    fake_azure.refuse("Whatever", what, method="GET", status=status, retry_after=1)
    _waits(monkeypatch)
    if again:
        assert _listed(azure)
    else:
        with pytest.raises(HttpResponseError):
            _listed(azure)
    assert len([call for call in fake_azure.calls if call.what == what]) == (2 if again else 1)


def test_a_provider_is_not_registered_by_the_sdk(fake_azure: FakeAzure, azure: Azure, group: str) -> None:
    fake_azure.book.unregistered.add("microsoft.network")
    with pytest.raises(HttpResponseError):
        azure.client(NetworkManagementClient).virtual_networks.begin_create_or_update(group, "n", BODY)
    assert not any("register" in title.lower() for title in fake_azure.titles())


def test_many_threads_share_one_client(fake_azure: FakeAzure, azure: Azure, run_at_once: Callable[..., list[Any]]) -> None:
    started = time.monotonic()
    assert all(run_at_once(lambda: len(_listed(azure)), 16))
    assert time.monotonic() - started < 20
    assert len([call for call in fake_azure.calls if call.what == "token" and call.method == "POST"]) <= 16


@pytest.fixture
def run_at_once() -> Callable[..., list[Any]]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def run(call: Callable[[], Any], times: int) -> list[Any]:
        with ThreadPoolExecutor(times) as pool:
            return [future.result() for future in [pool.submit(call) for _ in range(times)]]

    return run
