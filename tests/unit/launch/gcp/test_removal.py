"""What is listed and removed on Compute Engine: all of ours, in the order in which that works, and nothing of others."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from google.cloud import compute_v1
from invoke import Context
from invoke.exceptions import Exit as InvokeExit

import tasks
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import Exit, UsageError
from launch import service
from launch.base import Market, Resource
from launch.gcp import removal
from launch.registry import journal_of
from tests.fakes.gcp import NEWEST_NOBLE
from tests.unit.launch.crash import reap_killed_bake
from tests.unit.launch.field import PAT
from tests.unit.launch.gcp.conftest import ABROAD, HOME, ZONES, Field

BAKE_ID = "abcdefgh23"


def _instance(
    name: str, labels: dict[str, str], *, auto_delete: bool = True, disk_labels: dict[str, str] | None = None
) -> compute_v1.Instance:
    new = compute_v1.AttachedDiskInitializeParams(source_image=NEWEST_NOBLE.id, labels=disk_labels or {})
    return compute_v1.Instance(
        name=name,
        machine_type=f"zones/{ZONES[0]}/machineTypes/n2-standard-4",
        labels=labels,
        disks=[compute_v1.AttachedDisk(boot=True, auto_delete=auto_delete, initialize_params=new)],
        network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
    )


def _insert(field: Field, item: compute_v1.Instance) -> None:
    field.gcp.client(compute_v1.InstancesClient).insert_unary(project=field.gcp.project, zone=ZONES[0], instance_resource=item)


def foreign(field: Field) -> list[str]:
    """Things of others: unlabelled, labelled by another program, with a name like ours, and results of a bake; returns everything that is there."""
    theirs = {"managed-by": "terraform", "goldbake-launch": "l1", "goldbake-expires": "1"}
    _insert(field, _instance("plain", {}))
    _insert(field, _instance("theirs", theirs, disk_labels=theirs))
    _insert(field, _instance("goldbake-l1-9", {}, disk_labels={"team": "x"}))
    _insert(field, _instance("goldbake-management", {}))  # ten letters, as an id has
    data = compute_v1.Disk(name="goldbake-backup2345", size_gb=10)  # ten letters and digits, as an id has, and somebody's data on it
    field.gcp.client(compute_v1.DisksClient).insert_unary(project=field.gcp.project, zone=ZONES[0], disk_resource=data)
    rules = field.gcp.client(compute_v1.FirewallsClient)
    for name, description in (("goldbake-l1-theirs", "not JSON"), ("goldbake-theirs", json.dumps(theirs)), ("goldbake-list", "[]")):
        rule = compute_v1.Firewall(name=name, description=description, allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])])
        rules.insert_unary(project=field.gcp.project, firewall_resource=rule)
    images = field.gcp.client(compute_v1.ImagesClient)
    kept = compute_v1.Image(name="gpu-agent-1", source_image=NEWEST_NOBLE.id, labels={"managed-by": "goldbake", "goldbake-image": "x"})
    images.insert_unary(project=field.gcp.project, image_resource=kept)
    return field.left()


def bake_leftovers(field: Field, bake_id: str = BAKE_ID, expires: float = 0) -> None:
    """What Packer leaves when it is killed: its instance, whose disk has no labels and does not go with it, and half an image."""
    labels = {
        "managed-by": "goldbake",
        "goldbake-bake": bake_id,
        "goldbake-image": "gpu-agent",
        "goldbake-expires": f"{expires or time.time() + 9999:.0f}",
    }
    _insert(field, _instance(f"goldbake-{bake_id}", labels, auto_delete=False))
    half = compute_v1.Image(name=f"half-{bake_id}", source_image=NEWEST_NOBLE.id, labels=labels)
    field.gcp.client(compute_v1.ImagesClient).insert_unary(project=field.gcp.project, image_resource=half)


@pytest.mark.slow
def test_a_slow_end_is_waited_for(gcp_field: Field) -> None:
    others = foreign(gcp_field)
    gcp_field.launch(count=2, options={"ssh_from": "203.0.113.7/32"})
    gcp_field.fake.book.operation_s = 0.4
    gcp_field.fake.calls.clear()
    report = gcp_field.destroy()
    assert gcp_field.left() == others
    assert sorted(gcp_field.changes()) == ["firewalls.delete", "instances.delete", "instances.delete"]
    assert sorted(report.removed) == [
        "disk goldbake-l1-1 in us-central1-a", "disk goldbake-l1-2 in us-central1-a", "firewall rule goldbake-l1-ssh in global",
        "instance goldbake-l1-1 in us-central1-a", "instance goldbake-l1-2 in us-central1-a",
    ]  # fmt: skip
    assert len(report.agents) == 2


def test_an_instance_that_was_powered_off_is_still_there_and_goes(gcp_field: Field) -> None:
    gcp_field.launch()
    gcp_field.fake.power_off("goldbake-l1-1")
    assert [found.state for found in gcp_field.launcher().instances("l1")] == ["terminated"]
    gcp_field.destroy()
    assert gcp_field.left() == []


def test_a_stopping_instance_is_going_only_when_its_end_was_asked_for(gcp_field: Field) -> None:
    gcp_field.launch()
    launcher = gcp_field.launcher()
    gcp_field.fake.instance("goldbake-l1-1")["status"] = "STOPPING"  # its guest is shutting down: it will stay
    (instance,) = (found for found in launcher.resources("l1") if found.kind == "instance")
    assert not instance.going
    gcp_field.fake.book.operation_s = 600
    launcher.delete([instance])
    (still,) = (found for found in launcher.resources("l1") if found.kind == "instance")
    assert still.going
    assert not next(found for found in gcp_field.launcher().resources("l1") if found.kind == "instance").going


def test_an_end_that_was_accepted_and_did_not_come_is_asked_for_again(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "AGAIN_S", 0.2)
    gcp_field.launch(options={"ssh_from": "203.0.113.7/32"})
    for method in ("instances.delete", "firewalls.delete"):
        gcp_field.fake.refuse("INTERNAL_ERROR", f"compute.{method}", where="operation")
    gcp_field.fake.calls.clear()
    gcp_field.destroy()
    assert sorted(gcp_field.changes()) == ["firewalls.delete"] * 2 + ["instances.delete"] * 2


def test_a_disk_without_its_instance_is_removed(gcp_field: Field) -> None:
    gcp_field.launch()
    gcp_field.fake.instance("goldbake-l1-1")["disks"][0]["autoDelete"] = False
    gcp_field.fake.vanish("goldbake-l1-1")
    assert [one.kind for one in gcp_field.held()] == ["disk"]
    gcp_field.destroy()
    assert gcp_field.left() == []


def test_a_launch_of_another_machine_is_found_in_any_region(gcp_field: Field) -> None:
    gcp_field.launch(options={"regions": (ABROAD,), "ssh_from": "203.0.113.7/32"})
    (service.launches(gcp_field.paths) / "l1.json").unlink()
    assert not gcp_field.plan_reap()  # it is shared, and its time is not over
    gcp_field.remove(gcp_field.plan()).require_nothing_left()
    assert gcp_field.left() == []


def test_reap_takes_what_is_past_its_time_in_any_region(gcp_field: Field) -> None:
    others = foreign(gcp_field)
    gcp_field.launch("l1", ttl=600, count=2)
    gcp_field.launch("l2", ttl=600, options={"regions": (ABROAD,), "ssh_from": "203.0.113.7/32"})
    gcp_field.launch("l3", ttl=6000)
    now = time.time()
    assert not gcp_field.plan_reap()
    plan = gcp_field.plan_reap(now=lambda: now + 700)
    assert sorted(doomed.launch_id for doomed in plan.launches) == ["l1", "l2"]
    gcp_field.remove(plan, cautious=True).require_nothing_left()
    assert {one.id for one in gcp_field.held("instance")} == {"goldbake-l3-1", "goldbake-l1-9", "goldbake-management", "plain", "theirs"}
    gcp_field.destroy("l3")
    assert gcp_field.left() == others


def test_what_the_end_of_the_run_time_leaves_is_reaped(gcp_field: Field) -> None:
    gcp_field.launch(ttl=600, options={"ssh_from": "203.0.113.7/32"})
    gcp_field.fake.advance(700)
    assert [one.kind for one in gcp_field.held()] == ["firewall"]
    gcp_field.remove(gcp_field.plan_reap(now=lambda: time.time() + 700), cautious=True).require_nothing_left()
    assert gcp_field.left() == []
    assert service.entries(gcp_field.paths) == []


def test_what_a_killed_bake_left_is_reaped_at_once_here_and_after_its_time_elsewhere(gcp_field: Field) -> None:
    others = foreign(gcp_field)
    bake_leftovers(gcp_field)
    plan = reap_killed_bake(gcp_field, BAKE_ID)
    assert {resource.kind for resource in plan.launches[0].resources} == {"instance", "disk", "image"}
    assert gcp_field.left() == others


def test_the_disk_that_a_dead_build_instance_left_is_found_by_its_name(gcp_field: Field) -> None:
    bake_leftovers(gcp_field)
    gcp_field.fake.vanish(f"goldbake-{BAKE_ID}")
    (disk,) = (found for found in gcp_field.launcher().resources() if found.kind == "disk")
    assert (disk.launch_id, disk.instance_id) == (f"bake-{BAKE_ID}", "")
    assert disk.expires is not None
    assert 10_000 < disk.expires - time.time() < 11_000


def test_the_machine_of_a_bake_is_among_the_instances(gcp_field: Field) -> None:
    bake_leftovers(gcp_field)
    (instance,) = gcp_field.launcher().instances()
    assert (instance.launch_id, instance.kind, instance.image) == (f"bake-{BAKE_ID}", "n2-standard-4", "gpu-agent")


def test_what_is_gone_already_is_fine(gcp_field: Field) -> None:
    gcp_field.launch(count=2, wait=False)
    launcher = gcp_field.launcher()
    found = launcher.resources("l1")
    ghosts = [Resource(found[0].cloud, kind, "goldbake-l1-7", "l1", place=ZONES[0]) for kind in ("instance", "disk")]
    launcher.delete([*found, *ghosts, Resource(found[0].cloud, "firewall rule", "goldbake-l1-ssh", "l1", place="global")])
    assert gcp_field.held() == []


def test_a_disk_in_use_passes_and_a_permission_does_not(gcp_field: Field) -> None:
    gcp_field.launch()
    launcher = gcp_field.launcher()
    (disk,) = (found for found in launcher.resources("l1") if found.kind == "disk")
    with pytest.raises(Failure) as caught:
        launcher.delete([disk])
    assert (caught.value.scope, caught.value.code) == (Scope.RETRY, "resourceInUseByAnotherResource")
    gcp_field.fake.forbid("compute.instances.delete")
    with pytest.raises(Failure, match=r"compute\.instances\.delete") as caught:
        launcher.delete(launcher.resources("l1"))
    assert caught.value.scope is Scope.ACCOUNT
    report = replace(gcp_field, removal_s=0.5).remove(gcp_field.plan())
    assert sorted(report.left) == ["disk goldbake-l1-1 in us-central1-a", "instance goldbake-l1-1 in us-central1-a"]


def test_a_zone_that_cannot_be_asked_is_no_proof_of_emptiness(gcp_field: Field) -> None:
    gcp_field.launch()
    gcp_field.fake.book.unreachable.add("europe-west4-a")
    with pytest.raises(Failure, match="europe-west4-a"):
        gcp_field.launcher().resources("l1")


def _closed(field: Field, monkeypatch: pytest.MonkeyPatch, project: str = "elsewhere") -> None:
    """The own project becomes one that nobody lets us look at; launches here are in another one."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", project)
    field.gcp = type(field.gcp)()
    assert field.gcp.project == project


def test_a_project_that_cannot_be_looked_at_does_not_hide_the_others(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    gcp_field.launch("l1")
    gcp_field.launch("l2", ttl=600)
    _closed(gcp_field, monkeypatch)
    launchers = {Cloud.GCP: gcp_field.launcher()}
    found, refused = service.listed(gcp_field.paths, [Cloud.GCP], launchers=launchers)
    assert [one.launch_id for one in found] == ["l1", "l2"]
    (error,) = refused
    assert "project elsewhere" in error.message
    assert error.exit_code is Exit.USAGE, "there is no such project"
    with pytest.raises(Failure, match="project elsewhere"):
        service.instances(gcp_field.paths, [Cloud.GCP], launchers=launchers)
    reaped = gcp_field.plan_reap(now=lambda: time.time() + 700)
    plan = service.plan_destroy(gcp_field.paths, [Cloud.GCP], None, everything=True, launchers=launchers)
    assert [doomed.launch_id for doomed in reaped.launches] == ["l2"]
    assert [doomed.launch_id for doomed in plan.launches] == ["l1", "l2"]
    for one in (reaped, plan):
        assert [error.exit_code for error in one.refused] == [Exit.USAGE]
        assert len(one.unseen) == 1
        assert one.unseen[0].startswith("gcp was looked at in part: ")
    report = gcp_field.remove(plan)
    report.require_nothing_left()
    assert report.unseen == list(plan.unseen), "with --yes nobody has seen the plan"
    assert gcp_field.left() == []


def test_a_project_in_which_one_may_not_look_is_a_missing_permission(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    gcp_field.launch("l1")
    gcp_field.fake.book.projects["elsewhere"] = "7"
    _closed(gcp_field, monkeypatch)
    why = "Required 'compute.instances.list' permission for 'projects/elsewhere'"
    gcp_field.fake.refuse("forbidden", "compute.instances.aggregatedList", message=why)
    found, refused = service.listed(gcp_field.paths, [Cloud.GCP], launchers={Cloud.GCP: gcp_field.launcher()})
    assert [one.launch_id for one in found] == ["l1"]
    assert [error.exit_code for error in refused] == [Exit.MISSING]
    gcp_field.fake.refuse("forbidden", "compute.instances.aggregatedList", message=why)
    plan = gcp_field.plan_reap(now=lambda: time.time() + 1e6)
    assert [doomed.launch_id for doomed in plan.launches] == ["l1"]
    assert [error.exit_code for error in plan.refused] == [Exit.MISSING]


def test_the_commands_end_with_what_could_not_be_looked_at(
    gcp_field: Field, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOLDBAKE_HOME", str(gcp_field.paths.state.parent))
    gcp_field.launch("l1", wait=False)
    _closed(gcp_field, monkeypatch)
    for command, shown in (
        (lambda: tasks.instances(Context(), cloud="gcp"), "goldbake-l1-1"),
        (lambda: tasks.reap(Context(), cloud="gcp", yes=True), "there is nothing to remove"),
        (lambda: tasks.destroy(Context(), all=True, cloud="gcp"), "instance goldbake-l1-1"),
        (lambda: tasks.instances(Context(), cloud="gcp", json=True), '"id": "goldbake-l1-1"'),
    ):
        with pytest.raises(InvokeExit) as caught:
            command()
        said = capsys.readouterr()
        assert caught.value.code == Exit.USAGE
        assert shown in said.out
        assert "error: Google would not say what is in project elsewhere" in said.err


def test_several_projects_that_cannot_be_looked_at_are_all_named(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    gcp_field.launch("l1")
    (entry,) = service.entries(gcp_field.paths)
    journal_of(gcp_field.paths).write(replace(entry, launch_id="l0", options={"account": "closed-down"}))
    _closed(gcp_field, monkeypatch)
    (error,) = gcp_field.plan_reap().refused
    assert "project elsewhere" in error.message
    assert "project closed-down" in error.message
    assert len(error.message.splitlines()) == 1
    (service.launches(gcp_field.paths) / "l1.json").unlink()
    with pytest.raises(Failure, match=r"project elsewhere.*project closed-down"):
        gcp_field.plan_reap()


def test_a_launch_without_a_journal_is_removed_where_it_was_found(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    gcp_field.launch("l1")
    (entry,) = service.entries(gcp_field.paths)
    (service.launches(gcp_field.paths) / "l1.json").unlink()
    journal_of(gcp_field.paths).write(replace(entry, launch_id="l0", instances={}))
    _closed(gcp_field, monkeypatch)
    plan = gcp_field.plan("l1")
    assert len(plan.unseen) == 1, "that something could not be looked at is told"
    assert plan.refused == ()
    gcp_field.remove(plan).require_nothing_left()
    assert gcp_field.left() == []
    with pytest.raises(UsageError, match="there is no launch l1") as caught:
        gcp_field.plan("l1")
    assert "project elsewhere" in caught.value.hint


def test_calls_that_need_no_permission_of_ours_are_not_made(gcp_field: Field) -> None:
    """What launch and removal ask for in all, for the role that docs/reference/gcp-role.yaml publishes."""
    gcp_field.launch("l1", count=2, options={"market": Market.SPOT_FIRST})
    gcp_field.launch("l2", options={"ssh_from": "203.0.113.7/32", "types": ("n1-standard-4+nvidia-tesla-t4",)})
    bake_leftovers(gcp_field)
    gcp_field.launcher().console(gcp_field.launcher().instances("l1")[0])
    gcp_field.remove(gcp_field.plan_reap(now=lambda: time.time() + 1e6), cautious=True).require_nothing_left()
    called = {call.method.removeprefix("compute.") for call in gcp_field.fake.calls}
    assert called <= {
        "acceleratorTypes.aggregatedList", "disks.aggregatedList", "disks.delete", "firewalls.delete", "firewalls.insert", "firewalls.list",
        "globalOperations.wait", "images.delete", "images.get", "images.insert", "images.list", "instances.aggregatedList", "instances.delete",
        "instances.get", "instances.getSerialPortOutput", "instances.insert", "instances.setMetadata", "machineTypes.aggregatedList",
        "regionInstances.bulkInsert", "regionOperations.wait", "routers.list", "subnetworks.list", "zoneOperations.wait", "zones.list",
    }  # fmt: skip


def test_no_secret_is_in_what_is_listed(gcp_field: Field) -> None:
    gcp_field.launch(wait=False)
    launcher = gcp_field.launcher()
    said: Any = [launcher.resources(), [one.document() for one in launcher.instances()]]
    assert PAT not in str(said)
    assert HOME in str(said)


def test_what_was_asked_for_is_noted_and_looked_at_by_many_threads() -> None:
    """Several launches of a project are removed at a time."""
    asked, ended = removal.Asked(time.monotonic), threading.Event()

    def note(who: int) -> None:
        for number in range(3000):
            asked.note([Resource(Cloud.GCP, "disk", f"{who}-{number}", "l1")])
        ended.set()

    def look() -> None:
        while not ended.is_set():
            asked.now()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(note, 1), pool.submit(note, 2), pool.submit(look), pool.submit(look)]
            for each in work:
                each.result()
    finally:
        sys.setswitchinterval(interval)
    assert len(asked.now()) == 6000
