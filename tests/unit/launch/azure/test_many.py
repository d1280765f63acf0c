"""Two hundred machines take a number of calls that does not grow with them, but only with the pages; a removal of many waits for all at once."""

from __future__ import annotations

import threading

import pytest

from goldbake.log import Progress
from tests.fakes.azure import Call
from tests.unit.launch.azure.conftest import GROUP, HOME, KEY, MACHINE, SCHEDULE, SET, Field
from tests.unit.launch.azure.test_launch import INTERFACE, given_group
from tests.unit.launch.azure.test_removal import put

pytestmark = pytest.mark.slow

COUNT = 200


def _room(field: Field) -> None:
    """Quotas that are large enough."""
    for name in ("cores", "lowPriorityCores", "Standard NCASv3_T4 Family"):
        field.fake.book.quotas[(HOME, name)] = 100_000


@pytest.mark.usefixtures("with_schedules")
def test_two_hundred_machines_take_as_many_calls_as_two_and_a_schedule_each(azure_field: Field) -> None:
    _room(azure_field)
    options = {"regions": (HOME,), "key": KEY}
    titles = {}
    for launch_id, count in (("l1", 2), ("l2", COUNT)):
        azure_field.fake.calls.clear()
        report = azure_field.launch(launch_id, count=count, wait=False, options=options)
        assert len({started.agent for started in report.started}) == count
        assert all(started.instance.address for started in report.started)
        titles[count] = azure_field.fake.titles(reading=True)
    each = [title for title in titles[COUNT] if SCHEDULE in title]
    assert each == [f"PUT {SCHEDULE}"] * COUNT
    assert [title for title in titles[COUNT] if title not in each] == [title for title in titles[2] if title not in each]
    assert titles[2].count(f"PUT {SET}") == 1
    azure_field.fake.calls.clear()
    report_of_end = azure_field.destroy("l2")
    assert azure_field.fake.titles() == [f"DELETE {GROUP}"]
    assert sum(text.startswith("virtual machine ") for text in report_of_end.removed) == COUNT
    azure_field.destroy("l1")
    assert azure_field.left() == []


def test_two_hundred_machines_in_a_group_of_somebody_else_go_with_their_set(azure_field: Field) -> None:
    _room(azure_field)
    options = {"regions": (HOME,), "key": KEY, "resource_group": given_group(azure_field)}
    azure_field.launch(count=COUNT, wait=False, options=options)
    azure_field.fake.calls.clear()
    azure_field.destroy()
    assert azure_field.left() == []
    assert azure_field.fake.titles().count(f"DELETE {SET}") == 1
    assert f"DELETE {MACHINE}" not in azure_field.fake.titles()


def test_states_of_two_hundred_machines_are_asked_for_together(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launch.observe.LOOK_S", 600.0)  # however long so many threads take
    _room(azure_field)
    launcher, spec = azure_field.launcher(regions=(HOME,), key=KEY), azure_field.spec(count=COUNT)
    launcher.prepare(spec, Progress(azure_field.said))
    instances = launcher.create(spec, range(1, COUNT + 1), launcher.places(spec)[0]).instances
    assert len(instances) == COUNT
    azure_field.fake.calls.clear()
    threads = [threading.Thread(target=launcher.death, args=(instance,)) for instance in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert azure_field.fake.titles(reading=True) == [f"GET {MACHINE}"]


def test_every_page_is_read(azure_field: Field) -> None:
    _room(azure_field)
    for number in range(25):
        launch = f"l{number // 10}"
        tags = {"managed-by": "goldbake", "goldbake-launch": launch, "goldbake-image": "x", "goldbake-expires": "4000000000"}
        put(azure_field, GROUP, f"goldbake-g{number}", f"goldbake-g{number}", tags)
        put(azure_field, "Microsoft.Compute/disks", "elsewhere", f"goldbake-{launch}-{number}", tags)
    azure_field.launch("m1", count=25, wait=False, options={"regions": (HOME,), "key": KEY})
    azure_field.fake.book.page = 10
    azure_field.fake.calls.clear()
    launcher = azure_field.launcher()
    found = launcher.resources()
    assert sum(one.kind == "resource group" for one in found) == 26
    assert sum(one.kind == "disk" for one in found) == 25
    assert {one.launch_id for one in found} == {"l0", "l1", "l2", "m1"}
    assert len(launcher.instances()) == len(launcher.instances("m1")) == 25
    pages = [call for call in azure_field.fake.calls if call.title == f"GET {GROUP}"]
    assert len(pages) == 3
    assert sum(call.title == f"GET {INTERFACE}" for call in azure_field.fake.calls) >= 6


def test_throttling_of_a_large_launch_is_waited_out(azure_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    _room(azure_field)
    waited: list[float] = []
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda _, seconds: waited.append(seconds))
    refused = iter(range(10**6))

    def every_third(call: Call) -> None:
        if call.host == "management.azure.com" and next(refused) % 3 == 0:
            azure_field.fake.refuse("TooManyRequests", method="*", retry_after=5)

    azure_field.fake.before.append(every_third)
    assert len(azure_field.launch(count=COUNT, wait=False, options={"regions": (HOME,), "key": KEY}).started) == COUNT
    azure_field.destroy()
    azure_field.fake.before.clear()
    assert azure_field.left() == []
    assert waited.count(5) >= 5
