"""Which clouds are looked at, and what happens when one cannot be."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import Exit, MissingError
from goldbake.log import Progress
from goldbake.paths import Paths
from launch import registry, service
from launch.base import ACCOUNT, Resource
from launch.journal import BAKE
from launch.registry import journal_of, launcher_for, launchers_for
from launch.service import LaunchRequest
from tests.unit.config.documents import GOOD, write
from tests.unit.launch.conftest import run_launch
from tests.unit.launch.foldercloud import FolderCloud

WITHOUT = {
    "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1",
    "CLOUDSDK_CONFIG": "/dev/null", "NO_GCE_CHECK": "true",
}  # fmt: skip
GOOGLE = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "GOOGLE_CLOUD_PROJECT",
    "CLOUDSDK_CORE_PROJECT",
    "GCE_METADATA_HOST",
)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "ARM_", "GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    for name, value in WITHOUT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def credentials(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE12")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x" * 40)


def test_without_credentials_only_this_machine_is_looked_at(paths: Paths, no_credentials: None) -> None:
    assert set(launchers_for(paths, None).launchers) == {Cloud.LOCAL}


def test_a_cloud_with_credentials_is_looked_at_but_not_insisted_on(paths: Paths, credentials: None) -> None:
    looked = launchers_for(paths, None)
    assert set(looked.launchers) == {Cloud.LOCAL, Cloud.AWS}
    assert looked.named == {Cloud.LOCAL}


def test_google_cloud_is_looked_at_when_it_has_credentials_and_a_project(
    paths: Paths, no_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "ya29.of-the-tests")
    assert set(launchers_for(paths, None).launchers) == {Cloud.LOCAL}
    with pytest.raises(MissingError, match="project") as caught:
        launcher_for(Cloud.GCP, paths)
    assert "GOOGLE_CLOUD_PROJECT" in caught.value.hint
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    assert set(launchers_for(paths, None).launchers) == {Cloud.LOCAL, Cloud.GCP}


def test_a_launch_is_remembered_with_its_project(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_)
    (entry,) = service.entries(paths)
    for number, (where, project) in enumerate(((Cloud.GCP, "mine"), (Cloud.GCP, "mine"), (Cloud.GCP, "yours"), (Cloud.AWS, "123"))):
        journal_of(paths).write(replace(entry, launch_id=f"n{number}", cloud=where, options={ACCOUNT: project}))
    journal_of(paths).write(replace(entry, launch_id="n9", cloud=Cloud.GCP))
    assert registry._accounts(paths, Cloud.GCP)() == ["mine", "yours"]
    assert registry._remembered(paths)("n2") == {ACCOUNT: "yours"}
    assert registry._remembered(paths)("nowhere") == {}


def test_projects_that_images_yaml_bakes_in_are_looked_at_as_well(paths: Paths, tmp_path: Path) -> None:
    """Of a bake that was killed there is no journal."""
    elsewhere = replace(paths, project=tmp_path / "checkout")
    elsewhere.project.mkdir()
    assert registry._accounts(elsewhere, Cloud.GCP)() == []  # there is no images.yaml
    write(elsewhere.project, GOOD.replace("clouds: [aws, local]", "clouds: [gcp]\n    gcp: {project: agents-417}"))
    assert registry._accounts(elsewhere, Cloud.GCP)() == ["agents-417"]


def test_a_cloud_that_is_named_needs_credentials(paths: Paths, no_credentials: None) -> None:
    with pytest.raises(MissingError, match="AWS") as caught:
        launchers_for(paths, [Cloud.AWS])
    assert caught.value.exit_code is Exit.MISSING
    assert caught.value.hint


def test_a_cloud_that_was_launched_on_from_here_is_insisted_on(
    paths: Paths, no_credentials: None, cloud: FolderCloud, request_: LaunchRequest
) -> None:
    run_launch(paths, cloud, request_)
    (entry,) = service.entries(paths)
    journal_of(paths).write(replace(entry, cloud=Cloud.AWS))
    with pytest.raises(MissingError, match="AWS"):
        launchers_for(paths, None)


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCP, Cloud.AZURE])
def test_every_cloud_has_a_launcher_that_needs_credentials(cloud: Cloud, paths: Paths, no_credentials: None) -> None:
    with pytest.raises(MissingError) as caught:
        launcher_for(cloud, paths)
    assert caught.value.exit_code is Exit.MISSING
    assert caught.value.hint


class _Deaf(FolderCloud):
    """A cloud that cannot be asked."""

    cloud = Cloud.AWS

    def resources(self, launch_id: str | None = None) -> list[Resource]:
        raise Failure(Scope.ACCOUNT, "ExpiredToken", "the token has expired")

    def instances(self, launch_id: str | None = None) -> list[service.Instance]:
        raise Failure(Scope.ACCOUNT, "ExpiredToken", "the token has expired")


def test_a_cloud_that_nobody_named_and_that_cannot_be_asked_is_told(
    paths: Paths, cloud: FolderCloud, request_: LaunchRequest, tmp_path: Path
) -> None:
    run_launch(paths, cloud, request_)
    both = {Cloud.LOCAL: cloud, Cloud.AWS: _Deaf(tmp_path / "deaf")}
    said = io.StringIO()
    assert len(service.instances(paths, None, progress=Progress(said), launchers=both)) == 2
    assert "aws was not looked at: the token has expired" in said.getvalue()
    plan = service.plan_reap(paths, None, launchers=both)
    assert plan.unseen == ("aws was not looked at: the token has expired",)
    assert plan.document()["unseen"] == list(plan.unseen)
    for clouds in ([Cloud.AWS], [Cloud.LOCAL, Cloud.AWS]):
        with pytest.raises(Failure, match="expired"):
            service.plan_reap(paths, clouds, launchers=both)
        with pytest.raises(Failure, match="expired"):
            service.instances(paths, clouds, launchers=both)


def test_a_bake_has_its_own_lock(paths: Paths) -> None:
    journal = journal_of(paths)
    assert not journal.is_known(f"{BAKE}b1")
    with journal.locked(f"{BAKE}b1"):
        assert (paths.state / "bakes" / "b1.lock").exists()
        assert journal_of(paths).is_locked(f"{BAKE}b1")
        assert journal.is_known(f"{BAKE}b1")
    assert not journal.is_known(f"{BAKE}b1")
