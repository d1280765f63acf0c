"""A bake on Compute Engine from plan to record, as far as it differs from one on EC2: zones, the family, and what Packer tells and leaves there."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from goldbake import bake as pipeline
from goldbake import catalogue, verify
from goldbake.check import FailedCheck
from goldbake.clouds.gcp.session import Gcp
from goldbake.config.model import Cloud
from goldbake.errors import ChecksFailed, Exit, GoldbakeError
from goldbake.images.gcp import GcpImages
from goldbake.log import Progress
from goldbake.packer import Value
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from tests.fakes.gcp import NEWEST_DEBIAN, FakeGcp, Held
from tests.unit.images.computepacker import ComputePacker
from tests.unit.images.conftest import describe, in_place
from tests.unit.images.packerstandin import PackerStandIn


@dataclass(frozen=True)
class Workplace:
    """All that a bake is given."""

    paths: Paths
    progress: Progress
    side: GcpImages
    said: io.StringIO

    def bake(self, *, check: bool = True) -> pipeline.Outcome:
        return pipeline.bake(self.paths, self.progress, Cloud.GCP, check=check, side=self.side)

    def record(self) -> ImageRecord:
        (found,) = Records(self.paths.records).all()
        return found


@pytest.fixture
def packer(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> PackerStandIn:
    return in_place(ComputePacker(Gcp()), monkeypatch)


@pytest.fixture
def place(paths: Paths, progress: Progress, said: io.StringIO, packer: PackerStandIn) -> Workplace:
    describe(paths, Cloud.GCP)
    return Workplace(paths, progress, GcpImages(pause=lambda seconds: None, patience=30), said)


def image_of(fake: FakeGcp) -> Held:
    (found,) = [one for one in fake.held() if one.kind == "image"]
    return found


def test_a_bake_leaves_an_image_in_its_family_and_nothing_else(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    record = place.bake().record
    image = image_of(fake_gcp)
    assert [one.kind for one in fake_gcp.held()] == ["image"]
    assert record.artifact == f"projects/{fake_gcp.project}/global/images/{image.id}"
    assert (record.region, record.base, record.size_bytes) == ("global", NEWEST_DEBIAN.id, 10 * 2**30)
    assert image.more["family"] == "agents"
    assert image.tags == {
        "managed-by": "goldbake",
        "goldbake-image": "agents",
        "goldbake-fingerprint": record.fingerprint[:32],
        "goldbake-manifest": record.sha256[:32],
        "goldbake-checks": "passed",
    }
    build, check = packer.builds
    assert (build["source_image"], build["source_project"]) == (NEWEST_DEBIAN.name, "debian-cloud")
    assert (check["source_image"], check["source_project"], check["checking"]) == (image.id, fake_gcp.project, True)
    assert json.loads(place.record().model_dump_json())["published"] == {"global": place.side.publishing(_described(place))}


def _described(place: Workplace) -> object:
    todo, _ = pipeline.planned(place.paths, place.progress, Cloud.GCP, None, "auto")
    return todo.image


def test_an_image_for_secure_boot_tells_packer_where_the_certificates_are(place: Workplace, packer: PackerStandIn) -> None:
    document = json.loads(place.paths.images_yaml.read_text())
    layers = [{"name": "driver", "scripts": ["install-driver"]}]
    document["images"]["agents"] |= {"secure_boot": True, "clouds": ["gcp"], "layers": layers}
    place.paths.images_yaml.write_text(json.dumps(document))
    record = place.bake().record
    build, check = packer.builds
    assert Path(str(build["signing_certificate"])).parent == Path(str(build["image_manifest"])).parent
    assert build["certificates_dir"] == str(place.paths.project / "packer" / "certificates")
    assert "signing_certificate" not in check
    assert json.loads(Path(record.manifest).read_text())["secure_boot"] is True


def test_packer_gets_key_file_and_endpoint_in_its_environment(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    place.bake()
    for env in packer.environments:
        assert env["PKR_VAR_endpoint"] == f"{fake_gcp.url}/compute/v1/"
        assert env["GOOGLE_APPLICATION_CREDENTIALS"] == fake_gcp.environment()["GOOGLE_APPLICATION_CREDENTIALS"]
        assert "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE" not in env


def test_a_second_bake_costs_only_looking(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    first = place.bake().record
    before = len(fake_gcp.actions())
    second = place.bake()
    assert (second.record, second.reused, len(packer.builds)) == (first, True, 2)
    assert fake_gcp.actions()[before:] == []


def test_an_image_that_somebody_deleted_is_baked_again(place: Workplace, fake_gcp: FakeGcp) -> None:
    first = place.bake().record
    place.side.remove(first.artifact, "global")
    second = place.bake().record
    assert second.artifact != first.artifact
    assert f"{first.artifact} is not in global any more" in place.said.getvalue()


def test_an_image_of_another_project_is_left_there_and_one_is_baked_here(place: Workplace, fake_gcp: FakeGcp) -> None:
    first = place.bake().record
    store = Records(place.paths.records)
    store.add(first.model_copy(update={"artifact": first.artifact.replace(fake_gcp.project, "agents-417")}))
    second = place.bake().record
    assert second.artifact.startswith(f"projects/{fake_gcp.project}/")
    assert second.artifact != first.artifact
    assert f"is not in projects/{fake_gcp.project}: agents is baked there" in place.said.getvalue()


def test_a_newer_base_image_is_a_reason_to_bake_again_and_the_older_image_is_deprecated(
    place: Workplace, fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.bake().record
    fake_gcp.advance(60)
    name = "debian-12-bookworm-v20261201"
    row = fake_gcp.book.tables["images"][NEWEST_DEBIAN.id]
    newer = NEWEST_DEBIAN.id.replace(NEWEST_DEBIAN.name, name)
    link = row["selfLink"].replace(NEWEST_DEBIAN.name, name)
    fake_gcp.book.tables["images"][newer] = row | {"name": name, "creationTimestamp": fake_gcp.book.stamp(), "selfLink": link}
    fake_gcp.book.furnished.add(newer)
    second = place.bake().record
    assert (second.base, second.fingerprint == first.fingerprint) == (newer, False)
    old, new = (fake_gcp.image(record.artifact.rpartition("/")[2]) for record in (first, second))
    assert old["deprecated"]["state"] == "DEPRECATED"
    assert old["deprecated"]["replacement"] == new["selfLink"]
    assert place.side.find(first.artifact, "global") is not None


def test_red_checks_leave_no_image(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    packer.red = (FailedCheck("driver.x", "it is red"),)
    with pytest.raises(ChecksFailed):
        place.bake()
    assert fake_gcp.held() == []


def test_an_unchecked_image_joins_the_family_when_it_is_checked(
    place: Workplace, fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.bake(check=False)
    assert (image_of(fake_gcp).tags["goldbake-checks"], image_of(fake_gcp).more["family"]) == ("none", "")
    monkeypatch.setattr(verify, "cloud_side", lambda cloud: place.side)
    verify.image(place.paths, place.progress, Cloud.GCP, None)
    assert (image_of(fake_gcp).tags["goldbake-checks"], image_of(fake_gcp).more["family"]) == ("passed", "agents")


# --- capacity, and what is left


def test_a_zone_without_machines_is_followed_by_the_next(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    fake_gcp.capacity[("us-central1-a", "n2-standard-4", False)] = 0
    place.bake()
    assert [build["zone"] for build in packer.builds] == ["us-central1-a", "us-central1-b", "us-central1-a", "us-central1-b"]
    assert [one.kind for one in fake_gcp.held()] == ["image"]
    assert "us-central1-a: Google would not start a build instance" in place.said.getvalue()


def test_no_spare_capacity_means_on_demand(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    describe(place.paths, Cloud.GCP, spot=True, zones=["us-central1-a"])
    fake_gcp.capacity[("us-central1-a", "n2-standard-4", True)] = 0
    place.bake()
    assert [build["spot"] for build in packer.builds] == [True, False, False]


@pytest.mark.parametrize(
    ("code", "message", "where", "builds", "exit_code"),
    [
        (
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "The zone 'x' does not have enough resources available to fulfill the request.",
            "operation",
            3,
            Exit.CAPACITY,
        ),
        ("quotaExceeded", "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.", "insert", 1, Exit.CAPACITY),
        ("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "operation", 1, Exit.CAPACITY),
        ("forbidden", "Required 'compute.instances.create' permission for 'projects/x'", "insert", 1, Exit.MISSING),
        ("conditionNotMet", "Constraint constraints/compute.vmExternalIpAccess violated for project 424242424242.", "insert", 1, None),
    ],
)
def test_a_refusal_has_its_own_exit_code_and_leaves_nothing(
    place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp, code: str, message: str, where: str, builds: int, exit_code: Exit | None
) -> None:
    fake_gcp.refuse(code, "compute.instances.insert", where=where, message=message, times=None)
    with pytest.raises(GoldbakeError) as caught:
        place.bake()
    assert len(packer.builds) == builds
    assert exit_code in (None, caught.value.exit_code)
    assert caught.value.hint
    assert fake_gcp.held() == []


def test_a_build_machine_and_its_disk_that_packer_leaves_are_removed(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    def interrupted(variables: Mapping[str, Value]) -> None:
        raise KeyboardInterrupt

    packer.provision, packer.leaves = interrupted, True
    with pytest.raises(KeyboardInterrupt):
        place.bake()
    assert fake_gcp.held() == []
    assert "instance goldbake-" in place.said.getvalue()


def test_what_cannot_be_removed_is_named_with_the_command(place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp) -> None:
    packer.leaves = True
    fake_gcp.forbid("compute.disks.delete")
    record = place.bake().record
    assert "may have left something in global" in place.said.getvalue()
    assert "./inv reap --cloud gcp --yes" in place.said.getvalue()
    assert place.record() == record


def test_sharing_that_is_refused_is_told_after_the_image_is_recorded_and_made_good_by_the_same_command(
    place: Workplace, packer: PackerStandIn, fake_gcp: FakeGcp
) -> None:
    describe(place.paths, Cloud.GCP, share_with=["domain:example.org"])
    fake_gcp.forbid("compute.images.setIamPolicy")
    with pytest.raises(GoldbakeError, match="is baked and recorded, but"):
        place.bake()
    assert place.record().published == {}
    fake_gcp.allow()
    assert place.bake().reused
    assert fake_gcp.book.iam[place.record().artifact]["bindings"]
    assert len(packer.builds) == 2


# --- what is told


def test_a_dry_run_names_base_zones_and_starts_nothing(place: Workplace, fake_gcp: FakeGcp) -> None:
    found = pipeline.preview(place.paths, place.progress, Cloud.GCP, image=None, agent_wanted="auto", side=place.side).document()
    assert found["base"]["id"] == NEWEST_DEBIAN.id
    assert [one.partition(":")[0] for one in found["places"]] == ["us-central1-a", "us-central1-b", "us-central1-c"]
    assert found["exists"] is False
    assert fake_gcp.actions() == []


def test_terraform_and_scripts_get_the_images_id(place: Workplace, fake_gcp: FakeGcp) -> None:
    artifact = place.bake().record.artifact
    records = catalogue.images(place.paths, place.progress, (Cloud.GCP,), strict=True)
    assert catalogue.text(records, "env") == f"GOLDBAKE_GCP_AGENTS_GLOBAL={artifact}"
    assert f'    global = "{artifact}"' in catalogue.text(records, "tfvars")
    assert json.loads(catalogue.text(records, "json"))[0]["artifact"] == artifact


def test_the_side_of_google_cloud_is_made_of_the_environment(place: Workplace, fake_gcp: FakeGcp) -> None:
    assert isinstance(pipeline.cloud_side(Cloud.GCP), GcpImages)
    assert pipeline.preview(place.paths, place.progress, Cloud.GCP, image=None, agent_wanted="auto").base["id"] == NEWEST_DEBIAN.id
