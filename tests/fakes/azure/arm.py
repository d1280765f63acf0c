"""management.azure.com: each call is one that the SDK knows, is carried out, and its answer is one that the SDK knows."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.azure import (
    account,
    beside,
    catalogue,
    deployments,
    described,
    disks,
    groups,
    images,
    interfaces,
    machines,
    network,
    paths,
    platform,
    running,
    scalesets,
    schedules,
    shapes,
    verbs,
)  # fmt: skip
from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import Book
from tests.fakes.azure.calls import Call
from tests.fakes.azure.kinds import Ask

PARTS = (account, catalogue, deployments, disks, groups, images, interfaces, machines, network, platform, scalesets, schedules)
"""What answers; each adds itself to `kinds`."""
_SECRETS = ("customData", "userData", "adminPassword")
_FREE = frozenset({"api-version", "$skiptoken", "$top", "monitor", "t", "c", "s", "h"})


class Unknown(Exception):
    """A call or an answer that the SDK does not know: the test that made it is wrong, or the fake."""


def call_of(method: str, host: str, path: str, query: dict[str, str], body: bytes) -> Call:
    """A request as the list of calls has it."""
    call = Call(0, method, host, path, query.get("api-version", ""), query=query)
    if host == "login.microsoftonline.com":
        call.what = "token"
        return call
    if body:
        try:
            call.body = without_secrets(json.loads(body))
        except ValueError:
            call.body = None
    if running.is_poll(path):
        call.what = "operation"
        return call
    try:
        target = paths.parse(path)
    except (ValueError, IndexError):
        return call
    call.what, call.action, call.group, call.name = target.type, target.action, target.group, target.name
    _place(call)
    return call


def _place(call: Call) -> None:
    body = call.body if isinstance(call.body, dict) else {}
    call.location = str(body.get("location", "")).replace(" ", "").lower()
    call.zone = str((body.get("zones") or [""])[0])
    properties = body.get("properties") if isinstance(body.get("properties"), dict) else {}
    assert isinstance(properties, dict)
    profile = properties.get("virtualMachineProfile") or properties
    call.size = str((properties.get("hardwareProfile") or {}).get("vmSize") or (body.get("sku") or {}).get("name") or "")
    call.spot = profile.get("priority") == "Spot"


def without_secrets(value: Any) -> Any:
    """A body as it may be kept."""
    if isinstance(value, dict):
        return {key: f"({len(str(one))} characters)" if key in _SECRETS else without_secrets(one) for key, one in value.items()}
    return [without_secrets(one) for one in value] if isinstance(value, list) else value


def answer(book: Book, call: Call, query: dict[str, str], body: bytes) -> Result:
    """Carry out a call. Raises Refused, and Unknown for a breach of the contract."""
    if call.what == "operation":
        return running.asked(book, call.path, call.version)
    operation = _operation(call, query)
    sent = _body(operation, call, body)
    try:
        target = paths.parse(call.path)
    except (ValueError, IndexError):
        raise Unknown("no path of Resource Manager") from None
    if target.subscription and target.type not in ("tenants",):
        account.require_subscription(target.subscription)
    try:
        result = verbs.answer(
            Ask(book, target, call.method, query, sent, call, call.version, operation.statuses if operation else frozenset())
        )
    except LookupError as missing:
        if type(missing) is not LookupError:
            raise
        raise Unknown(f"the fake does not serve {operation}") from None
    _check(operation, call, result)
    return result


def _operation(call: Call, query: dict[str, str]) -> described.Operation | None:
    """The operation of the SDK that this call is; None where the SDK has one that takes any resource."""
    found = described.find(call.method, call.path) + beside.find(call.method, call.path)
    if not call.version:
        raise Refused("MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.", 400)
    fitting = [one for one in found if one.version == call.version or (str(one), call.version) in beside.PACKER]
    if call.method == "HEAD" and not found:
        return None
    if not fitting:
        versions = sorted({one.version for one in found})
        raise Unknown(f"api-version {call.version} is not that of the SDK ({', '.join(versions) or 'which has no such call'})")
    strange = query.keys() - fitting[0].parameters - _FREE
    if strange:
        raise Unknown(f"{fitting[0]} has no parameter {', '.join(sorted(strange))}")
    return fitting[0]


def _body(operation: described.Operation | None, call: Call, body: bytes) -> Any:
    if operation is None or not operation.request:
        if body and body not in (b"{}", b"null"):
            raise Unknown(f"{operation} is sent no body")
        return None
    if not body:
        if call.method == "POST":
            return None
        raise Refused("InvalidRequestContent", "The request content was invalid and could not be deserialized.", 400)
    document = beside.modern(str(operation), call.version, json.loads(body))
    wrong = [] if operation.request == described.ANY else shapes.sent(operation.model(operation.request), document)
    if wrong:
        raise Unknown(f"{operation} is sent what it does not know: {'; '.join(wrong)}")
    return document


def _check(operation: described.Operation | None, call: Call, result: Result) -> None:
    """The answer, too, is held against the SDK."""
    if operation is None or result.status >= 400:
        return
    if result.status not in operation.statuses:
        raise Unknown(f"{operation} does not expect HTTP {result.status}")
    if not operation.response:
        if result.body is not None:
            raise Unknown(f"{operation} is answered a body")
        return
    if operation.response == described.ANY:
        return
    model = operation.model(operation.response)
    if operation.listed:
        wrong = [f"{name} beside value" for name in result.body.keys() - {"value", "nextLink"}]
        wrong += [text for one in result.body["value"] for text in shapes.answered(model, one)]
    elif operation.bare:
        wrong = [text for one in result.body for text in shapes.answered(model, one)]
    else:
        wrong = shapes.answered(model, result.body)
    if wrong:
        raise Unknown(f"{operation} is answered what it does not know: {'; '.join(wrong)}")
