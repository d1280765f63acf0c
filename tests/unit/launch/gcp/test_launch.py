"""What a launch on Compute Engine makes, says and leaves: the real SDK against a fake of the service."""

from __future__ import annotations

import itertools
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goldbake.clouds.failure import Failure
from goldbake.config.load import load_config
from goldbake.config.model import Cloud
from goldbake.errors import Exit, MissingError, NoImageError, UsageError
from launch import flags, service
from launch.base import CloudOptions, Market
from launch.gcp import request, survey
from tests.fakes.gcp import NEWEST_NOBLE, seeds
from tests.unit.launch.field import PAT
from tests.unit.launch.gcp.conftest import ABROAD, HOME, TYPE, ZONES, Field, record

LABELS = {"managed-by", "goldbake-launch", "goldbake-image", "goldbake-expires"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me@here"


def test_one_instance_comes_up_by_insert_and_goes_without_a_trace(gcp_field: Field) -> None:
    report = gcp_field.launch(ttl=3600)
    (started,) = report.started
    assert started.online
    assert (started.instance.id, started.agent) == ("goldbake-l1-1", "goldbake-l1-1")
    assert (started.instance.place, started.instance.kind, started.instance.image) == ("us-central1-a", TYPE, "gpu-agent")
    assert started.instance.address.startswith("10.")
    (machine,) = gcp_field.held("instance")
    assert machine.more["public_ip"] == ""
    assert machine.more["account"] == ""
    assert "user-data" not in machine.more["metadata"]  # sealed
    assert "block-project-ssh-keys" in machine.more["metadata"]
    assert 3500 < machine.more["seconds"] <= 3600
    assert machine.more["at_end"] == "DELETE"
    assert gcp_field.changes() == ["instances.insert", "instances.setMetadata"]
    gcp_field.destroy()
    assert gcp_field.left() == []
    assert service.entries(gcp_field.paths) == []


@pytest.mark.parametrize("count", [1, 3])
def test_everything_is_labelled_by_its_own_create_call_and_goes_with_its_instance(gcp_field: Field, count: int) -> None:
    gcp_field.launch(count=count, options={"market": Market.SPOT_ONLY}, ttl=600)
    assert {one.kind for one in gcp_field.held()} == {"instance", "disk"}
    assert len(gcp_field.held()) == 2 * count
    (entry,) = service.entries(gcp_field.paths)
    for one in gcp_field.held():
        assert set(one.tags) == LABELS, one
        assert (one.tags["managed-by"], one.tags["goldbake-launch"]) == ("goldbake", "l1")
        assert int(one.tags["goldbake-expires"]) == entry.expires
    assert all(machine.more["spot"] for machine in gcp_field.held("instance"))
    gcp_field.fake.advance(700)
    assert gcp_field.left() == [], "Compute Engine deletes what nobody destroys"


def test_several_instances_come_up_by_one_bulk_insert(gcp_field: Field) -> None:
    report = gcp_field.launch(count=3)
    assert [(started.instance.number, started.instance.id) for started in report.started] == [
        (1, "goldbake-l1-1"), (2, "goldbake-l1-2"), (3, "goldbake-l1-3"),
    ]  # fmt: skip
    assert gcp_field.changes() == ["regionInstances.bulkInsert", *["instances.setMetadata"] * 3]
    (call,) = gcp_field.asked("regionInstances.bulkInsert")
    assert call.body["minCount"] == "1"
    policy = call.body["locationPolicy"]
    assert policy["targetShape"] == "ANY"
    allowed = {zone for zone, said in policy["locations"].items() if said["preference"] == "ALLOW"}
    denied = {zone for zone, said in policy["locations"].items() if said["preference"] == "DENY"}
    assert allowed == {"zones/us-central1-a", "zones/us-central1-b", "zones/us-central1-c"}
    assert denied == {"zones/us-central1-f"}, "it has no L4, and what is not named is allowed"
    gcp_field.destroy()
    assert gcp_field.left() == []


@pytest.mark.parametrize("count", [1, 2])
def test_attached_gpus_are_in_the_create_call_and_built_in_ones_are_not(gcp_field: Field, count: int) -> None:
    report = gcp_field.launch("l1", count=count, options={"types": ("n1-standard-8+2xnvidia-tesla-t4",)})
    assert {started.instance.kind for started in report.started} == {"n1-standard-8+2xnvidia-tesla-t4"}
    gcp_field.launch("l2", count=count)
    method, key = ("instances.insert", None) if count == 1 else ("regionInstances.bulkInsert", "instanceProperties")
    attached, built_in = [call.body[key] if key else call.body for call in gcp_field.asked(method)]
    where = "" if key else "zones/us-central1-a/"
    kinds = [] if key else ["acceleratorTypes/"]
    assert attached["guestAccelerators"] == [{"acceleratorType": where + "".join(kinds) + "nvidia-tesla-t4", "acceleratorCount": 2}]
    assert "guestAccelerators" not in built_in
    for body in (attached, built_in):
        assert body["scheduling"]["onHostMaintenance"] == "TERMINATE"
        (disk,) = body["disks"]
        assert (disk["boot"], disk["autoDelete"]) == (True, True)
        assert disk["initializeParams"]["diskType"].endswith("pd-balanced")


def test_user_data_with_the_pat_reaches_each_instance_and_no_file_or_line_of_ours(gcp_field: Field) -> None:
    report = gcp_field.launch(count=2, wait=False)
    for started in report.started:
        items = {item["key"]: item["value"] for item in gcp_field.fake.instance(started.instance.id)["metadata"]["items"]}
        assert items["user-data"].startswith("#cloud-config\n")
        assert PAT in items["user-data"]
    ours = b"".join(path.read_bytes() for path in gcp_field.paths.state.rglob("*") if path.is_file()).decode(errors="replace")
    assert PAT not in ours + gcp_field.said.getvalue() + str(report.document())


def test_options_of_a_person_are_in_the_create_call(gcp_field: Field) -> None:
    gcp_field.fake.book.accounts.add("agents@goldbake-fake.iam.gserviceaccount.com")
    options = {
        "zones": ("us-central1-c",), "public_address": True, "ssh_from": "203.0.113.0/24", "key": KEY, "disk_gib": 40,
        "identity": "agents@goldbake-fake.iam.gserviceaccount.com", "market": Market.SPOT_FIRST,
    }  # fmt: skip
    (started,) = gcp_field.launch(options=options).started
    assert started.instance.place == "us-central1-c (spot)"
    (machine,) = gcp_field.held("instance")
    assert started.instance.address == machine.more["public_ip"]
    assert re.fullmatch(rf"ssh [a-z]+@{re.escape(started.instance.address)}", started.instance.reach)
    assert machine.more["account"] == "agents@goldbake-fake.iam.gserviceaccount.com"
    (call,) = gcp_field.asked("instances.insert")
    items = {item["key"] for item in call.body["metadata"]["items"]}
    assert items == {"user-data", "block-project-ssh-keys", "ssh-keys", "enable-oslogin"}
    assert [disk.more["size"] for disk in gcp_field.held("disk")] == [40]
    scheduling = call.body["scheduling"]
    assert (scheduling["provisioningModel"], scheduling["automaticRestart"]) == ("SPOT", False)
    (rule,) = gcp_field.held("firewall")
    assert rule.id == "goldbake-l1-ssh"
    assert (rule.more["ranges"], rule.more["targets"]) == (["203.0.113.0/24"], ["goldbake-l1"])
    assert machine.more["network_tags"] == ["goldbake-l1"]
    assert set(json.loads(rule.more["description"])) == LABELS
    gcp_field.destroy()
    assert gcp_field.left() == []


def test_secure_boot_is_asked_for_when_the_image_has_it(gcp_field: Field) -> None:
    image = load_config(gcp_field.paths.images_yaml, gcp_field.paths.scripts).images["gpu-agent"]
    begin = gcp_field.fleet()
    spec = begin("l1")._spec
    assert request._shielded(replace(spec, described=image)) is None
    said = request._shielded(replace(spec, described=image.model_copy(update={"secure_boot": True})))
    assert said is not None
    assert said.enable_secure_boot


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zones": ("us-central1-z",)}, "none of us-central1-z is a zone of us-central1"),
        ({"types": ("x9-none",)}, "no region offers x9-none"),
        ({"types": ("n1-standard-4+nvidia-t4",)}, "no region offers"),
        ({"types": ("n1-standard-4+nvidia-tesla-p100",), "zones": ("us-central1-a",)}, "none of us-central1-a"),
        ({"regions": ("mars-central1",)}, "mars-central1 is no region"),
        ({"disk_gib": 4}, "--disk 4 is smaller than the image's 10 GiB"),
        ({"subnet": "projects/p/regions/us-central1/subnetworks/s", "regions": (HOME, ABROAD)}, "is in one region"),
        ({"subnet": "nosuch"}, "nosuch"),
        ({"subnet": "regions/europe-west4/subnetworks/default"}, "no subnet of us-central1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(gcp_field: Field, options: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, Failure), match=message) as caught:
        gcp_field.launch(options=options)
    assert caught.value.hint
    assert caught.value.exit_code is Exit.USAGE
    assert gcp_field.changes() == []
    assert service.entries(gcp_field.paths) == []


def test_where_there_is_no_such_machine_the_places_that_have_it_are_named(gcp_field: Field) -> None:
    gcp_field.fake.book.withheld = {(zone, TYPE) for zone in seeds.zones() if zone.startswith(HOME)}
    with pytest.raises(Failure, match=f"{HOME} offers no {TYPE}") as caught:
        gcp_field.launch()
    assert caught.value.exit_code is Exit.CAPACITY
    assert ABROAD in caught.value.hint
    assert HOME not in caught.value.hint
    with pytest.raises(UsageError, match="europe-nowhere9 is no region") as unknown:
        gcp_field.launch(options={"regions": ("europe-nowhere9",)})
    assert ABROAD in unknown.value.hint
    assert HOME not in unknown.value.hint


@pytest.mark.parametrize("count", [1, 2])
def test_a_machine_of_ones_own_making_is_in_no_listing_and_starts(gcp_field: Field, count: int) -> None:
    report = gcp_field.launch(count=count, options={"types": ("n1-custom-6-20480+nvidia-tesla-t4",)})
    assert {one.instance.kind for one in report.started} == {"n1-custom-6-20480+nvidia-tesla-t4"}


@pytest.mark.parametrize(("ttl", "message"), [(121 * 86400, "--ttl of 121 days .* 30 s to 120 days")])
def test_a_life_that_compute_engine_does_not_limit_is_refused(gcp_field: Field, ttl: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gcp_field.launch(ttl=ttl)
    assert gcp_field.changes() == []


def test_an_image_that_is_deprecated_or_not_ready_is_not_launched(gcp_field: Field) -> None:
    image = gcp_field.fake.book.tables["images"][NEWEST_NOBLE.id]
    image["deprecated"] = {"state": "DEPRECATED"}
    assert gcp_field.launch("l1").started, "it is only old"
    image["deprecated"] = {"state": "OBSOLETE"}
    with pytest.raises(NoImageError, match="is OBSOLETE") as caught:
        gcp_field.launch("l2")
    assert "./inv bake --cloud gcp" in caught.value.hint
    del image["deprecated"]
    image["status"] = "PENDING"
    with pytest.raises(UsageError, match="is PENDING"):
        gcp_field.launch("l3")
    del gcp_field.fake.book.tables["images"][NEWEST_NOBLE.id]
    with pytest.raises(NoImageError, match="is not there"):
        gcp_field.launch("l4")


def test_a_type_without_a_gpu_keeps_its_own_way_of_maintenance(gcp_field: Field) -> None:
    assert gcp_field.launch(options={"types": ("n2-standard-4",)}).started
    (call,) = gcp_field.asked("instances.insert")
    assert call.body["scheduling"].keys() == {"maxRunDuration", "instanceTerminationAction", "automaticRestart"}


def test_without_a_way_to_the_internet_the_launch_says_what_to_do(gcp_field: Field) -> None:
    gcp_field.fake.book.tables["routers"].clear()
    with pytest.raises(UsageError, match="without a public address reach nothing") as caught:
        gcp_field.launch()
    for words in ("--public-ip", "--subnet", "gcloud compute routers nats create", f"--region {HOME}"):
        assert words in caught.value.hint
    assert gcp_field.changes() == []
    assert gcp_field.launch("l1", options={"public_address": True}).started
    assert gcp_field.launch("l2", options={"subnet": "default"}).started, "who names a subnet knows it"


def test_a_network_that_is_not_obvious_has_to_be_named(gcp_field: Field) -> None:
    tables = gcp_field.fake.book.tables
    path = f"projects/{gcp_field.fake.project}/regions/{HOME}/subnetworks/default"
    own = tables["subnetworks"].pop(path)
    with pytest.raises(MissingError, match=f"no subnet in {HOME}"):
        gcp_field.launch()
    for name in ("mine", "yours"):
        changed = dict(own, name=name, network=own["network"].replace("networks/default", f"networks/{name}"))
        changed["selfLink"] = own["selfLink"].replace("subnetworks/default", f"subnetworks/{name}")
        tables["subnetworks"][path.replace("subnetworks/default", f"subnetworks/{name}")] = changed
    with pytest.raises(MissingError, match="no network default in us-central1 but 2 others") as caught:
        gcp_field.launch()
    assert caught.value.exit_code is Exit.MISSING


def test_a_subnet_of_the_host_project_is_named_by_its_path(gcp_field: Field) -> None:
    tables, project = gcp_field.fake.book.tables, gcp_field.fake.project
    gcp_field.fake.book.projects["shared-host"] = "8"
    for table, path in (("networks", "global/networks/default"), ("subnetworks", f"regions/{HOME}/subnetworks/default")):
        text = json.dumps(tables[table][f"projects/{project}/{path}"]).replace(f"projects/{project}/", "projects/shared-host/")
        tables[table][f"projects/shared-host/{path}"] = json.loads(text)
    subnet = f"projects/shared-host/regions/{HOME}/subnetworks/default"
    for count, method in ((1, "instances.insert"), (2, "regionInstances.bulkInsert")):
        assert gcp_field.launch(f"l{count}", count=count, options={"subnet": subnet}).started
        (call,) = gcp_field.asked(method)
        (interface,) = call.body.get("instanceProperties", call.body)["networkInterfaces"]
        assert interface == {"network": "projects/shared-host/global/networks/default", "subnetwork": subnet}


def test_regions_come_from_flags_zones_the_image_and_gclouds_variables(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gcp_field.fleet()("l1")._spec
    image = load_config(gcp_field.paths.images_yaml, gcp_field.paths.scripts).images["gpu-agent"]
    described = replace(spec, described=image)
    assert survey.regions(described, CloudOptions(regions=("us-east1", "us-west1"))) == ("us-east1", "us-west1")
    assert survey.regions(described, CloudOptions(zones=("us-west1-b", "us-west1-a", "us-east1-b"))) == ("us-west1", "us-east1")
    assert survey.regions(described, CloudOptions()) == (image.gcp.region,)
    for name in (survey.REGION, survey.ZONE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="where is gpu-agent to be launched"):
        survey.regions(spec, CloudOptions())
    monkeypatch.setenv(survey.ZONE, "europe-west4-b")
    assert survey.regions(spec, CloudOptions()) == ("europe-west4",)
    monkeypatch.setenv(survey.REGION, "us-east1")
    assert survey.regions(spec, CloudOptions()) == ("us-east1",)
    with pytest.raises(UsageError, match="no image of Google Cloud"):
        survey.regions(replace(spec, artifacts={}), CloudOptions())


def test_an_unchecked_image_is_launched_only_when_told(gcp_field: Field) -> None:
    record(gcp_field.paths, checked=False)
    with pytest.raises(UsageError, match="baked without checks") as caught:
        gcp_field.launch()
    assert "./inv check --cloud gcp --image gpu-agent" in caught.value.hint
    assert gcp_field.fake.calls == []
    assert gcp_field.launch(unchecked=True).started


def test_without_a_type_the_choice_is_told(gcp_field: Field) -> None:
    report = gcp_field.launch(options={"types": ()})
    assert report.started[0].instance.kind == "n1-standard-4+nvidia-tesla-t4"
    assert "instance type n1-standard-4+nvidia-tesla-t4: the cheapest" in gcp_field.said.getvalue()


@pytest.mark.parametrize("count", [1, 3])
def test_a_repeated_call_finds_what_the_first_made(gcp_field: Field, count: int) -> None:
    method = "instances.insert" if count == 1 else "regionInstances.bulkInsert"
    seconds = itertools.count(int(time.time()))
    gcp_field.now = lambda: next(seconds)
    gcp_field.fake.refuse("backendError", f"compute.{method}", done=True)
    report = gcp_field.launch(count=count)
    assert len(gcp_field.asked(method)) == 2
    assert len(report.started) == len(gcp_field.held("instance")) == count
    (token,) = {call.parameters["requestId"] for call in gcp_field.asked(method)}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", token)


@pytest.mark.parametrize(("count", "method"), [(1, "instances.insert"), (3, "regionInstances.bulkInsert")])
def test_what_was_made_and_whose_request_is_forgotten_is_taken(gcp_field: Field, count: int, method: str) -> None:
    """Compute Engine remembers request ids for a while only."""
    gcp_field.fake.refuse("backendError", f"compute.{method}", done=True)
    gcp_field.fake.after.append(lambda call: gcp_field.fake.book.requests.clear())
    assert [started.instance.id for started in gcp_field.launch(count=count).started] == [f"goldbake-l1-{n + 1}" for n in range(count)]
    assert len(gcp_field.held("instance")) == count
    assert len(gcp_field.asked(method)) == 2


def test_instances_are_listed_over_all_regions(gcp_field: Field) -> None:
    gcp_field.launch("l1", count=2)
    gcp_field.launch("l2", options={"regions": (ABROAD,)})
    gcp_field.fake.calls.clear()
    found = gcp_field.launcher().instances()
    assert sorted((one.launch_id, one.number, one.place[:-2], one.state) for one in found) == [
        ("l1", 1, HOME, "running"), ("l1", 2, HOME, "running"), ("l2", 1, ABROAD, "running"),
    ]  # fmt: skip
    assert len(gcp_field.fake.calls) == 1


def test_a_launch_remembers_its_project_and_is_removed_there(gcp_field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    gcp_field.launch()
    (entry,) = service.entries(gcp_field.paths)
    assert entry.options == {"account": gcp_field.fake.project, "regions": HOME}
    gcp_field.fake.book.projects["elsewhere"] = "7"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "elsewhere")
    gcp_field.gcp = type(gcp_field.gcp)()
    assert gcp_field.gcp.project == "elsewhere"
    assert [one.launch_id for one in gcp_field.launcher().instances()] == ["l1"], "its project is asked as well"
    gcp_field.fake.calls.clear()
    gcp_field.destroy()
    assert {call.parameters["project"] for call in gcp_field.fake.calls} == {gcp_field.fake.project}
    assert gcp_field.left() == []


def test_zones_are_tried_in_the_order_of_the_person(gcp_field: Field) -> None:
    gcp_field.fake.book.capacity[("us-central1-c", TYPE, False)] = 0
    (started,) = gcp_field.launch(options={"zones": ("us-central1-c", "us-central1-b")}).started
    assert started.instance.place == "us-central1-b"
    assert [call.zone for call in gcp_field.asked("instances.insert")] == ["us-central1-c", "us-central1-b"]


def test_types_are_tried_one_after_the_other_in_each_region(gcp_field: Field) -> None:
    for zone in ("a", "b", "c"):
        gcp_field.fake.book.capacity[(f"us-central1-{zone}", TYPE, False)] = 0
    for count, method in ((1, "instances.insert"), (2, "regionInstances.bulkInsert")):
        gcp_field.fake.calls.clear()
        report = gcp_field.launch(
            f"l{count}", count=count, options={"types": (TYPE, "n1-standard-4+nvidia-tesla-t4"), "regions": (HOME, ABROAD)}
        )
        assert {started.instance.kind for started in report.started} == {"n1-standard-4+nvidia-tesla-t4"}
        assert {started.instance.place[:-2] for started in report.started} == {HOME}
        assert [call.type for call in gcp_field.asked(method)][-1] == "n1-standard-4"


def test_a_key_file_becomes_the_metadata_of_the_instance(tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_text(f"{KEY}\n")
    assert flags.machine(Cloud.GCP, ssh_key=str(file), region=HOME)["options"].key == KEY


def test_zones_named_without_a_region_are_enough(gcp_field: Field) -> None:
    (started,) = gcp_field.launch(options={"regions": (), "zones": ZONES[1:]}).started
    assert started.instance.place == ZONES[1]
