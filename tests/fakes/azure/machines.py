"""Virtual machines."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from tests.fakes.azure import attached, disks, shortage, sources, verbs, wanted
from tests.fakes.azure.answers import Refused, Result
from tests.fakes.azure.book import Book, Event, Resource
from tests.fakes.azure.catalogue import Size, require_location, size_of
from tests.fakes.azure.kinds import Ask, Kind, known
from tests.fakes.azure.times import now

MACHINE = "Microsoft.Compute/virtualMachines"
BLOBS = "md-fake00000001.z1.blob.storage.azure.net"
"""Where the serial logs of machines lie; the proxy leads there."""
FIXED = (
    "osProfile.adminUsername",
    "osProfile.computerName",
    "osProfile.customData",
    "storageProfile.imageReference",
    "priority",
    "hardwareProfile.vmSize",
)
"""What a second PUT must not change. The size may be, in truth; nothing here does that."""
HIDDEN = ("customData", "adminPassword")


def zone_of(one: Resource) -> str:
    return str((one.body.get("zones") or [""])[0])


def _make(ask: Ask, new: Resource, old: Resource | None) -> None:
    new.body["location"] = require_location(str(new.body["location"]))
    new.body["tags"] = dict(new.body.get("tags") or {})
    keep_secrets(new)
    if old is not None and old.power:
        _again(ask, new, old)
        return
    checked = check(ask, new)
    attached.given(ask, new, new.properties["networkProfile"])
    lack = shortage.take(ask.book, checked.size, new.location, zone_of(new), spot=checked.spot)
    if lack is not None and ask.book.shortage_at == "call":
        raise lack
    if lack is not None:
        new.memory["doomed"] = lack
    if old is not None:  # it failed, and is tried anew
        attached.let_go(ask.book, old)
    complete(ask, new, checked)


@dataclass(frozen=True)
class Checked:
    """What is known of a machine that may start."""

    size: Size
    source: sources.Source
    spot: bool


def check(ask: Ask, new: Resource, *, name_of: str = "computerName", count: int = 1) -> Checked:
    """Check what is asked of a machine, or of so many alike. Raises Refused."""
    book, properties = ask.book, new.properties
    size = size_of(str((properties.get("hardwareProfile") or {}).get("vmSize", "")), new.location)
    storage = properties.get("storageProfile") or {}
    if not storage.get("imageReference"):
        raise Refused("InvalidParameter", "Required parameter 'imageReference' is missing (null).", 400, target="imageReference")
    source = sources.resolve(book, storage["imageReference"], new.location)
    wanted.check_profile({**properties, "osProfile": _whole_profile(new), "userData": new.secret.get("userData")}, source, name_of)
    wanted.check_image(book, properties, new.body.get("plan"), source, size)
    spot = wanted.check_market(properties, size)
    shortage.check_offer(book, size, new.location, list(new.body.get("zones") or []))
    shortage.check_quota(book, size, new.location, count, spot=spot)
    profile = properties.get("networkProfile") or {}
    if not profile.get("networkInterfaces") and not profile.get("networkInterfaceConfigurations"):
        raise Refused("InvalidParameter", "Required parameter 'networkProfile' is missing (null).", 400, target="networkProfile")
    if profile.get("networkInterfaceConfigurations") and not profile.get("networkApiVersion"):
        raise Refused(
            "InvalidParameter", "Required parameter 'networkProfile.networkApiVersion' is missing (null).", 400, target="networkApiVersion"
        )
    return Checked(size, source, spot)


def complete(ask: Ask, new: Resource, checked: Checked) -> None:
    """Give a machine all that belongs to it. Raises Refused."""
    properties = new.properties
    storage, profile = properties["storageProfile"], properties["networkProfile"]
    properties["hardwareProfile"]["vmSize"] = checked.size.name
    interfaces = attached.given(ask, new, profile) + attached.brought(ask, new, profile)
    properties["networkProfile"] = {"networkInterfaces": interfaces}
    storage["imageReference"] = checked.source.reference
    new.memory |= {"image": checked.source.image, "spot": checked.spot, "generation": checked.source.generation}
    _disk(ask, new, storage, checked.source)
    properties |= {"vmId": str(uuid.uuid4()), "timeCreated": now()}
    if checked.spot:
        properties.setdefault("evictionPolicy", "Deallocate")
        properties.setdefault("billingProfile", {"maxPrice": -1})
    _identify(new)


def _whole_profile(new: Resource) -> dict[str, Any] | None:
    profile = new.properties.get("osProfile")
    return {**profile, **{key: new.secret[key] for key in HIDDEN if key in new.secret}} if profile is not None else None


def keep_secrets(new: Resource) -> None:
    profile = new.properties.get("osProfile") or {}
    for name in HIDDEN:
        if name in profile:
            new.secret[name] = profile.pop(name)
    if "userData" in new.properties:
        new.secret["userData"] = new.properties.pop("userData")


def _identify(new: Resource) -> None:
    if new.body.get("identity"):
        new.body["identity"] |= (
            {"principalId": str(uuid.uuid4()), "tenantId": str(uuid.uuid4())} if "System" in new.body["identity"].get("type", "") else {}
        )
        if new.body["identity"].get("type") == "None":
            del new.body["identity"]


def _disk(ask: Ask, new: Resource, storage: dict[str, Any], source: sources.Source) -> None:
    disk = storage["osDisk"]
    disk.setdefault("name", f"{new.name}_OsDisk_1_{secrets.token_hex(16)}")
    disk |= {"osType": "Linux", "diskSizeGB": disk.get("diskSizeGB", source.size_gb)}
    disk.setdefault("caching", "ReadWrite")
    disk.setdefault("deleteOption", "Detach")
    managed = disk.setdefault("managedDisk", {})
    managed.setdefault("storageAccountType", "Premium_LRS")
    tags = new.tags if ask.book.disk_tags else {}
    made = disks.for_machine(ask.book, new, disk["name"], disk["diskSizeGB"], managed["storageAccountType"], source.image, tags)
    managed["id"] = made.id
    storage.setdefault("dataDisks", [])


def _again(ask: Ask, new: Resource, old: Resource) -> None:
    """The same PUT once more: nothing starts anew, and only some things may differ."""
    for path in FIXED:
        before, after = _value(old, path), _value(new, path)
        if after is not None and not _same(before, after):
            raise Refused("PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", 409, target=path)
    tags, secret = new.body["tags"], new.secret
    new.body = {**old.body, "tags": tags, "properties": {**old.properties, "provisioningState": "Updating"}}
    new.secret = {**old.secret, **secret}


def _value(one: Resource, path: str) -> Any:
    head, _, name = path.rpartition(".")
    if name in HIDDEN:
        return one.secret.get(name)
    found: Any = one.properties
    for part in [*head.split("."), name] if head else [name]:
        found = (found or {}).get(part)
    return found


def _same(before: Any, after: Any) -> bool:
    if isinstance(after, dict):
        return all(_same((before or {}).get(name), value) for name, value in after.items())
    return before == after or (isinstance(after, str) and str(before).lower() == after.lower())


# --- life


def _begun(book: Book, one: Resource, error: Refused | None) -> None:
    if one.power or error is not None:
        if error is not None and not one.power:
            attached.attach(book, one)  # what was allocated for it stays its own
        return
    attached.attach(book, one)
    one.power = "running"
    book.tell(Event("started", one.group, one.name))


def end(book: Book, one: Resource) -> None:
    """A machine is gone, and with it what ends with it."""
    if one.power:
        size = str(one.properties["hardwareProfile"]["vmSize"])
        shortage.give_back(book, size, one.location, zone_of(one), spot=one.properties.get("priority") == "Spot")
    one.power = ""
    belongs = book.find(str((one.properties.get("virtualMachineScaleSet") or {}).get("id", "")))
    if belongs is not None:
        belongs.body["sku"]["capacity"] -= 1
    attached.let_go(book, one)
    book.tell(Event("deleted", one.group, one.name))


def stop(book: Book, one: Resource, power: str) -> None:
    """stopped or deallocated."""
    if one.power == "running":
        one.power = power
        book.tell(Event("stopped", one.group, one.name))
    one.power = power


def _change(ask: Ask, one: Resource) -> None:
    properties = (ask.body or {}).get("properties") or {}
    if "userData" in properties:
        wanted.check_profile({"userData": properties["userData"], "osProfile": _whole_profile(one)}, None)
        one.secret["userData"] = properties["userData"]
    profile = properties.get("osProfile") or {}
    if "customData" in profile:
        raise Refused(
            "PropertyChangeNotAllowed", "Changing property 'osProfile.customData' is not allowed.", 409, target="osProfile.customData"
        )
    if "identity" in (ask.body or {}):
        one.body["identity"] = dict(ask.body["identity"])
        _identify(one)
    for name in ("diagnosticsProfile", "billingProfile"):
        if name in properties:
            one.properties[name] = properties[name]


# --- what is said of it


def shown(ask: Ask, one: Resource) -> dict[str, Any]:
    """A machine as GET has it, with what `$expand` asks for."""
    expand = ask.query.get("$expand", "").lower()
    extra: dict[str, Any] = {}
    if "userdata" in expand and one.secret.get("userData"):
        extra["userData"] = one.secret["userData"]
    if "instanceview" in expand or ask.query.get("statusOnly", "").lower() == "true":
        extra["instanceView"] = instance_view(ask.book, one)
    return {**one.body, "properties": {**one.properties, **extra}}


def instance_view(book: Book, one: Resource) -> dict[str, Any]:
    state = one.state or "Succeeded"
    statuses = [
        {
            "code": f"ProvisioningState/{state.lower()}",
            "level": "Error" if state == "Failed" else "Info",
            "displayStatus": _display(state),
            "time": now(),
        }
    ]
    if state == "Failed" and one.memory.get("error"):
        statuses[0]["code"] += f"/{one.memory['error'].code}"
        statuses[0]["message"] = one.memory["error"].message
    if one.memory.get("generalized"):
        statuses.append({"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"})
    if one.power:
        statuses.append({"code": f"PowerState/{one.power}", "level": "Info", "displayStatus": f"VM {one.power}"})
    return {"hyperVGeneration": "V2", "bootDiagnostics": {}, "statuses": statuses}


def _display(state: str) -> str:
    return f"Provisioning {state.lower()}" if state != "Failed" else "Provisioning failed"


def _made(book: Book, one: Resource, error: Refused | None) -> None:
    one.memory["error"] = error


def chosen(ask: Ask, one: Resource) -> bool:
    """What a list's $filter lets through: the machines of a scale set. Raises Refused."""
    text = ask.query.get("$filter", "")
    if not text:
        return True
    head, mark, value = text.partition(" eq ")
    if head.strip() != "'virtualMachineScaleSet/id'" or not mark:
        raise Refused("InvalidParameter", f"The $filter '{text}' is not supported.", 400, target="$filter")
    wanted_id = value.strip().strip("'").lower()
    return str((one.properties.get("virtualMachineScaleSet") or {}).get("id", "")).lower() == wanted_id


# --- actions


def _view(ask: Ask) -> Result:
    return Result(200, instance_view(ask.book, verbs.resource_of(ask)))


def _power(power: str, event: str = "") -> Any:
    def act(ask: Ask) -> Result:
        one = verbs.resource_of(ask)
        _not_ending(one)

        def finish() -> None:
            if power == "running":
                one.power = "running"
                ask.book.tell(Event(event, one.group, one.name))
            else:
                stop(ask.book, one, power)

        return verbs.act_long(ask, finish)

    return act


def _not_ending(one: Resource) -> None:
    if one.state == "Deleting":
        raise Refused("OperationNotAllowed", f"Operation is not allowed on VM '{one.name}' since the VM is marked for deletion. You can only retry the Delete "
                      "operation (or wait for an ongoing one to complete).", 409)  # fmt: skip


def _generalize(ask: Ask) -> Result:
    one = verbs.resource_of(ask)
    if one.power == "running":
        raise Refused("OperationNotAllowed", f"VM '{one.name}' is not stopped. Stop or deallocate it before it is generalized.", 409)
    one.memory["generalized"] = True
    ask.book.tell(Event("generalized", one.group, one.name))
    return Result(200)


def _serial(ask: Ask) -> Result:
    one = verbs.resource_of(ask)
    diagnostics = (one.properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") or {}
    if not diagnostics.get("enabled"):
        raise Refused("OperationNotAllowed", f"Boot diagnostics is not enabled for VM '{one.name}'.", 409)
    base = f"https://{BLOBS}/bootdiagnostics-{one.name}-{one.properties['vmId']}/{one.name}.{one.properties['vmId']}"
    signed = f"?sv=2018-03-28&sr=b&sig={secrets.token_hex(16)}&se=2027-01-01T00%3A00%3A00Z&sp=r"
    return Result(
        200, {"consoleScreenshotBlobUri": f"{base}.screenshot.bmp{signed}", "serialConsoleLogBlobUri": f"{base}.serialconsole.log{signed}"}
    )


def evict(book: Book, one: Resource) -> None:
    """A spot machine is taken back, as its policy says."""
    if one.properties.get("evictionPolicy") == "Delete":
        end(book, one)
        book.drop(one.id)
    else:
        stop(book, one, "deallocated")


def _evict(ask: Ask) -> Result:
    one = verbs.resource_of(ask)
    if one.properties.get("priority") != "Spot":
        raise Refused("OperationNotAllowed", "Simulate eviction is only supported on Azure Spot Virtual Machines.", 409)
    evict(ask.book, one)
    return Result(204)


known(Kind(
    MACHINE, make=_make, begun=_begun, made=_made, change=_change, gone=end, show=shown, chosen=chosen,
    actions={
        "instanceview": _view, "deallocate": _power("deallocated"), "poweroff": _power("stopped"), "start": _power("running", "started"),
        "restart": _power("running", "restarted"), "redeploy": _power("running", "restarted"), "generalize": _generalize,
        "retrievebootdiagnosticsdata": _serial, "simulateeviction": _evict,
    },
))  # fmt: skip
