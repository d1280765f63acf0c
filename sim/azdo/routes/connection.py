"""What the service is and where its resources are: connectionData and OPTIONS _apis."""

from __future__ import annotations

from typing import Any

from sim.azdo.access import ANONYMOUS, Access, Identity
from sim.azdo.exchange import Answer, json_answer, list_answer
from sim.azdo.router import Call, Route

AREA = "distributedtask"
_LOCATIONS = (
    ("a8c47e17-4d56-4a56-92bb-de7ea7dc65be", "pools", "_apis/{area}/{resource}/{poolId}"),
    ("e298ef32-5878-4cab-993c-043836571f42", "agents", "_apis/{area}/pools/{poolId}/{resource}/{agentId}"),
    ("134e239e-2df3-4794-a6f6-24f1f19ec8dc", "sessions", "_apis/{area}/pools/{poolId}/{resource}/{sessionId}"),
    ("c3a054f6-7a8a-49c0-944e-3a8e5d7adfd7", "messages", "_apis/{area}/pools/{poolId}/{resource}/{messageId}"),
    ("fc825784-c92a-4299-9221-998a02d1b54f", "jobrequests", "_apis/{area}/pools/{poolId}/{resource}/{requestId}"),
    ("8cc1b02b-ae49-4516-b5ad-4f9b29967c30", "updates", "_apis/{area}/pools/{poolId}/agents/{agentId}/{resource}"),
    ("8ffcd551-079c-493a-9c02-54346299d144", "packages", "_apis/{area}/{resource}/{packageType}/{platform}/{version}"),
)
"""Location ids (facts on the agent's protocol, 3.2)."""


def locations() -> list[dict[str, Any]]:
    """The resources as OPTIONS _apis lists them."""
    return [
        {
            "id": location,
            "area": AREA,
            "resourceName": resource,
            "routeTemplate": template,
            "resourceVersion": 1,
            "minVersion": "1.0",
            "maxVersion": "7.2",
            "releasedVersion": "7.1",
        }
        for location, resource, template in _LOCATIONS
    ]


def connection_data(call: Call) -> Answer:
    """GET _apis/connectionData."""
    return json_answer(data(call, call.identity))


def anonymous_data(call: Call) -> Answer:
    """The same for nobody: what a service that lets anybody look would answer."""
    return json_answer(data(call, ANONYMOUS))


def data(call: Call, identity: Identity) -> dict[str, Any]:
    """The connectionData document for `identity`; an empty serviceOwner means: all resources are here."""
    state, person = call.state, identity.document()
    base = f"{call.request.origin}/{state.organization}/"
    with_locations = call.request.query.get("connectoptions", "0").lower() in ("1", "includeservices")
    location: dict[str, Any] = {
        "serviceOwner": "00000000-0000-0000-0000-000000000000",
        "defaultAccessMappingMoniker": "PublicAccessMapping",
        "lastChangeId": 1,
        "lastChangeId64": 1,
        "clientCacheFresh": False,
    }
    if with_locations:
        location["accessMappings"] = [
            {"moniker": "PublicAccessMapping", "displayName": "Public Access Mapping", "accessPoint": base, "virtualDirectory": ""}
        ]
        location["serviceDefinitions"] = [
            {
                "serviceType": AREA,
                "identifier": entry["id"],
                "displayName": entry["resourceName"],
                "relativeToSetting": "fullyQualified",
                "relativePath": "/" + str(entry["routeTemplate"]),
                "description": "",
                "serviceOwner": "00000000-0000-0000-0000-000000000000",
                "toolId": "Framework",
                "resourceVersion": entry["resourceVersion"],
                "minVersion": entry["minVersion"],
                "maxVersion": entry["maxVersion"],
                "releasedVersion": entry["releasedVersion"],
                "locationMappings": [],
            }
            for entry in locations()
        ]
    return {
        "authenticatedUser": person,
        "authorizedUser": person,
        "instanceId": state.instance_id,
        "deploymentId": state.instance_id,
        "deploymentType": "onPremises",
        "locationServiceData": location,
    }


def options(call: Call) -> Answer:
    """OPTIONS _apis."""
    return list_answer(locations())


def options_of(call: Call) -> Answer:
    """OPTIONS below _apis: one resource's location."""
    wanted = call.values["rest"].lower()
    return list_answer([entry for entry in locations() if wanted in (entry["area"], entry["resourceName"])])


ROUTES = (
    Route("GET", "_apis/connectionData", Access.ANYBODY, connection_data, source="facts 3.3.1"),
    Route("OPTIONS", "_apis", Access.NOBODY, options, source="facts 3.2", needs_version=False),
    Route("OPTIONS", "_apis/{rest}", Access.NOBODY, options_of, source="facts 3.2", needs_version=False),
)
