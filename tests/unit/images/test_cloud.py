"""A bake in a cloud from plan to record: what it makes, what it says, and that nothing is left on any path."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from goldbake import bake as pipeline
from goldbake import verify
from goldbake.check import FailedCheck
from goldbake.config.model import Cloud
from goldbake.errors import BakeError, ChecksFailed, Exit, MissingError, UsageError
from goldbake.images.aws import AwsImages
from goldbake.images.base import CloudImages
from goldbake.log import Progress
from goldbake.packer import Value
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records, sha256_of
from tests.fakes.aws import NEWEST_DEBIAN, FakeAws, Held
from tests.unit.images.conftest import HOME, describe
from tests.unit.images.packerstandin import PackerStandIn

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Workplace:
    """All that a bake is given."""

    paths: Paths
    progress: Progress
    side: AwsImages
    said: io.StringIO

    def bake(self, *, force: bool = False, check: bool = True, stop: threading.Event | None = None) -> pipeline.Outcome:
        return pipeline.bake(self.paths, self.progress, Cloud.AWS, force=force, check=check, stop=stop, side=self.side)

    def record(self) -> ImageRecord:
        (found,) = Records(self.paths.records).all()
        return found


@pytest.fixture
def place(paths: Paths, progress: Progress, side: AwsImages, said: io.StringIO, packer: PackerStandIn) -> Workplace:
    return Workplace(paths, progress, side, said)


def kinds(fake: FakeAws, region: str = HOME) -> list[str]:
    return sorted(one.kind for one in fake.held() if one.region == region)


def image_of(fake: FakeAws, region: str = HOME) -> Held:
    (found,) = [one for one in fake.held() if one.kind == "image" and one.region == region]
    return found


# --- a bake


def test_a_bake_makes_a_checked_image_with_its_manifest_and_leaves_nothing_else(place: Workplace, fake_aws: FakeAws) -> None:
    outcome = place.bake()
    record = outcome.record
    assert not outcome.reused
    assert kinds(fake_aws) == ["image", "snapshot"]
    held = image_of(fake_aws)
    assert record.artifact == held.id
    assert dict(held.tags) == {
        "Name": f"agents-{record.fingerprint[:12]}",
        "managed-by": "goldbake",
        "goldbake-image": "agents",
        "goldbake-fingerprint": record.fingerprint[:32],
        "goldbake-manifest": record.sha256[:32],
        "goldbake-checks": "passed",
    }
    assert (record.region, record.base, record.checks is not None) == (HOME, NEWEST_DEBIAN.id_in(HOME), True)
    assert record.size_bytes >= 8 * 2**30
    assert list(record.seconds) == ["toolchain", "build", "check", "total"]
    assert record == place.record()
    manifest = json.loads(Path(record.manifest).read_text())
    assert manifest["base"]["id"] == record.base
    assert manifest["packages"] == {"git": "2.39"}
    assert record.versions["kernel"] == "6.1.0-50-cloud-amd64"
    assert manifest["outcome"]["artifact_sha256"] == record.sha256


def test_the_digest_is_that_of_the_file_in_the_image(place: Workplace, packer: PackerStandIn) -> None:
    inside: list[str] = []
    packer.provision = lambda variables: inside.extend(
        [sha256_of(Path(str(packer.builds[0]["image_manifest"])))] if variables.get("checking") else []
    )
    assert place.bake().record.sha256 == inside[0]


def test_packer_is_given_the_exact_base_a_subnet_and_ends_in_three_hours(place: Workplace, packer: PackerStandIn) -> None:
    record = place.bake().record
    build, check = packer.builds
    assert (build["source_ami"], build["fingerprint"]) == (NEWEST_DEBIAN.id_in(HOME), record.fingerprint[:32])
    assert (check["source_ami"], check["checking"], check["spot"]) == (record.artifact, True, False)
    assert build["bake"] == check["bake"]
    assert str(build["subnet_id"]).startswith("subnet-")


def test_packer_finds_our_account_and_a_persons_own_variables(
    place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKR_VAR_ssh_host", "127.0.0.9")
    monkeypatch.setenv("PKR_VAR_bake", "theirs")
    monkeypatch.setenv("AZP_TOKEN", "secret")
    place.bake()
    for env in packer.environments:
        assert env["AWS_ENDPOINT_URL"] == fake_aws.url
        assert env["PKR_VAR_ssh_host"] == "127.0.0.9"
        assert "PKR_VAR_bake" not in env
        assert "AZP_TOKEN" not in env


def test_a_second_bake_returns_the_same_record(place: Workplace, packer: PackerStandIn) -> None:
    first = place.bake().record
    second = place.bake()
    assert (second.record, second.reused, len(packer.builds)) == (first, True, 2)


def test_a_deregistered_image_is_baked_again(place: Workplace, ec2: EC2Client, packer: PackerStandIn) -> None:
    first = place.bake().record
    ec2.deregister_image(ImageId=first.artifact)
    second = place.bake()
    assert not second.reused
    assert second.record.artifact != first.artifact
    assert f"{first.artifact} is not in {HOME} any more" in place.said.getvalue()


def test_a_newer_base_is_another_image(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.bake().record
    old = place.side.base
    monkeypatch.setattr(place.side, "base", lambda image: type(old(image))("ami-00000000000000001", "newer", "x", "2026-12-01"))
    found = pipeline.preview(place.paths, place.progress, Cloud.AWS, image=None, agent_wanted="auto", side=place.side)
    assert (found.exists, found.base["id"]) == (False, "ami-00000000000000001")
    assert Records(place.paths.records).find("agents", Cloud.AWS, first.fingerprint) == first


def test_a_dry_run_tells_base_and_places_and_makes_nothing(place: Workplace, fake_aws: FakeAws) -> None:
    found = pipeline.preview(place.paths, place.progress, Cloud.AWS, image=None, agent_wanted="auto", side=place.side)
    assert found.document()["base"]["id"] == NEWEST_DEBIAN.id_in(HOME)
    assert "c7i.xlarge in subnet subnet-" in found.places[0]
    assert fake_aws.actions() == []


def test_settings_that_are_not_in_the_image_leave_it_alone(place: Workplace) -> None:
    first = place.bake().record
    describe(place.paths, spot=True, instance_type="m7i.large", deprecate_after_days=30)
    second = place.bake()
    assert second.reused
    assert second.record.artifact == first.artifact


def test_what_is_not_pinned_stops_before_the_first_call(place: Workplace, fake_aws: FakeAws) -> None:
    text = place.paths.lock_yaml.read_text().replace("a" * 64, "")
    place.paths.lock_yaml.write_text("\n".join(line for line in text.splitlines() if line.strip() != "sha256:"))
    with pytest.raises(MissingError, match=r"no hash is pinned for agent-4\.275\.0"):
        place.bake()
    assert fake_aws.calls == []


def test_no_lock_and_no_folder_stay(place: Workplace) -> None:
    place.bake()
    assert list((place.paths.cache / "bakes").iterdir()) == []
    assert [path.name for path in (place.paths.state / "bakes").iterdir()] == []


def test_the_folder_of_a_killed_bake_goes_and_its_lock_file_stays_for_reap(place: Workplace) -> None:
    dead, lock = place.paths.cache / "bakes" / "killed", place.paths.state / "bakes" / "killed.lock"
    dead.mkdir(parents=True)
    lock.parent.mkdir(parents=True)
    lock.touch()
    place.bake()
    assert not dead.exists()
    assert [path.name for path in lock.parent.iterdir()] == ["killed.lock"]


def test_a_folder_whose_bake_has_just_ended_gets_no_lock(place: Workplace) -> None:
    ended = place.paths.cache / "bakes" / "ended"
    ended.mkdir(parents=True)
    place.bake()
    assert not ended.exists()
    assert list((place.paths.state / "bakes").iterdir()) == []


# --- checks


def test_an_image_with_red_checks_is_removed_and_its_report_kept(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    packer.red = (FailedCheck("driver.x", "it is red"),)
    with pytest.raises(ChecksFailed, match=r"driver\.x: it is red") as caught:
        place.bake()
    assert caught.value.exit_code is Exit.CHECKS
    assert fake_aws.held() == []
    report = json.loads((place.paths.state / "failed-checks" / "agents-aws.json").read_text())
    assert report["failed"][0]["name"] == "driver.x"
    assert Records(place.paths.records).all() == []


def test_without_checks_the_image_says_so_and_a_later_check_makes_it_a_checked_one(
    place: Workplace, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.bake(check=False).record.checks is None
    assert image_of(fake_aws).tags["goldbake-checks"] == "none"
    monkeypatch.setattr(verify, "cloud_side", lambda cloud: place.side)
    report = verify.image(place.paths, place.progress, Cloud.AWS, None)
    assert report.passed == ("agent.is_there",)
    assert image_of(fake_aws).tags["goldbake-checks"] == "passed"
    assert place.record().checks is not None
    assert kinds(fake_aws) == ["image", "snapshot"]


def test_red_checks_of_an_existing_image_do_not_touch_it(
    place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.bake().record
    packer.red = (FailedCheck("driver.x", "it is red"),)
    monkeypatch.setattr(verify, "cloud_side", lambda cloud: place.side)
    assert verify.image(place.paths, place.progress, Cloud.AWS, None).failed
    assert place.record() == before
    assert kinds(fake_aws) == ["image", "snapshot"]


def test_checks_that_cannot_run_leave_no_image(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    def fails(variables: Mapping[str, Value]) -> None:
        if variables.get("checking"):
            raise BakeError("packer could not build: Timeout waiting for SSH.", hint="again")

    packer.provision = fails
    with pytest.raises(BakeError, match="could not run: packer could not build: Timeout waiting") as caught:
        place.bake()
    assert "--no-check" in caught.value.hint
    assert fake_aws.held() == []


# --- what goes wrong


@pytest.mark.parametrize("told", ["", "us-east-1:"])
def test_packer_that_ends_well_without_an_image_is_a_failure(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, told: str) -> None:
    packer.artifact_id = told
    with pytest.raises(BakeError, match="Packer does not say what it made"):
        place.bake()
    assert fake_aws.held() == []


def test_what_a_failed_packer_leaves_is_removed(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    def fails(variables: Mapping[str, Value]) -> None:
        raise BakeError(
            "image-scripts/install-agent.sh failed (packer exited with 1); its last lines:\n    api error Odd: x", hint="correct it"
        )

    packer.provision, packer.leaves = fails, True
    with pytest.raises(BakeError, match=r"install-agent\.sh failed"):
        place.bake()
    assert fake_aws.held() == []
    assert "removing what bake" in place.said.getvalue()
    assert len(packer.builds) == 1


@pytest.mark.parametrize("checking", [False, True])
def test_an_interruption_leaves_nothing(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, checking: bool) -> None:
    def interrupted(variables: Mapping[str, Value]) -> None:
        if bool(variables.get("checking")) is checking:
            raise KeyboardInterrupt

    packer.provision, packer.leaves = interrupted, True
    with pytest.raises(KeyboardInterrupt):
        place.bake()
    assert fake_aws.held() == []
    assert Records(place.paths.records).all() == []
    assert list((place.paths.state / "bakes").iterdir()) == list((place.paths.cache / "bakes").iterdir()) == []


def test_what_cannot_be_removed_is_named_with_the_command_and_the_lock_file_stays(
    place: Workplace, packer: PackerStandIn, fake_aws: FakeAws
) -> None:
    packer.leaves = True
    fake_aws.refuse("UnauthorizedOperation", "DeleteKeyPair", times=None)
    record = place.bake().record
    assert "may have left something in us-east-1" in place.said.getvalue()
    assert "./inv reap --cloud aws --yes" in place.said.getvalue()
    assert place.record() == record
    assert [path.name for path in (place.paths.state / "bakes").iterdir()] == [f"{packer.builds[0]['bake']}.lock"]


# --- capacity


def test_a_spot_build_without_capacity_is_built_on_demand(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    describe(place.paths, spot=True)
    fake_aws.refuse("InsufficientInstanceCapacity", "RunInstances", spot=True, times=None)
    place.bake()
    assert [build["spot"] for build in packer.builds] == [True, False, False]
    assert kinds(fake_aws) == ["image", "snapshot"]


def test_a_quota_of_spot_is_not_one_of_demand(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    describe(place.paths, spot=True)
    fake_aws.refuse("MaxSpotInstanceCountExceeded", "RunInstances", spot=True, times=None)
    place.bake()
    assert [build["spot"] for build in packer.builds] == [True, False, False]


def test_a_zone_without_capacity_is_followed_by_the_next(place: Workplace, packer: PackerStandIn, fake_aws: FakeAws) -> None:
    fake_aws.refuse("InsufficientInstanceCapacity", "RunInstances", times=1)
    place.bake()
    assert len({build["subnet_id"] for build in packer.builds[:2]}) == 2


@pytest.mark.parametrize(
    ("code", "builds", "exit_code"),
    [
        ("InsufficientInstanceCapacity", 3, Exit.CAPACITY),
        ("VcpuLimitExceeded", 1, Exit.CAPACITY),
        ("UnauthorizedOperation", 1, Exit.MISSING),
    ],
)
def test_a_refusal_has_its_own_exit_code_and_leaves_nothing(
    place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, code: str, builds: int, exit_code: Exit
) -> None:
    fake_aws.refuse(code, "RunInstances", times=None)
    with pytest.raises(pipeline.GoldbakeError, match=code) as caught:
        place.bake()
    assert (len(packer.builds), caught.value.exit_code) == (builds, exit_code)
    assert caught.value.hint
    assert fake_aws.held() == []


# --- copies and readers


def test_copies_are_made_after_the_checks_and_recorded_with_all_tags(place: Workplace, fake_aws: FakeAws) -> None:
    describe(place.paths, copies=[{"region": "eu-west-1"}, {"region": "eu-central-1"}], share_with=["111122223333"])
    record = place.bake().record
    assert list(record.artifacts) == [HOME, "eu-west-1", "eu-central-1"]
    for region, artifact in record.artifacts.items():
        held = image_of(fake_aws, region)
        assert (held.id, held.tags["goldbake-checks"], held.tags["goldbake-manifest"]) == (artifact, "passed", record.sha256[:32])
    assert set(record.published) == set(record.artifacts)


def test_a_refused_copy_is_told_after_the_others_and_the_same_command_goes_on(place: Workplace, fake_aws: FakeAws) -> None:
    describe(place.paths, copies=[{"region": "eu-west-1"}, {"region": "eu-central-1"}])
    fake_aws.refuse("KMSKeyNotAccessibleFault", "CopyImage", region="eu-west-1", times=1)
    with pytest.raises(pipeline.GoldbakeError, match="is baked and recorded, but: AWS would not copy") as caught:
        place.bake()
    assert "the same command goes on where it stopped" in caught.value.hint
    assert list(place.record().copies) == ["eu-central-1"]
    again = place.bake()
    assert again.reused
    assert set(again.record.copies) == {"eu-west-1", "eu-central-1"}
    assert [call.region for call in fake_aws.calls if call.action == "CopyImage"] == ["eu-west-1", "eu-central-1", "eu-west-1"]


def test_a_copy_that_was_deleted_is_made_again(place: Workplace, fake_aws: FakeAws) -> None:
    describe(place.paths, copies=[{"region": "eu-west-1"}])
    first = place.bake().record
    place.side.remove(first.copies["eu-west-1"], "eu-west-1")
    second = place.bake().record
    assert second.copies != first.copies
    assert image_of(fake_aws, "eu-west-1").id == second.copies["eu-west-1"]


def test_sharing_that_is_taken_out_of_images_yaml_is_taken_back(place: Workplace, ec2: EC2Client) -> None:
    describe(place.paths, share_with=["111122223333"])
    artifact = place.bake().record.artifact
    assert ec2.describe_image_attribute(ImageId=artifact, Attribute="launchPermission")["LaunchPermissions"]
    describe(place.paths)
    assert place.bake().reused
    assert not ec2.describe_image_attribute(ImageId=artifact, Attribute="launchPermission")["LaunchPermissions"]


# --- several clouds


def test_a_cloud_that_fails_does_not_stop_another(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def side(cloud: Cloud) -> CloudImages:
        if cloud is Cloud.AWS:
            return place.side
        raise UsageError("not here", hint="elsewhere")

    monkeypatch.setattr(pipeline, "cloud_side", side)
    gcp, aws = pipeline.bake_all(
        place.paths, place.progress, (Cloud.GCP, Cloud.AWS), image=None, agent_wanted="auto", force=False, check=True
    )
    assert isinstance(gcp, pipeline.Failed)
    assert isinstance(gcp.error, UsageError)
    assert isinstance(aws, pipeline.Outcome)
    assert aws.record == place.record()


def test_an_interruption_stops_all_clouds_and_waits_for_them(
    place: Workplace, packer: PackerStandIn, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    baking = threading.Event()
    stops: list[threading.Event] = []
    real = pipeline.bake

    def one(paths: Paths, progress: Progress, cloud: Cloud, **options: object) -> pipeline.Outcome:
        if cloud is Cloud.LOCAL:
            assert baking.wait(60)
            raise KeyboardInterrupt
        assert isinstance(options["stop"], threading.Event)
        stops.append(options["stop"])
        return real(paths, progress, cloud, side=place.side, stop=stops[0])

    def waits(variables: Mapping[str, Value]) -> None:
        baking.set()
        assert stops[0].wait(60)
        raise BakeError("packer was stopped")

    packer.provision, packer.leaves = waits, True
    monkeypatch.setattr(pipeline, "bake", one)
    with pytest.raises(KeyboardInterrupt):
        pipeline.bake_all(place.paths, place.progress, (Cloud.LOCAL, Cloud.AWS), image=None, agent_wanted="auto", force=False, check=True)
    assert fake_aws.held() == []
