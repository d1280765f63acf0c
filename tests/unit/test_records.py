"""A record is offered only while its artifact is what was recorded."""

import hashlib
import os
from pathlib import Path

import pytest

from goldbake.config.model import Cloud
from goldbake.records import Checks, ImageRecord, Records, Stat


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "image.qcow2"
    path.write_bytes(b"a disk")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Records:
    return Records(tmp_path / "records")


def record(artifact: Path, *, fingerprint: str = "f" * 64, created: str = "2026-01-01T00:00:00+00:00") -> ImageRecord:
    return ImageRecord(
        image="distro",
        cloud=Cloud.LOCAL,
        artifact=str(artifact),
        sha256=hashlib.sha256(artifact.read_bytes()).hexdigest(),
        size_bytes=artifact.stat().st_size,
        fingerprint=fingerprint,
        agent="simulated",
        versions={"driver": "535.309.01"},
        seconds={"total": 1.5},
        checks=Checks(passed=3, failed=0, digest="0" * 64),
        created=created,
        manifest=str(artifact.with_suffix(".manifest.json")),
        stat=Stat.of(artifact),
    )


def test_what_was_added_is_found_again(store: Records, artifact: Path) -> None:
    store.add(record(artifact))
    assert store.find("distro", Cloud.LOCAL, "f" * 64) == record(artifact)


def test_another_fingerprint_is_not_found(store: Records, artifact: Path) -> None:
    store.add(record(artifact))
    assert store.find("distro", Cloud.LOCAL, "0" * 64) is None


def test_a_missing_artifact_is_never_offered(store: Records, artifact: Path) -> None:
    store.add(record(artifact))
    artifact.unlink()
    assert store.find("distro", Cloud.LOCAL, "f" * 64) is None
    assert store.newest("distro", Cloud.LOCAL) is None


def test_a_changed_artifact_of_the_same_size_is_never_offered(store: Records, artifact: Path) -> None:
    store.add(record(artifact))
    before, other = artifact.stat(), artifact.with_name("other")
    while not other.exists() or other.stat().st_ctime_ns == before.st_ctime_ns:  # a kernel's clock for files may tick every 4 ms
        other.touch()
    artifact.write_bytes(b"a dusk")
    os.utime(artifact, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find("distro", Cloud.LOCAL, "f" * 64) is None


def test_a_copied_back_artifact_is_read_once_and_offered_again(store: Records, artifact: Path) -> None:
    store.add(record(artifact))
    content = artifact.read_bytes()
    artifact.unlink()
    artifact.write_bytes(content)
    found = store.find("distro", Cloud.LOCAL, "f" * 64)
    assert found is not None
    again = store.find("distro", Cloud.LOCAL, "f" * 64)
    assert again is not None
    assert again.stat == Stat.of(artifact)


def test_the_newest_comes_first(store: Records, artifact: Path) -> None:
    store.add(record(artifact, fingerprint="1" * 64, created="2026-01-01T00:00:00+00:00"))
    store.add(record(artifact, fingerprint="2" * 64, created="2026-02-01T00:00:00+00:00"))
    newest = store.newest("distro", Cloud.LOCAL)
    assert newest is not None
    assert newest.fingerprint == "2" * 64


def test_a_broken_record_is_passed_over(store: Records, artifact: Path, tmp_path: Path) -> None:
    store.add(record(artifact))
    (tmp_path / "records" / "distro" / "local" / "broken.json").write_text("{")
    assert len(store.all()) == 1


def test_the_document_says_whether_it_was_reused(artifact: Path) -> None:
    document = record(artifact).document(reused=True)
    assert document["reused"] is True
    assert "stat" not in document
