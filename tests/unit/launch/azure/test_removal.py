"""What is listed and removed on Azure: all of ours, in the order in which that works, and nothing of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from goldbake.clouds.azure.resources import FORCED_TYPES
from goldbake.clouds.azure.role import ACTIONS
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import GoldbakeError
from launch import removal, service
from launch.azure.launcher import AzureLauncher
from launch.base import CloudOptions, Market, PartlySeen, Resource
from tests.fakes.azure import SUBSCRIPTION
from tests.fakes.azure import Resource as Stored
from tests.unit.launch.azure.conftest import ABROAD, GROUP, HOME, KEY, MACHINE, SET, VERSION, Field
from tests.unit.launch.azure.test_launch import ADDRESS, DISK, GATEWAY, NETWORK, given_group
from tests.unit.launch.crash import reap_killed_bake

_ROOT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"


def put(field: Field, kind: str, group: str, name: str, tags: dict[str, str], **properties: Any) -> str:
    """Something that somebody else made."""
    id = f"{_ROOT}/{group}" if kind == GROUP else f"{_ROOT}/{group}/providers/{kind}/{name}"
    body = {"location": HOME, "tags": tags, "properties": {"provisioningState": "Succeeded", **properties}}
    with field.fake.book.lock:
        field.fake.book.add(Stored(id, kind, group, (name,), body))
    return id


def foreign(field: Field) -> list[str]:
    """Things of others: untagged, tagged by another program, results of a bake, and what is only called like ours."""
    theirs = {"managed-by": "terraform", "goldbake-launch": "l1", "goldbake-expires": "1"}
    put(field, GROUP, "production", "production", {})
    put(field, DISK, "production", "untagged", {})
    put(field, DISK, "production", "tagged", theirs)
    put(field, GROUP, "goldbake-l1x", "goldbake-l1x", {})
    put(field, ADDRESS, "goldbake-l1x", "goldbake-l1-nat-ip", {})
    put(field, DISK, "production", "result", {"managed-by": "goldbake", "goldbake-image": "gpu-agent"})
    return field.left()


def bake_leftovers(field: Field, bake_id: str = "b1", expires: float = 0, *, given: bool = False) -> None:
    """What Packer leaves when it is killed."""
    tags = {
        "managed-by": "goldbake",
        "goldbake-bake": bake_id,
        "goldbake-image": "gpu-agent",
        "goldbake-expires": f"{expires or time.time() + 9999:.0f}",
    }
    group = "production" if given else f"goldbake-bake-{bake_id}"
    if not given:
        put(field, GROUP, group, group, tags)
    put(field, ADDRESS, group, "pkrip", tags)
    put(field, DISK, group, "pkros", tags)


@pytest.mark.parametrize("given", [False, True])
def test_a_slow_end_is_waited_for(azure_field: Field, given: bool) -> None:
    others = foreign(azure_field)
    azure_field.launch(count=2, options={"resource_group": "production"} if given else {})
    azure_field.fake.book.polls = 3
    azure_field.fake.calls.clear()
    report = azure_field.destroy()
    assert azure_field.left() == others
    removals = azure_field.fake.titles()
    if given:
        assert removals == [f"DELETE {kind}" for kind in (SET, NETWORK, GATEWAY, ADDRESS)]
    else:
        assert removals == [f"DELETE {GROUP}"]
    assert len(report.agents) == 2


def test_a_group_goes_without_an_orderly_shutdown(azure_field: Field) -> None:
    azure_field.launch()
    azure_field.destroy()
    (call,) = (call for call in azure_field.fake.calls if call.title == f"DELETE {GROUP}")
    assert call.query["forceDeletionTypes"] == FORCED_TYPES
    assert set(FORCED_TYPES.split(",")) == {MACHINE, SET}


def test_what_is_on_its_way_out_is_there_and_not_asked_again(azure_field: Field) -> None:
    azure_field.launch()
    azure_field.fake.book.polls = 10**6
    compute = azure_field.azure.client(ComputeManagementClient)
    groups = azure_field.azure.client(ResourceManagementClient).resource_groups
    groups.begin_delete("goldbake-l1", polling=False)
    launcher = azure_field.launcher()
    (group,) = (found for found in launcher.resources("l1") if found.kind == "resource group")
    assert group.going
    azure_field.fake.calls.clear()
    launcher.delete(launcher.resources("l1"))
    assert azure_field.fake.titles() == []
    azure_field.fake.settle()
    assert launcher.resources("l1") == []
    assert list(compute.virtual_machines.list_all()) == []


def test_a_lock_is_named_and_what_it_holds_is_left(azure_field: Field) -> None:
    azure_field.launch()
    azure_field.removal_s = 0.2
    azure_field.fake.book.locks[f"{_ROOT}/goldbake-l1"] = "CanNotDelete"
    report = azure_field.remove(azure_field.plan())
    assert any("resource group" in text for text in report.left)
    with pytest.raises(GoldbakeError, match="could not be removed"):
        report.require_nothing_left()
    assert "ScopeLocked" in azure_field.said.getvalue()
    assert "goldbake-l1" in azure_field.said.getvalue()
    azure_field.fake.book.locks.clear()
    azure_field.removal_s = 60.0
    azure_field.destroy()
    assert azure_field.left() == []


def test_destroy_looks_only_for_what_carries_its_launch(azure_field: Field) -> None:
    azure_field.launch("l1")
    azure_field.launch("l2")
    azure_field.fake.calls.clear()
    azure_field.destroy("l1")
    filters = {call.query["$filter"] for call in azure_field.fake.calls if "$filter" in call.query}
    assert filters == {"tagName eq 'goldbake-launch' and tagValue eq 'l1'"}
    assert {one.group for one in azure_field.held()} == {"goldbake-l2"}


def test_a_launch_of_another_machine_is_found_by_its_tags(azure_field: Field) -> None:
    others = foreign(azure_field)
    for options in ({"regions": (ABROAD,)}, {"resource_group": "production"}):
        azure_field.launch(options=options)
        (service.launches(azure_field.paths) / "l1.json").unlink()
        assert not azure_field.plan_reap()  # it is shared, and its time is not over
        azure_field.remove(azure_field.plan()).require_nothing_left()
        assert azure_field.left() == others


def test_reap_takes_what_is_past_its_time_also_when_it_is_stopped(azure_field: Field) -> None:
    others = foreign(azure_field)
    azure_field.launch("l1", ttl=600, count=2)
    azure_field.launch("l2", ttl=600, options={"resource_group": "production"})
    azure_field.launch("l3", ttl=6000)
    for one in azure_field.held(MACHINE):
        azure_field.fake.power_off(one.name)  # as first boot's timer does; Azure bills it all the same
    now = time.time()
    assert not azure_field.plan_reap()
    plan = azure_field.plan_reap(now=lambda: now + 700)
    assert sorted(doomed.launch_id for doomed in plan.launches) == ["l1", "l2"]
    azure_field.remove(plan, cautious=True).require_nothing_left()
    assert {one.tags.get("goldbake-launch") for one in azure_field.held(MACHINE)} == {"l3"}
    azure_field.destroy("l3")
    assert azure_field.left() == others


@pytest.mark.parametrize("given", [False, True])
def test_what_a_killed_bake_left_is_reaped_at_once_here_and_after_its_time_elsewhere(azure_field: Field, given: bool) -> None:
    others = foreign(azure_field)
    bake_leftovers(azure_field, given=given)
    reap_killed_bake(azure_field, "b1")
    assert azure_field.left() == others


def test_what_is_gone_already_is_no_problem(azure_field: Field) -> None:
    azure_field.launch(options={"resource_group": given_group(azure_field)})
    launcher = azure_field.launcher()
    found = launcher.resources("l1")
    ghost = Resource(found[0].cloud, "virtual machine", f"{_ROOT}/nowhere/providers/{MACHINE}/ghost", "l1", place=HOME)
    launcher.delete([*found, ghost])
    assert azure_field.held(MACHINE) == []


def test_something_in_use_passes_and_a_permission_does_not(azure_field: Field) -> None:
    azure_field.launch(options={"resource_group": given_group(azure_field)})
    launcher = azure_field.launcher()
    of_kind = {found.kind: found for found in launcher.resources("l1")}
    with pytest.raises(Failure) as caught:
        launcher.delete([of_kind["network interface"]])
    assert caught.value.scope is Scope.RETRY
    azure_field.fake.refuse("AuthorizationFailed", MACHINE, method="DELETE", times=None)
    with pytest.raises(Failure, match="AuthorizationFailed") as caught:
        launcher.delete(list(of_kind.values()))
    assert caught.value.scope is Scope.ACCOUNT


def test_something_tagged_as_ours_that_we_never_make_is_named_and_left(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    group = given_group(azure_field)
    azure_field.launch(options={"resource_group": group})
    (machine,) = azure_field.held(MACHINE)
    azure_field.seeded |= {put(azure_field, "Microsoft.Compute/galleries", group, "odd", machine.tags)}
    monkeypatch.setattr(removal, "_HOPELESS_S", 2.0)
    with pytest.raises(GoldbakeError, match=r"Microsoft\.Compute/galleries"):
        azure_field.destroy()
    assert "goldbake makes nothing of this kind" in azure_field.said.getvalue()
    assert azure_field.left() == []


def test_somebody_elses_subscription_is_told(azure_field: Field) -> None:
    azure_field.launch()
    azure_field.fake.refuse("AuthorizationFailed", GROUP, method="GET", times=None)
    with pytest.raises(Failure, match="AuthorizationFailed"):
        azure_field.launcher().resources()


def test_a_subscription_that_cannot_be_looked_at_does_not_hide_the_others(azure_field: Field) -> None:
    azure_field.launch("l1")
    (service.launches(azure_field.paths) / "l1.json").unlink()  # it was launched elsewhere
    closed = "11111111-2222-3333-4444-555555555555"
    launcher = AzureLauncher(CloudOptions(), accounts=lambda: [closed], azure=azure_field.azure)
    for look in (launcher.resources, launcher.instances):
        with pytest.raises(PartlySeen, match=closed) as caught:
            look()
        assert {one.launch_id for one in caught.value.found} == {"l1"}
    asker = AzureLauncher(CloudOptions(), accounts=lambda: [closed], azure=azure_field.azure)
    asker.delete(asker.resources("l1"))
    _until(lambda: azure_field.left() == [])
    assert asker.resources("l1") == [], "where it was found, it has to be gone"
    with pytest.raises(Failure, match=closed):
        launcher.resources("nobodys")


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_result_of_a_bake_is_never_listed_and_a_half_one_is_the_bakes(azure_field: Field) -> None:
    version = azure_field.fake.book.find(VERSION)
    assert version is not None
    version.body["tags"] = {"managed-by": "goldbake", "goldbake-image": "gpu-agent", "goldbake-fingerprint": "f"}
    assert azure_field.launcher().resources() == []
    version.body["tags"] |= {"goldbake-bake": "b1", "goldbake-expires": "1"}
    (half,) = azure_field.launcher().resources()
    assert (half.kind, half.launch_id) == ("image version", "bake-b1")
    azure_field.launcher().delete([half])
    assert azure_field.fake.book.find(VERSION) is None


@pytest.mark.usefixtures("with_schedules")
def test_the_published_role_allows_every_call_of_launch_and_removal(azure_field: Field) -> None:
    azure_field.launch("l1", count=2, options={"market": Market.SPOT_FIRST})
    azure_field.launch("l2", options={"ssh_from": "203.0.113.7/32", "key": KEY, "public_address": True})
    launcher = azure_field.launcher()
    launcher.console(launcher.instances("l2")[0])
    azure_field.remove(azure_field.plan_reap(now=lambda: time.time() + 1e6), cautious=True).require_nothing_left()
    group = given_group(azure_field)
    azure_field.launch("l3", count=2, options={"resource_group": group, "ssh_from": "203.0.113.7/32"})
    azure_field.destroy("l3")
    assert needed(azure_field) - {action.lower() for action in ACTIONS} == set()


def needed(field: Field) -> set[str]:
    """What the calls so far need to be allowed, in small letters."""
    verbs = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
    found = set()
    for call in field.fake.calls:
        if "/" not in call.what:
            continue
        action = f"{call.action}/action" if call.action else verbs[call.method]
        kind = call.what.replace("Microsoft.Resources/resourceGroups", "Microsoft.Resources/subscriptions/resourceGroups")
        found.add(f"{kind}/{action}".lower())
    return found
