from __future__ import annotations

import hashlib

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import connect

PACKAGES = "/_apis/distributedtask/packages/agent"


def test_connection_data_tells_who_and_what(admin: httpx.Client) -> None:
    data = admin.get("/_apis/connectionData", params={"connectOptions": "1", "lastChangeId": "-1", "lastChangeId64": "-1"}).json()
    assert data["authenticatedUser"] == data["authorizedUser"]
    assert data["deploymentType"] == "onPremises"
    assert {"instanceId", "deploymentId"} <= data.keys()
    assert data["locationServiceData"]["accessMappings"][0]["accessPoint"].endswith("/demo/")
    assert data["locationServiceData"]["clientCacheFresh"] is False


def test_locations_come_only_when_asked_for(admin: httpx.Client) -> None:
    assert "serviceDefinitions" not in admin.get("/_apis/connectionData", params={"connectOptions": "0"}).json()["locationServiceData"]


def test_both_ways_to_find_a_resource_agree(admin: httpx.Client) -> None:
    data = admin.get("/_apis/connectionData", params={"connectOptions": "1"}).json()
    by_data = {entry["identifier"]: entry["relativePath"].lstrip("/") for entry in data["locationServiceData"]["serviceDefinitions"]}
    by_options = {entry["id"]: entry["routeTemplate"] for entry in admin.options("/_apis/").json()["value"]}
    assert by_data == by_options
    assert by_options["a8c47e17-4d56-4a56-92bb-de7ea7dc65be"] == "_apis/{area}/{resource}/{poolId}"


def test_locations_need_no_credential(service: SimulatedAzureDevOps) -> None:
    with connect(service) as nobody:
        assert nobody.options("/_apis").json()["count"] == 7
        assert nobody.options("/_apis/distributedtask").json()["count"] == 7
        assert nobody.options("/_apis/agents").json()["count"] == 1


def test_addresses_are_those_that_the_client_used(service: SimulatedAzureDevOps) -> None:
    with connect(service, auth=("x", service.pat), headers={"Host": f"10.0.2.2:{service.port}"}) as guest:
        data = guest.get("/_apis/connectionData", params={"connectOptions": "1"}).json()
    assert data["locationServiceData"]["accessMappings"][0]["accessPoint"] == f"https://10.0.2.2:{service.port}/demo/"


@pytest.mark.parametrize("path", ["/_APIS/connectiondata", "/_apis/connectionData/"])
def test_paths_are_found_in_any_case_and_with_a_slash(service: SimulatedAzureDevOps, path: str) -> None:
    with connect(service, auth=("x", service.pat)) as client:
        client.base_url = f"https://127.0.0.1:{service.port}/DEMO"
        assert client.get(path).status_code == 200


def test_what_is_not_served_is_told_apart(admin: httpx.Client) -> None:
    unknown = admin.get("/_apis/build/builds")
    assert (unknown.status_code, unknown.json()["typeKey"]) == (404, "VssResourceNotFoundException")
    method = admin.put("/_apis/distributedtask/pools", json={})
    assert (method.status_code, method.json()["typeKey"]) == (405, "VssMethodNotAllowedException")


def test_packages_come_newest_first_with_their_hash(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    for version in ("4.9.0", "4.255.0"):
        service.add_package(version, version.encode())
    service.add_package("4.255.0", b"arm", "linux-arm64")
    found = admin.get(PACKAGES, params={"platform": "linux-x64", "$top": "1"}).json()["value"]
    assert [package["version"] for package in found] == [{"major": 4, "minor": 255, "patch": 0}]
    assert found == [admin.get(f"{PACKAGES}/linux-x64/4.255.0").json()]
    assert admin.get(f"{PACKAGES}/linux-x64").json()["count"] == 2
    assert admin.get(PACKAGES).json()["count"] == 3
    content = admin.get(found[0]["downloadUrl"]).content
    assert hashlib.sha256(content).hexdigest() == found[0]["hashValue"]
    assert admin.get(f"{PACKAGES}/linux-x64/9.9.9").status_code == 404


def test_a_package_can_lack_its_hash_and_be_replaced(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    service.add_package("4.255.0", b"one")
    service.add_package("4.255.0", b"two", hashed=False)
    found = admin.get(PACKAGES).json()["value"]
    assert len(found) == 1
    assert "hashValue" not in found[0]
    assert admin.get(found[0]["downloadUrl"]).content == b"two"
