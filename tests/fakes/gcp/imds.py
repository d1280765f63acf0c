"""The metadata server as one instance of the fake sees it: nothing without `Metadata-Flavor: Google`, attributes as they are now."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.gcp.service import FakeGcp
from tests.fakes.metadata import Latest, Metadata, Question, Reply

Tree = dict[str, Any]
_ROOT = "/computeMetadata/v1/"
_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_TEXT = {**_FLAVOR, "Content-Type": "application/text"}


class Imds(Metadata):
    """Of one instance, from the first to the last time that the fake knows it."""

    def __init__(self, fake: FakeGcp, name: str, listener: socket.socket) -> None:
        super().__init__(name, listener)
        self._fake = fake
        self.instance = Latest(fake.book.lock, lambda: fake.instance(name))

    def tree(self) -> Tree:
        """Folders and values, as their paths have them."""
        one, number = self.instance(), self._fake.book.number
        attributes = {item["key"]: item["value"] for item in one.get("metadata", {}).get("items", [])}
        interfaces = {str(index): _interface(interface, number) for index, interface in enumerate(one["networkInterfaces"])}
        return {
            "instance": {
                "attributes": attributes,
                "description": one.get("description", ""),
                "hostname": f"{one['name']}.{_last(one['zone'])}.c.{self._fake.project}.internal",
                "id": one["id"],
                "machine-type": f"projects/{number}/machineTypes/{_last(one['machineType'])}",
                "name": one["name"],
                "network-interfaces": interfaces,
                "preempted": "FALSE",
                "scheduling": {
                    "automatic-restart": str(one["scheduling"].get("automaticRestart", True)).upper(),
                    "on-host-maintenance": one["scheduling"].get("onHostMaintenance", "MIGRATE"),
                    "preemptible": str(one["scheduling"].get("preemptible", False)).upper(),
                },
                "service-accounts": {account["email"]: {"email": account["email"]} for account in one.get("serviceAccounts", [])},
                "tags": "[" + ",".join(f'"{tag}"' for tag in one.get("tags", {}).get("items", [])) + "]",
                "zone": f"projects/{number}/zones/{_last(one['zone'])}",
            },
            "project": {"attributes": {}, "numeric-project-id": number, "project-id": self._fake.project},
        }

    def reply(self, question: Question) -> Reply:
        path = urlsplit(question.path).path
        if question.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in question.headers:
            return Reply(403, b"Missing Metadata-Flavor:Google header.", _FLAVOR)
        if question.method != "GET":
            return Reply(405, b"", _FLAVOR)
        found: Any = self.tree() if path.startswith(_ROOT) else None
        for name in path.removeprefix(_ROOT).strip("/").split("/"):
            if name:
                found = found.get(name) if isinstance(found, dict) else None
        return Reply(404, b"", _FLAVOR) if found is None else _shown(path, found)


def _shown(path: str, found: Any) -> Reply:
    """A value, or the names in a folder."""
    if not isinstance(found, dict):
        return Reply(200, str(found).encode(), _TEXT)
    if not path.endswith("/"):
        return Reply(301, b"", {**_FLAVOR, "Location": f"{path}/"})
    lines = [f"{name}/" if isinstance(value, dict) else name for name, value in sorted(found.items())]
    return Reply(200, "".join(f"{line}\n" for line in lines).encode(), _TEXT)


def _interface(interface: dict[str, Any], number: str) -> Tree:
    public = {
        str(index): {"external-ip": config.get("natIP", ""), "type": "ONE_TO_ONE_NAT"}
        for index, config in enumerate(interface.get("accessConfigs", []))
    }
    return {
        "access-configs": public,
        "ip": interface.get("networkIP", ""),
        "network": f"projects/{number}/networks/{_last(interface['network'])}",
    }


def _last(url: str) -> str:
    return url.rpartition("/")[2]
