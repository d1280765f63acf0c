"""Many threads that wait cost few calls: states are asked for together, consoles within a budget and from where the last look ended."""

from __future__ import annotations

import threading

import pytest
from google.cloud import compute_v1

from goldbake.clouds.failure import Scope
from goldbake.config.model import Cloud
from launch.base import Instance
from launch.gcp.listing import instance as described
from launch.gcp.watch import ConsoleReader, died, reason
from launch.observe import CONSOLES_AT_ONCE, CONSOLES_PER_S, GONE, LOOK_S, Consoles, Seen
from tests.unit.launch.field import Clock
from tests.unit.launch.gcp.conftest import TYPE, ZONES, Field


def _instance(name: str) -> Instance:
    return Instance(Cloud.GCP, "l1", 1, name, "gpu-agent", ZONES[0], 0.0, 0, kind=TYPE)


def test_two_hundred_threads_ask_once(gcp_field: Field) -> None:
    report = gcp_field.launch(count=200, wait=False)
    clock = Clock()
    launcher = gcp_field.launcher(clock=clock)
    gcp_field.fake.calls.clear()
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda started=started: found.append(launcher.death(started.instance))) for started in report.started
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [None] * 200
    assert len(gcp_field.asked("instances.aggregatedList")) == 1
    clock.now += LOOK_S
    launcher.death(report.started[0].instance)
    launcher.death(report.started[1].instance)
    assert len(gcp_field.asked("instances.aggregatedList")) == 2


@pytest.mark.parametrize("state", ["PROVISIONING", "STAGING", "RUNNING", "REPAIRING"])
def test_a_living_instance_has_no_death(state: str) -> None:
    assert died(_instance("goldbake-l1-1"), Seen(state)) is None


def test_an_end_is_a_failure_with_its_reason() -> None:
    found = died(_instance("goldbake-l1-1"), Seen("TERMINATED", "compute.instances.preempted", "Instance was preempted."))
    assert found is not None
    assert (found.scope, found.code) == (Scope.ZONE, "compute.instances.preempted")
    assert "goldbake-l1-1 in us-central1-a is terminated" in found.message
    assert found.hint
    found = died(_instance("goldbake-l1-1"), Seen("STOPPING", "compute.instances.newReason", "as never seen"))
    assert found is not None
    assert (found.scope, found.exit_code) == (Scope.REQUEST, 1)
    assert "compute.instances.newReason: as never seen" in found.message
    found = died(_instance("goldbake-l1-1"), Seen(GONE))
    assert found is not None
    assert "is gone: Google does not say why" in found.message


def test_the_last_thing_that_ended_an_instance_is_its_reason(gcp_field: Field) -> None:
    gcp_field.launch("l1", count=2, options={"zones": ZONES[:1]})
    first = next(one for one in gcp_field.launcher().instances("l1") if one.number == 1)
    assert reason(gcp_field.gcp, first, Seen("RUNNING")).code == "", "its insert and its setMetadata have ended nothing"
    gcp_field.fake.power_off("goldbake-l1-1")
    assert reason(gcp_field.gcp, first, Seen("TERMINATED")).code == "compute.instances.guestTerminate"
    gcp_field.fake.advance(5)
    gcp_field.gcp.client(compute_v1.InstancesClient).delete_unary(project=gcp_field.gcp.project, zone=ZONES[0], instance=first.id)
    assert reason(gcp_field.gcp, first, Seen(GONE)).code == "delete"
    second = next(one for one in gcp_field.launcher().instances("l1") if one.number == 2)
    assert reason(gcp_field.gcp, second, Seen("RUNNING")).code == ""


def test_an_end_whose_reason_may_not_be_read_is_an_end(gcp_field: Field) -> None:
    gcp_field.launch()
    gcp_field.fake.power_off("goldbake-l1-1")
    gcp_field.fake.forbid("compute.zoneOperations.list")
    (found,) = gcp_field.launcher().instances("l1")
    death = gcp_field.launcher().death(found)
    assert death is not None
    assert "is terminated: Google does not say why" in death.message


def test_consoles_of_200_instances_stay_within_the_budget(gcp_field: Field) -> None:
    clock = Clock()
    consoles = Consoles(ConsoleReader(lambda _: gcp_field.gcp), clock)
    for _ in range(10):
        for number in range(200):
            consoles.read(_instance(f"goldbake-l1-{number}"))
        clock.now += 1
    asked = gcp_field.asked("instances.getSerialPortOutput")
    assert len(asked) == CONSOLES_AT_ONCE + 9 * CONSOLES_PER_S
    assert len({call.parameters["instance"] for call in asked}) == len(asked), "one has had two turns before another had one"


def test_a_console_is_read_on_from_where_the_last_look_ended(gcp_field: Field) -> None:
    (started,) = gcp_field.launch().started
    gcp_field.fake.calls.clear()
    text = 'goldbake-status: {"phase": "probe", "reason": "keine Straße"}\r\n' * 20
    gcp_field.fake.book.consoles["goldbake-l1-1"] = text
    clock = Clock()
    consoles = Consoles(ConsoleReader(lambda _: gcp_field.gcp), clock)
    assert consoles.read(started.instance) == text
    gcp_field.fake.book.consoles["goldbake-l1-1"] = text + "more"
    assert consoles.read(started.instance) == text, "not yet its turn"
    clock.now += 5
    assert consoles.read(started.instance) == text + "more"
    first, second = (call.parameters["start"] for call in gcp_field.asked("instances.getSerialPortOutput"))
    assert (first, second) == ("0", str(len(text.encode())))
    gcp_field.fake.refuse("backendError", "compute.instances.getSerialPortOutput", times=None)
    clock.now += 5
    assert consoles.read(started.instance) == text + "more"


def test_without_the_right_to_read_consoles_nothing_is_asked_again(gcp_field: Field) -> None:
    gcp_field.fake.forbid("compute.instances.getSerialPortOutput")
    (started,) = gcp_field.launch().started
    gcp_field.fake.calls.clear()
    clock = Clock()
    consoles = Consoles(ConsoleReader(lambda _: gcp_field.gcp), clock)
    for _ in range(4):
        assert consoles.read(started.instance) == ""
        clock.now += 5
    assert len(gcp_field.asked("instances.getSerialPortOutput")) == 1


def test_a_built_in_gpu_is_no_part_of_the_kind_and_an_attached_one_is(gcp_field: Field) -> None:
    gcp_field.launch("l1")
    gcp_field.launch("l2", options={"types": ("n1-standard-8+2xnvidia-tesla-t4",)})
    kinds = {one.launch_id: one.kind for one in gcp_field.launcher().instances()}
    assert kinds == {"l1": TYPE, "l2": "n1-standard-8+2xnvidia-tesla-t4"}
    bare = described(compute_v1.Instance(name="x", zone="z/a", status="RUNNING"))
    assert (bare.number, bare.address, bare.launch_id) == (1, "", "")
