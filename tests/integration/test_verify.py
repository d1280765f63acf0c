"""Checking an image that exists."""

from __future__ import annotations

import io

import pytest

from goldbake import verify
from goldbake.check import FailedCheck, report_of
from goldbake.config.model import Cloud
from goldbake.errors import ChecksFailed, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from tests.integration.conftest import BakedImage


@pytest.mark.slow
def test_newest_image_is_checked_again_with_the_same_outcome(baked_image: BakedImage) -> None:
    paths = Paths.from_environment()
    report = verify.image(paths, Progress(io.StringIO()), Cloud.LOCAL, baked_image.record.image)
    assert baked_image.record.checks is not None
    assert report.failed == ()
    assert report.digest == baked_image.record.checks.digest
    assert not paths.work.exists() or list(paths.work.iterdir()) == []


def test_image_of_a_cloud_that_cannot_be_reached_from_here_is_refused() -> None:
    with pytest.raises(UsageError, match="aws"):
        verify.image(Paths.from_environment(), Progress(io.StringIO()), Cloud.AWS, None)


@pytest.mark.parametrize("address", ["root@192.0.2.1", "http://192.0.2.1", "ssh://", "ssh://root:secret@192.0.2.1", "ssh://192.0.2.1/path"])
def test_address_that_is_no_ssh_url_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as error:
        verify.host(address, Progress(io.StringIO()))
    assert "ssh://root@" in error.value.hint


def test_red_check_is_an_error_with_its_own_exit_code() -> None:
    with pytest.raises(ChecksFailed, match=r"driver\.x") as error:
        verify.require_green(report_of(["a"], [FailedCheck("driver.x", "it is red")], [], 1.0))
    assert error.value.exit_code == 3
    verify.require_green(report_of(["a"], [], [], 1.0))
