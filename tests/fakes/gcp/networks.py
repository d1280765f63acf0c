"""Networks, subnets, routers and firewall rules."""

from __future__ import annotations

import ipaddress

from tests.fakes.gcp import listing, operations
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.paths import NAME, path_of, url
from tests.fakes.gcp.refused import Refused, invalid, missing
from tests.fakes.gcp.request import Handler, Methods, Request
from tests.fakes.gcp.understood import FIREWALL, refuse_others

MOST_RANGES = 5000
_OWN = ("description", "sourceRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts", "destinationRanges",
        "allowed", "denied")  # fmt: skip


def get_by(parameter: str) -> Handler:
    """A getter of a resource whose name is this parameter of the path."""
    return lambda request: request.find(request.path[parameter])[1]


def list_of(kind: str, schema: str) -> Handler:
    """A listing of the resources of one scope."""

    def found(request: Request) -> Document:
        rows = {path: row for path, row in request.book.tables[request.table].items() if path.startswith(f"{request.scope}/")}
        return listing.page(request, rows, kind, schema)

    return found


def aggregated_of(kind: str, schema: str) -> Handler:
    """A listing over all regions."""

    def found(request: Request) -> Document:
        rows = {path: row for path, row in request.book.tables[request.table].items() if path.startswith(f"projects/{request.project}/")}
        return listing.aggregated(request, rows, kind, schema, scopes=listing.REGIONAL)

    return found


def insert_firewall(request: Request) -> Document:
    """A rule. Raises Refused."""
    book, body = request.book, request.body
    name = str(body["name"])
    refuse_others(body, FIREWALL)
    path = f"{request.scope}/firewalls/{name}"
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    if path in book.tables["firewalls"]:
        raise Refused("alreadyExists", f"The resource '{path}' already exists")
    network = path_of(str(body.get("network") or "global/networks/default"), request.project)
    if network not in book.tables["networks"]:
        raise missing(network)
    if bool(body.get("allowed")) == bool(body.get("denied")):
        raise invalid("resource.allowed", "", "Exactly one of allowed and denied must be given.")
    for one in (*body.get("sourceRanges", ()), *body.get("destinationRanges", ())):
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise invalid("resource.sourceRanges[0]", one, "Must be a valid CIDR block.") from None
    if len(body.get("sourceRanges", ())) > MOST_RANGES:
        raise invalid("resource.sourceRanges", "", f"There can be at most {MOST_RANGES} ranges.")
    limit = book.limit("", "FIREWALLS")
    if len(book.tables["firewalls"]) + 1 > limit:
        raise Refused("quotaExceeded", f"Quota 'FIREWALLS' exceeded.  Limit: {limit} globally.")
    row: Document = {
        "kind": "compute#firewall", "id": book.new_id(), "creationTimestamp": book.stamp(), "name": name, "network": url(network),
        "priority": body.get("priority", 1000), "direction": body.get("direction", "INGRESS"), "disabled": body.get("disabled", False),
        "logConfig": body.get("logConfig", {"enable": False}), "selfLink": url(path), **{key: body[key] for key in _OWN if key in body},
    }  # fmt: skip
    if not any(key in row for key in ("sourceRanges", "sourceTags", "sourceServiceAccounts")) and row["direction"] == "INGRESS":
        row["sourceRanges"] = ["0.0.0.0/0"]
    return operations.begin(request, "insert", path, lambda: book.tables["firewalls"].update({path: row}), target_id=row["id"])


def delete_firewall(request: Request) -> Document:
    path, row = request.find(request.path["firewall"])
    return operations.begin(request, "delete", path, lambda: request.book.tables["firewalls"].pop(path, None) and None, target_id=row["id"])


METHODS: Methods = {
    "compute.networks.get": get_by("network"),
    "compute.networks.list": list_of("compute#networkList", "Network"),
    "compute.subnetworks.get": get_by("subnetwork"),
    "compute.subnetworks.list": list_of("compute#subnetworkList", "Subnetwork"),
    "compute.subnetworks.aggregatedList": aggregated_of("compute#subnetworkAggregatedList", "Subnetwork"),
    "compute.routers.get": get_by("router"),
    "compute.routers.list": list_of("compute#routerList", "Router"),
    "compute.routers.aggregatedList": aggregated_of("compute#routerAggregatedList", "Router"),
    "compute.firewalls.insert": insert_firewall,
    "compute.firewalls.get": get_by("firewall"),
    "compute.firewalls.list": list_of("compute#firewallList", "Firewall"),
    "compute.firewalls.delete": delete_firewall,
    "compute.addresses.list": list_of("compute#addressList", "Address"),
    "compute.addresses.aggregatedList": aggregated_of("compute#addressAggregatedList", "Address"),
}
