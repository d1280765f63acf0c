"""The instance metadata service as one machine of the fake sees it: nothing without `Metadata: true` and a version, userData as it is now.

Paths, versions and refusals are those of https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.azure import attached
from tests.fakes.azure.book import SUBSCRIPTION, Resource
from tests.fakes.azure.machines import zone_of
from tests.fakes.azure.service import FakeAzure
from tests.fakes.metadata import Metadata, Question, Reply

ADDRESS = "169.254.169.254"
VERSIONS = ("2019-03-11", "2020-06-01", "2020-09-01", "2021-01-01", "2021-02-01", "2021-05-01", "2021-12-13", "2023-07-01", "2023-11-15")
USER_DATA_SINCE = "2021-01-01"
_ROOT = "/metadata/instance"
_ALL_VERSIONS = "/metadata/versions"
_PLATFORM = re.compile(r"([^:/]+):([^:/]+):([^:/]+):([^:/]+)")


class Imds(Metadata):
    """Of one machine, from the first to the last time that the fake knows it."""

    def __init__(self, fake: FakeAzure, name: str, listener: socket.socket) -> None:
        super().__init__(name, listener)
        self._fake = fake
        self._name = name
        self._last = fake.machine(name)

    def machine(self) -> Resource:
        """The machine as it is now; one that is deleted shuts down with what it was told last."""
        try:
            self._last = self._fake.machine(self._name)
        except KeyError:
            pass
        return self._last

    def tree(self, version: str) -> dict[str, Any]:
        """All that a version of the service knows."""
        with self._fake.book.lock:
            one = self.machine()
            compute = _compute(one)
            if version < USER_DATA_SINCE:
                del compute["userData"]
            private, public = attached.addresses(self._fake.book, one)
        address = {"privateIpAddress": private, "publicIpAddress": public}
        ipv4 = {"ipAddress": [address], "subnet": [{"address": "10.0.0.0", "prefix": "24"}]}
        return {"compute": compute, "network": {"interface": [{"ipv4": ipv4, "ipv6": {"ipAddress": []}, "macAddress": "000D3A000001"}]}}

    def reply(self, question: Question) -> Reply:
        parts = urlsplit(question.path)
        path, query = parts.path.rstrip("/"), dict(parse_qsl(parts.query))
        refused = _refusal(question, path, query.get("api-version", ""))
        if refused is not None:
            return refused
        if path == _ALL_VERSIONS:
            return _document({"apiVersions": list(VERSIONS)})
        return _found(self.tree(query["api-version"]), path.removeprefix(_ROOT), query.get("format", ""))


def _refusal(question: Question, path: str, version: str) -> Reply | None:
    if question.headers.get("Metadata", "").lower() != "true":
        return _wrong(400, "Bad request. Required metadata header not specified")
    if "X-Forwarded-For" in question.headers:
        return _wrong(400, "Bad request. X-Forwarded-For is not allowed")
    if question.method != "GET":
        return _wrong(405, "Method not allowed")
    if path != _ALL_VERSIONS and version not in VERSIONS:
        text = "Bad request. api-version is invalid or was not specified in the request."
        return _document({"error": text, "newest-versions": list(VERSIONS[-3:])}, 400)
    if path == "/metadata/identity/oauth2/token":
        return _wrong(400, "invalid_request", "Identity not found")
    if not f"{path}/".startswith((f"{_ROOT}/", f"{_ALL_VERSIONS}/")):
        return _wrong(404, "Not found")
    return None


def _found(tree: Any, path: str, form: str) -> Reply:
    for name in path.strip("/").split("/"):
        if not name:
            continue
        if isinstance(tree, list) and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
        elif isinstance(tree, dict) and unquote(name) in tree:
            tree = tree[unquote(name)]
        else:
            return _wrong(404, "Not found")
    if form == "text":
        if isinstance(tree, dict | list):
            names = list(tree) if isinstance(tree, dict) else [str(index) for index in range(len(tree))]
            return Reply(200, "\n".join(f"{name}/" for name in names).encode())
        return Reply(200, str(tree).encode())
    if not isinstance(tree, dict | list):
        return _wrong(400, "Bad request. format=text is needed for a single value")
    return _document(tree)


def _compute(one: Resource) -> dict[str, Any]:
    properties = one.properties
    profile = properties.get("osProfile") or {}
    linux = profile.get("linuxConfiguration") or {}
    keys = (linux.get("ssh") or {}).get("publicKeys") or []
    platform = _PLATFORM.fullmatch(str(one.memory.get("image", "")))
    publisher, offer, sku, version = platform.groups() if platform else ("", "", "", "")
    tags = one.tags
    security = (properties.get("securityProfile") or {}).get("uefiSettings") or {}
    return {
        "azEnvironment": "AzurePublicCloud", "customData": "", "evictionPolicy": properties.get("evictionPolicy", ""), "isHostCompatibilityLayerVm": "false",
        "licenseType": "", "location": one.location, "name": one.name, "offer": offer, "osType": "Linux", "placementGroupId": "",
        "osProfile": {
            "adminUsername": profile.get("adminUsername", ""), "computerName": profile.get("computerName", ""),
            "disablePasswordAuthentication": str(bool(linux.get("disablePasswordAuthentication"))).lower(),
        },
        "plan": {"name": "", "product": "", "publisher": ""}, "platformFaultDomain": "0", "platformUpdateDomain": "0",
        "priority": properties.get("priority", ""), "provider": "Microsoft.Compute", "publisher": publisher, "publicKeys": keys,
        "resourceGroupName": one.group, "resourceId": one.id, "sku": sku, "subscriptionId": SUBSCRIPTION,
        "securityProfile": {
            "secureBootEnabled": str(bool(security.get("secureBootEnabled"))).lower(), "virtualTpmEnabled": str(bool(security.get("vTpmEnabled"))).lower(),
        },
        "storageProfile": {"imageReference": {"id": "" if platform else one.memory.get("image", ""), "offer": offer, "publisher": publisher, "sku": sku}},
        "tags": ";".join(f"{name}:{value}" for name, value in tags.items()),
        "tagsList": [{"name": name, "value": value} for name, value in tags.items()],
        "userData": one.secret.get("userData", ""), "version": version, "vmId": properties.get("vmId", ""),
        "vmScaleSetName": str((properties.get("virtualMachineScaleSet") or {}).get("id", "")).rpartition("/")[2],
        "vmSize": properties["hardwareProfile"]["vmSize"], "zone": zone_of(one),
    }  # fmt: skip


def _document(data: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(data).encode(), {"Content-Type": "application/json; charset=utf-8", "Server": "IMDS/150.870.65.1854"})


def _wrong(status: int, error: str, description: str = "") -> Reply:
    return _document({"error": error} | ({"error_description": description} if description else {}), status)
