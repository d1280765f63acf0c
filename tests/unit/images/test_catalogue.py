"""Images for people, Terraform and scripts: only what exists, and what was checked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from goldbake import catalogue
from goldbake.config.model import Cloud
from goldbake.errors import MissingError, UsageError
from goldbake.images.aws import AwsImages
from goldbake.images.base import CloudImages
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Checks, ImageRecord, Records
from tests.fakes.aws import NEWEST_DEBIAN, NEWEST_NOBLE

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKED = Checks(passed=3, failed=0, digest="0" * 64)
DEBIAN, NOBLE = NEWEST_DEBIAN.id_in("us-east-1"), NEWEST_NOBLE.id_in("us-east-1")
THERE = NEWEST_DEBIAN.id_in("eu-west-1")


def record(image: str, artifact: str, *, checks: Checks | None = CHECKED, day: int = 1, **copies: str) -> ImageRecord:
    return ImageRecord(
        image=image,
        cloud=Cloud.AWS,
        artifact=artifact,
        sha256="1" * 64,
        size_bytes=8 * 2**30,
        fingerprint=artifact.encode().hex().ljust(64, "0"),
        agent="microsoft",
        versions={},
        seconds={},
        checks=checks,
        created=f"2026-11-{day:02}T00:00:00+00:00",
        manifest="",
        region="us-east-1",
        copies={region.replace("_", "-"): copy for region, copy in copies.items()},
    )


@pytest.fixture
def find(paths: Paths, progress: Progress, side: AwsImages) -> Callable[..., list[ImageRecord]]:
    def found(*recorded: ImageRecord) -> list[ImageRecord]:
        for one in recorded:
            Records(paths.records).add(one)
        return catalogue.images(paths, progress, (Cloud.AWS,), side=lambda cloud: side)

    return found


def test_an_image_that_is_gone_is_not_listed_nor_is_a_copy(find: Callable[..., list[ImageRecord]]) -> None:
    gone = "ami-0123456789abcdef0"
    (kept,) = find(record("agents", DEBIAN, eu_west_1=THERE, eu_central_1=gone), record("other", gone))
    assert (kept.artifact, kept.copies) == (DEBIAN, {"eu-west-1": THERE})


def test_terraform_gets_a_map_of_image_region_and_id(find: Callable[..., list[ImageRecord]]) -> None:
    found = find(record("gpu-agent", DEBIAN, eu_west_1=THERE), record("plain", NOBLE))
    assert catalogue.text(found, "tfvars") == (
        "goldbake_images_aws = {\n"
        f'  "gpu-agent" = {{\n    us-east-1 = "{DEBIAN}"\n    eu-west-1 = "{THERE}"\n  }}\n'
        f'  "plain" = {{\n    us-east-1 = "{NOBLE}"\n  }}\n'
        "}"
    )


def test_scripts_get_names_that_a_shell_takes(find: Callable[..., list[ImageRecord]]) -> None:
    found = find(record("gpu-agent", DEBIAN, eu_west_1=THERE))
    assert catalogue.text(found, "env") == f"GOLDBAKE_AWS_GPU_AGENT_US_EAST_1={DEBIAN}\nGOLDBAKE_AWS_GPU_AGENT_EU_WEST_1={THERE}"


def test_the_newest_is_named_and_an_unchecked_one_only_if_asked_for(find: Callable[..., list[ImageRecord]]) -> None:
    found = find(record("agents", DEBIAN, day=1), record("agents", NOBLE, day=2, checks=None))
    assert DEBIAN in catalogue.text(found, "env")
    assert catalogue.text(found, "env", unchecked=True) == f"GOLDBAKE_AWS_AGENTS_US_EAST_1={NOBLE}"
    assert "unchecked" in catalogue.text(found, "table")
    assert catalogue.text(found, "table").splitlines()[1].endswith(f"{NOBLE} (us-east-1)")


def test_without_credentials_the_records_are_listed_with_a_warning(paths: Paths) -> None:
    def none(cloud: Cloud) -> CloudImages:
        raise MissingError("there are no AWS credentials")

    Records(paths.records).add(record("agents", DEBIAN))
    Records(paths.records).add(record("other", NOBLE))
    said = io.StringIO()
    assert len(catalogue.images(paths, Progress(said), (Cloud.AWS,), side=none)) == 2
    assert said.getvalue() == "warning: aws: not looked up, so it may be gone: there are no AWS credentials\n"
    with pytest.raises(MissingError):
        catalogue.images(paths, Progress(said), (Cloud.AWS,), strict=True, side=none)


def test_a_program_that_reads_an_empty_list_is_warned_beside_it(paths: Paths) -> None:
    said = io.StringIO()
    assert catalogue.text(catalogue.images(paths, Progress(said), (Cloud.GCP,), strict=True), "tfvars") == ""
    assert said.getvalue() == "warning: nothing is baked for gcp, so the list is empty: `./inv bake --cloud gcp`\n"
    assert catalogue.images(paths, Progress(said), (Cloud.GCP,)) == []
    assert said.getvalue().count("warning") == 1


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no format 'yaml'") as caught:
        catalogue.text([], "yaml")
    assert "table, json, tfvars, env" in caught.value.hint


def test_nothing_is_no_text_for_programs_and_a_hint_for_people(tmp_path: Path) -> None:
    assert (catalogue.text([], "env"), catalogue.text([], "tfvars"), catalogue.text([], "json")) == ("", "", "[]")
    assert "./inv bake" in catalogue.text([], "table")
