"""bulkInsert, in a zone and in a region: many instances by one call, some of them or none.

https://cloud.google.com/compute/docs/instances/multiple/about-bulk-creation
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.gcp import life, operations, seeds, start
from tests.fakes.gcp.book import Document
from tests.fakes.gcp.calls import Fault
from tests.fakes.gcp.paths import last
from tests.fakes.gcp.quotas import count
from tests.fakes.gcp.refused import Refused, invalid
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.gcp.understood import PROPERTIES, refuse_others

MOST = 1000
_HASHES = re.compile(r"#+")


@dataclass
class Round:
    """What came of one zone."""

    target: int = 0
    made: list[tuple[start.Plan, Fault | None]] = field(default_factory=list)
    failed: list[tuple[start.Plan, list[Document], int]] = field(default_factory=list)


def insert(request: Request) -> Document:
    """Up to `count` instances, or none where it would be fewer than `minCount`. Raises Refused."""
    book, body = request.book, request.body
    asked = json.dumps([request.method, request.path, body], sort_keys=True)
    if (known := operations.asked_before(request, asked)) is not None:
        return known
    least, names = _counts(request)
    refuse_others(body["instanceProperties"], PROPERTIES)
    zones = _zones(request)
    shape = body.get("locationPolicy", {}).get("targetShape", "ANY_SINGLE_ZONE" if len(zones) > 1 else "ANY")
    kinds = _kinds(request)
    offering = [zone for zone in zones if any(start.offered(book, zone, kind) for kind in kinds)]
    if not offering:
        text = f"Machine type with name '{kinds[0]}' does not exist in any of the zones {', '.join(zones)}."
        raise invalid("resource.instanceProperties.machineType", kinds[0], text)
    rounds = _made(request, names, offering, kinds, shape)
    made = sum(len(one.made) for one in rounds.values())
    fault = book.faults.take("operation", request.method, request.call.zone, request.call.type, request.call.spot)
    errors: list[Document] = []
    status = 0
    if fault is not None:
        errors, status = [operations.error(fault.code, fault.text, fault.details)], fault.http
    elif made < least:
        errors, status = _too_few(rounds, least)
        if book.foresight:
            for one in rounds.values():
                _give_back(request, one)
            raise _foreseen(errors[-1], status)
    rolled = bool(errors)
    for one in rounds.values():
        if rolled:
            _give_back(request, one)
        for wanted, _ in [] if rolled else one.made:
            start.place(request, wanted)
    group = f"{book.new_id()[:8]}-{book.new_id()[:4]}"
    answer = operations.begin(
        request, "bulkInsert", f"{request.scope}/instances", lambda: _run(request, rounds), errors=errors, status=status,
        more={"operationGroupId": group, "instancesBulkInsertOperationMetadata": {"perLocationStatus": _status(rounds, rolled)}},
        faulty=False,
    )  # fmt: skip
    for zone, one in rounds.items():
        _tell_each(request, zone, one, group, rolled)
    if "requestId" in request.query:
        book.requests[request.query["requestId"]] = (asked, f"{request.scope}/operations/{answer['name']}")
    return answer


def _counts(request: Request) -> tuple[int, list[str]]:
    """How many are enough, and the names of all that are wanted. Raises Refused."""
    body = request.body
    if body.get("sourceInstanceTemplate") or not body.get("instanceProperties"):
        raise invalid("resource.instanceProperties", "", "The fake needs the properties of the instances, not a template.")
    named = sorted(body.get("perInstanceProperties", {}), key=lambda name: (len(name), name))  # clients send a map in any order
    count = int(body.get("count", len(named)))
    if not 1 <= count <= MOST:
        raise invalid("resource.count", str(count), f"The count is from 1 to {MOST}.")
    least = int(body.get("minCount", count))
    if not 1 <= least <= count:
        raise invalid("resource.minCount", str(least), "The minimum is from 1 to the count.")
    if named:
        if len(named) != count:
            raise invalid("resource.perInstanceProperties", "", f"There are {len(named)} names for {count} instances.")
        return least, named
    pattern = str(body.get("namePattern", ""))
    hashes = _HASHES.findall(pattern)
    if len(hashes) != 1 or len(hashes[0]) > 18:
        raise invalid("resource.namePattern", pattern, "The pattern has one sequence of at most 18 hash characters.")
    before, after = pattern.split(hashes[0])
    taken = [
        int(found[1])
        for row in request.book.tables["instances"].values()
        if (found := re.fullmatch(re.escape(before) + r"(\d+)" + re.escape(after), str(row["name"])))
    ]
    first = max(taken, default=0) + 1
    return least, [f"{before}{number:0{len(hashes[0])}}{after}" for number in range(first, first + count)]


def _zones(request: Request) -> list[str]:
    """The zones that the policy allows. Raises Refused."""
    if "zone" in request.path:
        if request.body.get("locationPolicy"):
            raise invalid("resource.locationPolicy", "", "A location policy is for regions only.")
        return [request.path["zone"]]
    region = request.path["region"]
    locations = request.body.get("locationPolicy", {}).get("locations", {})
    for name in locations:
        if not name.startswith("zones/") or last(name) not in seeds.zones(region):
            raise invalid("resource.locationPolicy.locations", name, f"There is no such zone in {region}.")
    found = [zone for zone in seeds.zones(region) if locations.get(f"zones/{zone}", {}).get("preference") != "DENY"]
    if not found:
        raise invalid("resource.locationPolicy.locations", "", "Every zone of the region is denied.")
    return found


def _kinds(request: Request) -> list[str]:
    """The machine types that the instances may have, best first. Raises Refused."""
    body = request.body
    selections = body.get("instanceFlexibilityPolicy", {}).get("instanceSelections", {})
    kind = str(body["instanceProperties"].get("machineType", ""))
    if selections and (kind or "zone" in request.path):
        text = "Instance flexibility is for regions only, and takes the place of the machine type."
        raise invalid("resource.instanceFlexibilityPolicy", "", text)
    ranked = sorted(selections.values(), key=lambda one: int(one.get("rank", 0)))
    found = [name for one in ranked for name in one.get("machineTypes", ())] if selections else [kind]
    for name in found:
        if "/" in name or not name:
            raise invalid("resource.instanceProperties.machineType", name, "The machine type is named without its zone.")
    return found


def _made(request: Request, names: Sequence[str], zones: Sequence[str], kinds: Sequence[str], shape: str) -> dict[str, Round]:
    """Try to place each instance, as the target shape says."""
    book, properties = request.book, request.body["instanceProperties"]
    rounds: dict[str, Round] = {zone: Round() for zone in zones}
    if shape == "ANY_SINGLE_ZONE":
        spot = properties.get("scheduling", {}).get("provisioningModel") == "SPOT"
        room = {
            zone: sum(book.capacity.get((zone, kind, spot), len(names)) for kind in kinds if start.offered(book, zone, kind))
            for zone in zones
        }
        rounds = {max(zones, key=lambda zone: min(len(names), room[zone])): Round()}
    order = list(rounds)
    for number, name in enumerate(names):
        turn = number % len(order) if shape == "BALANCED" else 0
        tried = [(zone, kind) for kind in kinds for zone in order[turn:] + order[:turn] if start.offered(book, zone, kind)]
        for zone, kind in tried:
            wanted = start.plan(request, zone, {**properties, "machineType": kind}, name)
            errors, status, ends = start.outcome(request, wanted)
            if not errors:
                rounds[zone].made.append((wanted, ends))
                rounds[zone].target += 1
                count(book, wanted.document, 1)  # the next one must have room beside it
                break
            if (zone, kind) == tried[-1]:
                rounds[zone].failed.append((wanted, errors, status))
                rounds[zone].target += 1
    for one in rounds.values():
        for wanted, _ in one.made:
            count(book, wanted.document, -1)
    return {zone: one for zone, one in rounds.items() if one.target}


def _too_few(rounds: dict[str, Round], least: int) -> tuple[list[Document], int]:
    text = f"Requested minimum count of {least} VMs could not be created."
    causes = {one["code"]: one for round_ in rounds.values() for _, errors, _ in round_.failed for one in errors}
    status = next((status for round_ in rounds.values() for _, _, status in round_.failed), 503)
    return [operations.error("VM_MIN_COUNT_NOT_REACHED", text), *causes.values()], status


def _foreseen(cause: Document, status: int) -> Refused:
    """The call's own error for what its operation would fail of."""
    known = {403: "quotaExceeded", 503: "insufficientCapacity"}
    return Refused(known.get(status, "invalid"), cause["message"], status)


def _give_back(request: Request, one: Round) -> None:
    """The room that the instances took which are deleted again."""
    for wanted, _ in one.made:
        key = (wanted.zone, wanted.type, wanted.spot)
        if key in request.book.capacity:
            request.book.capacity[key] += 1


def _run(request: Request, rounds: dict[str, Round]) -> None:
    for one in rounds.values():
        for wanted, ends in one.made:
            life.run(request.book, wanted.path, wanted.seconds, ends)


def _status(rounds: dict[str, Round], rolled: bool) -> dict[str, Any]:
    found = {}
    for zone, one in rounds.items():
        found[f"zones/{zone}"] = {
            "status": "DONE", "targetVmCount": one.target, "createdVmCount": len(one.made), "failedToCreateVmCount": len(one.failed),
            "deletedVmCount": len(one.made) if rolled else 0,
        }  # fmt: skip
    return found


def _tell_each(request: Request, zone: str, one: Round, group: str, rolled: bool) -> None:
    """An operation of its own for every instance, in its zone."""
    scope = f"projects/{request.project}/zones/{zone}"
    for wanted, _ in one.made:
        if not rolled:
            operations.begin(
                request, "insert", wanted.path, scope=scope, target_id=wanted.document["id"], more={"operationGroupId": group}, faulty=False
            )
    for wanted, errors, status in one.failed:
        operations.begin(
            request, "insert", wanted.path, errors=errors, status=status, scope=scope, target_id=wanted.document["id"],
            more={"operationGroupId": group},
        )  # fmt: skip


METHODS: Methods = {"compute.instances.bulkInsert": insert, "compute.regionInstances.bulkInsert": insert}
