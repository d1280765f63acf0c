"""The fake of Azure keeps to what the SDK itself says of every call, and leads nowhere else; what is built on it can only be as true as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
)

from goldbake.paths import PROJECT
from tests.fakes.azure import LOCATION, SUBSCRIPTION, FakeAzure, described, kinds, paths
from tests.integration.azurecalls import (
    GROUP,
    MACHINE,
    Calls,
    group_path,
    held,
    ready,
    refused,
    subnet,
)


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    return ready(fake_azure)


def test_every_call_and_answer_is_what_the_sdk_knows(fake_azure: FakeAzure, azure: Calls) -> None:
    """All kinds once: the fixture asserts that nothing was found that the SDK's models do not have."""
    network = azure.network
    rule = {
        "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": "203.0.113.7/32", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "22",
    }  # fmt: skip
    network.network_security_groups.begin_create_or_update(
        GROUP, "guard", {"location": LOCATION, "properties": {"securityRules": [{"name": "ssh", "properties": rule}]}}
    ).result()
    network.security_rules.begin_create_or_update(GROUP, "guard", "web", {"properties": {**rule, "priority": 200}}).result()
    network.public_ip_addresses.begin_create_or_update(GROUP, "ip", {"location": LOCATION, "sku": {"name": "Standard"}}).result()
    address = network.public_ip_addresses.get(GROUP, "ip")
    network.nat_gateways.begin_create_or_update(
        GROUP, "nat", {"location": LOCATION, "sku": {"name": "Standard"}, "properties": {"publicIpAddresses": [{"id": address.id}]}}
    ).result()
    network.subnets.begin_create_or_update(GROUP, "net", "more", {"properties": {"addressPrefix": "10.0.4.0/24"}}).result()
    configuration = {"name": "main", "properties": {"subnet": {"id": subnet()}}}
    network.network_interfaces.begin_create_or_update(
        GROUP, "nic", {"location": LOCATION, "properties": {"ipConfigurations": [configuration]}}
    ).result()
    azure.compute.disks.begin_create_or_update(
        GROUP, "disk", {"location": LOCATION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 32}}
    ).result()
    azure.start(
        zone="1", userData="YQ==", priority="Spot", evictionPolicy="Delete", diagnosticsProfile={"bootDiagnostics": {"enabled": True}}
    )
    azure.begin_set(2, zones=("1", "2")).result()
    for listed in (
        network.virtual_networks.list_all(), network.subnets.list(GROUP, "net"), network.network_security_groups.list_all(),
        network.public_ip_addresses.list_all(), network.network_interfaces.list_all(), network.nat_gateways.list_all(), azure.compute.disks.list(),
        azure.compute.virtual_machines.list_all(), azure.compute.virtual_machine_scale_sets.list_all(), azure.resources.resources.list(),
        azure.resources.resource_groups.list(), azure.compute.usage.list(LOCATION), azure.compute.resource_skus.list(filter=f"location eq '{LOCATION}'"),
        azure.subscriptions.subscriptions.list(), azure.subscriptions.tenants.list(), azure.subscriptions.subscriptions.list_locations(SUBSCRIPTION),
        azure.resources.providers.list(), azure.compute.virtual_machine_images.list_publishers(LOCATION),
    ):  # fmt: skip
        assert len(list(listed)) > 0
    azure.compute.virtual_machines.get(GROUP, "m", expand="instanceView")
    for verb in ("begin_restart", "begin_power_off", "begin_start", "begin_deallocate"):
        getattr(azure.compute.virtual_machines, verb)(GROUP, "m").result()
    azure.resources.resource_groups.begin_delete(GROUP).result()
    assert fake_azure.held() == []


def test_nothing_that_is_served_goes_without_a_description() -> None:
    """Every type that can be made has a model for what is sent and one for what comes back; what the SDK lacks is named."""
    beyond = {"Microsoft.Resources/deployments", "Microsoft.DevTestLab/schedules"}
    for kind in kinds.KINDS.values():
        if kind.type in beyond:
            continue
        names = [f"n{number}" for number in range(kind.type.count("/"))]
        path = paths.identifier(SUBSCRIPTION, GROUP, kind.type, *names)
        (put,) = described.find("PUT", path)
        assert put.request == put.response != "", kind.type
        assert described.find("DELETE", path), kind.type
        (listed,) = [one for one in described.find("GET", path.rpartition("/")[0]) if one.listed]
        assert listed.response == put.response, kind.type


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"properties": {"hardwareprofile": {}}}, "properties.hardwareprofile is unknown to VirtualMachineProperties"),
        ({"properties": {"storageProfile": {"osDisk": {"diskSizeGB": 30}}}}, "properties.storageProfile.osDisk.createOption is missing"),
        ({"properties": {"priority": "Cheap"}}, "properties.priority is 'Cheap', none of VirtualMachinePriorityTypes"),
        ({"properties": {"storageProfile": {"osDisk": {"createOption": "Empty", "diskSizeGB": "30"}}}}, "diskSizeGB is '30', no int"),
        ({"properties": {"provisioningState": "Succeeded"}}, "properties.provisioningState is read-only"),
        ({"tags": {"a": 1}}, "tags[a] is 1, no str"),
        ({"properties": {"userData": None}}, "properties.userData is null"),
    ],
)  # fmt: skip
def test_a_body_that_the_sdk_would_not_send_is_found(fake_azure: FakeAzure, azure: Calls, wrong: dict[str, Any], said: str) -> None:
    body = json.dumps({"location": LOCATION, **wrong}).encode()
    error = refused(lambda: _raw(azure, "PUT", f"{group_path()}/providers/{MACHINE}/m", body))
    assert said in str(error)
    assert said in fake_azure.crashes.pop()
    assert fake_azure.crashes == []
    assert held(fake_azure) == []


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/{MACHINE}?api-version=2019-01-01", "api-version 2019-01-01 is not that of the SDK (2026-"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/{MACHINE}?api-version=2026-04-01&$skip=3", "virtual_machines.list_all has no parameter $skip"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/machines?api-version=2026-04-01", "which has no such call"),
        ("POST", f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/exportTemplate?api-version=2025-04-01", "no path of Resource Manager"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/loadBalancers?api-version=2026-03-01", "does not serve load_balancers.list_all"),
    ],
    ids=["version", "parameter", "path", "not-served", "kind"],
)  # fmt: skip
def test_a_call_that_the_sdk_does_not_have_is_found(fake_azure: FakeAzure, azure: Calls, method: str, path: str, said: str) -> None:
    assert said in str(refused(lambda: _raw(azure, method, path)))
    assert said in fake_azure.crashes.pop()


def _raw(azure: Calls, method: str, path: str, body: bytes = b"") -> None:
    """A request that no client of the SDK would make."""
    token = azure.credential.get_token("https://management.azure.com/.default").token
    url = f"https://management.azure.com{path}" + ("" if "?" in path else "?api-version=2026-04-01")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = requests.request(method, url, data=body or None, headers=headers, timeout=30)
    error = answer.json()["error"]
    assert error["code"] == "FakeContract"
    raise HttpResponseError(message=error["message"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpus": 4}, "properties.cpus is unknown to VirtualMachineProperties"),
        ({"priority": "Cheap"}, "properties.priority is 'Cheap'"),
        ({"timeCreated": "yesterday"}, "properties.timeCreated is 'yesterday', no time"),
        ({"timeCreated": "2026-11-01T00:00:00"}, "no time with a zone"),
        ({"storageProfile": {"osDisk": {"name": "x"}}}, "properties.storageProfile.osDisk.createOption is missing, which OSDisk requires"),
        ({"networkProfile": {"networkInterfaces": {}}}, "properties.networkProfile.networkInterfaces is no list"),
        ({"vmId": None}, "properties.vmId is null"),
    ],
)  # fmt: skip
def test_an_answer_that_the_sdk_does_not_know_is_found(
    fake_azure: FakeAzure, azure: Calls, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    """The fake is made to answer what its service never would."""
    azure.start()
    kind = kinds.KINDS[MACHINE.lower()]
    wrong = replace(kind, show=lambda ask, one: {**one.body, "properties": {**one.properties, **change}})
    monkeypatch.setitem(kinds.KINDS, MACHINE.lower(), wrong)
    assert said in str(refused(lambda: azure.compute.virtual_machines.get(GROUP, "m")))
    assert said in str(refused(lambda: list(azure.compute.virtual_machines.list(GROUP))))
    assert len(fake_azure.crashes) == 2
    fake_azure.crashes.clear()


def test_the_proxy_leads_to_azure_and_nowhere_else(fake_azure: FakeAzure) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        requests.get("https://example.com/", timeout=30)
    assert fake_azure.refused_hosts == ["example.com:443"]
    fake_azure.refused_hosts.clear()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get("https://management.azure.com/", verify=os.devnull, timeout=30)


def test_it_runs_alone() -> None:
    command = [sys.executable, "-m", "tests.fakes.azure"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/_state", timeout=30) as answer:
            assert json.load(answer)["resources"] == []
        given = said["environment"]
        through = {"proxies": {"https": given["HTTPS_PROXY"]}, "verify": given["REQUESTS_CA_BUNDLE"], "timeout": 30}
        form = {"grant_type": "client_credentials", "client_id": given["AZURE_CLIENT_ID"], "client_secret": given["AZURE_CLIENT_SECRET"]}
        token = requests.post(
            f"https://login.microsoftonline.com/{given['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form, **through
        ).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        url = f"https://management.azure.com/subscriptions/{said['subscription']}?api-version=2022-12-01"
        assert requests.get(url, headers=headers, **through).json()["state"] == "Enabled"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
