"""Starting an instance: what Compute Engine refuses at once, what only its operation tells, and what it fills in."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.gcp import seeds
from tests.fakes.gcp.book import Book, Document, Machine
from tests.fakes.gcp.calls import START, Fault
from tests.fakes.gcp.labels import refuse_labels
from tests.fakes.gcp.operations import error
from tests.fakes.gcp.paths import NAME, last, path_of, region_of, url
from tests.fakes.gcp.quotas import count, over_quota
from tests.fakes.gcp.refused import Refused, invalid, missing
from tests.fakes.gcp.request import Request
from tests.fakes.gcp.schedule import scheduling_of
from tests.fakes.gcp.storage import disks_of

METADATA_KEY = re.compile(r"[a-zA-Z0-9_-]{1,128}")
METADATA_VALUE_BYTES = 262_144
METADATA_BYTES = 524_288


@dataclass
class Plan:
    """An instance that may start: everything about it that needs no luck."""

    path: str
    document: Document
    disks: dict[str, Document]
    """Path → the disks that come with it."""
    zone: str
    type: str
    spot: bool
    public: bool
    seconds: int = 0
    """Longest life; 0: no limit."""


def plan(request: Request, zone: str, body: Mapping[str, Any], name: str) -> Plan:
    """The instance that this description makes. Raises Refused."""
    book, project = request.book, request.project
    path = f"projects/{project}/zones/{zone}/instances/{name}"
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    if path in book.tables["instances"]:
        raise Refused("alreadyExists", f"The resource '{path}' already exists")
    kind = last(str(body.get("machineType", "")))
    shape = seeds.shape(kind)
    if shape is None or not offered(book, zone, kind):
        text = f"Machine type with name '{kind}' does not exist in zone '{zone}'."
        raise invalid("resource.machineType", str(body.get("machineType", "")), text)
    guests = _guests(book, project, zone, shape, body.get("guestAccelerators", ()))
    scheduling, seconds = scheduling_of(book, body.get("scheduling", {}), gpu=bool(guests))
    refuse_labels(body.get("labels", {}))
    metadata = metadata_of(book, body.get("metadata", {}))
    disks, attached = disks_of(request, zone, name, body.get("disks", ()), shape)
    interfaces = [_interface(book, project, zone, path, number, one) for number, one in enumerate(body.get("networkInterfaces") or [{}])]
    accounts = _accounts(book, body.get("serviceAccounts", ()), path)
    shielded = {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True, **body.get("shieldedInstanceConfig", {})}
    if any(body.get("shieldedInstanceConfig", {}).values()) and {"type": "UEFI_COMPATIBLE"} not in attached[0].get("guestOsFeatures", ()):
        raise Refused("badRequest", "Shielded VM Config can only be set when using a UEFI-compatible disk.")
    if "compute.requireShieldedVm" in book.policies and not shielded["enableSecureBoot"]:
        text = "Secure Boot is not enabled in the 'shielded_instance_config' field. This is required to create the instance."
        raise _violated(book, "compute.requireShieldedVm", text)
    tags = sorted(body.get("tags", {}).get("items", ()))
    for tag in tags:
        if not NAME.fullmatch(tag):
            raise invalid("resource.tags.items[0]", tag, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    labels = dict(body.get("labels", {}))
    document: Document = {
        "kind": "compute#instance", "id": book.new_id(), "creationTimestamp": book.stamp(), "name": name, "status": "PROVISIONING",
        "zone": url(f"projects/{project}/zones/{zone}"), "machineType": url(f"projects/{project}/zones/{zone}/machineTypes/{kind}"),
        "selfLink": url(path), "canIpForward": bool(body.get("canIpForward", False)), "networkInterfaces": interfaces, "disks": attached,
        "metadata": metadata, "scheduling": scheduling, "cpuPlatform": "Intel Cascade Lake", "labelFingerprint": book.fingerprint(labels),
        "tags": {"fingerprint": book.fingerprint(tags), **({"items": tags} if tags else {})}, "startRestricted": False,
        "deletionProtection": bool(body.get("deletionProtection", False)), "shieldedInstanceConfig": shielded,
        "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True}, "fingerprint": book.fingerprint(path),
        "satisfiesPzi": True, "resourceStatus": {"scheduling": {}},
    }  # fmt: skip
    for key, value in (("labels", labels), ("serviceAccounts", accounts), ("guestAccelerators", guests)):
        if value:
            document[key] = value
    for key in ("description", "hostname", "advancedMachineFeatures", "networkPerformanceConfig", "reservationAffinity", "minCpuPlatform"):
        if key in body:
            document[key] = body[key]
    public = any(one.get("accessConfigs") for one in interfaces)
    spot = bool(scheduling["preemptible"])  # of spot instances as well
    return Plan(path, document, disks, zone, kind, spot, public, seconds)


def outcome(request: Request, wanted: Plan) -> tuple[list[Document], int, Fault | None]:
    """Whether there is room: the errors of the operation with their HTTP status; then what ends the instance soon after, if anything."""
    book = request.book
    for name in (START, request.method):
        if (fault := book.faults.take("operation", name, wanted.zone, wanted.type, wanted.spot)) is not None:
            return [error(fault.code, fault.text, fault.details)], fault.http, None
    key = (wanted.zone, wanted.type, wanted.spot)
    if book.capacity.get(key, 1) < 1:  # a zone without machines says so even where a quota would refuse as well
        return [exhausted(request.project, wanted)], 503, None
    if (found := over_quota(book, wanted.document)) is not None:
        return [found], 403, None
    if key in book.capacity:
        book.capacity[key] -= 1
    later = book.faults.take("later", START, *key) or book.faults.take("later", request.method, *key)
    return [], 0, later


def place(request: Request, wanted: Plan) -> None:
    """Put the instance and its disks there; it is not running yet."""
    book = request.book
    book.tables["instances"][wanted.path] = wanted.document
    count(book, wanted.document, 1)
    book.tables["disks"].update(wanted.disks)
    for one in wanted.document["disks"]:
        if disk := book.tables["disks"].get(path_of(one.get("source", ""), request.project)):
            disk["users"] = [*disk.get("users", ()), wanted.document["selfLink"]]
            disk["lastAttachTimestamp"] = book.stamp()
    book.machines[wanted.path] = Machine(unseen=book.lag)
    if wanted.public:
        name = str(wanted.document["name"])
        for interface in wanted.document["networkInterfaces"]:
            for access in interface.get("accessConfigs", ()):
                access.setdefault("natIP", book.address_of(name) or f"34.{random.randrange(64, 128)}.{_byte()}.{_byte()}")


def offered(book: Book, zone: str, kind: str) -> bool:
    """Whether a zone has a machine type, also by a test's word."""
    shape = seeds.shape(kind)
    return shape is not None and seeds.offered(zone, kind) and not {(zone, kind), (zone, shape.accelerator)} & book.withheld


def exhausted(project: str, wanted: Plan) -> Document:
    """A stock-out, as an operation tells it."""
    place = f"projects/{project}/zones/{wanted.zone}"
    text = f"The zone '{place}' does not have enough resources available to fulfill the request.  Try a different zone, or try again later."
    metadata = {"zone": wanted.zone, "vmType": wanted.type, "attachment": "", "zonesAvailable": ""}
    details = [
        {"errorInfo": {"reason": "resource_availability", "domain": "compute.googleapis.com", "metadatas": metadata}},
        {"localizedMessage": {"locale": "en-US", "message": f"A {wanted.type} VM instance is currently unavailable in the {wanted.zone} zone."}},
        {"help": {"links": [{
            "description": "Troubleshooting documentation", "url": "https://cloud.google.com/compute/docs/resource-error",
        }]}},
    ]  # fmt: skip
    return error("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", text, details)


def _guests(book: Book, project: str, zone: str, shape: seeds.Shape, given: Sequence[Mapping[str, Any]]) -> list[Document]:
    """The accelerators of an instance: its machine type's own, or those that an N1 gets. Raises Refused."""
    if shape.accelerator:
        kind = f"projects/{project}/zones/{zone}/acceleratorTypes/{shape.accelerator}"
        for one in given:
            if last(str(one.get("acceleratorType"))) != shape.accelerator or one.get("acceleratorCount") != shape.cards:
                text = f"Guest accelerators of machine type {shape.name} are {shape.cards} of {shape.accelerator}."
                raise Refused(
                    "badRequest", f"[{last(str(one.get('acceleratorType')))}] features are not compatible for creating instance. {text}"
                )
        return [{"acceleratorType": url(kind), "acceleratorCount": shape.cards}]
    found = []
    for one in given:
        name = last(str(one.get("acceleratorType", "")))
        kind = f"projects/{project}/zones/{zone}/acceleratorTypes/{name}"
        if name not in seeds.ACCELERATORS or zone not in seeds.zones_with(name) or (zone, name) in book.withheld:
            raise missing(kind)
        count = one.get("acceleratorCount", 0)
        if shape.family != "n1" or not seeds.ACCELERATORS[name].attachable:
            text = f"[{name}, {shape.name}] features are not compatible for creating instance."
            raise Refused("badRequest", text)
        if count not in (1, 2, 4, 8) or count > seeds.ACCELERATORS[name].cards:
            text = (
                f"Number of accelerator cards attached to instance must be one of 1, 2, 4, 8 and at most {seeds.ACCELERATORS[name].cards}."
            )
            raise invalid("resource.guestAccelerators[0].acceleratorCount", str(count), text)
        found.append({"acceleratorType": url(kind), "acceleratorCount": count})
    return found


def metadata_of(book: Book, given: Mapping[str, Any]) -> Document:
    """Metadata as an instance keeps it. Raises Refused."""
    items = [dict(one) for one in given.get("items", ())]
    for one in items:
        if not METADATA_KEY.fullmatch(one["key"]):
            raise invalid("resource.metadata.items[0].key", one["key"], "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'")
        if len(one.get("value", "").encode()) > METADATA_VALUE_BYTES:
            text = f"The value of metadata key '{one['key']}' is too long: at most {METADATA_VALUE_BYTES} bytes."
            raise invalid("resource.metadata.items[0].value", "", text)
    if len({one["key"] for one in items}) < len(items):
        raise invalid("resource.metadata", "", "Metadata has duplicate key entries.")
    if sum(len(one["key"]) + len(one.get("value", "").encode()) for one in items) > METADATA_BYTES:
        raise invalid("resource.metadata", "", "The total size of all metadata entries must be at most 512 KB.")
    return {"kind": "compute#metadata", "fingerprint": book.fingerprint(items), **({"items": items} if items else {})}


def _interface(book: Book, project: str, zone: str, path: str, number: int, given: Mapping[str, Any]) -> Document:
    """A network interface with its addresses. Raises Refused."""
    region = region_of(zone)
    if given.get("subnetwork"):
        subnet = path_of(str(given["subnetwork"]), project)
        if subnet not in book.tables["subnetworks"]:
            raise missing(subnet)
        if f"/regions/{region}/" not in subnet:
            text = f"The referenced subnetwork resource is not in the region of the instance ({region})."
            raise invalid(f"resource.networkInterfaces[{number}].subnetwork", url(subnet), text)
        network = book.tables["subnetworks"][subnet]["network"]
    else:
        network = url(path_of(str(given.get("network") or "global/networks/default"), project))
        found = path_of(network, project)
        if found not in book.tables["networks"]:
            raise missing(found)
        subnet = next(
            (name for name, one in book.tables["subnetworks"].items() if one["network"] == network and f"/regions/{region}/" in name), ""
        )
        if not subnet:
            text = "Network interface must specify a subnet if the network resource is in custom subnet mode."
            raise invalid(f"resource.networkInterfaces[{number}].subnetwork", "", text)
    prefix = str(book.tables["subnetworks"][subnet]["ipCidrRange"]).rsplit(".", 2)[0]
    shown: Document = {
        "kind": "compute#networkInterface", "name": f"nic{number}", "network": network, "subnetwork": url(subnet), "stackType": "IPV4_ONLY",
        "networkIP": f"{prefix}.{random.randrange(16)}.{random.randrange(2, 255)}", "fingerprint": book.fingerprint(path),
    }  # fmt: skip
    if given.get("nicType"):
        shown["nicType"] = given["nicType"]
    access = [dict(one) for one in given.get("accessConfigs", ()) if one is not None]
    if access and "compute.vmExternalIpAccess" in book.policies:
        text = f"Add instance {path} to the constraint to use external IP with it."
        raise _violated(book, "compute.vmExternalIpAccess", text)
    if access:
        shown["accessConfigs"] = [
            {"kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "external-nat", "networkTier": "PREMIUM", **one}
            for one in access
        ]
    return shown


def _accounts(book: Book, given: Sequence[Mapping[str, Any]], path: str) -> list[Document]:
    """The service accounts; an entry without an address and without scopes, as Packer's plugin sends it, is none. Raises Refused."""
    found = []
    for one in given:
        if not one.get("email") and not one.get("scopes"):
            continue
        email = book.default_account if one.get("email") in (None, "", "default") else str(one["email"])
        if not book.may("iam.serviceAccounts.actAs") or email not in {book.default_account, *book.accounts}:
            text = f"The user does not have access to service account '{email}'.  User: 'goldbake@{book.project}.iam.gserviceaccount.com'."
            more = " Ask a project owner to grant you the iam.serviceAccountUser role on the service account"
            raise Refused("badRequest", text + more)
        found.append({"email": email, "scopes": list(one.get("scopes", ()))})
    if len(found) > 1:
        raise invalid("resource.serviceAccounts", "", "At most one service account can be attached to an instance.")
    return found


def _violated(book: Book, constraint: str, text: str) -> Refused:
    return Refused("conditionNotMet", f"Constraint constraints/{constraint} violated for project {book.project}. {text}")


def _byte() -> int:
    return random.randrange(1, 255)
