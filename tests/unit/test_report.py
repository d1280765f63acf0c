"""Results as people read them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from goldbake import report
from goldbake.bake import Preview
from goldbake.check import FailedCheck, report_of
from goldbake.config.model import Cloud
from goldbake.finding import Finding
from goldbake.templates import Validation
from tests.unit.test_records import record


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    path.write_bytes(b"a disk")
    return path


def test_record_tells_whether_it_was_baked_or_found(artifact: Path) -> None:
    found = record(artifact)
    assert "distro (local), baked" in report.record(found, reused=False)
    assert "nothing changed" in report.record(found, reused=True)
    assert str(artifact) in report.record(found, reused=True)


@pytest.mark.parametrize(("delta", "age"), [({"minutes": 5}, "5 min"), ({"hours": 30}, "30 h"), ({"days": 4}, "4 d")])
def test_images_show_their_age(artifact: Path, delta: dict[str, int], age: str) -> None:
    created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(**delta)
    head, row = report.images([record(artifact, created=created.isoformat())]).splitlines()
    assert head.split()[:3] == ["IMAGE", "CLOUD", "AGE"]
    assert f"  {age}  " in row


def test_no_images_say_how_to_get_one() -> None:
    assert "./inv bake" in report.images([])


def test_red_checks_come_with_their_message() -> None:
    text = report.checks(report_of(["a"], [FailedCheck("b", "it is red")], ["c"], 1.0))
    assert text == "FAILED b: it is red\n1 passed, 1 failed, 1 skipped"


def test_preview_tells_what_is_kept() -> None:
    lines = report.preview(Preview("tiny", Cloud.LOCAL, False, {"base": True, "agent": False})).splitlines()
    assert lines[0] == "tiny (local): would bake"
    assert [line.split() for line in lines[2:]] == [["base", "kept"], ["agent", "to", "make"]]


def test_validation_says_why_a_template_was_skipped() -> None:
    results = [Validation("a", Cloud.AWS, Path("x")), Validation("a", Cloud.AZURE, Path("y"), "skipped: no plugin")]
    assert [line.split(maxsplit=2)[2] for line in report.validation(results).splitlines()] == ["RESULT", "valid", "skipped: no plugin"]


def test_changes_of_pins_are_listed() -> None:
    assert report.changes({"packer": "1.16.0"}) == "packer: 1.16.0"
    assert report.changes({}) == "nothing to change"


def test_doctor_shows_the_fix() -> None:
    assert report.doctor([Finding("zstd", "missing", "install it")]).splitlines()[1].split(maxsplit=2) == ["zstd", "missing", "install it"]


def test_figures_are_aligned() -> None:
    assert report.figures({"cold_s": 1.23456}) == "cold_s             1.235"


def test_a_record_of_a_cloud_tells_region_base_and_copies(artifact: Path) -> None:
    changes = {"cloud": Cloud.AWS, "artifact": "ami-1", "region": "us-east-1", "base": "ami-0", "copies": {"eu-west-1": "ami-2"}}
    found = record(artifact).model_copy(update=changes)
    lines = report.record(found, reused=False).splitlines()
    assert lines[1:5] == ["artifact  ami-1", "region    us-east-1", "base      ami-0", "copy      ami-2 in eu-west-1"]
    head, row = report.images([found]).splitlines()
    assert head.endswith("COPIES")
    assert row.endswith("ami-1 (us-east-1)  eu-west-1")


def test_preview_of_a_cloud_tells_base_and_places() -> None:
    base = {"id": "ami-0", "name": "debian-12", "owner": "1", "created": "2026-11-10T12:00:00.000Z"}
    lines = report.preview(Preview("tiny", Cloud.AWS, False, {"agent": False}, base, ("us-east-1a: c7i.xlarge in subnet-1",))).splitlines()
    assert lines[1:3] == ["base image ami-0 (debian-12, 2026-11-10)", "on us-east-1a: c7i.xlarge in subnet-1"]
