"""Scale sets whose machines are virtual machines of the same group: orchestrationMode Flexible, the only one that is served."""

from __future__ import annotations

import copy
import secrets
import uuid
from typing import Any

from tests.fakes.azure import attached, machines, shortage
from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book, Event, Resource
from tests.fakes.azure.catalogue import require_location
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.machines import MACHINE, Checked
from tests.fakes.azure.paths import identifier
from tests.fakes.azure.times import now

SET = "Microsoft.Compute/virtualMachineScaleSets"
MOST = 1000


def _make(ask: Ask, new: Resource, old: Resource | None) -> None:
    new.body["location"] = require_location(str(new.body["location"]))
    new.body["tags"] = dict(new.body.get("tags") or {})
    properties = new.properties
    if properties.get("orchestrationMode") != "Flexible":
        raise Refused("InvalidParameter", "The fake serves orchestrationMode 'Flexible' only.", 400, target="orchestrationMode")
    if properties.get("singlePlacementGroup"):
        raise Refused(
            "InvalidParameter",
            "singlePlacementGroup must be false for orchestrationMode 'Flexible' with more than one fault domain.",
            400,
            target="singlePlacementGroup",
        )
    if "platformFaultDomainCount" not in properties:
        raise Refused(
            "InvalidParameter", "Required parameter 'platformFaultDomainCount' is missing (null).", 400, target="platformFaultDomainCount"
        )
    sku = new.body.get("sku") or {}
    count = int(sku.get("capacity") or 0)
    if not 0 <= count <= MOST:
        raise Refused(
            "InvalidParameter",
            f"The value {count} of parameter sku.capacity is out of range. The value must be between 0 and {MOST}.",
            400,
            target="sku.capacity",
        )
    new.body["sku"] = {"name": sku.get("name", ""), "tier": "Standard", "capacity": count}
    profile = properties.get("virtualMachineProfile") or {}
    new.memory["profile"] = copy.deepcopy(profile)
    pattern = _instance(ask, new, "pattern", "")
    if new.body.get("zones"):
        pattern.body["zones"] = list(new.body["zones"])
    new.memory["already"] = already = len(instances(ask.book, new)) if old is not None else 0
    checked = machines.check(ask, pattern, count=max(count - already, 0))
    new.memory |= {"checked": checked, "more": max(count - already, 0)}
    machines.keep_secrets(Resource("", "", "", ("",), {"properties": profile}))
    before = old.properties if old is not None else {}
    properties |= {"uniqueId": before.get("uniqueId") or str(uuid.uuid4()), "timeCreated": before.get("timeCreated") or now()}
    _take(ask, new, checked)


def _take(ask: Ask, new: Resource, checked: Checked) -> None:
    """Room for each of its machines: as many as there is room for, over its zones in turn."""
    zones = [str(zone) for zone in new.body.get("zones") or [""]]
    taken: list[str] = []
    lack: Refused | None = None
    for number in range(new.memory["more"]):
        turn = zones[number % len(zones) :] + zones[: number % len(zones)]
        for zone in turn:
            lack = shortage.take(ask.book, checked.size, new.location, zone, spot=checked.spot)
            if lack is None:
                taken.append(zone)
                break
        if lack is not None:
            break
    if lack is not None and ask.book.shortage_at == "call":
        for zone in taken:
            shortage.give_back(ask.book, checked.size.name, new.location, zone, spot=checked.spot)
        raise lack
    if lack is not None:
        new.memory["doomed"] = lack
    new.memory["taken"] = taken
    new.memory["ask"] = ask


def _instance(ask: Ask, one: Resource, name: str, zone: str) -> Resource:
    """A machine as the set's profile describes it."""
    profile = copy.deepcopy(one.memory["profile"])
    login = profile.get("osProfile") or {}
    prefix = login.pop("computerNamePrefix", "")
    if login:
        login["computerName"] = f"{prefix}{secrets.token_hex(3).upper()}" if prefix else one.name[:50]
    profile["hardwareProfile"] = {"vmSize": one.body["sku"]["name"]}
    body: dict[str, Any] = {"location": one.location, "tags": one.tags if ask.book.instance_tags else {}, "properties": profile}
    if one.body.get("plan"):
        body["plan"] = dict(one.body["plan"])
    if one.body.get("identity"):
        body["identity"] = dict(one.body["identity"])
    if zone:
        body["zones"] = [zone]
    made = Resource(identifier(ask.target.subscription, one.group, MACHINE, name), MACHINE, one.group, (name,), body)
    machines.keep_secrets(made)
    made.properties["virtualMachineScaleSet"] = {"id": one.id}
    disk = (made.properties.get("storageProfile") or {}).get("osDisk") or {}
    disk.setdefault("deleteOption", "Delete")
    return made


def instances(book: Book, one: Resource) -> list[Resource]:
    """Its machines."""
    low = one.id.lower()
    return [
        each
        for each in book.of(MACHINE, one.group)
        if str((each.properties.get("virtualMachineScaleSet") or {}).get("id", "")).lower() == low
    ]


def _begun(book: Book, one: Resource, error: Refused | None) -> None:
    """The machines come, as many as there is room for; with an error that a test asked for, as many as it said."""
    ask, checked, taken = one.memory.pop("ask"), one.memory.pop("checked"), one.memory.pop("taken")
    lacking = one.memory.pop("more") - len(taken)
    few = one.memory.pop("few", None)
    if error is not None and few is not None:
        for zone in taken[few:]:
            shortage.give_back(book, checked.size.name, one.location, zone, spot=checked.spot)
        taken = taken[:few]
    for zone in taken:
        _start(ask, one, zone, checked, None)
    for _ in range(lacking if book.keep_failed else 0):
        _start(ask, one, str((one.body.get("zones") or [""])[0]), checked, error)


def _start(ask: Ask, one: Resource, zone: str, checked: Checked, error: Refused | None) -> None:
    made = _instance(ask, one, f"{one.name}_{secrets.token_hex(4)}", zone)
    machines.complete(ask, made, checked)
    made.body["managedBy"] = one.id
    made.unseen = ask.book.lag
    made.state = "Failed" if error is not None else "Succeeded"
    made.memory["error"] = error
    ask.book.add(made)
    attached.attach(ask.book, made)
    if error is None:
        made.power = "running"
        ask.book.tell(Event("started", made.group, made.name))


def _gone(book: Book, one: Resource) -> None:
    for each in instances(book, one):
        machines.end(book, each)
        book.drop(each.id)


def _change(ask: Ask, one: Resource) -> None:
    raise LookupError("PATCH of a scale set")


known(Kind(SET, make=_make, begun=_begun, change=_change, gone=_gone))
