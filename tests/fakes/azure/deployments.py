"""Deployments of templates into a group: what Packer makes its machine with."""

from __future__ import annotations

from typing import Any

from tests.fakes.azure import described, groups, running, shapes, verbs
from tests.fakes.azure.answers import Refused, Result, no_group
from tests.fakes.azure.book import Book, Resource
from tests.fakes.azure.calls import Call
from tests.fakes.azure.expressions import Scope
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.paths import Target, identifier
from tests.fakes.azure.times import now

DEPLOYMENT = "Microsoft.Resources/deployments"


def scope_of(ask: Ask, group: Resource) -> tuple[Scope, dict[str, Any]]:
    """What the template's expressions may name, and the template. Raises Refused."""
    properties = (ask.body or {}).get("properties") or {}
    if properties.get("mode") not in ("Incremental", "Complete"):
        raise Refused("InvalidRequestContent", "The request content was invalid: 'mode' is missing.", 400)
    template = properties.get("template") or {}
    if "$schema" not in template or "contentVersion" not in template:
        raise Refused(
            "InvalidTemplate", "Deployment template validation failed: the template has no '$schema' or no 'contentVersion'.", 400
        )
    given = {name: one["value"] for name, one in (properties.get("parameters") or {}).items()}
    declared = template.get("parameters") or {}
    strange = given.keys() - declared.keys()
    if strange:
        raise Refused("InvalidTemplate", f"Deployment template validation failed: 'The following parameters were supplied, but do not correspond to any parameters "
                      f"defined in the template: '{', '.join(sorted(strange))}'.'", 400)  # fmt: skip
    for name, one in declared.items():
        if name not in given and "defaultValue" in one:
            given[name] = one["defaultValue"]
    scope = Scope(ask.target.subscription, group.name, group.location, given, template.get("variables") or {})
    return scope, template


def _group(ask: Ask) -> Resource:
    found = groups.group(ask.book, ask.target.group)
    if found is None:
        raise no_group(ask.target.group)
    return found


def _in_order(template: dict[str, Any], scope: Scope) -> list[dict[str, Any]]:
    """The resources, each after what it depends on."""
    waiting = [scope.resolve(one) for one in template.get("resources") or []]
    done: list[dict[str, Any]] = []
    while waiting:
        names = {_id(scope, one).lower() for one in waiting}
        ready = [one for one in waiting if not any(_depends(scope, text) in names for text in one.get("dependsOn") or [])]
        if not ready:
            raise Refused("InvalidTemplate", "Deployment template validation failed: circular dependency detected.", 400)
        done += ready
        waiting = [one for one in waiting if one not in ready]
    return done


def _depends(scope: Scope, text: str) -> str:
    """A dependency as an id: it may be written as type/name."""
    if text.lower().startswith("/subscriptions/"):
        return text.lower()
    provider, kind, name = text.strip("/").split("/", 2)
    return identifier(scope.subscription, scope.group, f"{provider}/{kind}", name).lower()


def _id(scope: Scope, one: dict[str, Any]) -> str:
    return identifier(scope.subscription, scope.group, one["type"], *str(one["name"]).split("/"))


def _validate(ask: Ask) -> Result:
    group = _group(ask)
    scope, template = scope_of(ask, group)
    _in_order(template, scope)
    return Result(200, {"properties": {"provisioningState": "Succeeded", "timestamp": now(), "mode": "Incremental"}})


def _make(ask: Ask, new: Resource, old: Resource | None) -> None:
    group = _group(ask)
    scope, template = scope_of(ask, group)
    planned = _in_order(template, scope)
    new.body = {
        "properties": {
            "provisioningState": "Running",
            "mode": "Incremental",
            "timestamp": now(),
            "correlationId": "00000000-0000-0000-0000-000000000001",
        }
    }
    new.memory["location"] = group.location
    new.memory["outputs"] = []
    for one in planned:
        try:
            _deploy(ask, scope, one)
        except Refused as refused:
            inner = refused.document()
            new.memory["outputs"].append((_id(scope, one), "Failed", inner))
            new.memory["doomed"] = Refused(
                "DeploymentFailed",
                "At least one resource deployment operation failed. Please list deployment operations for details. "
                "Please see https://aka.ms/DeployOperations for usage details.", 409, details=[inner],
            )  # fmt: skip
            return
        new.memory["outputs"].append((_id(scope, one), "Succeeded", None))


def _deploy(ask: Ask, scope: Scope, one: dict[str, Any]) -> None:
    """A resource of the template, as its own PUT would make it. Raises Refused with what its operation ends with."""
    id = _id(scope, one)
    body = {name: value for name, value in one.items() if name not in ("apiVersion", "type", "name", "dependsOn")}
    model = next((each for each in described.find("PUT", id) if each.request), None)
    if model is None:
        raise Refused("InvalidTemplate", f"The resource type '{one['type']}' is not known.", 400)
    wrong = shapes.sent(model.model(model.request), body)
    if wrong:
        raise Refused("InvalidTemplate", f"Deployment template validation failed: {'; '.join(wrong)}", 400)
    names = tuple(str(one["name"]).split("/"))
    call = Call(0, "PUT", ask.call.host, id, str(one["apiVersion"]), one["type"], group=scope.group, name=names[-1], body=body)
    call.location = str(body.get("location", ""))
    call.size = str(((body.get("properties") or {}).get("hardwareProfile") or {}).get("vmSize", ""))
    fault = ask.book.faults.take(call, "call")
    if fault is not None:
        raise Refused(fault.code, fault.text, fault.http)
    target = Target(scope.subscription, scope.group, one["type"], names, path=id)
    verbs.answer(Ask(ask.book, target, "PUT", {}, body, call, str(one["apiVersion"])))
    made = ask.book.find(id)
    operation = ask.book.operations.get(made.running) if made is not None else None
    if operation is not None:
        running.end(ask.book, operation)
        if operation.error is not None:
            raise operation.error


def _made(book: Book, one: Resource, error: Refused | None) -> None:
    one.properties["timestamp"] = now()


def _operations(ask: Ask) -> Result:
    """What it did, the newest first: whoever deletes in this order finds nothing in use."""
    found = verbs.resource_of(ask)
    return Result(
        200, {"value": [_operation(found, number, *entry) for number, entry in reversed(list(enumerate(found.memory["outputs"])))]}
    )


def _operation(one: Resource, number: int, id: str, state: str, error: dict[str, Any] | None) -> dict[str, Any]:
    kind = id.partition("/providers/")[2].rpartition("/")[0]
    properties: dict[str, Any] = {
        "provisioningOperation": "Create", "provisioningState": state, "timestamp": now(), "statusCode": "Created" if error is None else "Conflict",
        "targetResource": {"id": id, "resourceType": kind, "resourceName": id.rpartition("/")[2]},
    }  # fmt: skip
    if error is not None:
        properties["statusMessage"] = {"status": "Failed", "error": error}
    return {"id": f"{one.id}/operations/{number:016X}", "operationId": f"{number:016X}", "properties": properties}


known(Kind(
    DEPLOYMENT, make=_make, made=_made, is_tracked=False, actions={"validate": _validate, "operations": _operations},
))  # fmt: skip
