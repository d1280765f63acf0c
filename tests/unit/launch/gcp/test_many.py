"""Two hundred instances and all zones take a number of calls that does not grow with the instances, but only with the pages."""

from __future__ import annotations

import pytest

from launch.base import CloudOptions
from launch.gcp.launcher import GcpLauncher
from tests.fakes.gcp import FakeGcp
from tests.unit.launch.gcp.conftest import HOME, TYPE, Field

pytestmark = pytest.mark.slow

LOOKS = ["images.get", "zones.list", "machineTypes.aggregatedList", "subnetworks.list", "routers.list"]


def test_two_hundred_instances_take_as_many_calls_as_two(gcp_field: Field) -> None:
    called = []
    for launch_id, count in (("l1", 2), ("l2", 200)):
        gcp_field.fake.calls.clear()
        report = gcp_field.launch(launch_id, count=count, wait=False)
        assert len({started.agent for started in report.started}) == count
        assert all(started.instance.address for started in report.started)
        called.append([call.method.removeprefix("compute.") for call in gcp_field.fake.calls if not call.method.endswith(".wait")])
    assert called[0] == called[1] == [*LOOKS, "regionInstances.bulkInsert", "instances.aggregatedList"]
    gcp_field.fake.calls.clear()
    gcp_field.destroy("l2")
    assert gcp_field.changes() == ["instances.delete"] * 200, "Compute Engine deletes one by one"
    assert {one.tags["goldbake-launch"] for one in gcp_field.held()} == {"l1"}


def test_two_hundred_instances_are_collected_from_where_there_is_room(gcp_field: Field) -> None:
    for zone, room in (("a", 70), ("b", 50), ("c", 0)):
        gcp_field.fake.capacity[(f"us-central1-{zone}", TYPE, False)] = room
    report = gcp_field.launch(count=200, wait=False, options={"regions": (HOME, "europe-west4")})
    places = [started.instance.place[:-2] for started in report.started]
    assert (places.count(HOME), places.count("europe-west4")) == (120, 80)
    assert [call.body["count"] for call in gcp_field.asked("regionInstances.bulkInsert")] == ["200", "80"]
    assert len({started.instance.number for started in report.started}) == 200
    gcp_field.destroy()
    assert gcp_field.left() == []


def test_removal_of_two_hundred_asks_for_each_end_once(gcp_field: Field) -> None:
    gcp_field.launch(count=200, wait=False)
    gcp_field.fake.book.operation_s = 1.0
    gcp_field.fake.calls.clear()
    gcp_field.destroy()
    deleted = [call.parameters["instance"] for call in gcp_field.asked("instances.delete")]
    assert len(deleted) == len(set(deleted)) == 200


def test_every_page_is_read(gcp_field: Field) -> None:
    for number in range(3):
        gcp_field.launch(f"l{number}", count=20, wait=False)
    gcp_field.fake.book.page = 7
    gcp_field.fake.calls.clear()
    launcher = GcpLauncher(CloudOptions(), gcp=gcp_field.gcp)
    found = launcher.resources()
    assert len([resource for resource in found if resource.kind == "instance"]) == 60
    assert len([resource for resource in found if resource.kind == "disk"]) == 60
    assert {resource.launch_id for resource in found} == {"l0", "l1", "l2"}
    assert len(launcher.instances("l1")) == 20
    assert len(gcp_field.asked("disks.aggregatedList")) == 9


def test_a_look_at_everything_is_one_call_for_each_kind(gcp_field: Field, fake_gcp: FakeGcp) -> None:
    gcp_field.launch(count=3)
    gcp_field.fake.calls.clear()
    GcpLauncher(CloudOptions(), gcp=gcp_field.gcp).resources()
    assert fake_gcp.actions(reading=True) == [
        "compute.instances.aggregatedList", "compute.disks.aggregatedList", "compute.images.list", "compute.firewalls.list",
    ]  # fmt: skip
