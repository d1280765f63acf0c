"""Compute Engine's images: which base, where a build can be, what a finished image is labelled with, who reads it, and what is removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1

from goldbake.clouds.failure import Failure, Scope
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.gcp import GcpSettings
from goldbake.config.model import Image, Os
from goldbake.errors import Exit, MissingError, UsageError
from goldbake.images.gcp import GcpImages
from tests.fakes.gcp import NEWEST_DEBIAN, TOKEN, FakeGcp, Held
from tests.unit.test_render import CONFIG

RESULT = {"managed-by": "goldbake", "goldbake-image": "agents", "goldbake-fingerprint": "0123456789abcdef", "goldbake-checks": "passed"}
READER = "roles/compute.imageUser"


def image(os: Os = Os.DEBIAN_12, disk_gib: int = 32, *, secure_boot: bool = False, **gcp: object) -> Image:
    changes = {"os": os, "disk_gib": disk_gib, "secure_boot": secure_boot, "gcp": GcpSettings.model_validate(gcp)}
    return CONFIG.images["gpu-agent"].model_copy(update=changes)


@pytest.fixture
def gcp(fake_gcp: FakeGcp) -> Gcp:
    return Gcp()


@pytest.fixture
def side(fake_gcp: FakeGcp, gcp: Gcp) -> GcpImages:
    """Compute Engine, without any pause."""
    return GcpImages(lambda project: Gcp(project) if project else gcp, pause=lambda seconds: None, patience=30)


def labels(bake: str) -> dict[str, str]:
    return {"managed-by": "goldbake", "goldbake-bake": bake, "goldbake-expires": "1", "goldbake-image": "agents"}


def started(gcp: Gcp, bake: str = "b1", zone: str = "us-central1-a") -> None:
    """A build instance as Packer makes it: its disk has its name, no labels, and outlives it."""
    boot = compute_v1.AttachedDisk(
        boot=True,
        auto_delete=False,
        initialize_params=compute_v1.AttachedDiskInitializeParams(source_image=NEWEST_DEBIAN.id, disk_name=f"goldbake-{bake}"),
    )
    wanted = compute_v1.Instance(
        name=f"goldbake-{bake}",
        machine_type=f"zones/{zone}/machineTypes/n2-standard-4",
        disks=[boot],
        network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
        labels=labels(bake),
    )
    gcp.client(compute_v1.InstancesClient).insert_unary(project=gcp.project, zone=zone, instance_resource=wanted)


def baked(gcp: Gcp, name: str = "agents-b1", **more: Any) -> str:
    """An image as Packer leaves it: with the labels of its bake."""
    wanted = compute_v1.Image(name=name, source_image=NEWEST_DEBIAN.id, labels=labels(name.rpartition("-")[2]) | {"team": "render"}, **more)
    gcp.client(compute_v1.ImagesClient).insert_unary(project=gcp.project, image_resource=wanted)
    gcp.client(compute_v1.ImagesClient).deprecate_unary(
        project=gcp.project, image=name, deprecation_status_resource=compute_v1.DeprecationStatus()
    )
    return f"projects/{gcp.project}/global/images/{name}"


def finished(side: GcpImages, gcp: Gcp, name: str = "agents-b1", checks: str = "passed") -> str:
    artifact = baked(gcp, name)
    side.finish(artifact, "global", RESULT | {"goldbake-checks": checks})
    return artifact


def held(fake: FakeGcp, kind: str) -> Held:
    (found,) = [one for one in fake.held() if one.kind == kind]
    return found


def readers(fake: FakeGcp, artifact: str) -> dict[str, list[str]]:
    return {binding["role"]: binding["members"] for binding in fake.book.iam.get(artifact, {}).get("bindings", [])}


# --- the base image


def test_the_newest_image_of_the_family_is_the_base(side: GcpImages) -> None:
    base = side.base(image())
    assert (base.id, base.owner, base.name) == (NEWEST_DEBIAN.id, "debian-cloud", NEWEST_DEBIAN.name)
    assert base.created.endswith("+00:00")


def test_a_base_image_of_a_project_that_may_not_be_used_names_the_policy(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.refuse("notFound", "compute.images.getFromFamily")
    with pytest.raises(MissingError, match="no base image of debian-12: project debian-cloud has no usable image") as caught:
        side.base(image())
    assert "gcloud compute images describe-from-family debian-12 --project debian-cloud" in caught.value.hint
    assert "compute.trustedImageProjects" in caught.value.hint


@pytest.mark.parametrize("state", ["DEPRECATED", "OBSOLETE", "DELETED"])
def test_a_base_image_that_is_out_of_date_is_refused(side: GcpImages, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """The family leaves them out; this is for an alias, or a service that does not."""
    found = compute_v1.Image(name="debian-12-old", deprecated=compute_v1.DeprecationStatus(state=state))
    monkeypatch.setattr(compute_v1.ImagesClient, "get_from_family", lambda self, **_: found)
    with pytest.raises(MissingError, match=f"debian-12-old, is {state.lower()}"):
        side.base(image())


def test_a_disk_smaller_than_the_base_is_refused_before_the_bake(side: GcpImages) -> None:
    with pytest.raises(UsageError, match=f"disk_gib 4 is smaller than the base image {NEWEST_DEBIAN.name}, which has 10 GiB"):
        side.base(image(disk_gib=4))


def test_a_refused_permission_is_told_as_such(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.refuse("forbidden", "compute.images.getFromFamily", message="Required 'compute.images.getFromFamily' permission for 'x'")
    with pytest.raises(Failure, match=r"compute\.images\.getFromFamily") as caught:
        side.base(image())
    assert caught.value.scope is Scope.ACCOUNT


# --- where a build machine can be


def test_three_zones_that_offer_the_type_are_tried_with_the_reason(side: GcpImages, fake_gcp: FakeGcp) -> None:
    found = side.attempts(image())
    assert [attempt.place for attempt in found] == ["us-central1-a", "us-central1-b", "us-central1-c"]
    assert all("n2-standard-4 in network default of" in attempt.reason for attempt in found)
    assert found[0].variables == {"project": fake_gcp.project, "zone": "us-central1-a", "spot": False}


def test_zones_of_images_yaml_are_tried_in_their_order(side: GcpImages) -> None:
    found = side.attempts(image(zones=["us-central1-f", "us-central1-a"]))
    assert [(attempt.place, attempt.reason.rpartition(": ")[2]) for attempt in found] == [
        ("us-central1-f", "images.yaml names the zone"),
        ("us-central1-a", "images.yaml names the zone"),
    ]


def test_a_machine_of_ones_own_making_is_tried_in_every_zone_of_the_region(side: GcpImages) -> None:
    found = side.attempts(image(machine_type="n2-custom-6-20480", region="europe-west1"))
    assert [attempt.place for attempt in found] == ["europe-west1-b", "europe-west1-c", "europe-west1-d"]


def test_an_accelerator_is_looked_for_as_well(side: GcpImages) -> None:
    found = side.attempts(image(machine_type="n1-standard-8", accelerator="nvidia-tesla-p100", accelerator_count=2))
    assert [attempt.place for attempt in found] == ["us-central1-c", "us-central1-f"]
    assert "n1-standard-8+2xnvidia-tesla-p100 in network default" in found[0].reason


def test_spot_is_tried_first_and_then_demand(side: GcpImages) -> None:
    found = side.attempts(image(spot=True))
    assert [attempt.spot for attempt in found] == [True] * 3 + [False] * 3
    assert found[0].place == "us-central1-a (spot)"
    assert found[0].variables["spot"] is True


def test_a_type_that_the_region_does_not_have_is_refused_with_the_regions_that_do(side: GcpImages) -> None:
    with pytest.raises(UsageError, match="a3-ultragpu-8g is not offered in us-west4") as caught:
        side.attempts(image(machine_type="a3-ultragpu-8g", region="us-west4"))
    assert "it is offered in europe-west1, us-central1, us-east1" in caught.value.hint


def test_a_type_that_does_not_exist_is_refused(side: GcpImages) -> None:
    with pytest.raises(UsageError, match="q9-huge is not offered in us-central1") as caught:
        side.attempts(image(machine_type="q9-huge"))
    assert caught.value.hint == "name another gcp.machine_type in images.yaml; no region offers it"


def test_zones_of_images_yaml_that_do_not_have_the_type_are_refused_with_those_that_do(side: GcpImages) -> None:
    with pytest.raises(UsageError, match="g2-standard-4 is not offered in us-central1-f") as caught:
        side.attempts(image(machine_type="g2-standard-4", zones=["us-central1-f"]))
    assert "name one of us-central1-a, us-central1-b, us-central1-c in images.yaml (gcp.zones)" in caught.value.hint


def test_a_project_without_the_default_network_names_the_command_that_makes_one(side: GcpImages, gcp: Gcp) -> None:
    with pytest.raises(MissingError, match=f"{gcp.project} has no network builds") as caught:
        side.attempts(image(network="builds"))
    assert f"gcloud compute networks create builds --project {gcp.project} --subnet-mode auto" in caught.value.hint


def test_a_project_that_is_not_there_is_no_missing_network(side: GcpImages) -> None:
    with pytest.raises(Failure, match="The resource 'projects/nobodys-project' was not found") as caught:
        side.attempts(image(project="nobodys-project"))
    assert "gcloud compute networks create" not in caught.value.hint
    assert "images.yaml" in caught.value.hint


def test_a_network_without_subnets_of_its_own_needs_one_by_name(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.book.tables["networks"][f"projects/{fake_gcp.project}/global/networks/default"]["autoCreateSubnetworks"] = False
    with pytest.raises(UsageError, match=f"network default of {fake_gcp.project} makes no subnets by itself") as caught:
        side.attempts(image())
    assert "gcloud compute networks subnets list" in caught.value.hint
    assert "subnet builds-1 of network-417" in side.attempts(image(subnet="builds-1", network_project="network-417"))[0].reason


def test_a_network_that_nobody_may_look_at_can_still_be_used(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.forbid("compute.networks.get")
    assert len(side.attempts(image())) == 3


def test_the_tunnel_needs_gcloud(side: GcpImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    side.require_tools(image())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="gcloud is not installed") as caught:
        side.require_tools(image(communicator="iap"))
    assert "cloud.google.com/sdk" in caught.value.hint
    (tmp_path / "gcloud").write_text("#!/bin/sh\n")
    (tmp_path / "gcloud").chmod(0o755)
    side.require_tools(image(communicator="iap"))


# --- what Packer is given


def test_packer_gets_the_account_and_the_endpoint_of_the_sdk_and_nothing_else(
    side: GcpImages, fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "another")
    found = side.environment()
    assert found["PKR_VAR_endpoint"] == f"{fake_gcp.url}/compute/v1/"
    assert found["GOOGLE_APPLICATION_CREDENTIALS"] == fake_gcp.environment()["GOOGLE_APPLICATION_CREDENTIALS"]
    assert set(found) == {"PKR_VAR_endpoint", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST"}


def test_a_token_goes_to_packer_in_the_environment(side: GcpImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", TOKEN)
    assert side.environment()["PKR_VAR_access_token"] == TOKEN


def test_packer_is_told_where_credentials_of_gcloud_lie(side: GcpImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python's library looks into CLOUDSDK_CONFIG, Go's only into the home folder."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in side.environment()
    own = tmp_path / "application_default_credentials.json"
    own.write_text("{}")
    assert side.environment()["GOOGLE_APPLICATION_CREDENTIALS"] == str(own)


def test_a_build_starts_from_exactly_this_image_and_keeps_its_features(side: GcpImages) -> None:
    found = side.source(NEWEST_DEBIAN.id)
    assert (found["source_image"], found["source_project"]) == (NEWEST_DEBIAN.name, "debian-cloud")
    assert {"GVNIC", "UEFI_COMPATIBLE"} <= set(json.loads(str(found["source_features"]).replace(",\n]", "\n]")))


def test_an_artifact_has_its_project_beside_it(side: GcpImages) -> None:
    build = {"artifact_id": "agents-b1", "custom_data": {"project": "agents-417"}}
    assert side.artifact(build) == "projects/agents-417/global/images/agents-b1"


@pytest.mark.parametrize("artifact_id", ["", "agents b1", "projects/x"])
def test_an_artifact_that_is_no_image_is_noticed(side: GcpImages, artifact_id: str) -> None:
    with pytest.raises(ValueError, match="projects/agents-417/global/images/"):
        side.artifact({"artifact_id": artifact_id, "custom_data": {"project": "agents-417"}})


# --- what Packer says


STOCKOUT = (
    "The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request.  Try a different zone."
)
SAID = {
    "no machine": (
        f"==> x: Error creating instance: 1 error(s) occurred:\n    \n    * {STOCKOUT}",
        Scope.ZONE,
        "ZONE_RESOURCE_POOL_EXHAUSTED",
    ),
    "taken back at the start": (  # https://github.com/hashicorp/packer/issues/9133
        "==> x: Error creating instance: 1 error(s) occurred:\n    \n    * Instance failed to start due to preemption.",
        Scope.ZONE,
        "UNSUPPORTED_OPERATION",
    ),
    "a quota at the call": (
        "==> x: Error creating instance: googleapi: Error 403: Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally., quotaExceeded",
        Scope.ACCOUNT,
        "quotaExceeded",
    ),
    "a quota in the operation": (
        "==> x: Error creating instance: 1 error(s) occurred:\n    \n    * Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.",
        Scope.REGION,
        "QUOTA_EXCEEDED",
    ),
    "no permission": (
        "==> x: Error creating instance: googleapi: Error 403: Required 'compute.instances.create' permission for 'projects/p', forbidden",
        Scope.ACCOUNT,
        "forbidden",
    ),
    "a wrong request": (
        "==> x: Error creating instance: googleapi: Error 400: Invalid value for field 'resource.disks[0]': ''. No disk., invalid",
        Scope.REQUEST,
        "invalid",
    ),
}


@pytest.mark.parametrize(("said", "scope", "code"), SAID.values(), ids=SAID)
def test_what_packer_says_is_understood(side: GcpImages, said: str, scope: Scope, code: str) -> None:
    found = side.refusal(f"packer could not build (packer exited with 1); its last lines:\n    {said}\n", image(), spot=False)
    assert found is not None
    assert (found.scope, found.code) == (scope, code)
    assert found.hint


def test_a_quota_that_packer_meets_is_named_with_its_limit(side: GcpImages) -> None:
    said, _, _ = SAID["a quota in the operation"]
    found = side.refusal(said, image(), spot=False)
    assert found is not None
    assert "CPUS" in found.message
    assert "24 in us-central1" in found.message
    assert "gcloud beta quotas preferences create" in found.hint
    assert found.exit_code is Exit.CAPACITY


def test_a_quota_of_gpus_is_named_on_both_levels(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.book.quotas[("", "GPUS_ALL_REGIONS")] = 0
    said, _, _ = SAID["a quota at the call"]
    described = image(machine_type="n1-standard-8", accelerator="nvidia-tesla-t4", accelerator_count=2)
    found = side.refusal(said, described, spot=True)
    assert found is not None
    assert "n1-standard-8+2xnvidia-tesla-t4 needs 2" in found.message
    assert f"--project={fake_gcp.project} --quota-id=GPUS-ALL-REGIONS-per-project" in found.hint
    assert f"?project={fake_gcp.project}" in found.hint


def test_another_failure_is_no_refusal(side: GcpImages) -> None:
    assert side.refusal("packer could not build: Timeout waiting for SSH.", image(), spot=False) is None


# --- finished images


def test_finishing_takes_the_labels_of_the_bake_away_and_leaves_those_of_images_yaml(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    finished(side, gcp)
    assert held(fake_gcp, "image").tags == RESULT | {"team": "render"}


def test_a_removed_image_is_not_found(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    artifact = baked(gcp)
    found = side.find(artifact, "global")
    assert found is not None
    assert side.disk_bytes(found) == 10 * 2**30
    side.remove(artifact, "global")
    side.remove(artifact, "global")
    assert fake_gcp.held() == []
    assert side.find(artifact, "global") is None


def test_an_image_of_another_project_is_asked_for_there(side: GcpImages, fake_gcp: FakeGcp) -> None:
    assert side.find(NEWEST_DEBIAN.id, "global") is not None
    assert fake_gcp.calls[-1].parameters["project"] == "debian-cloud"


def test_an_image_that_cannot_be_asked_for_is_a_failure(side: GcpImages, fake_gcp: FakeGcp) -> None:
    fake_gcp.forbid("compute.images.get")
    with pytest.raises(Failure, match=r"compute\.images\.get") as caught:
        side.find(f"projects/{fake_gcp.project}/global/images/agents-b1", "global")
    assert caught.value.exit_code is Exit.MISSING


def test_everything_of_a_bake_is_removed_and_nothing_else(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    for bake in ("b1", "other"):
        started(gcp, bake)
        baked(gcp, f"agents-{bake}")
    fake_gcp.book.operation_s = 0.01
    before = [one for one in fake_gcp.held() if one.id.endswith("other")]
    assert sorted(side.leftovers("b1", image(), images=True)) == [
        "disk goldbake-b1 in us-central1-a",
        "image agents-b1",
        "instance goldbake-b1 in us-central1-a",
    ]
    assert side.remove_leftovers("b1", image(), images=True) == []
    assert fake_gcp.held() == before


def test_a_disk_that_outlived_its_instance_is_found_by_its_name(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    started(gcp)
    fake_gcp.vanish("goldbake-b1")
    assert held(fake_gcp, "disk").tags == {}
    assert side.leftovers("b1", image(), images=False) == ["disk goldbake-b1 in us-central1-a"]
    assert side.remove_leftovers("b1", image(), images=False) == []
    assert fake_gcp.held() == []


def test_a_finished_image_is_not_removed_with_the_rest(side: GcpImages, gcp: Gcp) -> None:
    artifact = baked(gcp)
    assert side.leftovers("b1", image(), images=False) == []
    assert side.remove_leftovers("b1", image(), images=False) == []
    assert side.find(artifact, "global") is not None


def test_what_cannot_be_removed_is_named(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    started(gcp)
    fake_gcp.vanish("goldbake-b1")
    fake_gcp.refuse("resourceInUseByAnotherResource", "compute.disks.delete", times=None)
    assert side.remove_leftovers("b1", image(), images=True) == ["disk goldbake-b1 in us-central1-a"]


# --- who may use it


def test_a_checked_image_joins_its_family_and_takes_the_place_of_older_ones(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    names = ("agents-old", "agents-b1", "agents-new")
    for name in names:
        finished(side, gcp, name)
        fake_gcp.advance(60)
    for name in names[:2]:
        side.publish(image(), f"projects/{gcp.project}/global/images/{name}", "global")
    found = {name: fake_gcp.image(name) for name in names}
    assert [found[name].get("family") for name in names] == ["agents", "agents", None]
    assert found["agents-old"]["deprecated"]["state"] == "DEPRECATED"
    assert found["agents-old"]["deprecated"]["replacement"] == found["agents-b1"]["selfLink"]
    assert "deprecated" not in found["agents-b1"]
    assert "deprecated" not in found["agents-new"]


def test_an_older_image_that_is_published_again_takes_nobodys_place(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    old = finished(side, gcp, "agents-old")
    fake_gcp.advance(60)
    side.publish(image(), finished(side, gcp, "agents-b1"), "global")
    side.publish(image(), old, "global")
    assert "deprecated" not in fake_gcp.image("agents-b1")


def test_images_of_others_in_the_family_and_unfinished_ones_stay_as_they_are(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    baked(gcp, "agents-unfinished", family="agents")
    own = compute_v1.Image(name="by-hand", source_image=NEWEST_DEBIAN.id, family="agents")
    gcp.client(compute_v1.ImagesClient).insert_unary(project=gcp.project, image_resource=own)
    fake_gcp.advance(60)
    side.publish(image(), finished(side, gcp), "global")
    assert "deprecated" not in fake_gcp.image("by-hand")
    assert "deprecated" not in fake_gcp.image("agents-unfinished")


def test_older_images_stay_as_they_are_if_images_yaml_says_so(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    settings = image(deprecate_older=False, family="gpu")
    for name in ("agents-old", "agents-b1"):
        side.publish(settings, finished(side, gcp, name), "global")
        fake_gcp.advance(60)
    assert fake_gcp.image("agents-old")["family"] == fake_gcp.image("agents-b1")["family"] == "gpu"
    assert "deprecated" not in fake_gcp.image("agents-old")


def test_an_image_that_nobody_checked_is_in_no_family_but_can_be_shared(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    artifact = finished(side, gcp, checks="none")
    side.publish(image(share_with=["domain:example.org"]), artifact, "global")
    assert "family" not in fake_gcp.image("agents-b1")
    assert readers(fake_gcp, artifact) == {READER: ["domain:example.org"]}


def test_exactly_those_of_images_yaml_may_use_the_image(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    artifact = finished(side, gcp)
    admins = {"role": "roles/compute.admin", "members": ["group:admins@example.org"]}
    some = {
        "role": READER,
        "members": ["user:a@example.org"],
        "condition": {"expression": "request.time < timestamp('2030-01-01T00:00:00Z')"},
    }
    fake_gcp.book.iam[artifact] = {
        "version": 3, "etag": "ACAB", "bindings": [admins, some, {"role": READER, "members": ["user:gone@example.org"]}],
    }  # fmt: skip
    side.publish(image(share_with=["group:builds@example.org", "domain:example.org"]), artifact, "global")
    bindings = fake_gcp.book.iam[artifact]["bindings"]
    assert bindings[0] == admins
    assert bindings[1]["members"] == ["user:a@example.org"]
    assert bindings[2] == {"role": READER, "members": ["domain:example.org", "group:builds@example.org"]}
    side.publish(image(), artifact, "global")
    assert len(fake_gcp.book.iam[artifact]["bindings"]) == 2


def test_labels_of_images_yaml_replace_those_of_an_earlier_one(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    artifact = finished(side, gcp)
    side.publish(image(labels={"cost-centre": "4711"}), artifact, "global")
    assert held(fake_gcp, "image").tags == RESULT | {"cost-centre": "4711"}


def test_what_is_published_already_costs_only_looking(side: GcpImages, gcp: Gcp, fake_gcp: FakeGcp) -> None:
    described, artifact = image(share_with=["domain:example.org"], labels={"team": "render"}), finished(side, gcp)
    side.publish(described, artifact, "global")
    before = len(fake_gcp.actions())
    side.publish(described, artifact, "global")
    assert fake_gcp.actions()[before:] == []


def test_each_thing_that_is_published_is_in_the_digest(side: GcpImages) -> None:
    changes: list[dict[str, object]] = [
        {}, {"family": "gpu"}, {"share_with": ["domain:example.org"]}, {"labels": {"a": "b"}}, {"deprecate_older": False},
    ]  # fmt: skip
    assert len({side.publishing(image(**change)) for change in changes}) == len(changes)
    assert side.publishing(image(machine_type="g2-standard-4")) == side.publishing(image())


def test_there_are_no_copies(side: GcpImages) -> None:
    assert side.copies(image()) == ()
    assert side.region(image()) == "global"
