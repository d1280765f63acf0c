"""Galleries and deployments of the fake of Azure: what a bake needs."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.fakes.azure import LOCATION, SUBSCRIPTION, FakeAzure
from tests.integration.azurecalls import (
    GROUP,
    MACHINE,
    Calls,
    code,
    held,
    machine,
    ready,
)


@pytest.fixture
def azure(fake_azure: FakeAzure) -> Calls:
    return ready(fake_azure)


def test_latest_is_the_newest_version_of_a_region_that_is_not_left_out(fake_azure: FakeAzure, azure: Calls) -> None:
    compute = azure.compute
    source = azure.start(size="Standard_D2s_v5")
    compute.virtual_machines.begin_deallocate(GROUP, "m").result()
    compute.galleries.begin_create_or_update(GROUP, "gallery", {"location": LOCATION}).result()
    identifier = {"publisher": "p", "offer": "o", "sku": "s"}
    properties = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": identifier}
    compute.gallery_images.begin_create_or_update(GROUP, "gallery", "image", {"location": LOCATION, "properties": properties}).result()

    def version(name: str, *regions: str, hidden: bool = False) -> Any:
        profile = {"targetRegions": [{"name": region} for region in (LOCATION, *regions)], "excludeFromLatest": hidden}
        body = {
            "location": LOCATION,
            "properties": {"storageProfile": {"source": {"virtualMachineId": source.id}}, "publishingProfile": profile},
        }
        return compute.gallery_image_versions.begin_create_or_update(GROUP, "gallery", "image", name, body).result()

    assert code(lambda: version("1.0.0")) == "OperationNotAllowed", "it is not generalized"
    compute.virtual_machines.generalize(GROUP, "m")
    version("1.9.0", "northeurope")
    version("1.10.0")
    made = version("2.0.0", hidden=True)
    definition = made.id.partition("/versions/")[0]
    started = azure.start("m2", image={"id": definition})
    assert started.properties.storage_profile.image_reference.exact_version == "1.10.0"
    change = {"properties": {"storageProfile": {}, "publishingProfile": {"excludeFromLatest": False}}}
    compute.gallery_image_versions.begin_update(GROUP, "gallery", "image", "2.0.0", change).result()
    assert azure.start("m3", image={"id": definition}).properties.storage_profile.image_reference.exact_version == "2.0.0"
    azure.group("north", "northeurope")
    north = azure.start("m4", "north", location="northeurope", image={"id": definition})
    assert north.properties.storage_profile.image_reference.exact_version == "1.9.0"
    assert code(lambda: azure.start("m5", "north", location="northeurope", image={"id": made.id})) == "GalleryImageNotFound"


def test_a_region_that_has_no_copy_yet_says_so(fake_azure: FakeAzure, azure: Calls) -> None:
    fake_azure.book.replication["northeurope"] = "Failed"
    compute = azure.compute
    source = azure.start(size="Standard_D2s_v5")
    compute.virtual_machines.begin_deallocate(GROUP, "m").result()
    compute.virtual_machines.generalize(GROUP, "m")
    compute.galleries.begin_create_or_update(GROUP, "gallery", {"location": LOCATION}).result()
    properties = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
    }
    compute.gallery_images.begin_create_or_update(GROUP, "gallery", "image", {"location": LOCATION, "properties": properties}).result()
    profile = {"targetRegions": [{"name": LOCATION}, {"name": "North Europe"}]}
    body = {
        "location": LOCATION,
        "properties": {"storageProfile": {"source": {"virtualMachineId": source.id}}, "publishingProfile": profile},
    }
    compute.gallery_image_versions.begin_create_or_update(GROUP, "gallery", "image", "1.0.0", body).result()
    status = compute.gallery_image_versions.get(
        GROUP, "gallery", "image", "1.0.0", expand="ReplicationStatus"
    ).properties.replication_status
    assert {one.region: one.state for one in status.summary} == {LOCATION: "Completed", "northeurope": "Failed"}
    assert code(lambda: compute.galleries.begin_delete(GROUP, "gallery")) == "CannotDeleteResource"


# --- deployments


def _deploy(azure: Calls, template: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """A template as Packer 1.6.6 sends it, and how its operation ends."""
    token = azure.credential.get_token("https://management.azure.com/.default").token
    headers = {"Authorization": f"Bearer {token}"}
    whole = {
        "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        **template,
    }
    given = {name: {"value": value} for name, value in parameters.items()}
    url = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/providers/Microsoft.Resources/deployments/d"
    body = {"properties": {"mode": "Incremental", "template": whole, "parameters": given}}
    answer = requests.put(f"{url}?api-version=2018-02-01", json=body, headers=headers, timeout=30)
    if answer.status_code >= 400:
        return dict(answer.json())
    return dict(requests.get(answer.headers["Azure-AsyncOperation"], headers=headers, timeout=30).json())


def _template() -> dict[str, Any]:
    """A machine and its interface, in the wrong order, with names that are worked out."""
    body = machine("[parameters('name')]")
    subnet_id = "[concat(resourceId(variables('group'), 'Microsoft.Network/virtualNetworks', 'net'), '/subnets/', toLower('DEFAULT'))]"
    configuration = {"name": "main", "properties": {"subnet": {"id": subnet_id}}}
    place = {"apiVersion": "2017-04-01", "location": "[resourceGroup().location]"}
    reference = {"id": "[resourceId('Microsoft.Network/networkInterfaces', concat(parameters('name'), '-nic'))]"}
    properties = {**body["properties"], "networkProfile": {"networkInterfaces": [reference]}}
    depends = ["[concat('Microsoft.Network/networkInterfaces/', parameters('name'), '-nic')]"]
    return {
        "parameters": {"name": {"type": "string"}},
        "variables": {"group": "[resourceGroup().name]"},
        "resources": [
            {**place, "type": MACHINE, "name": "[parameters('name')]", "properties": properties, "dependsOn": depends},
            {
                **place,
                "type": "Microsoft.Network/networkInterfaces",
                "name": "[concat(parameters('name'), '-nic')]",
                "properties": {"ipConfigurations": [configuration]},
            },
        ],
    }


def test_a_deployment_makes_what_its_template_says(fake_azure: FakeAzure, azure: Calls) -> None:
    assert _deploy(azure, _template(), name="m9")["status"] == "Succeeded"
    assert [one.name for one in fake_azure.held() if one.kind in (MACHINE, "Microsoft.Network/networkInterfaces")] == ["m9-nic", "m9"]
    assert fake_azure.machine("m9").power == "running"
    token = azure.credential.get_token("https://management.azure.com/.default").token
    path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/deployments/d/operations?$top=50&api-version=2018-02-01"
    answer = requests.get(f"https://management.azure.com{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    made = [one["properties"]["targetResource"]["resourceName"] for one in answer.json()["value"]]
    assert made == ["m9", "m9-nic"], "the newest first, and without a provider in the path"


@pytest.mark.parametrize("where", ["call", "operation"])
def test_a_deployment_that_fails_holds_the_error_inside(fake_azure: FakeAzure, azure: Calls, where: str) -> None:
    fake_azure.refuse("AllocationFailed", MACHINE, where=where)
    ended = _deploy(azure, _template(), name="m9")
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "DeploymentFailed")
    assert [one["code"] for one in ended["error"]["details"]] == ["AllocationFailed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variables": {"group": "[variables('none')]"}}, "The template variable 'none' is not found."),
        ({"variables": {"group": "[guid('x')]"}}, "The template function 'guid' is not valid."),
        ({"variables": {"group": "[concat('x']"}}, "The expression"),
        ({"parameters": {}}, "do not correspond to any parameters"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(fake_azure: FakeAzure, azure: Calls, change: dict[str, Any], said: str) -> None:
    ended = _deploy(azure, {**_template(), **change}, name="m9")
    assert ended["error"]["code"] == "InvalidTemplate"
    assert said in ended["error"]["message"]
    assert held(fake_azure) == []
