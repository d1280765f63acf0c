"""The metadata service as one machine of the fake sees it: nothing without `Metadata: true`, and of user data only what ARM holds now."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.azure.book import SUBSCRIPTION
from tests.fakes.azure.service import FakeAzure
from tests.fakes.metadata import Latest, Metadata, Question, Reply

VERSIONS = ("2019-03-11", "2020-09-01", "2021-01-01", "2021-02-01", "2021-12-13", "2023-11-15")
"""Some of those that the service knows; user data came with 2021-01-01."""
_JSON = {"Content-Type": "application/json; charset=utf-8", "Server": "IMDS/150.870.65.1854"}


class Imds(Metadata):
    """Of one machine, from the first to the last time that the fake knows it."""

    def __init__(self, fake: FakeAzure, name: str, listener: socket.socket) -> None:
        super().__init__(name, listener)
        self._fake = fake
        self.machine = Latest(fake.book.lock, lambda: fake.machine(name))

    def compute(self) -> dict[str, Any]:
        """What `/metadata/instance/compute` has; custom data is in none of it."""
        one = self.machine()
        properties = one.properties
        reference = properties["storageProfile"].get("imageReference") or {}
        return {
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "location": one.location,
            "name": one.name,
            "osType": "Linux",
            "priority": properties.get("priority", ""),
            "resourceGroupName": one.group,
            "resourceId": one.id,
            "storageProfile": {"imageReference": {key: reference.get(key, "") for key in ("id", "offer", "publisher", "sku", "version")}},
            "subscriptionId": SUBSCRIPTION,
            "tags": ";".join(f"{name}:{value}" for name, value in one.tags.items()),
            "userData": one.secret.get("userData", ""),
            "vmId": properties.get("vmId", ""),
            "vmScaleSetName": str((properties.get("virtualMachineScaleSet") or {}).get("id", "")).rpartition("/")[2],
            "vmSize": properties["hardwareProfile"]["vmSize"],
            "zone": "".join(one.body.get("zones") or []),
        }

    def reply(self, question: Question) -> Reply:
        parts = urlsplit(question.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if question.headers.get("Metadata", "").lower() != "true" or "X-Forwarded-For" in question.headers:
            return _refused("Bad request. Required metadata header not specified")
        if question.method != "GET":
            return Reply(405, b"", _JSON)
        if query.get("api-version") not in VERSIONS:
            return _refused("Bad request. api-version was not specified in the request or is invalid", newest=list(VERSIONS))
        compute = self.compute()
        if query["api-version"] < "2021-01-01":
            del compute["userData"]
        found: Any = {"instance": {"compute": compute}}
        for name in parts.path.removeprefix("/metadata").strip("/").split("/"):
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            return Reply(404, json.dumps({"error": "Not found"}).encode(), _JSON)
        if query.get("format") == "text" and not isinstance(found, dict):
            return Reply(200, str(found).encode(), {"Content-Type": "text/plain; charset=utf-8"})
        return Reply(200, json.dumps(found).encode(), _JSON)


def _refused(said: str, *, newest: list[str] | None = None) -> Reply:
    return Reply(400, json.dumps({"error": said} | ({"newest-versions": newest} if newest else {})).encode(), _JSON)
